"""The verbs that begin or continue a run: run, fix, improve, resume."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import (
    Directory,
    Jobs,
    Json,
    MaxIterations,
    MaxMinutes,
    MaxUsd,
    RunName,
    Snapshot,
    Unattended,
    Unsandboxed,
    loop_path,
)

if TYPE_CHECKING:
    from loopwright.engine.site import Site
    from loopwright.kernel.values import Budget
    from loopwright.loopfile import LoopFile

__all__ = ["narrowing", "register"]


def register(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("fix")(fix)
    app.command("improve")(improve)
    app.command("resume")(resume)


DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and the limits; spend and write nothing.")]


def run(
    file: Annotated[Path, typer.Argument(metavar="LOOP.md", help="The loop file; relative to here, else to DIR.")],
    directory: Directory = Path(),
    max_iterations: MaxIterations = None,
    max_usd: MaxUsd = None,
    jobs: Jobs = None,
    ticket: Annotated[str | None, typer.Option("--ticket", metavar="FILE", help="The ticket to work on.")] = None,
    snapshot: Snapshot = False,
    dry_run: DryRun = False,
    unattended: Unattended = False,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Run a loop now, in the foreground, with live progress."""
    from loopwright import loopfile

    _begin(
        loopfile.read(loop_path(file, directory)),
        directory,
        budget=narrowing(max_iterations, max_usd),
        jobs=jobs,
        ticket=ticket,
        snapshot=snapshot,
        dry_run=dry_run,
        unattended=unattended,
        unsandboxed=unsandboxed,
        as_json=as_json,
    )


