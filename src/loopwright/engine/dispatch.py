"""Who drives which run, in one process: a bounded number of drivers as tasks, a queue before them, patience with what fails.

A run that waits for a person has no task and no thread. Two drivers of one run cannot be: here by its id, elsewhere by its lease.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from loopwright.engine.log import Kind, Line, ServiceLog
from loopwright.engine.protocol import Clock
from loopwright.engine.standing import waits_for
from loopwright.errors import LoopwrightError, RunBusy
from loopwright.kernel.state import State

__all__ = ["Drives", "LocalDispatch"]

MOST_FAILURES: Final = 5
FIRST_WAIT_MS: Final = 1_000
LONGEST_WAIT_MS: Final = 60_000


class Drives(Protocol):
    """What a dispatch needs of a driver; `engine.drive.Driver` is one."""

    async def drive(self) -> State: ...

    def drain(self) -> None: ...


@dataclass(slots=True)
class _Held:
    """Why a run is not tried again before `until_ms`."""

    until_ms: int
    failures: int = 0
    refusals: int = 0


class LocalDispatch:
    """`ended` gets every state that a driver left behind. A run whose driver failed is tried again, later and later, five times."""

    def __init__(
        self,
        make_driver: Callable[[str], Drives],
        *,
        runs_at_once: int,
        now_ms: Clock,
        log: ServiceLog,
        ended: Callable[[str, State], None] = lambda run_id, state: None,
    ) -> None:
        self._make_driver = make_driver
        self._runs_at_once = runs_at_once
        self._now_ms = now_ms
        self._log = log
        self._ended = ended
        self._queue: deque[str] = deque()
        self._drivers: dict[str, Drives] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, _Held] = {}
        self._draining = False

    def submit(self, run_id: str) -> None:
        """Have the run driven when its turn comes. Nothing happens when it is already, or is left alone for now."""
        if self._draining or run_id in self._tasks or run_id in self._queue:
            return
        held = self._held.get(run_id)
        if held is not None and (held.failures >= MOST_FAILURES or self._now_ms() < held.until_ms):
            return
        self._queue.append(run_id)
        self._pump()

    def is_driving(self, run_id: str) -> bool:
        return run_id in self._tasks

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(self._tasks)

    @property
    def queued(self) -> tuple[str, ...]:
        return tuple(self._queue)

    async def idle(self) -> None:
        """Return once no run is driven and none is queued."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def drain(self, drain_s: float, hurry: asyncio.Event) -> tuple[str, ...]:
        """End: nothing new starts, what is in flight may take `drain_s` seconds or until `hurry`, the rest is cancelled.

        Returns the runs that were cancelled; their open intents are reconciled by whoever drives them next.
        """
        self._draining = True
        self._queue.clear()
        for driver in list(self._drivers.values()):
            driver.drain()
        if self._tasks and drain_s > 0:
            hurried = asyncio.create_task(hurry.wait())
            everyone = asyncio.create_task(self.idle())
            await asyncio.wait((hurried, everyone), timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
            for waiting in (hurried, everyone):
                waiting.cancel()
            await asyncio.gather(hurried, everyone, return_exceptions=True)
        cancelled = tuple(self._tasks)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return cancelled

    def _pump(self) -> None:
        while self._queue and len(self._tasks) < self._runs_at_once and not self._draining:
            run_id = self._queue.popleft()
            self._tasks[run_id] = asyncio.create_task(self._drive(run_id))

    async def _drive(self, run_id: str) -> None:
        try:
            driver = self._make_driver(run_id)
            self._drivers[run_id] = driver
            if self._draining:
                return
            self._say("driving", "a driver takes it up", run_id)
            self._after(run_id, await driver.drive())
        except RunBusy:
            # Somebody else drives it, which is fine; he may die, so we ask again now and then.
            held = self._hold(run_id)
            held.refusals += 1
            held.until_ms = self._now_ms() + _wait_ms(held.refusals)
        except LoopwrightError as error:
            self._failed(run_id, str(error))
        except Exception as error:  # a defect of ours must not end the other runs
            self._failed(run_id, f"unexpected {type(error).__name__}: {error}")
        finally:
            self._drivers.pop(run_id, None)
            self._tasks.pop(run_id, None)
            self._pump()

    def _after(self, run_id: str, state: State) -> None:
        self._ended(run_id, state)
        waits = waits_for(state)
        if state.finished is not None:
            self._held.pop(run_id, None)
            end = state.finished
            self._say("finished", f"{end.reason} (exit {end.exit_code}): {end.summary}", run_id, state.loop.name)
        elif waits is not None:
            self._held.pop(run_id, None)
            self._say("waiting", waits, run_id, state.loop.name)
        elif not self._draining:
            # Driving it again at once would go round in a circle.
            self._failed(run_id, f"its driver stopped in phase {state.phase!r} with nothing to wait for")

    def _failed(self, run_id: str, message: str) -> None:
        held = self._hold(run_id)
        held.failures += 1
        wait_ms = _wait_ms(held.failures)
        held.until_ms = self._now_ms() + wait_ms
        next_move = (
            f"tried again in {wait_ms // 1000} s"
            if held.failures < MOST_FAILURES
            else f"left alone after {MOST_FAILURES} attempts, until the service starts again"
        )
        self._say("failed", f"{message}; {next_move}", run_id)

    def _hold(self, run_id: str) -> _Held:
        return self._held.setdefault(run_id, _Held(0))

    def _say(self, kind: Kind, what: str, run_id: str, loop: str = "") -> None:
        self._log.say(Line(self._now_ms(), kind, what, loop, run_id))


def _wait_ms(times: int) -> int:
    return min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(times - 1, 10))
