"""SKILL.md: validated with the reference library, and what the skill says that it needs.

The format has six keys and none for hosts and secrets, so those stand in `metadata`:

    allowed-tools: http.get git.git_log
    metadata:
      loopwright-hosts: api.example.org
      loopwright-secrets: EXAMPLE_TOKEN

What stands there is a wish. It can only take rights away from what the user gave; see `rights`.
"""

import importlib.util
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.kernel.values import Value
from loopwright.policy.names import fold
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.skills.errors import SkillRefused
from loopwright.tools.skills.tree import SkillTree

__all__ = ["Declared", "read_skill"]

_SKILL_BYTES = 256 << 10
HOSTS_KEY = "loopwright-hosts"
SECRETS_KEY = "loopwright-secrets"


class Declared(Value, frozen=True):
    """What a SKILL.md says. `body` is its text below the front matter. `tools` are exact names, folded; `patterns` are entries of
    `allowed-tools` that are no exact name and so mean nothing here."""

    name: str
    description: str
    body: str
    tools: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


def read_skill(folder: Path, tree: SkillTree) -> Declared:
    """What the SKILL.md in `tree` says; `folder` gives the name that it must have.

    Raises: `SkillRefused` with every fault that the reference library finds; `UsageError` when that library is not installed.
    """
    if importlib.util.find_spec("skills_ref") is None:
        raise UsageError("skills need the package 'skills-ref', which is not installed; install 'loopwright[skills]'")
    from skills_ref.errors import SkillError  # type: ignore[import-untyped]
    from skills_ref.parser import parse_frontmatter  # type: ignore[import-untyped]
    from skills_ref.validator import validate_metadata  # type: ignore[import-untyped]

    data = tree.read("SKILL.md")
    if data is None or len(data) > _SKILL_BYTES:
        raise _invalid(
            folder.name,
            "expected a SKILL.md of at most 256 KiB, found none" if data is None else "its SKILL.md is too large",
        )
    try:
        found, body = parse_frontmatter(data.decode("utf-8"))
    except (SkillError, UnicodeDecodeError) as error:
        raise _invalid(folder.name, shown(str(error))) from None
    faults = validate_metadata(found, folder)
    if faults:
        raise _invalid(folder.name, shown("; ".join(faults)))
    more = found.get("metadata")
    metadata = more if isinstance(more, dict) else {}
    allowed = found.get("allowed-tools")
    tools, patterns = _exact(allowed if isinstance(allowed, str) else "")
    return Declared(
        name=str(found["name"]).strip(),
        description=str(found["description"]).strip(),
        body=body,
        tools=tools,
        hosts=_words(metadata.get(HOSTS_KEY)),
        secrets=_words(metadata.get(SECRETS_KEY)),
        patterns=patterns,
    )


def _exact(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    exact: dict[str, None] = {}
    patterns: dict[str, None] = {}
    for word in text.replace(",", " ").split():
        try:
            name = fold(word)
        except UsageError:
            patterns[shown(word)] = None
            continue
        (patterns if any(c in name for c in "*()[]?:") else exact)[name] = None
    return tuple(exact), tuple(patterns)


def _words(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value).replace(",", " ").split())) if isinstance(value, str) else ()


def _invalid(name: str, why: str) -> SkillRefused:
    remedy = "mend its SKILL.md; the format has six keys, see docs/reference/skills.md"
    return SkillRefused("skill.invalid", f"skill {name!a}: {why}", remedy)
