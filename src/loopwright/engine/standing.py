"""How every run of the journal stands, kept up by one query a look. A run that waits costs its state in memory and nothing else.

Only streams whose head moved are read, and of those only what is new; a run that is finished is known by its last event alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loopwright.errors import LoopwrightError
from loopwright.journal.protocol import Head, Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.state import State

__all__ = ["Standings", "is_run", "waits_for"]


def is_run(stream: str) -> bool:
    """Whether a stream of this name is a run: those of loops (`loop:…`) and mandates (`pay:…`) have a colon, no run's id has one."""
    return ":" not in stream


def waits_for(state: State) -> str | None:
    """What an unfinished run waits for, in words; `None` = it can be driven."""
    if state.paused is not None:
        return f"paused: {state.paused}"
    if state.asks:
        return f"asks: {state.asks[0].question}"
    return None


@dataclass(frozen=True, slots=True)
class _Known:
    state: State
    last_at_ms: int


class Standings:
    """`is_driven` says which runs this process drives: what happens to those is told by `store`, not read.

    `fault` gets a run that cannot be read, once for each of its heads, and why.
    """

    def __init__(
        self, journal: Journal, is_driven: Callable[[str], bool], fault: Callable[[str, LoopwrightError], None]
    ) -> None:
        self._journal = journal
        self._is_driven = is_driven
        self._fault = fault
        self._finished: set[str] = set()
        self._broken: dict[str, int] = {}
        self._known: dict[str, _Known] = {}
        self._ready: dict[str, None] = {}
        self._active: dict[str, dict[str, str | None]] = {}

    def look(self) -> None:
        """Take in what happened since the last look. Raises: `JournalError` when the journal cannot be reached at all."""
        for head in self._journal.heads():
            run_id = head.run_id
            if run_id in self._finished or not is_run(run_id):
                continue
            known = self._known.get(run_id)
            if known is not None and (known.state.seq == head.seq or self._is_driven(run_id)):
                continue
            if self._broken.get(run_id) != head.seq:
                self._read(head, known)

    def store(self, run_id: str, state: State) -> None:
        """The state of a run as its driver left it."""
        self._broken.pop(run_id, None)
        if state.phase == "finished":
            self._known.pop(run_id, None)
            self._ready.pop(run_id, None)
            self._active.get(state.loop.name, {}).pop(run_id, None)
            self._finished.add(run_id)
            return
        self._known[run_id] = _Known(state, state.last_at_ms)
        self._active.setdefault(state.loop.name, {})[run_id] = state.ticket
        if waits_for(state) is None:
            self._ready[run_id] = None
        else:
            self._ready.pop(run_id, None)

    def has(self, run_id: str) -> bool:
        """Whether the run was begun, as far as the last look knows."""
        return run_id in self._known or run_id in self._finished or run_id in self._broken

    def active(self, loop_name: str) -> dict[str | None, str]:
        """The unfinished runs of a loop by their ticket, those that wait included."""
        return {ticket: run_id for run_id, ticket in self._active.get(loop_name, {}).items()}

    def ready(self, now_ms: int, still_ms: int) -> list[str]:
        """Runs that can be driven and whose last event lies `still_ms` back, oldest first: who writes right now drives it himself."""
        return [run_id for run_id in self._ready if abs(now_ms - self._known[run_id].last_at_ms) >= still_ms]

    def counts(self) -> tuple[int, int]:
        """Runs that can be driven, and runs that wait."""
        return len(self._ready), len(self._known) - len(self._ready)

    @property
    def unfinished(self) -> Mapping[str, State]:
        return {run_id: known.state for run_id, known in self._known.items()}

    def _read(self, head: Head, known: _Known | None) -> None:
        run_id = head.run_id
        try:
            if known is None:
                last = next(self._journal.read(run_id, after=head.seq - 1), None)
                if last is not None and isinstance(last.body, ev.RunFinished):
                    self._finished.add(run_id)
                    return
                state = fold(self._journal.read(run_id))
            else:
                state = fold(self._journal.read(run_id, after=known.state.seq), known.state)
        except LoopwrightError as error:
            # One damaged run is no reason to leave the others alone.
            self._broken[run_id] = head.seq
            self._ready.pop(run_id, None)
            self._fault(run_id, error)
            return
        if state is not None:
            self.store(run_id, state)
