"""The reference shows a file that is valid, and names every rule that there is."""

import re
from pathlib import Path

from loopwright.policy.file import parse_policy
from loopwright.views.calls import check_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "policy-file.md").read_text()


def test_the_example_of_the_reference_is_a_valid_policy_file() -> None:
    example = PAGE.split("```toml\n")[1].split("```")[0]
    policy = parse_policy(example)
    assert policy.plan is not None and policy.pay is not None and len(policy.secrets) == 2
    assert check_text("example", example)


def test_every_rule_of_the_code_stands_in_the_reference() -> None:
    code = "".join(path.read_text() for path in sorted((ROOT / "src" / "loopwright" / "policy").rglob("*.py")))
    rules = set(re.findall(r'"((?:deny|ask|allow)\.[a-z_.]+)"', code))
    assert len(rules) > 20
    shown = set(re.findall(r"`((?:deny|ask|allow)?\.?[a-z_.*]+)`", PAGE))
    for rule in rules:
        tail = rule.split(".")[-1]
        listed = (
            rule in shown
            or f".{tail}" in shown
            or tail in shown
            or any(s.endswith("*") and rule.startswith(s[:-1]) for s in shown)
        )
        assert listed, rule
