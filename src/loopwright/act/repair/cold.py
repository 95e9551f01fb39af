"""Screening by complete, cold runs of the test command: slow, for suites that cannot be forked (unittest, a script, a make target)."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from loopwright.act.repair.edits import Edit
from loopwright.act.repair.screen import Screened
from loopwright.kernel.loop import TestsSource
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["WHOLE_COMMAND", "ColdScreening", "screen_cold"]

WHOLE_COMMAND = "the test command"
"""Stands for the failing test where the command names none."""


@dataclass(frozen=True, slots=True)
class ColdScreening:
    """What to screen with: `jobs` runs at a time, each in what `copy` takes out; `wanted` tests fail in `baseline`.

    `mode` is git's of a file in the untouched tree.
    """

    source: TestsSource
    baseline: SuiteReport
    wanted: frozenset[str]
    jobs: int
    copy: Callable[[], Candidate]
    mode: Callable[[str], Literal["100644", "100755"]]
    seconds_left: Callable[[], float]


async def screen_cold(
    screening: ColdScreening, edits: Iterator[tuple[int, Edit]], contents: Mapping[str, bytes], shop: Workshop
) -> tuple[list[Screened], bool]:
    """As `screen`, one run of the command per edit; ends at the first that makes all wanted tests pass. Raises: `SandboxError`."""
    done: dict[int, Screened] = {}
    last = sys.maxsize
    used_up = False
    limit_s = max(10, 4 * screening.baseline.wall_ms // 1000 + 2)
    limited = msgspec.structs.replace(screening.source, timeout_s=limit_s)

    async def job() -> None:
        nonlocal last, used_up
        with _Copies(screening) as copies:
            while screening.seconds_left() > 0:
                row = next(edits, None)
                if row is None:
                    used_up = True
                    return
                index, edit = row
                if index > last:
                    return
                report = await run_suite(limited, copies.with_file(edit.path, edit.apply(contents[edit.path])), shop)
                copies.put_back(edit.path, contents[edit.path])
                passed = report.ids("passed") & screening.wanted
                if report.status == "green" and not report.cases:
                    passed = screening.wanted
                died = report.status in {"timeout", "broken"}
                done[index] = Screened(index, edit, passed, died=died, complete=passed >= screening.wanted)
                if done[index].complete:
                    last = min(last, index)

    async with asyncio.TaskGroup() as group:
        for _ in range(screening.jobs):
            group.create_task(job())
    return [done[index] for index in sorted(done) if index <= last], used_up and last == sys.maxsize


class _Copies:
    """What one job runs in: a full copy is dear and is used again; of an overlay, which costs next to nothing and must not be written
    to from this side once it was mounted, each edit gets its own."""

    def __init__(self, screening: ColdScreening) -> None:
        self._screening = screening
        self._now: Candidate | None = None

    def __enter__(self) -> "_Copies":
        return self

    def __exit__(self, *exc: object) -> None:
        self._leave()

    def with_file(self, path: str, content: bytes) -> Candidate:
        if self._now is None:
            self._now = self._screening.copy()
        self._now.write(path, content, self._screening.mode(path))
        return self._now

    def put_back(self, path: str, content: bytes) -> None:
        if self._now is not None and self._now.overlays:
            self._leave()
        elif self._now is not None:
            self._now.write(path, content, self._screening.mode(path))

    def _leave(self) -> None:
        if self._now is not None:
            self._now.discard()
            self._now = None
