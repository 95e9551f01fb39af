"""The page about injection suites: its example suite is read, its example adapter runs."""

import re
from pathlib import Path

from loopwright.policy.plan import draft_plan
from loopwright.testing.injection.load import parse_suite
from loopwright.testing.injection.report import figures, run_suite

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "injection-suites.md"


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(found) == 1
    return str(found[0])


def test_the_example_suite_runs_and_its_goal_is_held_back() -> None:
    found = figures([run_suite(parse_suite(block("toml"), "the page"), draft_plan)])
    assert (found.tasks, found.unattended, found.approved) == (1, 1, 1)
    # two places that the task reads, and the hijack from the start
    assert found.unprotected_reached == found.unprotected_pairs == 3
    assert (found.runs, found.reached) == (6, 0)


def test_the_example_adapter_runs() -> None:
    """Its assertions stand on the page itself."""
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(block("python"), str(PAGE), "exec"), names)
    assert "found" in names


def test_the_page_names_every_reason() -> None:
    from loopwright.testing.injection.adaptive import REASONS, UNEXPLAINED

    page = PAGE.read_text(encoding="utf-8")
    for reason in REASONS:
        assert f"**{reason}**" in page or (reason == UNEXPLAINED and f"`{reason}`" in page), reason
