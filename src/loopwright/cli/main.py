"""The `loopwright` command: the verbs, and the one place where an error becomes a line and an exit code."""

import sys
from typing import Annotated

import typer

from loopwright import __version__
from loopwright.cli import (
    approvals,
    audit,
    control,
    drill,
    inspect,
    maintain,
    mcp,
    pay,
    policy,
    quarantine,
    review,
    run,
    skills,
)
from loopwright.cli.console import fail, note
from loopwright.errors import LoopwrightError

__all__ = ["app", "main"]

app = typer.Typer(
    name="loopwright",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turns one Markdown file into an autonomous loop: observe, plan, act, evaluate, keep or revert, repeat.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"loopwright {__version__}\n")
        raise typer.Exit(0)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before every verb."""


for group in (run, inspect, approvals, control, policy, quarantine, review, drill, audit, mcp, skills, pay, maintain):
    group.register(app)


def main() -> None:
    """Entry point: runs the verb and exits with the code of docs/reference/exit-codes.md."""
    try:
        code = app(standalone_mode=False)
    except LoopwrightError as error:
        try:
            fail(error, as_json="--json" in sys.argv[1:])
        except typer.Exit as done:
            code = done.exit_code
    except typer.TyperException as error:
        # What the parser refuses: an unknown verb, a missing argument, a value that is none.
        said = getattr(error, "format_message", error.__str__)()
        note(f"{said} (`loopwright --help` shows the verbs)")
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        # Whoever read our output has seen enough (`loopwright log | head`).
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
