"""How long a run was at work: from each driver's start to the last thing it wrote, without pauses."""

from loopwright.kernel import events as ev

__all__ = ["ActiveClock"]

_BY_PEOPLE = (
    ev.RunStarted,
    ev.RunForked,
    ev.PauseRequested,
    ev.StopRequested,
    ev.RunResumed,
    ev.LimitsChanged,
    ev.Answered,
)
"""Written by whoever starts, asks or answers: they prove nothing about a driver being alive."""


class ActiveClock:
    """Feed it every event in order; `active_ms` is then the time at work so far.

    A driver that was killed was at work until its last event. What people write to a dead run (new limits, a resume) does not
    make the time before it count.
    """

    def __init__(self) -> None:
        self._closed_ms = 0
        self._since_ms: int | None = None
        self._until_ms = 0

    @property
    def active_ms(self) -> int:
        return self._closed_ms + self._open_ms()

    def tick(self, event: ev.Event) -> None:
        body = event.body
        if isinstance(body, ev.RunForked):
            self._closed_ms, self._since_ms = 0, None
        elif isinstance(body, ev.DriverStarted):
            self._close()
            self._since_ms = self._until_ms = event.at_ms
        elif isinstance(body, ev.RunResumed) and self._since_ms is None:
            self._since_ms = self._until_ms = event.at_ms
        elif not isinstance(body, _BY_PEOPLE):
            if self._since_ms is None:
                self._since_ms = event.at_ms
            self._until_ms = max(self._until_ms, event.at_ms)
            if isinstance(body, ev.RunPaused | ev.RunFinished):
                self._close()

    def _open_ms(self) -> int:
        return 0 if self._since_ms is None else max(0, self._until_ms - self._since_ms)

    def _close(self) -> None:
        self._closed_ms += self._open_ms()
        self._since_ms = None
