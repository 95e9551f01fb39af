"""The verbs around runs: init, doctor, serve, gc, schema."""

from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import Directory, Json, Unsandboxed

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("doctor")(doctor)
    app.command("serve")(serve)
    app.command("gc")(gc)
    app.command("schema")(schema)


def init(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A ready-made loop: fix, improve, …")] = "fix",
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Write a ready-made loop file into loops/, asking nothing."""
    from loopwright.cli.console import emit, say
    from loopwright.engine.init import write_loop

    written = write_loop(directory, name)
    if as_json:
        emit({"loop": name, "file": str(written), "exit_code": 0, "stop_reason": "written"})
        return
    say(f"wrote {written}")
    say(f"  edit it, then: loopwright run {written} --dry-run")


def doctor(directory: Directory = Path(), as_json: Json = False) -> None:
    """Is this machine ready: git, sandbox (really tried), models, journal; and what to do where not."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine.doctor import examine

    found = examine(directory, os.environ)
    ready = not any(check.status == "bad" for check in found)
    if as_json:
        emit({"checks": found, "exit_code": 0 if ready else 1, "stop_reason": "ready" if ready else "not_ready"})
    else:
        marks = {"good": "ok  ", "note": "note", "bad": "BAD "}
        for check in found:
            say(f"{marks[check.status]}  {check.name:11} {check.found}")
            if check.next_move:
                say(f"                  {check.next_move}")
        say("this machine is ready" if ready else "this machine is not ready: see BAD above")
    raise typer.Exit(0 if ready else 1)


def serve(
    directory: Directory = Path(),
    runs_at_once: Annotated[int, typer.Option("--runs", metavar="N", min=1, help="Runs driven at the same time.")] = 2,
    tick_s: Annotated[
        float, typer.Option("--tick", metavar="S", min=0.05, help="Seconds between looks at the triggers.")
    ] = 1.0,
    drain_s: Annotated[
        float, typer.Option("--drain", metavar="S", min=0.0, help="Seconds that what is in flight gets at SIGTERM.")
    ] = 30.0,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """The always-on service: fires the loops' triggers, resumes what is unfinished, drains at SIGTERM."""
    from loopwright.service import serve_command

    code = serve_command(
        directory,
        runs_at_once=runs_at_once,
        tick_s=tick_s,
        drain_s=drain_s,
        unsandboxed=unsandboxed,
        json_lines=as_json,
    )
    raise typer.Exit(code)


def gc(directory: Directory = Path(), as_json: Json = False) -> None:
    """Remove disposable workspaces and blobs that nothing refers to; never a journal event or a kept commit."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine.gc import collect
    from loopwright.engine.site import open_site

    freed = collect(open_site(directory, os.environ))
    if as_json:
        emit({"freed_bytes": freed.total_bytes, "freed": freed, "exit_code": 0, "stop_reason": "collected"})
    else:
        say(
            f"freed {freed.total_bytes / 1_000_000:.1f} MB: {freed.workspaces_bytes} bytes of workspaces, {freed.blobs} old blobs"
        )


def schema() -> None:
    """Print the JSON Schema of the loop file, for editors."""
    from loopwright.cli.console import say
    from loopwright.loopfile import json_schema

    say(json_schema().decode().rstrip())
