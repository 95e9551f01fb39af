"""The dispatch: bounded, in order, patient, and able to end."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from loopwright.engine.dispatch import Drives, LocalDispatch
from loopwright.errors import JournalCorrupt, RunBusy
from loopwright.kernel.pending import advance
from loopwright.kernel.state import State
from loopwright.testing.clock import FakeClock
from support import worlds
from support.services import Lines

RUNNING = advance(None, [worlds.started(worlds.loop())], 0)[0]
FINISHED, _ = worlds.play(worlds.loop(), worlds.World(random.Random(1), green_after=0))
assert FINISHED.phase == "finished"


@dataclass
class Gated:
    """A driver that ends when it is let go, or when it drains."""

    ends: State | Exception = FINISHED
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    started: bool = False
    stubborn: bool = False

    async def drive(self) -> State:
        self.started = True
        await self.gate.wait()
        if isinstance(self.ends, Exception):
            raise self.ends
        return self.ends

    def drain(self) -> None:
        if not self.stubborn:
            self.ends = RUNNING
            self.gate.set()


class Bench:
    """A dispatch over drivers that a test holds in its hands."""

    def __init__(self, make: Callable[[str], Gated] = lambda run_id: Gated(), runs_at_once: int = 2) -> None:
        self.clock = FakeClock()
        self.log = Lines()
        self.made: list[tuple[str, Gated]] = []
        self.ended: list[tuple[str, str]] = []
        self._make = make
        self.dispatch = LocalDispatch(
            self.make,
            runs_at_once=runs_at_once,
            now_ms=self.clock,
            log=self.log,
            ended=lambda run_id, state: self.ended.append((run_id, state.phase)),
        )

    def make(self, run_id: str) -> Drives:
        driver = self._make(run_id)
        self.made.append((run_id, driver))
        return driver

    @property
    def order(self) -> list[str]:
        return [run_id for run_id, _ in self.made]

    async def try_for(self, run_id: str, seconds: int) -> None:
        for _ in range(seconds):
            self.dispatch.submit(run_id)
            await self.dispatch.idle()
            self.clock.advance(1000)


def gone(error: Exception | State) -> Callable[[str], Gated]:
    def make(run_id: str) -> Gated:
        driver = Gated(ends=error)
        driver.gate.set()
        return driver

    return make


async def turn() -> None:
    """Let everything that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_runs_are_driven_in_order_and_never_more_than_allowed() -> None:
    async def scenario() -> None:
        bench = Bench(runs_at_once=2)
        for run_id in ("a", "b", "c", "d", "a", "c"):
            bench.dispatch.submit(run_id)
        await turn()
        assert (bench.order, bench.dispatch.queued) == (["a", "b"], ("c", "d"))
        bench.made[1][1].gate.set()
        await turn()
        assert (bench.order, bench.dispatch.queued) == (["a", "b", "c"], ("d",))
        for _ in range(2):
            for _, driver in list(bench.made):
                driver.gate.set()
            await turn()
        await bench.dispatch.idle()
        assert bench.order == ["a", "b", "c", "d"]
        assert sorted(bench.ended) == [(run_id, "finished") for run_id in "abcd"]

    asyncio.run(scenario())


def test_a_run_that_fails_is_tried_later_and_later_and_then_left_alone() -> None:
    async def scenario() -> None:
        bench = Bench(gone(JournalCorrupt("event 7 is damaged")))
        await bench.try_for("a", 600)
        assert len(bench.made) == 5
        said = bench.log.of("failed")
        assert len(said) == 5
        assert said[0] == "event 7 is damaged; tried again in 1 s"
        assert said[-1].endswith("left alone after 5 attempts, until the service starts again")

    asyncio.run(scenario())


def test_a_defect_of_one_driver_does_not_reach_the_others() -> None:
    async def scenario() -> None:
        bench = Bench(lambda run_id: gone(ZeroDivisionError("x") if run_id == "a" else FINISHED)(run_id))
        bench.dispatch.submit("a")
        bench.dispatch.submit("b")
        await bench.dispatch.idle()
        assert bench.ended == [("b", "finished")]
        assert bench.log.of("failed") == ["unexpected ZeroDivisionError: x; tried again in 1 s"]

    asyncio.run(scenario())


def test_a_run_that_somebody_else_drives_is_asked_for_rarely_and_never_given_up() -> None:
    async def scenario() -> None:
        bench = Bench(gone(RunBusy("held")))
        await bench.try_for("a", 1800)
        assert 30 <= len(bench.made) <= 40, "once a minute in the end"
        assert bench.log.of("failed") == []

    asyncio.run(scenario())


def test_a_driver_that_stops_for_no_reason_is_not_started_in_a_circle() -> None:
    async def scenario() -> None:
        bench = Bench(gone(RUNNING))
        await bench.try_for("a", 600)
        assert len(bench.made) == 5

    asyncio.run(scenario())


def test_draining_lets_what_is_in_flight_end_and_starts_nothing_new() -> None:
    async def scenario() -> None:
        bench = Bench(runs_at_once=1)
        bench.dispatch.submit("a")
        bench.dispatch.submit("b")
        await turn()
        assert await bench.dispatch.drain(1000.0, asyncio.Event()) == ()
        bench.dispatch.submit("c")
        await turn()
        assert bench.order == ["a"]
        assert bench.ended == [("a", "observing")]
        assert bench.log.of("failed") == []

    asyncio.run(scenario())


def test_what_does_not_end_in_time_or_in_a_hurry_is_cancelled() -> None:
    async def scenario(drain_s: float, hurried: bool) -> None:
        bench = Bench(lambda run_id: Gated(stubborn=True))
        bench.dispatch.submit("a")
        await turn()
        hurry = asyncio.Event()
        if hurried:
            hurry.set()
        assert await bench.dispatch.drain(drain_s, hurry) == ("a",)
        assert (bench.ended, bench.dispatch.running) == ([], ())

    asyncio.run(scenario(0.0, hurried=False))
    asyncio.run(scenario(0.01, hurried=False))
    asyncio.run(scenario(1000.0, hurried=True))
