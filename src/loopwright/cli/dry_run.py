"""`--dry-run`: what would be run, under which limits, on what. Nothing is written and nothing is spent."""

from loopwright.cli.console import emit, say
from loopwright.engine import runs
from loopwright.engine.site import Site
from loopwright.kernel.loop import AgentRung, CliRung, CommandRung, Loop, MetricSource, Rung, Source, TestsSource
from loopwright.kernel.values import Budget, Value
from loopwright.loopfile import LoopFile

__all__ = ["DryRun", "show_plan"]


class DryRun(Value, frozen=True):
    """`None` in a limit means not limited."""

    loop: str
    source: str
    goal: str
    base_commit: str
    branch: str
    observe: tuple[str, ...]
    act: tuple[str, ...]
    protect: tuple[str, ...]
    write: tuple[str, ...]
    jobs: int
    budget: Budget
    deliver: str
    sandbox: str
    notes: tuple[str, ...]
    stop_reason: str = "dry_run"
    exit_code: int = 0


def show_plan(site: Site, loop_file: LoopFile, options: runs.StartOptions, *, as_json: bool) -> None:
    """Raises: as `runs.plan_start`."""
    started = runs.plan_start(site, loop_file, options, "RUN")
    plan = _plan(site, loop_file, started.loop, started.base_commit, started.branch, started.jobs, started.notes)
    if as_json:
        emit(plan)
        return
    say(f"loop     {plan.loop} ({plan.source})")
    say(f"goal     {plan.goal}")
    say(f"base     {plan.base_commit[:10]} of {site.repository.root}")
    for text in plan.notes:
        say(f"note     {text}")
    for name, lines in (("observe", plan.observe), ("act", plan.act), ("protect", plan.protect), ("write", plan.write)):
        say(f"{name:8} {', '.join(lines) or ('every file that is not protected' if name == 'write' else '-')}")
    say(f"limits   {limits(plan.budget)}")
    say(f"jobs     {plan.jobs}")
    say(f"deliver  {plan.deliver}: {plan.branch}")
    say(f"runs in  {plan.sandbox}")
    say("nothing was run, written or spent (--dry-run)")


def limits(budget: Budget) -> str:
    """The limits in words; what is not limited is said too."""
    shown = [
        f"{budget.iterations} iterations" if budget.iterations is not None else "iterations not limited",
        f"{budget.wall_ms / 60_000:g} minutes" if budget.wall_ms is not None else "minutes not limited",
        f"${budget.usd_micros / 1_000_000:g}" if budget.usd_micros is not None else "dollars not limited",
        f"{budget.tokens} tokens" if budget.tokens is not None else "tokens not limited",
    ]
    return ", ".join(shown)


def _plan(
    site: Site, loop_file: LoopFile, loop: Loop, base: str, branch: str, jobs: int, notes: tuple[str, ...]
) -> DryRun:
    return DryRun(
        loop=loop.name,
        source=loop_file.source,
        goal=" ".join(loop.goal.split()),
        base_commit=base,
        branch=branch,
        observe=tuple(_source(source) for source in loop.observe),
        act=tuple(_rung(rung) for rung in loop.act),
        protect=loop.evaluate.protect,
        write=loop.permit.write,
        jobs=jobs,
        budget=loop.budget,
        deliver=loop.deliver,
        sandbox=site.sandbox.description,
        notes=notes,
    )


def _source(source: Source) -> str:
    match source:
        case TestsSource(run=run):
            return f"tests: {run}"
        case MetricSource(run=run, name=name):
            return f"metric {name}: {run}"
        case _:
            return f"{source.of}: {source.where}"


def _rung(rung: Rung) -> str:
    match rung:
        case CommandRung(run=run):
            return f"command: {run}"
        case AgentRung(model=model):
            return f"agent: {model}"
        case CliRung(name=name):
            return f"cli: {name}"
        case _:
            return str(rung.__struct_config__.tag)
