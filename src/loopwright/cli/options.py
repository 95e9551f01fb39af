"""Options that many verbs share, declared once."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Directory",
    "Jobs",
    "Json",
    "MaxIterations",
    "MaxMinutes",
    "MaxUsd",
    "RunName",
    "Snapshot",
    "Unattended",
    "Unsandboxed",
    "loop_path",
]

Directory = Annotated[
    Path, typer.Option("-C", "--directory", metavar="DIR", help="The repository; as if loopwright were started there.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object (or one a line, for streams) and nothing else.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique prefix of one, or `last`.")]
MaxIterations = Annotated[
    int | None, typer.Option("--max-iterations", metavar="N", min=1, help="Narrow the loop's limit of iterations.")
]
MaxMinutes = Annotated[
    float | None, typer.Option("--max-minutes", metavar="N", min=0.01, help="The longest the run may be at work.")
]
MaxUsd = Annotated[str | None, typer.Option("--max-usd", metavar="X", help="Narrow the loop's budget in US dollars.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Candidates tried at the same time (default: the cores)."),
]
Snapshot = Annotated[
    bool, typer.Option("--snapshot", help="Begin from the work tree as it is, uncommitted changes included.")
]
Unattended = Annotated[
    bool, typer.Option("--unattended", help="Nobody is there to answer: a question is answered as the loop declares.")
]
Unsandboxed = Annotated[
    bool,
    typer.Option(
        "--unsandboxed",
        help="Run commands with your own rights, without isolation; written into the journal and every report.",
    ),
]


def loop_path(file: Path, directory: Path) -> Path:
    """Where a loop file that was named on the command line lies: relative to here, else to the repository."""
    there = file if file.exists() or file.is_absolute() else directory / file
    return there if there.exists() else file
