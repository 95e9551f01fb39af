"""The loops of a folder at a glance: what starts each, when next, what came of it last, and what is wrong with its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loopwright.engine.standing import is_run
from loopwright.engine.triggers.cron import next_due
from loopwright.engine.triggers.loopfiles import load_all
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.loop import CronTrigger, Loop
from loopwright.kernel.schedule import trigger_name
from loopwright.kernel.values import StopReason
from loopwright.loopfile import LoopFile

__all__ = ["LastRun", "LoopRow", "loop_rows"]

MOST_RUNS: Final = 500
"""How many of the latest runs are asked whose they are."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """`reason` is `None` for a run that is not finished."""

    run_id: str
    started_at_ms: int
    last_at_ms: int
    reason: StopReason | None


@dataclass(frozen=True, slots=True)
class LoopRow:
    """`triggers` by name; empty = started by hand only. `name` is the file's for a file that does not read.

    `next_due_at_ms` is that of its schedules; `None` when it has none.
    """

    name: str
    file: str
    triggers: tuple[str, ...]
    next_due_at_ms: int | None
    last_run: LastRun | None
    problems: tuple[str, ...]


def loop_rows(journal: Journal, loops_dir: Path, now_ms: int) -> tuple[LoopRow, ...]:
    """The loops by name, then the files that are faulty."""
    loop_files, faults = load_all(loops_dir)
    last = _last_runs(journal, {loop_file.loop.name for loop_file in loop_files})
    good = tuple(_row(loop_file, last.get(loop_file.loop.name), now_ms) for loop_file in loop_files)
    faulty = tuple(
        LoopRow(fault.path.stem, str(fault.path), (), None, None, tuple(fault.message.splitlines())) for fault in faults
    )
    return good + faulty


def _row(loop_file: LoopFile, last: LastRun | None, now_ms: int) -> LoopRow:
    loop = loop_file.loop
    return LoopRow(
        loop.name,
        loop_file.source,
        tuple(trigger_name(trigger) for trigger in loop.when),
        _next_due(loop, now_ms),
        last,
        (),
    )


def _next_due(loop: Loop, now_ms: int) -> int | None:
    due = (next_due(trigger, now_ms) for trigger in loop.when if isinstance(trigger, CronTrigger))
    return min((at_ms for at_ms in due if at_ms is not None), default=None)


def _last_runs(journal: Journal, names: set[str]) -> dict[str, LastRun]:
    found: dict[str, LastRun] = {}
    heads = [head for head in journal.heads() if is_run(head.run_id)]
    for head in reversed(heads[-MOST_RUNS:]):
        if names <= found.keys():
            break
        first = next(journal.read(head.run_id), None)
        if first is None or not isinstance(first.body, ev.RunStarted) or first.body.loop.name in found:
            continue
        last = next(journal.read(head.run_id, after=head.seq - 1), first)
        reason = last.body.reason if isinstance(last.body, ev.RunFinished) else None
        found[first.body.loop.name] = LastRun(head.run_id, head.first_at_ms, head.last_at_ms, reason)
    return found
