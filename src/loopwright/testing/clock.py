"""A clock that moves only when it is told to, or by a fixed step at each look."""

__all__ = ["FakeClock"]


class FakeClock:
    """`clock()` gives milliseconds since the epoch; each look moves it on by `step_ms`."""

    def __init__(self, start_ms: int = 1_700_000_000_000, step_ms: int = 0) -> None:
        self.now_ms = start_ms
        self._step_ms = step_ms

    def __call__(self) -> int:
        now = self.now_ms
        self.now_ms += self._step_ms
        return now

    def advance(self, by_ms: int) -> None:
        self.now_ms += by_ms