def fix(
    where: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The repository (default: here).")] = None,
    tests: Annotated[str | None, typer.Option("--tests", metavar="CMD", help="The test command.")] = None,
    directory: Directory = Path(),
    max_iterations: MaxIterations = None,
    max_usd: MaxUsd = None,
    jobs: Jobs = None,
    snapshot: Snapshot = False,
    dry_run: DryRun = False,
    unattended: Unattended = False,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Make the failing tests of a repository pass; no loop file needed."""
    from loopwright.engine.ready import fix_loop

    target = directory if where is None else directory / where
    _begin(
        fix_loop(target, tests),
        target,
        budget=narrowing(max_iterations, max_usd),
        jobs=jobs,
        ticket=None,
        snapshot=snapshot,
        dry_run=dry_run,
        unattended=unattended,
        unsandboxed=unsandboxed,
        as_json=as_json,
    )


def improve(
    command: Annotated[str, typer.Option("--run", metavar="CMD", help="Prints `METRIC name=value`.")],
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="The metric's name.")],
    goal: Annotated[str, typer.Option("--goal", metavar="min|max", help="Whether less or more is better.")],
    where: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The repository (default: here).")] = None,
    edit: Annotated[
        list[str] | None, typer.Option("--edit", metavar="FILE", help="A file that may be changed; again for more.")
    ] = None,
    min_effect: Annotated[
        float | None, typer.Option("--min-effect", metavar="X", help="The smallest difference worth keeping.")
    ] = None,
    target: Annotated[
        float | None, typer.Option("--target", metavar="X", help="Stop once this value is reached.")
    ] = None,
    bound: Annotated[
        list[str] | None,
        typer.Option("--bound", metavar="NAME:min|max:X", help="A number that must not get worse by more than X."),
    ] = None,
    guard: Annotated[
        str | None, typer.Option("--guard", metavar="CMD", help="A test command that must keep passing.")
    ] = None,
    holdout: Annotated[
        str | None, typer.Option("--holdout", metavar="CMD", help="Prints the metric on data that is held out.")
    ] = None,
    minutes_per_run: Annotated[
        float | None, typer.Option("--minutes-per-run", metavar="N", help="The longest one run of CMD may take.")
    ] = None,
    directory: Directory = Path(),
    max_iterations: MaxIterations = None,
    max_minutes: MaxMinutes = None,
    max_usd: MaxUsd = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed searches in another order.")] = 0,
    snapshot: Snapshot = False,
    dry_run: DryRun = False,
    unattended: Unattended = False,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Make a number better: the metric loop; no loop file needed."""
    from loopwright.engine.ready import Aim, improve_loop
    from loopwright.kernel.values import Budget

    target_dir = directory if where is None else directory / where
    aim = Aim(
        run=command,
        metric=metric,
        goal=goal,
        edit=tuple(edit or ()),
        min_effect=min_effect,
        target=target,
        bounds=tuple(bound or ()),
        guard=guard,
        holdout=holdout,
        minutes_per_run=minutes_per_run,
        budget=narrowing(max_iterations, max_usd, max_minutes),
    )
    _begin(
        improve_loop(aim),
        target_dir,
        budget=Budget(),
        jobs=None,
        ticket=None,
        snapshot=snapshot,
        dry_run=dry_run,
        unattended=unattended,
        unsandboxed=unsandboxed,
        as_json=as_json,
        seed=seed,
    )


def resume(
    run: RunName,
    directory: Directory = Path(),
    max_iterations: MaxIterations = None,
    max_usd: MaxUsd = None,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that was paused or interrupted; --max-iterations and --max-usd set its limits anew."""
    import os

    from loopwright.cli.foreground import drive_to_end
    from loopwright.engine import runs
    from loopwright.engine.site import open_site, prove_isolation
    from loopwright.errors import UsageError
    from loopwright.kernel import events as ev

    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    run_id = runs.resolve(site, run)
    state = runs.load(site, run_id)
    if state.finished is not None:
        raise UsageError(
            f"run {run_id} is finished ({state.finished.reason}); "
            f"`loopwright fork {run_id} --at SEQ` goes on from one of its {state.seq} events"
        )
    changed = narrowing(max_iterations, max_usd)
    if changed.iterations is not None or changed.usd_micros is not None:
        import msgspec

        budget = msgspec.structs.replace(
            state.budget,
            iterations=state.budget.iterations if changed.iterations is None else changed.iterations,
            usd_micros=state.budget.usd_micros if changed.usd_micros is None else changed.usd_micros,
        )
        runs.request(site, run_id, ev.LimitsChanged("person", budget))
    if state.paused is not None or state.pause_requested is not None:
        runs.request(site, run_id, ev.RunResumed("person"))
    prove_isolation(site)
    drive_to_end(site, run_id, as_json=as_json)


def _begin(
    loop_file: "LoopFile",
    directory: Path,
    *,
    budget: "Budget",
    jobs: int | None,
    ticket: str | None,
    snapshot: bool,
    dry_run: bool,
    unattended: bool,
    unsandboxed: bool,
    as_json: bool,
    seed: int = 0,
) -> None:
    import os

    from loopwright.cli.console import note
    from loopwright.cli.foreground import drive_to_end
    from loopwright.engine import runs
    from loopwright.engine.site import new_run_id, open_site, prove_isolation

    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    options = runs.StartOptions(
        ticket=_ticket(site, ticket), jobs=jobs, budget=budget, snapshot=snapshot, run_id=new_run_id(), seed=seed
    )
    if dry_run:
        from loopwright.cli.dry_run import show_plan

        show_plan(site, loop_file, options, as_json=as_json)
        return
    prove_isolation(site)
    run_id = runs.start(site, loop_file, options)
    if not as_json:
        for text in runs.notes(site, run_id):
            note(text)
        note(f"run {run_id} of loop {loop_file.loop.name!r} in {site.repository.root}")
        if not site.sandbox.isolated:
            note(f"isolation: {site.sandbox.description}")
    drive_to_end(site, run_id, as_json=as_json, unattended=unattended)


def _ticket(site: "Site", ticket: str | None) -> str | None:
    from loopwright.errors import UsageError

    if ticket is None:
        return None
    path = (site.repository.root / ticket).resolve()
    if not path.is_file() or not path.is_relative_to(site.repository.root.resolve()):
        raise UsageError(f"--ticket {ticket!r}: expected a file in {site.repository.root}, found none")
    return path.relative_to(site.repository.root.resolve()).as_posix()


def narrowing(max_iterations: int | None, max_usd: str | None, max_minutes: float | None = None) -> "Budget":
    """The limits that were given on the command line, exact. Raises: `UsageError` for one that could never be met."""
    import math
    from decimal import Decimal, InvalidOperation

    from loopwright.errors import UsageError
    from loopwright.kernel.values import Budget

    wall_ms = None if max_minutes is None else math.ceil(60_000 * max_minutes)
    if max_usd is None:
        return Budget(iterations=max_iterations, wall_ms=wall_ms)
    try:
        usd = Decimal(max_usd)
    except InvalidOperation:
        usd = Decimal(-1)
    if not usd.is_finite() or usd < 0:
        raise UsageError(f"--max-usd: expected an amount such as 2.50, found {max_usd!r}")
    micros = int(usd * 1_000_000)
    if micros == 0:
        raise UsageError(
            f"--max-usd: {max_usd} leaves nothing to spend, so the run could never start; leave it out for no limit"
        )
    return Budget(usd_micros=micros, iterations=max_iterations, wall_ms=wall_ms)
