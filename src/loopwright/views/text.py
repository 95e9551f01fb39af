"""Text that somebody else wrote, made harmless to look at: a terminal, a report or a commit message shows it and nothing happens.

Control characters move cursors and hide output, format characters (bidirectional overrides, zero-width letters, tags) make a
text read as something else than it is. Both become a visible escape such as `\\x1b` or `\\u202e`; nothing is dropped silently.
"""

import unicodedata

__all__ = ["one_line", "plain", "short_id", "usd"]

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """`text` with its lines and tabs, and every other character that does not show escaped; line ends become `\\n`."""
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(c if c in "\n\t" else _shown(c) for c in text)


def one_line(text: str, limit: int | None = None) -> str:
    """`text` on one line: runs of white space become one space, the rest as `plain`; cut to `limit` characters with `…`."""
    # Cut before the work too: a megabyte of test output is asked for its first line again and again.
    given = text if limit is None else text[: 8 * limit]
    line = plain(" ".join(given.split()))
    if limit is None or (len(line) <= limit and len(given) == len(text)):
        return line
    return line[: max(0, limit - 1)].rstrip() + "…"


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def short_id(identifier: str) -> str:
    """The first twelve characters of a commit or tree id, enough for git and for people."""
    return one_line(identifier)[:12]


def usd(usd_micros: int) -> str:
    """`$1.25`; amounts below a cent keep four more digits, so that something is never shown as nothing."""
    if usd_micros and abs(usd_micros) < 10_000:
        return f"${usd_micros / 1_000_000:.6f}"
    return f"${usd_micros / 1_000_000:,.2f}"
