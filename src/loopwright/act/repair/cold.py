"""Screening by complete, cold runs of the test command: slow, for suites that cannot be forked (unittest, a script, a make target)."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from loopwright.act.repair.edits import Edit
from loopwright.act.repair.screen import Screened
from loopwright.kernel.loop import TestsSource
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.workspace.workshop import Workshop

__all__ = ["WHOLE_COMMAND", "screen_cold"]

WHOLE_COMMAND = "the test command"
"""Stands for the failing test where the command names none."""


async def screen_cold(
    source: TestsSource,
    baseline: SuiteReport,
    wanted: frozenset[str],
    jobs: tuple[Path, ...],
    edits: Iterator[tuple[int, Edit]],
    contents: Mapping[str, bytes],
    shop: Workshop,
    seconds_left: Callable[[], float],
) -> tuple[list[Screened], bool]:
    """As `screen`, one run of the command per edit; ends at the first that makes all wanted tests pass. Raises: `SandboxError`."""
    done: dict[int, Screened] = {}
    last = sys.maxsize
    used_up = False
    limit_s = max(10, 4 * baseline.wall_ms // 1000 + 2)
    limited = msgspec.structs.replace(source, timeout_s=limit_s)

    async def job(checkout: Path) -> None:
        nonlocal last, used_up
        while seconds_left() > 0:
            row = next(edits, None)
            if row is None:
                used_up = True
                return
            index, edit = row
            if index > last:
                return
            file = checkout / edit.path
            file.write_bytes(edit.apply(contents[edit.path]))
            try:
                report = await run_suite(limited, checkout, shop)
            finally:
                file.write_bytes(contents[edit.path])
            passed = report.ids("passed") & wanted
            if report.status == "green" and not report.cases:
                passed = wanted
            done[index] = Screened(
                index, edit, passed, died=report.status in {"timeout", "broken"}, complete=passed >= wanted
            )
            if done[index].complete:
                last = min(last, index)

    async with asyncio.TaskGroup() as group:
        for checkout in jobs:
            group.create_task(job(checkout))
    return [done[index] for index in sorted(done) if index <= last], used_up and last == sys.maxsize
