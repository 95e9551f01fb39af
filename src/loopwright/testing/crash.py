"""A journal that kills its own process at a chosen append: power goes out exactly there."""

import os
import signal
from collections.abc import Sequence
from typing import Literal

from loopwright.journal.protocol import Journal
from loopwright.kernel.events import Body, Event
from loopwright.testing.forwarding import ForwardingJournal

__all__ = ["CrashingJournal"]


class CrashingJournal(ForwardingJournal):
    """At append number `crash_at` (from 1; `None` = never) the process gets SIGKILL, `before` the commit or `after` it. `appends`
    counts them."""

    def __init__(self, inner: Journal, crash_at: int | None, when: Literal["before", "after"]) -> None:
        super().__init__(inner)
        self.appends = 0
        self._crash_at = crash_at
        self._when = when

    def append(
        self, run_id: str, bodies: Sequence[Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[Event]:
        self.appends += 1
        if self.appends == self._crash_at and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        events = super().append(run_id, bodies, expect_seq=expect_seq, at_ms=at_ms)
        if self.appends == self._crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return events
