"""Events of metric loops, sealed as a journal would."""

from loopwright.journal.protocol import Head
from loopwright.journal.redact import Redactor
from loopwright.journal.stream import seal
from loopwright.kernel import events as ev
from loopwright.kernel.loop import EvaluatePolicy, Loop, Metric, Permit, StopRules, TuneRung
from loopwright.kernel.values import Budget

__all__ = ["events_of", "improve_loop", "started"]

START_MS = 1_790_000_000_000


def improve_loop(metric: Metric | None = None) -> Loop:
    return Loop(
        name="improve",
        goal="Lower the loss.",
        when=(),
        observe=(),
        act=(TuneRung(("train.py",)),),
        evaluate=EvaluatePolicy(metric=metric or Metric("python train.py", "loss", "min")),
        stop=StopRules(plateau=None),
        budget=Budget(iterations=50),
        permit=Permit(write=("train.py",)),
        deliver="branch",
    )


def started(loop: Loop | None = None) -> ev.RunStarted:
    return ev.RunStarted(
        loop or improve_loop(), "0" * 64, "a" * 40, "b" * 40, "loopwright/improve/r", 1, "hand", None, (), 0, "0.1.0"
    )


def events_of(*bodies: ev.Body) -> tuple[ev.Event, ...]:
    """With sequence numbers, times a second apart, and a chain."""
    head: Head | None = None
    times = range(START_MS, START_MS + 1000 * len(bodies), 1000)
    events, _rows, _head = seal("run-1", bodies, head, times, Redactor())
    return tuple(events)
