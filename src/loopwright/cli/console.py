"""What is printed and where: results to stdout, everything else to stderr; colour only on a terminal; `--json` prints JSON alone."""

import sys
from typing import NoReturn

import msgspec
import typer

from loopwright.errors import LoopwrightError

__all__ = ["emit", "fail", "note", "say", "table"]


def say(line: str = "") -> None:
    """A line of the result."""
    sys.stdout.write(line + "\n")


def note(line: str) -> None:
    """A line beside the result: progress, hints, warnings."""
    sys.stderr.write(f"loopwright: {line}\n")
    sys.stderr.flush()


def emit(value: object) -> None:
    """One JSON object on one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def fail(error: LoopwrightError, *, as_json: bool) -> NoReturn:
    """End with the error's exit code and its one line (a line for each problem of a loop file)."""
    if as_json:
        reason = {2: "usage", 3: "busy", 7: "integrity"}.get(error.exit_code, "failed")
        emit({"error": str(error), "exit_code": error.exit_code, "stop_reason": reason})
    else:
        for line in str(error).splitlines():
            note(line)
    raise typer.Exit(error.exit_code)


def table(rows: list[tuple[str, ...]], header: tuple[str, ...]) -> None:
    """Columns padded with spaces; a pipe gets the same plain text."""
    widths = [max(len(row[n]) for row in [header, *rows]) for n in range(len(header))]
    for row in [header, *rows]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
