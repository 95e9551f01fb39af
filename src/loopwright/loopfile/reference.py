"""The reference of the loop file, made from the key tables that the parser reads by.

`python -m loopwright.loopfile.reference > docs/reference/loop-file.md`
`python -m loopwright.loopfile.reference --schema > docs/reference/loop-file.schema.json`
"""

import sys
from collections.abc import Iterator

from loopwright.loopfile import ready
from loopwright.loopfile._keys import LOOP
from loopwright.loopfile._kinds import As, OneOrMore
from loopwright.loopfile._limit_keys import DEFAULT_PROTECT
from loopwright.loopfile._table import Key, Kind, ListOf, OneOf, Record, Table
from loopwright.loopfile.later import LATER
from loopwright.loopfile.schema import json_schema

__all__ = ["key_paths", "markdown"]

_HEAD = """\
# The loop file

<!-- made by `python -m loopwright.loopfile.reference`; do not edit by hand -->

One Markdown file is one loop: keys between two lines `---` at its top, and below them the goal in plain language.

{example}

The file is UTF-8, at most 256 KiB. The keys are YAML, read strictly, so that a file means the same to every reader: an unknown
key, a key that stands twice, an anchor, an alias or a tag is refused, and a word that some YAML reads as something else (`on`,
`yes`, `2.10`) must be quoted where text is meant. Numbers are plain decimal digits and are never rounded through a binary
float. `0` is no limit's value: a limit that is not wanted is a key that is not there.

Every problem is one line, `file:line: key path: what is wrong`, all problems of a file at once, and `loopwright` exits with 2.

Path patterns (`protect`, `write`, `edit`, `file`) mean what they mean in `.gitignore`, without `!` and `\\`:

- `*`, `?` and `[abc]` never cross a `/`; upper and lower case differ.
- A pattern without a `/` before its end (`conftest.py`, `tests/`) matches at any depth; `./tests/` matches only at the root.
- A pattern with a `/` before its end (`src/*.py`) starts at the root; `**/` stands for any number of folders, none included.
- What matches a folder matches everything below it; a `/` at the end says so aloud.

With `evaluate.tests` or `evaluate.guard`, these are protected when `protect` is left out; `protect: []` protects nothing:
{protect}.

A key marked *later* is read and checked already; a loop that uses it does not run in this version.
An editor that knows JSON schemas checks the keys with [loop-file.schema.json](loop-file.schema.json).
"""


def markdown() -> str:
    """The whole page, with a line end."""
    protect = ", ".join(f"`{pattern}`" for pattern in DEFAULT_PROTECT)
    parts = [_HEAD.format(example=f"```markdown\n{ready.text('fix').rstrip()}\n```", protect=protect)]
    places: dict[type[Table], list[str]] = {}
    notes: dict[type[Table], str] = {}
    for path, kind in _mappings(LOOP, ""):
        places.setdefault(kind.table, []).append(path)
        if isinstance(kind, OneOf):
            notes[kind.table] = _note(kind)
    for table, paths in places.items():
        heading = ", ".join(f"`{path}`" for path in paths) if paths != [""] else "Keys"
        parts.append(f"## {heading}\n\n{notes.get(table, '')}{_table(table, paths[0])}\n")
    return "\n".join(parts)


def key_paths() -> frozenset[str]:
    """Every key of the file by its path, `act[].agent.model` for instance."""
    return frozenset(_join(path, key.name) for path, kind in _mappings(LOOP, "") for key in kind.table.rows())


def _mappings(kind: Kind[object], path: str) -> Iterator[tuple[str, Record[object] | OneOf[object]]]:
    if isinstance(kind, As):
        yield from _mappings(kind.kind, path)
    elif isinstance(kind, ListOf):
        yield from _mappings(kind.item, f"{path}[]")
    elif isinstance(kind, OneOrMore):
        yield from _mappings(kind.item, path)
    elif isinstance(kind, Record | OneOf):
        yield path, kind
        for key in kind.table.rows():
            yield from _mappings(key.kind, _join(path, key.name))


def _note(kind: OneOf[object]) -> str:
    bare = " and ".join(f"`{name}`" for name in kind.bare)
    return f"An item has one of these keys{f'; {bare} may stand alone, as a word' if bare else ''}.\n\n"


def _table(table: type[Table], path: str) -> str:
    rows = ["| key | value | left out | meaning | now |", "|---|---|---|---|---|"]
    for key in table.rows():
        cells = (
            f"`{key.name}`",
            _value(key.kind, _join(path, key.name)),
            _left_out(key),
            key.meaning,
            _now(_join(path, key.name)),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _value(kind: Kind[object], path: str) -> str:
    if isinstance(kind, Record):
        return f"{kind.short.kind.words}, or the keys of `{path}`" if kind.short else f"the keys of `{path}`"
    if isinstance(kind, OneOrMore) and isinstance(kind.item, Record):
        return f"the keys of `{path}`, or a list of such"
    if isinstance(kind, ListOf) and isinstance(kind.item, OneOf):
        return f"a list of `{path}[]`"
    return kind.words


def _left_out(key: Key[object]) -> str:
    if key.required:
        return "required"
    if key.absent:
        return key.absent
    return (
        "" if key.default is None else f"`{str(key.default).lower() if isinstance(key.default, bool) else key.default}`"
    )


def _now(path: str) -> str:
    # What is below a key that comes later comes later too.
    later = next(
        (x for x in LATER if x.key == path or (not x.value and path.startswith((f"{x.key}.", f"{x.key}[")))), None
    )
    if later is None:
        return "yes"
    return f"`{later.value}` *later*" if later.value and later.value != "hosts" else f"{later.value} *later*".strip()


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


if __name__ == "__main__":
    sys.stdout.write(json_schema().decode() if sys.argv[1:] == ["--schema"] else markdown())
