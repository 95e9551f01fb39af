"""The skill verbs: pin what a person accepted, and see what changed since."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Json

if TYPE_CHECKING:
    from loopwright.tools.skills.skill import SkillReport

__all__ = ["register"]

REFUSED = 6
DEFAULT = Path("loops/skills")
Folder = Annotated[Path, typer.Option("--skills", metavar="DIR", help="The folder with the skills' folders.")]


def register(app: typer.Typer) -> None:
    skills = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The skills that loops may follow.")
    skills.command("lock")(lock)
    skills.command("check")(check)
    app.add_typer(skills, name="skills")


def lock(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Accept these as they are now. Default: pin new ones only."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept", metavar="RULE", help="Allow this finding of the scanner for the skills that are named."
        ),
    ] = None,
    skills: Folder = DEFAULT,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Pin skills by their tree hash in skills.lock; a changed one is accepted by its name only."""
    from loopwright.errors import UsageError
    from loopwright.tools.skills.skill import discover, lock_skills

    root = _root(directory / skills, skills)
    there = {folder.name for folder in discover(root)}
    for name in names or ():
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            raise UsageError(f"skill {name!r}: expected a folder with a SKILL.md in {str(skills)!r}, found: {known}")
    if accept and not names:
        raise UsageError("--accept: expected the skill that it is for, found no NAME; name it")
    _end(lock_skills(root, names=names or (), accept=accept or ()), "locked", as_json=as_json)


def check(skills: Folder = DEFAULT, directory: Directory = Path(), as_json: Json = False) -> None:
    """How every skill stands against its lock; exit 6 unless all are as they were locked. Nothing is written."""
    from loopwright.tools.skills.skill import check_skills

    _end(check_skills(_root(directory / skills, skills)), "checked", as_json=as_json)


def _root(path: Path, name: Path) -> Path:
    from loopwright.errors import UsageError

    if not path.is_dir():
        raise UsageError(
            f"skills {str(name)!r}: expected a folder with a folder for each skill, found none; --skills DIR names another"
        )
    return path


def _end(reports: "Sequence[SkillReport]", done: str, *, as_json: bool) -> None:
    from loopwright.cli.console import emit, say
    from loopwright.tools.approvals.safe_text import shown

    good = all(report.status == "ok" for report in reports)
    code = 0 if good else REFUSED
    if as_json:
        emit({"skills": reports, "exit_code": code, "stop_reason": done if good else "refused"})
        raise typer.Exit(code)
    for report in reports:
        say(f"{report.status:<9} {shown(report.name)}")
        for line in report.lines:
            say(f"  {shown(line, limit_chars=1_000)}")
        for found in report.findings:
            say(f"  {found.severity:<5} {shown(found.path)}:{found.line}: {shown(found.why)} ({shown(found.rule)})")
    if not reports:
        say("no skill is there")
    raise typer.Exit(code)
