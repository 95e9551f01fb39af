"""Which results are the proposal's own: what is repeated, in which order, and which test another one spoils.

A failure is excused only when the test passes alone and in complete runs, again and again; a success is believed only when it repeats.
Tests that are repeated by name run in an order drawn at random, from the run's seed: one that needs its neighbour's leavings shows it.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from loopwright.kernel.loop import TestsSource
from loopwright.suite.command import MAX_IDS_BYTES, parse
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import OpenCheckout, run_once
from loopwright.workspace.workshop import Workshop

__all__ = ["Repeats", "Settled"]

RERUNS = 2
"""How often a test that a proposal seems to break must pass in a row before the break counts as a flake."""
BISECT_RUNS = 10
"""Runs of part of the suite that looking for the test which spoils another may take; 8 of them find it among 256."""
BISECT_WALL_MS = 60_000
"""Suites that take longer than this are not searched: all of it costs about two complete runs."""


@dataclass(frozen=True, slots=True)
class Settled:
    """`flaky` is excused. `order` gives for a test that fails because of what another one leaves behind which one that is; such a
    failure comes every time, and counts."""

    flaky: frozenset[str] = frozenset()
    order: Mapping[str, str] = field(default_factory=dict)


class Repeats:
    """Repeats tests of one proposal, each time in a fresh copy. `salt` and the run's seed draw the orders."""

    def __init__(self, source: TestsSource, checkout: OpenCheckout, shop: Workshop, salt: str) -> None:
        self._source = source
        self._checkout = checkout
        self._shop = shop
        self._random = random.Random(f"{shop.seed}:{salt}")  # noqa: S311  an order of tests is no secret

    async def failures(self, ids: Sequence[str], after: SuiteReport) -> Settled:
        """What becomes of `ids`, which failed in `after`, the complete run."""
        passing = alone = frozenset(ids)
        for number in range(RERUNS):
            if passing:
                passing &= await self._passed(self._shuffled(passing))
            if number == 0:
                alone = passing
            if passing:
                passing &= await self._passed()
        order: dict[str, str] = {}
        # One is enough to show where to look, and the first is the one that is named.
        for test_id in sorted(alone - passing)[:1]:
            if spoiler := await self._spoiler(test_id, after):
                order[test_id] = spoiler
        return Settled(passing, order)

    async def successes(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of `ids` that pass again: by themselves, or, where that fails, in a complete run.

        A test may need what an earlier one set up; that is bad style and no reason to call its success doubtful.
        """
        wanted = frozenset(ids)
        if not wanted:
            return wanted
        again = await self._passed(self._shuffled(wanted)) & wanted
        return again if again == wanted else again | (await self._passed() & wanted)

    async def whole(self) -> SuiteReport:
        """One more complete run."""
        return await run_once(self._source, self._checkout, self._shop)

    async def _spoiler(self, test_id: str, after: SuiteReport) -> str | None:
        """The test, or the file, behind which `test_id` fails; `None` when it is not found cheaply, or needs several together."""
        ran = [c.id for c in after.cases if c.status != "skipped"]
        if test_id not in ran or not self._is_cheap(after):
            return None
        suspects, runs = ran[: ran.index(test_id)], 2  # the two runs of the proof below
        if not suspects:
            return None
        self._shop.progress(f"looking for the test after which {test_id} fails")
        while len(suspects) > 1 and runs < BISECT_RUNS:
            half = suspects[: len(suspects) // 2]
            spoilt = test_id not in await self._passed([*half, test_id])
            suspects = half if spoilt else suspects[len(half) :]
            runs += 1
        files = {i.partition("::")[0] for i in suspects}
        if len(files) > 1 or test_id in await self._passed([*suspects, test_id]):
            return None
        if test_id not in await self._passed([test_id]):
            return None  # it fails by itself now and then: flaky, and no other test is to blame
        return suspects[0] if len(suspects) == 1 else f"tests of {files.pop()}"

    def _is_cheap(self, after: SuiteReport) -> bool:
        """Whether parts of the suite can be run at all, and soon."""
        names_bytes = sum(len(c.id.encode("utf-8", "replace")) + 1 for c in after.cases)
        return (
            parse(self._source.run).runner == "pytest"
            and names_bytes <= MAX_IDS_BYTES
            and not any("[" in c.id.partition("::")[0] for c in after.cases)
            and after.wall_ms <= BISECT_WALL_MS
        )

    async def _passed(self, only: Sequence[str] = ()) -> frozenset[str]:
        return (await run_once(self._source, self._checkout, self._shop, only=only)).ids("passed")

    def _shuffled(self, ids: Iterable[str]) -> list[str]:
        return self._random.sample(ordered := sorted(ids), len(ordered))
