"""Kept commits as a mailbox that `git am` takes: same tree, same message, wherever it is applied."""

import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime

__all__ = ["Mail", "mailbox"]

_AUTHOR = "loopwright <loopwright@localhost>"


@dataclass(frozen=True, slots=True)
class Mail:
    """One commit. `message` is its whole message, `diff` what it changes."""

    commit: str
    message: str
    diff: str
    at_ms: int


def mailbox(mails: Iterable[Mail]) -> bytes:
    """The mails, numbered in order."""
    letters = tuple(mails)
    return b"".join(_letter(mail, n, len(letters)) for n, mail in enumerate(letters, 1))


def _letter(mail: Mail, number: int, total: int) -> bytes:
    subject, _, rest = mail.message.partition("\n")
    # Line ends only: a first line that is set in must stay so, or git takes it for what it looks like.
    text = rest.strip("\n")
    patch = mail.diff.encode("utf-8", "surrogateescape")
    body = f"{text}\n\n---\n\n".encode() + patch + b"\n-- \nloopwright\n\n"
    encoding = "8bit"
    if b"\r" in body or not _is_utf8(body):
        # A mail's line ends are not the file's: `git am` drops a bare CR at the end of a line, and keeps an encoded one.
        body, encoding = _quoted_printable(body), "quoted-printable"
    headers = (
        # The date of the first line is a constant by which git knows its own mailboxes.
        f"From {mail.commit} Mon Sep 17 00:00:00 2001",
        f"From: {_AUTHOR}",
        f"Date: {format_datetime(datetime.fromtimestamp(mail.at_ms // 1000, UTC))}",
        f"Subject: [PATCH {number}/{total}] {_encoded(subject)}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        f"Content-Transfer-Encoding: {encoding}",
    )
    return "\n".join(headers).encode() + b"\n\n" + body


def _encoded(subject: str) -> str:
    if subject.isascii() and "=?" not in subject:
        return subject
    return Header(subject, "utf-8", maxlinelen=1_000).encode(linesep="\n")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _quoted_printable(data: bytes) -> bytes:
    # Line by line: given whole lines, the codec takes CRLF for a line end and leaves it bare.
    return b"\n".join(binascii.b2a_qp(line, istext=False) for line in data.split(b"\n"))
