"""Loops that need no file: `fix` and `improve`, made from the ready-made texts with what was given on the command line."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from loopwright.errors import UsageError
from loopwright.kernel.loop import Metric, MetricBound, MetricSource, TestsSource, TuneRung
from loopwright.kernel.values import Budget
from loopwright.loopfile import LoopFile, parse, with_loop
from loopwright.loopfile.ready import text
from loopwright.suite.detect import detect
from loopwright.workspace.patterns import anchored
from loopwright.workspace.repository import Repository

__all__ = ["Aim", "fix_loop", "improve_loop"]


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


@dataclass(frozen=True, slots=True)
class Aim:
    """What `improve` was told. `bounds` are texts such as `accuracy:max:0.01` (name, what is better, by how much it may get worse)."""

    run: str
    metric: str
    goal: str
    edit: tuple[str, ...] = ()
    min_effect: float | None = None
    target: float | None = None
    bounds: tuple[str, ...] = ()
    guard: str | None = None
    holdout: str | None = None
    minutes_per_run: float | None = None
    budget: Budget = Budget()
    """What is given here takes the place of the ready-made loop's own limit."""


def improve_loop(aim: Aim) -> LoopFile:
    """The metric loop, without a model. Raises: `UsageError` for an aim that says nothing that can be measured."""
    for option, command in (
        ("--run", aim.run),
        ("--metric", aim.metric),
        ("--guard", aim.guard),
        ("--holdout", aim.holdout),
    ):
        if command is not None and not command.strip():
            raise UsageError(f"{option}: expected a text, found nothing")
    for option, number in (("--min-effect", aim.min_effect), ("--minutes-per-run", aim.minutes_per_run)):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise UsageError(f"{option}: expected a number above 0, found {number:g}; leave it out for the default")
    if aim.target is not None and not math.isfinite(aim.target):
        raise UsageError(f"--target: expected a number, found {aim.target}")
    ready = parse(text("improve"), source="improve")
    metric = Metric(
        run=aim.run,
        name=aim.metric,
        goal=_direction("--goal", aim.goal),
        min_effect=aim.min_effect,
        timeout_s=None if aim.minutes_per_run is None else math.ceil(60 * aim.minutes_per_run),
        target=aim.target,
        bounds=tuple(map(_bound, aim.bounds)),
        holdout=aim.holdout,
    )
    guard = None if aim.guard is None else TestsSource(aim.guard)
    limits = {name: value for name, value in msgspec.structs.asdict(aim.budget).items() if value is not None}
    loop = msgspec.structs.replace(
        ready.loop,
        when=(),
        observe=(MetricSource(aim.run, aim.metric),),
        act=(TuneRung(aim.edit),),
        evaluate=msgspec.structs.replace(ready.loop.evaluate, metric=metric, guard=guard),
        permit=msgspec.structs.replace(ready.loop.permit, write=anchored(aim.edit)),
        budget=msgspec.structs.replace(ready.loop.budget, **limits),
    )
    return with_loop(ready, loop)


def _direction(option: str, goal: str) -> Literal["min", "max"]:
    if goal not in ("min", "max"):
        raise UsageError(f"{option}: expected min or max, found {goal!r}")
    return "min" if goal == "min" else "max"


def _bound(said: str) -> MetricBound:
    found = re.fullmatch(r"(.+):(min|max):([0-9.]+(?:e-?[0-9]+)?)", said)
    try:
        worse_by = float(found[3]) if found else 0.0
    except ValueError:
        worse_by = 0.0
    if found is None or not math.isfinite(worse_by) or worse_by <= 0:
        raise UsageError(f"--bound: expected NAME:min|max:WORSE_BY such as accuracy:max:0.01, found {said!r}")
    return MetricBound(found[1], _direction("--bound", found[2]), worse_by)
