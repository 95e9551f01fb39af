"""Questions about calls that nobody answered in time: closed when they expire, so that their runs go on without the calls.

A run that waits is read once for each change of it; until its question expires it costs a comparison a look.
"""

from collections.abc import Iterable, Mapping

from loopwright.engine.protocol import Clock
from loopwright.journal.protocol import Journal
from loopwright.kernel.state import State
from loopwright.tools.approvals.absent import expire_or_deny
from loopwright.tools.approvals.answer import open_asks

__all__ = ["Expiries"]


class Expiries:
    """Of all runs of one journal."""

    def __init__(self, journal: Journal, now_ms: Clock) -> None:
        self._journal = journal
        self._now_ms = now_ms
        self._due: dict[str, tuple[int, int | None]] = {}
        """By run: the event up to which it was read, and when its first question expires."""

    def close(self, unfinished: Mapping[str, State]) -> None:
        """Deny what expired. Raises: `JournalError`, of the first run that cannot be written to."""
        now_ms = self._now_ms()
        for run_id in self._due.keys() - unfinished.keys():
            del self._due[run_id]
        for run_id, state in unfinished.items():
            if not any(ask.about == "call" for ask in state.asks):
                continue
            seq, due_ms = self._due.get(run_id, (0, None))
            if seq != state.seq:
                due_ms = _first(ask.expires_at_ms for ask in open_asks(self._journal, run_id, self._now_ms))
                self._due[run_id] = (state.seq, due_ms)
            if due_ms is not None and now_ms >= due_ms:
                del self._due[run_id]
                expire_or_deny(self._journal, run_id, now_ms=self._now_ms, attended=True)


def _first(times: Iterable[int | None]) -> int | None:
    return min((at_ms for at_ms in times if at_ms is not None), default=None)
