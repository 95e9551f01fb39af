"""An answer as text that an actor can read: bounded, without markup; what is no text is a digest. Pure."""

import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Final

from loopwright.policy.values import Json

__all__ = ["as_json", "html_text"]

_TEXT: Final = re.compile(
    r"text/|application/(?:[a-z0-9.+-]*\+)?(?:json|xml|yaml|javascript|x-ndjson|x-www-form-urlencoded)"
)
_HIDDEN: Final = frozenset({"script", "style", "template", "noscript", "svg", "math", "iframe", "object"})
_BLOCKS: Final = frozenset(
    {
        "p",
        "div",
        "br",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "section",
        "article",
        "table",
        "ul",
        "ol",
        "pre",
        "blockquote",
    }
)
_MARKUP_FACTOR: Final = 8
"""How much of a page is read at most, for each character of it that is shown."""

_CHARSET: Final = re.compile(r"charset=\"?([A-Za-z0-9_.:-]{1,40})")


def as_json(
    body: bytes, content_type: str, limit_chars: int, truncated: bool, clean: Callable[[str, bool], str]
) -> dict[str, Json]:
    """`{"text", "truncated"}` for text, `{"sha256", "bytes", "truncated"}` for the rest; of what was received where it was cut.

    `clean` redacts a text, which it is told may end in the middle of a value. It comes before the text is cut to `limit_chars`: half
    of a secret at the end would be known to nobody.
    """
    kind = content_type.partition(";")[0].strip().lower()
    text = _decoded(body, content_type) if _TEXT.match(kind) or (not kind and b"\0" not in body) else None
    if text is None:
        return {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body), "truncated": truncated}
    if kind in ("text/html", "application/xhtml+xml"):
        most = limit_chars * _MARKUP_FACTOR
        truncated = truncated or len(text) > most
        text = html_text(text[:most])
    text = clean(text, truncated)
    return {"text": text[:limit_chars], "truncated": truncated or len(text) > limit_chars}


def _decoded(body: bytes, content_type: str) -> str:
    charset = _CHARSET.search(content_type)
    name = charset[1].lower() if charset else "utf-8"
    # A few by name: some codecs of Python compress or translate.
    safe = (
        name
        if name in ("utf-8", "ascii", "us-ascii", "iso-8859-1", "latin1", "windows-1252", "utf-16", "shift_jis", "gbk")
        else "utf-8"
    )
    return body.decode(safe, "replace")


def html_text(page: str) -> str:
    """What a page says: no scripts, styles or attributes, a line for each block."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
