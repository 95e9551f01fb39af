"""What the service says while it works: one line for each thing that matters, as text or as JSON."""

import contextlib
import time
from typing import Literal, Protocol, TextIO

import msgspec

from loopwright.kernel.values import Value
from loopwright.views.text import one_line

__all__ = ["JsonLog", "Kind", "Line", "PlainLog", "ServiceLog"]

Kind = Literal[
    "service",  # it starts, drains, ends
    "loop",  # a loop file was taken up, changed, removed
    "fault",  # something that a person should repair; the service goes on without it
    "fired",
    "skipped",
    "begun",
    "driving",
    "waiting",  # a run was paused or asks a person
    "finished",
    "failed",  # a run could not be driven
]


class Line(Value, frozen=True):
    """`what` is plain text of one line; `loop` and `run` are empty when it is about neither."""

    at_ms: int
    kind: Kind
    what: str
    loop: str = ""
    run: str = ""


class ServiceLog(Protocol):
    def say(self, line: Line) -> None:
        """Must not raise: a log that is gone is no reason to stop."""
        ...


class PlainLog:
    """`2026-01-31T12:00:00Z fired fix-tests 3k9x2m1q ticket tickets/login.md`, times in UTC."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, line: Line) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(line.at_ms / 1000))
        # What is said may quote a ticket or a tool: nothing of it reaches the terminal but letters.
        words = (at, line.kind, line.loop, line.run, line.what)
        _write(self._out, one_line(" ".join(word for word in words if word)))


class JsonLog:
    """One JSON object a line with the fields of `Line`; empty ones are left out."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, line: Line) -> None:
        fields = {name: value for name, value in msgspec.structs.asdict(line).items() if value != ""}
        _write(self._out, msgspec.json.encode(fields).decode())


def _write(out: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        out.write(text + "\n")
        out.flush()
