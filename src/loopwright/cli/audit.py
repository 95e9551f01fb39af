"""The audit verbs: verify what the journal says, sign it, carry it away, hand it out."""

from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import Directory, Json

__all__ = ["register"]

Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="A public key as `audit key` prints it (default: your own).")
]


def register(app: typer.Typer) -> None:
    audit = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Check what the journal says, sign it, export it."
    )
    audit.command("verify")(verify)
    audit.command("checkpoint")(checkpoint)
    audit.command("export")(export)
    audit.command("check")(check)
    audit.command("key")(key)
    audit.command("restart")(restart)
    app.add_typer(audit, name="audit")


def restart(directory: Directory = Path(), as_json: Json = False) -> None:
    """Begin a new history of checkpoints, for a journal that you removed on purpose; the old ones are set aside, not deleted."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine import audit
    from loopwright.engine.site import open_site

    site = open_site(directory, os.environ)
    aside = audit.restart(site)
    made = audit.checkpoint_now(site)
    if as_json:
        emit(
            {
                "set_aside": None if aside is None else str(aside),
                "signed": made is not None,
                "exit_code": 0,
                "stop_reason": "restarted",
            }
        )
        return
    say("there were no checkpoints" if aside is None else f"the old checkpoints lie in {aside}")
    say("a new history begins with the journal as it is now" if made else "the journal is empty: nothing to sign yet")


def verify(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Default: every stream of the journal.")] = None,
    copy: Annotated[
        list[Path] | None, typer.Option("--copy", metavar="FILE", help="Checkpoints that were pushed elsewhere.")
    ] = None,
    public_key: Key = None,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Is the journal as it was written: chain, signatures, decisions, approvals, ledger; every fault is named."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine import audit
    from loopwright.engine.runs import resolve
    from loopwright.engine.site import open_site
    from loopwright.journal.note import parse_key
    from loopwright.tools.approvals.safe_text import shown

    site = open_site(directory, os.environ)
    streams = None if run is None else [audit.stream_named(site, run) or resolve(site, run)]
    keys = [] if public_key is None else [parse_key(public_key)]
    report = audit.verify_site(site, streams, copies=[_read(directory / path) for path in copy or ()], keys=keys)
    if as_json:
        emit(
            {
                "streams": {
                    stream.stream: {
                        "ok": stream.ok,
                        "count": stream.chain.count,
                        "broken_seq": stream.chain.broken_seq,
                        "kind": stream.chain.kind,
                        "message": stream.chain.message,
                        "signed": stream.signed,
                        "erased": stream.erased,
                        "problems": stream.problems,
                        "audit": stream.audit,
                    }
                    for stream in report.streams
                },
                "checkpoints": report.checkpoints,
                "problems": report.problems,
                "notes": report.notes,
                "exit_code": report.exit_code,
                "stop_reason": "verified" if report.ok else "integrity",
            }
        )
    else:
        for line in report.lines():
            say(shown(line, limit_chars=2_000))
    raise typer.Exit(report.exit_code)


def checkpoint(
    push: Annotated[
        str | None,
        typer.Option("--push", metavar="CMD", help="Gets every note that it was not given before, on standard input."),
    ] = None,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Sign what the journal is now; what was signed can never be rewritten unseen."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine import audit
    from loopwright.engine.site import open_site

    argv = None if push is None else _argv(push)
    site = open_site(directory, os.environ)
    made = audit.checkpoint_now(site)
    pushed = 0 if argv is None else audit.push_new_notes(site, argv)
    notes = audit.books_of(site).notes.path
    if as_json:
        streams = [] if made is None else [statement.stream for statement in made.statements]
        reason = "unchanged" if made is None else "signed"
        emit(
            {
                "signed": streams,
                "file": str(notes),
                "checkpoint": made,
                "pushed": pushed,
                "exit_code": 0,
                "stop_reason": reason,
            }
        )
        return
    if made is None:
        say("nothing was written since the last checkpoint")
    else:
        say(f"signed {len(made.statements)} streams in {notes}")
    if argv is not None:
        say(f"pushed {pushed} notes")


def export(
    *,
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Default: every run.")] = None,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    blobs: Annotated[bool, typer.Option("--blobs", help="Take along what events refer to: outputs, diffs.")] = False,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Write runs into one file that anybody can check with your public key."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine import audit, runs
    from loopwright.engine.site import open_site
    from loopwright.errors import UsageError

    site = open_site(directory, os.environ)
    if names:
        wanted = list(dict.fromkeys(audit.stream_named(site, name) or runs.resolve(site, name) for name in names))
    else:
        wanted = [head.run_id for head in runs.run_heads(site)]
    if not wanted:
        raise UsageError(f"export: expected runs in {site.repository.root}, found none; `loopwright run` begins one")
    target = directory / file
    made = audit.export_site(site, wanted, target, blobs=blobs)
    public = audit.signing_key(site)[0].verifier.text
    if as_json:
        emit({"file": str(target), "streams": made, "key": public, "exit_code": 0, "stop_reason": "exported"})
        return
    say(f"wrote {len(made)} runs to {target}")
    missing = sum(len(stream.missing_blobs) for stream in made)
    if missing:
        say(f"  {missing} values that events refer to are gone; the file names them")
    say(f"  check it anywhere: loopwright audit check {file} --key {public}")


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `audit export` wrote.")],
    public_key: Annotated[str, typer.Option("--key", metavar="KEY", help="The public key of whoever exported it.")],
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Check an exported file with the public key alone; no journal and no repository is needed."""
    from loopwright.cli.console import emit, say
    from loopwright.journal.export import verify_export
    from loopwright.journal.note import parse_key
    from loopwright.tools.approvals.safe_text import shown

    report = verify_export(directory / file, parse_key(public_key))
    code = 0 if report.ok else 7
    if as_json:
        emit({"report": report, "exit_code": code, "stop_reason": "verified" if report.ok else "integrity"})
        raise typer.Exit(code)
    for problem in report.problems:
        say(f"BROKEN  {shown(problem)}")
    for stream in report.streams:
        good = stream.chain.ok and not stream.problems
        say(
            f"{'ok     ' if good else 'BROKEN '} {shown(stream.stream)}  {stream.chain.count} events, {stream.signed} signed"
            f"  {shown(stream.chain.message)}"
        )
        for problem in stream.problems:
            say(f"          {shown(problem)}")
    raise typer.Exit(code)


def key(directory: Directory = Path(), as_json: Json = False) -> None:
    """Print your public key, for those who check what you export; the key is made at first use."""
    import os

    from loopwright.cli.console import emit, note, say
    from loopwright.engine import audit
    from loopwright.engine.site import open_site

    site = open_site(directory, os.environ)
    own, made = audit.signing_key(site)
    place = audit.books_of(site).places.key
    if as_json:
        emit({"key": own.verifier.text, "file": str(place), "made": made, "exit_code": 0, "stop_reason": "shown"})
        return
    if made:
        note(f"made {place}: keep it to yourself, and a copy of it")
    say(own.verifier.text)


def _read(path: Path) -> bytes:
    from loopwright.errors import UsageError

    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"--copy {str(path)!r}: expected checkpoints that were pushed, found {error.strerror}; name their file"
        ) from error


def _argv(command: str) -> list[str]:
    import shlex

    from loopwright.errors import UsageError

    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--push {command!r}: expected a command line, found {error}; quote it") from error
    if not argv:
        raise UsageError("--push: expected a command such as 'tee -a FILE', found nothing; leave it out to only sign")
    return argv
