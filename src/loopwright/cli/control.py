"""The verbs that steer a run from outside: pause, stop, fork, replay."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Json, MaxIterations, MaxUsd, RunName, Unsandboxed

if TYPE_CHECKING:
    from loopwright.engine.site import Site
    from loopwright.kernel.events import Body

__all__ = ["register", "take_over"]

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept in the journal.")]


def register(app: typer.Typer) -> None:
    app.command("pause")(pause)
    app.command("stop")(stop)
    app.command("fork")(fork)
    app.command("replay")(replay)


def pause(run: RunName, why: Why = "paused by a person", directory: Directory = Path(), as_json: Json = False) -> None:
    """Pause a run: what is in flight is ended and will be done anew; nothing kept is lost."""
    from loopwright.kernel import events as ev

    _ask_run(run, ev.PauseRequested("person", why), directory, as_json=as_json)


def stop(
    run: RunName,
    why: Why = "stopped by a person",
    directory: Directory = Path(),
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """End a run for good: what was kept is delivered, the report is written."""
    from loopwright.kernel import events as ev

    _ask_run(run, ev.StopRequested("person", why), directory, unsandboxed=unsandboxed, as_json=as_json)


def fork(
    run: RunName,
    at: Annotated[
        int, typer.Option("--at", metavar="SEQ", min=1, help="The event to go on from; `loopwright log` numbers them.")
    ],
    max_iterations: MaxIterations = None,
    max_usd: MaxUsd = None,
    directory: Directory = Path(),
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Continue from any point of a run as a new run; --max-iterations and --max-usd are limits of the whole new run."""
    import os

    import msgspec

    from loopwright.cli.console import note
    from loopwright.cli.foreground import drive_to_end
    from loopwright.cli.run import narrowing
    from loopwright.engine import runs
    from loopwright.engine.site import open_site, prove_isolation

    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    run_id = runs.resolve(site, run)
    prove_isolation(site)
    wished = narrowing(max_iterations, max_usd)
    budget = None
    if wished.iterations is not None or wished.usd_micros is not None:
        present = runs.load(site, run_id).budget
        budget = msgspec.structs.replace(
            present,
            iterations=present.iterations if wished.iterations is None else wished.iterations,
            usd_micros=present.usd_micros if wished.usd_micros is None else wished.usd_micros,
        )
    fork_id = runs.fork(site, run_id, at, budget=budget)
    if not as_json:
        note(f"run {fork_id} goes on from event {at} of run {run_id}")
    drive_to_end(site, fork_id, as_json=as_json)


def replay(run: RunName, directory: Directory = Path(), as_json: Json = False) -> None:
    """Fold the journal again and prove that every decision follows from what was recorded; rebuild the kept commits."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine import runs
    from loopwright.engine.replay import replay_run
    from loopwright.engine.site import open_site

    site = open_site(directory, os.environ)
    result = replay_run(site, runs.resolve(site, run))
    if as_json:
        emit(result)
    else:
        for line in result.lines():
            say(line)
    raise typer.Exit(result.exit_code)


def take_over(site: "Site", run_id: str, asked: str, *, as_json: bool, taken: bool = False) -> None:
    """What was asked of the run is written: say so when a process drives it, else drive it here and end with its exit code. `taken`:
    a process that drove it has the request, or carried it out already and is gone."""
    from loopwright.cli.console import emit, say
    from loopwright.engine import runs

    if taken or runs.is_driven(site, run_id):
        if as_json:
            emit({"run": run_id, "requested": asked, "exit_code": 0, "stop_reason": "requested"})
        else:
            say(f"asked run {run_id} to take the {asked}; `loopwright status {run_id}` shows it")
        return
    from loopwright.cli.foreground import drive_to_end

    drive_to_end(site, run_id, as_json=as_json)


def _ask_run(run: str, body: "Body", directory: Path, *, as_json: bool, unsandboxed: bool = False) -> None:
    """Append the request; when nobody drives the run, take it over to carry the request out."""
    import os

    from loopwright.engine import runs
    from loopwright.engine.site import open_site
    from loopwright.errors import UsageError
    from loopwright.kernel import events as ev

    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    run_id = runs.resolve(site, run)
    state = runs.load(site, run_id)
    if state.finished is not None:
        raise UsageError(f"run {run_id} is finished already ({state.finished.reason}: {state.finished.summary})")
    if isinstance(body, ev.PauseRequested) and state.paused is not None:
        raise UsageError(f"run {run_id} is paused already ({state.paused}); `loopwright resume {run_id}` goes on")
    # Looked at before as well: a driver may take the request and be gone before anybody looks again.
    driven = runs.is_driven(site, run_id)
    after = runs.request(site, run_id, body)
    asked = {"pause_requested": "pause", "stop_requested": "stop"}[ev.kind_of(body)]
    taken = runs.is_driven(site, run_id) or (driven and runs.load(site, run_id).seq > after.seq)
    take_over(site, run_id, asked, as_json=as_json, taken=taken)
