"""Loops that need no file: `fix` and `improve`, made from the ready-made texts with what was given on the command line."""

from pathlib import Path

import msgspec

from loopwright.errors import UsageError
from loopwright.kernel.loop import Metric, MetricSource, TestsSource, TuneRung
from loopwright.loopfile import LoopFile, parse, with_loop
from loopwright.loopfile.ready import text
from loopwright.suite.detect import detect
from loopwright.workspace.patterns import anchored
from loopwright.workspace.repository import Repository

__all__ = ["fix_loop", "improve_loop"]


def fix_loop(directory: Path, tests: str | None) -> LoopFile:
    """The fix loop for a repository; without `tests` the command is found out from the repository's files.

    Raises: `UsageError` when it is no repository or no test command can be found.
    """
    command = tests if tests is not None else detect(Repository.find(directory).root)
    if command is None:
        raise UsageError(
            f"{directory}: found no tests to run (pytest, unittest, npm, go, cargo); say how with --tests CMD"
        )
    if not command.strip():
        raise UsageError("--tests: expected a command, found nothing")
    ready = parse(text("fix"), source="fix")
    source = TestsSource(command)
    loop = msgspec.structs.replace(
        ready.loop,
        when=(),
        observe=(source,),
        evaluate=msgspec.structs.replace(ready.loop.evaluate, tests=source),
    )
    return with_loop(ready, loop)


def improve_loop(command: str, metric: str, goal: str, edit: tuple[str, ...]) -> LoopFile:
    """The metric loop. Raises: `UsageError` for a goal that is neither `min` nor `max`."""
    if goal not in ("min", "max"):
        raise UsageError(f"--goal: expected min or max, found {goal!r}")
    ready = parse(text("improve"), source="improve")
    aim = Metric(command, metric, "min" if goal == "min" else "max")
    loop = msgspec.structs.replace(
        ready.loop,
        when=(),
        observe=(MetricSource(command, metric),),
        act=(TuneRung(edit),),
        evaluate=msgspec.structs.replace(ready.loop.evaluate, metric=aim),
        permit=msgspec.structs.replace(ready.loop.permit, write=anchored(edit)),
    )
    return with_loop(ready, loop)
