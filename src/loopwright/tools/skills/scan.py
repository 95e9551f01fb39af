"""What in a skill looks like an attack. A finding may block; that nothing was found means nothing and grants nothing.

Rules are plain patterns over lines, so a person can see why one fired, and whoever writes against them gets past: they stop what is
copied from elsewhere and make the rest be read. The boundary is the rights of the skill, not this.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, Literal
from urllib.parse import urlsplit

from loopwright.kernel.values import Value
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.skills.patterns import BLOCKING, FETCH, Pattern
from loopwright.tools.skills.read import Declared
from loopwright.tools.skills.tree import SkillTree

__all__ = ["Finding", "scan"]

_LINE_CHARS: Final = 20_000
_URL: Final = re.compile(r"\bhttps?://[^\s<>\"'`)\]}]{1,2000}", re.I)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{240,}={0,2}")
_COMPILED: Final = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa", b"\x00asm")
_COMPILED_ENDS: Final = (".pyc", ".so", ".dll", ".exe", ".dylib", ".class", ".jar", ".whl")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_PROSE: Final = tuple(pattern for pattern in BLOCKING if pattern.prose)
_TEXT_ENDS: Final = (".md", ".txt", ".rst")


class Finding(Value, frozen=True):
    """`line` is 1 for the first and 0 where it is of the whole file. `excerpt` is safe to show. A `block` finding refuses the skill
    until a person accepted its `rule` for exactly these files."""

    rule: str
    severity: Literal["block", "warn"]
    path: str
    line: int
    why: str
    excerpt: str = ""


def scan(tree: SkillTree, declared: Declared) -> tuple[Finding, ...]:
    """Every finding, by file and line."""
    why = "is no exact tool name and means nothing here"
    found = [Finding("tools.pattern", "warn", "SKILL.md", 0, f"{each!a} {why}") for each in declared.patterns]
    for file, data in zip(tree.files, tree.contents, strict=True):
        found += _of_file(file.path, file.mode, data)
        if file.mode != "120000":
            found += _of_text(file.path, file.mode, data.decode("utf-8", "replace"), declared)
    return tuple(found)


def _of_file(path: str, mode: str, data: bytes) -> Iterator[Finding]:
    if mode == "120000":
        yield Finding("file.link", "warn", path, 0, "a link inside the skill", shown(data.decode("utf-8", "replace")))
    elif data.startswith(_COMPILED) or path.lower().endswith(_COMPILED_ENDS):
        yield Finding("file.compiled", "block", path, 0, "a compiled program, which nobody can read")
    elif mode == "100755":
        yield Finding("file.executable", "warn", path, 0, "an executable file")
    if any(part.startswith(".") for part in path.split("/")):
        yield Finding("file.hidden", "warn", path, 0, "a file that most listings leave out")


def _of_text(path: str, mode: str, text: str, declared: Declared) -> Iterator[Finding]:
    is_code = mode == "100755" or not path.lower().endswith(_TEXT_ENDS)
    in_comment = False
    if not is_code:
        yield from _in_paragraphs(path, text)
    for number, line in _lines(text):
        cut = line[:_LINE_CHARS]
        yield from _matches(path, number, cut, BLOCKING)
        yield from _links(path, number, cut, declared.hosts, is_code)
        unseen = _unseen(line.removeprefix("\ufeff") if number == 1 else line)
        if unseen:
            yield Finding(
                "text.hidden", "block", path, number, f"holds {unseen}, which does not show", shown(cut, limit_chars=80)
            )
        blob = _BASE64.search(cut)
        if (blob is not None and _is_packed(blob[0])) or len(line) > _LINE_CHARS:
            picture = "data:image/" in cut
            why = "a long run of encoded data" if blob is not None else "a line too long to read"
            yield Finding("text.encoded", "warn" if picture else "block", path, number, why, shown(cut, limit_chars=60))
        if path.lower().endswith(".md") and not in_comment and "<!--" in cut:
            yield Finding(
                "text.comment",
                "warn",
                path,
                number,
                "a comment that does not show when rendered",
                shown(cut, limit_chars=120),
            )
        in_comment = cut.rfind("<!--") > cut.rfind("-->") or (in_comment and "-->" not in cut)


def _matches(path: str, number: int, text: str, patterns: Iterable[Pattern]) -> Iterator[Finding]:
    # In compatibility form: fullwidth and styled letters are read as their plain ones.
    plain = unicodedata.normalize("NFKC", text)
    for pattern in patterns:
        match = pattern.expression.search(plain)
        if match is not None:
            yield Finding(pattern.rule, "block", path, number, pattern.why, shown(match[0], limit_chars=120))


def _in_paragraphs(path: str, text: str) -> Iterator[Finding]:
    """Sentences that are broken over lines; those within one line are found there."""
    number = 1
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        if len(lines) > 1:
            whole = " ".join(" ".join(lines).split())[:_LINE_CHARS]
            alone = {(f.rule, f.why) for line in lines for f in _matches(path, 0, line[:_LINE_CHARS], _PROSE)}
            found = _matches(path, number, whole, _PROSE)
            yield from (f for f in found if (f.rule, f.why) not in alone)
        number += len(lines) + 1


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, those that end in a backslash joined with the next as a shell would."""
    joined, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        first = first or number
        joined += line.rstrip("\r")
        if joined.endswith("\\") and len(joined) < _LINE_CHARS:
            joined = joined[:-1] + " "
            continue
        yield first, joined
        joined, first = "", 0
    if joined:
        yield first, joined


def _links(path: str, number: int, line: str, hosts: tuple[str, ...], is_code: bool) -> Iterator[Finding]:
    """A link to read is a remark; one in code, or beside a program that fetches, is how data leaves."""
    for match in _URL.finditer(line):
        try:
            host = (urlsplit(match[0]).hostname or "").rstrip(".")
        except ValueError:
            host = match[0][:80]
        if host not in hosts:
            fetched = is_code or re.search(FETCH, line, re.I) is not None
            severity: Literal["block", "warn"] = "block" if fetched else "warn"
            excerpt = shown(match[0], limit_chars=120)
            yield Finding("host.undeclared", severity, path, number, f"host {host!a} is not declared", excerpt)


def _unseen(line: str) -> str:
    for index, character in enumerate(line):
        if character == "\t" or unicodedata.category(character) not in _UNSEEN:
            continue
        # Emoji are joined by U+200D; between other characters it hides something.
        if (
            character == "\u200d"
            and 0 < index < len(line) - 1
            and not line[index + 1].isascii()
            and not line[index - 1].isalnum()
        ):
            continue
        return f"U+{ord(character):04X}"
    return ""


def _is_packed(run: str) -> bool:
    return any(c.isdigit() for c in run) and any(c.isupper() for c in run) and any(c.islower() for c in run)
