"""Nobody there: asks that expire, and asks of a run that is declared unattended, end with the loop's own outcome."""

from collections.abc import Callable, Sequence
from typing import Literal

from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.tools.approvals.answer import RUNTIME
from loopwright.tools.history import AskEntry
from loopwright.tools.runlog import RunLog

__all__ = ["EXPIRED", "expire_or_deny", "expired"]

EXPIRED = f"{RUNTIME} (expired)"
UNATTENDED = f"{RUNTIME} (unattended)"


def expired(ask: AskEntry, at_ms: int) -> bool:
    """Whether an approval of this ask counts no longer. A question that is not about a call never expires."""
    return ask.call is not None and at_ms >= ask.call.expires_at_ms


def expire_or_deny(
    journal: Journal,
    run_id: str,
    *,
    now_ms: Callable[[], int],
    attended: bool,
    unattended: Literal["deny", "pause"] = "deny",
) -> tuple[str, ...]:
    """Close what nobody will answer, in one commit, and return the ask ids: expired asks always, and every ask about a call when nobody
    is there (`attended` false) and the loop says `deny`. With `pause` they stay open and the run waits.

    An expired ask may be asked anew by the same call; one that was denied since nobody was there stays denied in this run.
    """
    log = RunLog(journal, run_id, now_ms)

    def build(at_ms: int) -> tuple[Sequence[ev.Body], tuple[str, ...]]:
        bodies: list[ev.Body] = []
        closed: list[str] = []
        for ask in log.history.asks.values():
            if not ask.open or ask.call is None or log.state.phase == "finished":
                continue
            if expired(ask, at_ms):
                by, why = EXPIRED, "nobody answered in time"
            elif not attended and unattended == "deny":
                by, why = UNATTENDED, "nobody is there, and the loop says `unattended: deny`"
            else:
                continue
            bodies.append(ev.Answered(ask.ask_id, "deny", by, why, ask.call.digest))
            closed.append(ask.ask_id)
        return bodies, tuple(closed)

    return log.commit(build)
