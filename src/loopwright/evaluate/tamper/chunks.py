"""The parts of two versions of a file that differ, the rest blanked out: parsing is most of what a detector costs.

Both keep their line numbers. Imports stay, for they say what names mean. Parts are found by their first column alone; where that cuts a
statement in two (a text over several lines), the result does not parse, and the whole file is parsed instead.
"""

__all__ = ["differing"]

_CONTINUES = (" ", "\t", ")", "]", "}", "else", "elif", "except", "finally", "#", '"""', "'''")
_STAYS = ("import ", "from ", "if ", "try:")


def differing(old: str, new: str) -> tuple[str, str]:
    """`old` and `new` with every part blanked out that the other one has as well."""
    parts = (_parts(old), _parts(new))
    texts = [{"\n".join(part).rstrip() for part in side} for side in parts]
    return _kept(parts[0], texts[1]), _kept(parts[1], texts[0])


def _parts(text: str) -> list[list[str]]:
    """Runs of lines: a statement at the first column with its decorators and everything below that is indented."""
    parts: list[list[str]] = []
    decorated = False
    for line in text.split("\n"):
        if parts and (not line or line.startswith(_CONTINUES) or decorated):
            parts[-1].append(line)
        else:
            parts.append([line])
        if line and not line[0].isspace():
            decorated = line[0] == "@"
    return parts


def _kept(parts: list[list[str]], other: set[str]) -> str:
    out: list[str] = []
    for part in parts:
        if part[0].startswith(_STAYS) or "\n".join(part).rstrip() not in other:
            out += part
        else:
            out += [""] * len(part)
    return "\n".join(out)
