"""The verbs that look and change nothing: ls, status, show, log, cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Json, RunName

if TYPE_CHECKING:
    from loopwright.views.run import RunView

__all__ = ["RunRow", "register"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in one line. `usd` is exact, as text."""

    run: str
    loop: str
    status: str
    stop_reason: str | None
    exit_code: int | None
    iterations: int
    kept: int
    usd: str
    branch: str | None
    summary: str


def register(app: typer.Typer) -> None:
    app.command("ls")(ls)
    app.command("status")(status)
    app.command("show")(show)
    app.command("log")(log)
    app.command("cost")(cost)


def ls(directory: Directory = Path(), as_json: Json = False) -> None:
    """The loops and the runs of a repository, newest last."""
    import os

    from loopwright.cli.console import emit, say, table
    from loopwright.engine import runs
    from loopwright.engine.report import view_of
    from loopwright.engine.site import open_site
    from loopwright.service import loop_rows

    site = open_site(directory, os.environ)
    views = [view_of(site, head.run_id) for head in runs.run_heads(site)]
    loops = loop_rows(site, site.repository.root / "loops")
    if as_json:
        emit({"loops": loops, "runs": [_row(view) for view in views]})
        return
    if loops:
        table(
            [
                (row.name, row.file, ", ".join(row.triggers) or "by hand", "; ".join(row.problems) or "-")
                for row in loops
            ],
            ("LOOP", "FILE", "WHEN", "PROBLEMS"),
        )
        say()
    if not views:
        say("no runs yet; `loopwright fix` or `loopwright run LOOP.md` begins one")
        return
    rows = [_row(view) for view in views]
    table(
        [(r.run, r.loop, r.status, str(r.iterations), str(r.kept), f"${r.usd}", r.summary[:70]) for r in rows],
        ("RUN", "LOOP", "STATUS", "ITER", "KEPT", "COST", "SUMMARY"),
    )


def status(run: RunName = "last", directory: Directory = Path(), as_json: Json = False) -> None:
    """Where a run stands now."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.cli.dry_run import limits
    from loopwright.engine import runs
    from loopwright.engine.report import view_of
    from loopwright.engine.site import open_site
    from loopwright.views.describe import duration
    from loopwright.views.text import one_line

    site = open_site(directory, os.environ)
    view = view_of(site, runs.resolve(site, run))
    if as_json:
        emit(view)
        return
    say(f"{view.run_id}  {view.loop}  {view.status}" + (f" ({view.stop_reason})" if view.stop_reason else ""))
    say(f"  doing     {view.activity}")
    say(f"  iteration {view.iteration}, {len(view.kept)} kept, {duration(view.active_ms)} at work")
    say(f"  limits    {limits(view.budget)}")
    say(f"  cost      ${view.spend.usd_micros / 1_000_000:.4f}, {view.spend.tokens} tokens")
    if view.kept:
        say(f"  branch    {view.branch}")
    for text in view.notes:
        say(f"  note      {text}")
    for ask in view.asks:
        say(f"  asks      {view.run_id}:{ask.ask_id}  {one_line(ask.question)}")
    for place in view.sandboxes:
        say(f"  isolation {place}")
    if view.summary:
        say(f"  {view.summary}")


def show(run: RunName = "last", directory: Directory = Path(), as_json: Json = False) -> None:
    """The report of a run, written anew from its journal."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine import runs
    from loopwright.engine.report import view_of, write_run_report
    from loopwright.engine.site import open_site

    site = open_site(directory, os.environ)
    run_id = runs.resolve(site, run)
    report = write_run_report(site, run_id)
    if as_json:
        emit({"run": view_of(site, run_id), "report": str(report)})
        return
    say(report.read_text(encoding="utf-8").rstrip())


def log(
    run: RunName = "last",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events until the run ends.")] = False,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """The events of a run, one a line."""
    import os
    import time

    from loopwright.cli.console import emit, say
    from loopwright.engine import runs
    from loopwright.engine.site import open_site
    from loopwright.kernel import events as ev
    from loopwright.views.describe import describe

    site = open_site(directory, os.environ)
    run_id = runs.resolve(site, run)
    after = 0
    while True:
        ended = False
        for event in site.journal.read(run_id, after=after):
            after = event.seq
            ended = isinstance(event.body, ev.RunFinished)
            if as_json:
                emit(event)
            else:
                stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(event.at_ms / 1000))
                say(f"{event.seq:>5}  {stamp}Z  {describe(event)}")
        if ended or not follow:
            return
        time.sleep(0.3)


def cost(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Default: all runs.")] = None,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """What a run cost, or all of them: dollars, tokens, time, by beat and rung."""
    import os

    from loopwright.cli.console import emit, say, table
    from loopwright.engine import runs
    from loopwright.engine.site import open_site
    from loopwright.views.cost import cost_view
    from loopwright.views.describe import duration

    site = open_site(directory, os.environ)
    ids = [runs.resolve(site, run)] if run is not None else [head.run_id for head in runs.run_heads(site)]
    views = [cost_view(site.journal.read(run_id)) for run_id in ids]
    if as_json:
        emit(views[0] if run is not None else {"runs": views})
        return
    if run is not None:
        table(
            [
                (
                    line.name,
                    str(line.actions),
                    f"${line.usd_micros / 1e6:.4f}",
                    str(line.tokens),
                    duration(line.wall_ms),
                )
                for line in (*views[0].by_beat, *views[0].by_rung)
            ],
            ("WHAT", "ACTIONS", "COST", "TOKENS", "TIME"),
        )
    else:
        table(
            [(v.run_id, f"${v.own.usd_micros / 1e6:.4f}", str(v.own.tokens), duration(v.own.wall_ms)) for v in views],
            ("RUN", "COST", "TOKENS", "TIME"),
        )
    total = sum(view.own.usd_micros for view in views)
    say(f"total ${total / 1_000_000:.4f}")


def _row(view: "RunView") -> RunRow:
    return RunRow(
        run=view.run_id,
        loop=view.loop,
        status=view.status,
        stop_reason=view.stop_reason,
        exit_code=view.exit_code,
        iterations=view.iteration,
        kept=len(view.kept),
        usd=f"{view.spend.usd_micros / 1_000_000:.4f}",
        branch=view.branch if view.kept else None,
        summary=" ".join((view.summary or view.activity).split()),
    )
