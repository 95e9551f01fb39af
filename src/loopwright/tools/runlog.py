"""A run's stream as the gate sees it: the state, the calls, and a way to append beside the driver.

What is appended was decided on exactly the state that it is appended to: the journal refuses a stale writer, and then everything is
decided again. That is why two calls cannot spend the same money, in one process or in several.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from loopwright.errors import StaleWriter, UsageError
from loopwright.journal.protocol import BlobStore, Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import apply
from loopwright.kernel.state import State
from loopwright.tools.history import History

__all__ = ["RunLog"]

T = TypeVar("T")

ATTEMPTS = 1000
"""Each failed attempt means that somebody else's append succeeded, so waiting writers make progress; this bounds a fault of ours."""


class RunLog:
    """One run, read once and kept up to date. For one event loop; several logs of a run may live at once."""

    def __init__(self, journal: Journal, run_id: str, now_ms: Callable[[], int]) -> None:
        """Raises: `UsageError` for a run that the journal does not have."""
        self._journal = journal
        self.run_id = run_id
        self.now_ms = now_ms
        self.history = History()
        self._state: State | None = None
        self.refresh()
        if self._state is None:
            raise UsageError(f"run {run_id!r}: expected one of the journal, found none; `loopwright ls` shows them")

    @property
    def state(self) -> State:
        assert self._state is not None
        return self._state

    @property
    def blobs(self) -> BlobStore:
        return self._journal.blobs

    def refresh(self) -> None:
        """Fold what others have written since."""
        seq = 0 if self._state is None else self._state.seq
        self._fold(self._journal.read(self.run_id, after=seq))

    def commit(self, build: Callable[[int], tuple[Sequence[ev.Body], T]]) -> T:
        """Append what `build(at_ms)` makes of the present state, all in one durable commit, and return its value.

        `build` is called again when another writer was faster, so it must read `state` and `history` anew and have no effect. No
        bodies: nothing is written, but the state that it saw was the newest.
        Raises: `IllegalTransition` when the run's phase does not allow it (nothing is written then), what `build` raises.
        """
        for _ in range(ATTEMPTS):
            at_ms = max(self.now_ms(), self.state.last_at_ms)
            bodies, value = build(at_ms)
            if not bodies:
                head = self._journal.head(self.run_id)
                if head is not None and head.seq == self.state.seq:
                    return value
                self.refresh()
                continue
            state = self.state
            for body in bodies:
                state = apply(state, body, at_ms)
            try:
                events = self._journal.append(self.run_id, bodies, expect_seq=self.state.seq, at_ms=at_ms)
            except StaleWriter:
                self.refresh()
                continue
            self._fold(events)
            return value
        raise StaleWriter(
            f"run {self.run_id!r}: expected a gap to write in, found other writers {ATTEMPTS} times; see who drives it"
        )

    def _fold(self, events: Iterable[ev.Event]) -> None:
        for event in events:
            self._state = apply(self._state, event.body, event.at_ms)
            self.history.add(event)
