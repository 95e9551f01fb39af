"""The examples in the reference are what the policy file and the skill format read."""

import re
from pathlib import Path

import pytest

from loopwright.policy.file import parse_policy
from loopwright.tools.skills.read import read_skill
from loopwright.tools.skills.tree import read_tree

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"


def block(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (REFERENCE / page).read_text(encoding="utf-8"), re.S)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("page", "servers", "skills"), [("mcp.md", 2, 0), ("skills.md", 0, 1)])
def test_the_policy_in_the_page_is_read(page: str, servers: int, skills: int) -> None:
    policy = parse_policy(block(page, "toml"))
    assert (len(policy.mcp), len(policy.skills)) == (servers, skills)


def test_the_skill_in_the_page_is_valid_and_declares_what_the_page_says(tmp_path: Path) -> None:
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "SKILL.md").write_text(f"---\n{block('skills.md', 'yaml')}---\nText.\n")
    declared = read_skill(folder, read_tree(folder))
    assert (declared.tools, declared.hosts, declared.secrets) == (("http.get",), ("api.example.org",), ("WEATHER",))
