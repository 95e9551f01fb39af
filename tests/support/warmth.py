"""Warm verdicts beside cold ones, for the same candidates."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from loopwright.evaluate.compare import compare, passes
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Change
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.suite.warm.screened import Screened
from loopwright.suite.warm.warm import warm
from loopwright.workspace.workshop import Workshop
from support.mutants import Mutant
from support.repositories import added, deleted

__all__ = ["Pair", "changes_of", "cold_verdict", "report_of", "side_by_side"]


@dataclass(frozen=True)
class Pair:
    mutant: Mutant
    warm: Screened
    cold: Literal["pass", "fail"]
    cold_ms: int

    @property
    def differs(self) -> bool:
        return self.warm.status != "unknown" and self.warm.status != self.cold


def changes_of(mutant: Mutant, shop: Workshop) -> tuple[Change, ...]:
    return tuple(
        deleted(path) if text is None else added(shop.blobs, path, text) for path, text in mutant.files.items()
    )


async def report_of(tree: str, source: TestsSource, shop: Workshop, changes: tuple[Change, ...] = ()) -> SuiteReport:
    """A cold, complete run in a fresh copy."""
    with shop.workspace.checkout(tree, "cold") as candidate:
        candidate.apply(changes, shop.blobs)
        return await run_suite(source, candidate, shop)


async def cold_verdict(
    head: SuiteReport, tree: str, source: TestsSource, shop: Workshop, changes: tuple[Change, ...]
) -> Literal["pass", "fail"]:
    after = await report_of(tree, source, shop, changes)
    if after.status not in {"green", "red"}:
        return "fail"
    return "pass" if passes(compare(head, after), head, after, progress=True) else "fail"


async def side_by_side(
    mutants: Iterable[Mutant],
    tree: str,
    source: TestsSource,
    shop: Workshop,
    note: Callable[[Pair], None] = lambda _: None,
) -> list[Pair]:
    """Every candidate both ways, `shop.jobs` at a time; `note` is told of each pair at once."""
    head = await report_of(tree, source, shop)
    pairs: list[Pair] = []
    left = iter(mutants)

    async with warm(source, tree, head, shop) as suite:

        async def job() -> None:
            for mutant in left:
                changes = changes_of(mutant, shop)
                seen = await suite.screen(changes, cold=False)
                began = time.monotonic()
                cold = await cold_verdict(head, tree, source, shop, changes)
                pairs.append(Pair(mutant, seen, cold, round(1000 * (time.monotonic() - began))))
                note(pairs[-1])

        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, shop.jobs)):
                group.create_task(job())
    return pairs
