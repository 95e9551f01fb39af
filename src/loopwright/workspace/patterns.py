"""Path patterns of the loop file (`protect`, `write`, `edit`), as gitignore means them. Pure: no file system is looked at.

- `*`, `?` and `[abc]` never cross a `/`; upper and lower case differ.
- A pattern without a `/` before its end (`conftest.py`, `tests/`) matches at any depth; `./tests/` only at the root.
- A pattern with a `/` before its end (`src/*.py`) starts at the root; `**/` in it stands for any number of folders, none included.
- What matches a folder matches everything below it; a `/` at the end says so aloud.

There is no negation and no escape: a protected path that a later pattern takes away again is a hole that nobody sees.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

__all__ = ["anchored", "matches", "validate"]

_MAX_CHARS = 300


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether any of `patterns` covers `path` (a file relative to the root, with `/`). No pattern covers nothing.

    `tests/` covers a file or link that is itself called `tests` too: it would otherwise stand in for the protected folder.
    """
    names = path.split("/")
    return any(_covers(pattern, names) for pattern in patterns)


def anchored(patterns: Sequence[str]) -> tuple[str, ...]:
    """The same patterns, each at the root only: `src/` becomes `./src/`. For what grants: a grant must not be wider than it reads."""
    return tuple(p if "/" in p.removesuffix("/") else f"./{p}" for p in patterns)


def validate(pattern: str) -> str | None:
    """What is wrong with a pattern, in words that follow its key and value; `None` when it can be used."""
    if not pattern or pattern in {"/", "./"}:
        return "is empty; expected a path like 'src/' or '**/conftest.py'"
    if len(pattern) > _MAX_CHARS:
        return f"has {len(pattern)} characters; expected at most {_MAX_CHARS}"
    if any(ord(c) < 32 or ord(c) == 127 for c in pattern):
        return "contains a control character"
    if "\\" in pattern:
        return "contains '\\'; paths are written with '/' and nothing is escaped"
    if pattern.startswith("!"):
        return "starts with '!'; a pattern cannot take back another one"
    if pattern.startswith(("/", "~")):
        return f"is not relative; write it from the repository's root, './{pattern.lstrip('~/')}'"
    return _faulty_part(pattern.removeprefix("./").removesuffix("/").split("/"))


def _faulty_part(parts: Sequence[str]) -> str | None:
    for part in parts:
        if part == "..":
            return "contains '..'; expected a path inside the repository"
        if part in {"", "."}:
            return f"has an empty part or a '.' in {'/'.join(parts)!r}; expected names between the '/'"
        if "**" in part and part != "**":
            return "uses '**' inside a name; expected it alone between two '/', as in '**/test_*.py'"
        if _has_open_bracket(part):
            return "has a '[' without its ']'"
    return None


def _has_open_bracket(part: str) -> bool:
    """fnmatch takes an unclosed `[` literally, which is never what its author meant."""
    at = part.find("[")
    while at >= 0:
        first = at + 2 if part[at + 1 : at + 2] == "!" else at + 1
        end = part.find("]", first + 1)  # a `]` right behind the `[` is a member of the class
        if end < 0:
            return True
        at = part.find("[", end + 1)
    return False


def _covers(pattern: str, names: Sequence[str]) -> bool:
    parts = pattern.removeprefix("./").removesuffix("/").split("/")
    if len(parts) == 1 and not pattern.startswith("./"):
        parts = ["**", *parts]
    if parts[-1] == "**":
        # `src/**` is what lies in `src`, not `src` itself; everything else covers what it names and what lies below.
        parts = [*parts, "*"]
    # All positions in `parts` that can be reached after each name: no backtracking, so no pattern is slow.
    reached = _through_stars({0}, parts)
    for name in names:
        ahead = {at if parts[at] == "**" else at + 1 for at in reached if _one(parts[at], name)}
        reached = _through_stars(ahead, parts)
        if len(parts) in reached:
            return True
    return False


def _one(part: str, name: str) -> bool:
    return part == "**" or fnmatchcase(name, part)


def _through_stars(reached: set[int], parts: Sequence[str]) -> set[int]:
    """`**` may stand for no folder at all: whoever is at one is behind it as well."""
    out = set(reached)
    for at, part in enumerate(parts):
        if at in out and part == "**":
            out.add(at + 1)
    return out
