"""Proof that a journal is what the kernel would have written: every fact that follows from a state is recomputed and compared."""

from collections.abc import Iterable

from loopwright.kernel import events as ev
from loopwright.kernel.fold import apply
from loopwright.kernel.pending import Record, pending
from loopwright.kernel.state import State
from loopwright.kernel.values import Value

__all__ = ["Difference", "ReplayProof", "prove"]

_FOLLOWS = (ev.Decided, ev.RunFinished, ev.ActionIntended, ev.Asked, ev.RunPaused)


class Difference(Value, frozen=True):
    """The first event that the present kernel would not have written, and what it would have written there instead."""

    seq: int
    found: str
    expected: tuple[str, ...]


class ReplayProof(Value, frozen=True):
    """`decisions` counts the recomputed facts that were compared. `difference` is `None` when all are the same."""

    events: int
    decisions: int
    difference: Difference | None


def prove(events: Iterable[ev.Event]) -> ReplayProof:
    """Fold the run again and compare every decision, intent and ending with what follows from the state before it.

    Raises: `IllegalTransition` for a stream that no state allows.
    """
    state: State | None = None
    seen = compared = 0
    for event in events:
        seen += 1
        if isinstance(event.body, _FOLLOWS) and state is not None:
            compared += 1
            due = [c.body if isinstance(c, Record) else ev.ActionIntended(c.action, c.reserve) for c in pending(state)]
            if event.body not in due:
                return ReplayProof(
                    seen, compared, Difference(event.seq, _name(event.body), tuple(_name(b) for b in due))
                )
        state = apply(state, event.body, event.at_ms)
    return ReplayProof(seen, compared, None)


def _name(body: ev.Body) -> str:
    match body:
        case ev.Decided(decision=decision):
            return f"decided {decision.__struct_config__.tag}"
        case ev.ActionIntended(action=action):
            return f"intended {action.work.__struct_config__.tag} as {action.id}"
        case _:
            return ev.kind_of(body)
