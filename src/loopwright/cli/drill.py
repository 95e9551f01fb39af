"""`loopwright drill`: attack the boundary, or plant cheats into a loop, with this repository's own configuration; say what held."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Json, Unsandboxed, loop_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright.engine.drills.evaluate.report import CaseTried, EvaluateReport
    from loopwright.engine.drills.report import DrillReport, Section, SectionName
    from loopwright.policy.policy import Policy

__all__ = ["register"]

Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="SECTION", help="Only this section; may be given several times.")
]
SandboxOnly = Annotated[bool, typer.Option("--sandbox-only", help="Only the escapes from the sandbox.")]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="The policy to attack (default: loops/policy.toml).")
]
Everything = Annotated[
    bool, typer.Option("--all", help="Show each probe that held, with its rule and what would allow it.")
]
OnlyCase = Annotated[
    list[str] | None, typer.Option("--only", metavar="CASE", help="Only this case; may be given several times.")
]
EveryCase = Annotated[bool, typer.Option("--all", help="Show each case that was refused as well, with who refused it.")]
_LINE_CHARS = 78


def register(app: typer.Typer) -> None:
    drill = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Attack this installation to see what holds.")
    drill.command("boundary")(boundary)
    drill.command("evaluate")(evaluate)
    drill.callback()(_drill)
    app.add_typer(drill, name="drill")


def _drill() -> None:
    """Attack this installation to see what holds."""


def boundary(
    directory: Directory = Path(),
    policy_file: PolicyFile = None,
    only: Only = None,
    sandbox_only: SandboxOnly = False,
    show_all: Everything = False,
    as_json: Json = False,
) -> None:
    """A hijacked agent tries every class of probe against your sandbox and policy; exit 7 when something gets through."""
    import asyncio
    import os

    from loopwright.engine.drills.boundary import drill_boundary
    from loopwright.engine.site import open_site

    sections = _sections(only, sandbox_only)
    site = open_site(directory, os.environ)
    live = not as_json and sys.stderr.isatty()
    try:
        policy, source = _policy(site.repository.root, policy_file)
        report = asyncio.run(drill_boundary(site, policy, _progress(as_json=as_json, live=live), sections=sections))
    finally:
        if live:
            _status("")
        site.sandbox.close()
        site.journal.close()
    if as_json:
        _emit(report)
    else:
        _print(report, source, show_all=show_all)
    raise typer.Exit(report.exit_code)


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="LOOP.md", help="The loop file; relative to here, else to DIR.")],
    directory: Directory = Path(),
    only: OnlyCase = None,
    show_all: EveryCase = False,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Plant cheats into your own loop and see what its evaluation lets through; exit 7 when something would be kept."""
    import asyncio
    import os

    from loopwright import loopfile
    from loopwright.engine.drills.evaluate.drill import drill_evaluate
    from loopwright.engine.site import open_site, prove_isolation

    loop_file = loopfile.read(loop_path(file, directory))
    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    live = not as_json and sys.stderr.isatty()
    try:
        prove_isolation(site)
        report = asyncio.run(drill_evaluate(site, loop_file, _told(as_json=as_json, live=live), only=tuple(only or ())))
    finally:
        if live:
            _status("")
        site.sandbox.close()
        site.journal.close()
    if as_json:
        _emit_evaluate(report)
    else:
        _print_evaluate(report, show_all=show_all)
    raise typer.Exit(report.exit_code)


def _sections(only: list[str] | None, sandbox_only: bool) -> "tuple[SectionName, ...]":
    from loopwright.engine.drills.report import SECTIONS
    from loopwright.errors import UsageError

    wanted = ["sandbox"] if sandbox_only else only or list(SECTIONS)
    for name in wanted:
        if name not in SECTIONS:
            raise UsageError(f"--only: expected one of {', '.join(SECTIONS)}, found {name!r}")
    return tuple(name for name in SECTIONS if name in wanted)


def _policy(root: Path, given: Path | None) -> "tuple[Policy | None, str]":
    """The policy and where it comes from, in words."""
    from loopwright.engine.boundary import POLICY_FILE, read_policy
    from loopwright.errors import UsageError
    from loopwright.policy.file import parse_policy

    if given is None:
        found = read_policy(root)
        return found, POLICY_FILE if found is not None else f"built-in, nothing is granted (there is no {POLICY_FILE})"
    try:
        text = given.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"policy file {str(given)!r} cannot be read: {error}; give one in UTF-8") from error
    return parse_policy(text, str(given)), str(given)


# --- what is shown --------------------------------------------------------------------------------------------------------------
def _progress(*, as_json: bool, live: bool) -> "Callable[[str], None]":
    """A status line on a terminal; in a pipe one line a section."""
    seen: set[str] = set()

    def show(line: str) -> None:
        section = line.partition(":")[0]
        if live:
            _status(line)
        elif not as_json and section not in seen:
            sys.stderr.write(f"loopwright: drilling {section}\n")
            sys.stderr.flush()
        seen.add(section)

    return show


def _told(*, as_json: bool, live: bool) -> "Callable[[str], None]":
    """Each case as it begins: on a terminal in one line that changes, else a line each."""

    def show(line: str) -> None:
        if live:
            _status(line)
        elif not as_json:
            sys.stderr.write(f"loopwright: {line}\n")
            sys.stderr.flush()

    return show


def _status(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line[:_LINE_CHARS]}")
    sys.stderr.flush()


def _emit(report: "DrillReport") -> None:
    from loopwright.cli.console import emit

    emit(
        {
            "policy": report.policy,
            "sandbox": report.sandbox,
            "count": report.count,
            "sections": report.sections,
            "exit_code": report.exit_code,
            "stop_reason": "held" if report.ok else "integrity",
        }
    )


def _print(report: "DrillReport", source: str, *, show_all: bool) -> None:
    from loopwright.cli.console import say, table

    say(f"policy   {source}")
    say(f"sandbox  {report.sandbox}")
    say()
    rows: list[tuple[str, ...]] = []
    for section in report.sections:
        counted = section.count
        rows.append((section.name, str(counted.held), str(counted.let_through), str(counted.not_possible)))
    table(rows, ("SECTION", "HELD", "LET THROUGH", "NOT POSSIBLE HERE"))
    for section in report.sections:
        _details(section, show_all=show_all)
    count = report.count
    say()
    tried = count.held + count.let_through
    said = "all held" if not count.let_through else f"{count.let_through} got through"
    beside = (
        f" ({count.not_possible} get nowhere on this machine even without the boundary)" if count.not_possible else ""
    )
    say(f"{tried} probes that reach their goal with the door open: {said}{beside}")


def _details(section: "Section", *, show_all: bool) -> None:
    from loopwright.cli.console import say
    from loopwright.tools.approvals.safe_text import shown

    for probe in section.probes:
        if probe.verdict == "held" and not show_all:
            continue
        if probe.verdict == "not_possible" and section.name == "sandbox" and not show_all:
            continue  # what a kernel or a user lacks is counted; elsewhere a probe that cannot be made is worth a line
        mark = {"held": "held", "let_through": "LET THROUGH", "not_possible": "not possible here"}[probe.verdict]
        say()
        say(f"{mark}  {section.name}/{shown(probe.name)}: {shown(probe.tried)}")
        known = section.known(probe)
        rows = (
            ("got", probe.got),
            ("known", known),
            ("rule", probe.rule),
            ("why", probe.why),
            ("change", probe.remedy),
        )
        for name, text in rows:
            if text:
                say(f"    {name:7} {shown(text)}")


def _emit_evaluate(report: "EvaluateReport") -> None:
    from loopwright.cli.console import emit

    emit(
        {
            "loop": report.loop,
            "sandbox": report.sandbox,
            "base": report.base,
            "notes": report.notes,
            "count": report.count,
            "cases": report.cases,
            "exit_code": report.exit_code,
            "stop_reason": "held" if report.ok else "integrity",
        }
    )


def _print_evaluate(report: "EvaluateReport", *, show_all: bool) -> None:
    from loopwright.cli.console import say, table
    from loopwright.tools.approvals.safe_text import shown

    say(f"loop     {report.loop}")
    say(f"base     {shown(report.base)}")
    say(f"sandbox  {report.sandbox}")
    for text in report.notes:
        say(f"note     {shown(text)}")
    say()
    marks = {
        "refused": "refused",
        "asks": "asks a person",
        "let_through": "LET THROUGH",
        "not_applicable": "not applicable",
    }
    table([(marks[case.result], case.name, case.verifier) for case in report.cases], ("RESULT", "CASE", "BY"))
    for case in report.cases:
        if case.result == "let_through" or show_all:
            _case(case, marks[case.result])
    count = report.count
    say()
    tried = count.refused + count.asks + count.let_through
    said = f"{count.let_through} would have been kept" if count.let_through else "none would have been kept unseen"
    asked = f", {count.asks} after asking a person" if count.asks and not count.let_through else ""
    say(f"{tried} planted cases were judged: {said}{asked}")


def _case(case: "CaseTried", mark: str) -> None:
    from loopwright.cli.console import say
    from loopwright.tools.approvals.safe_text import shown

    say()
    say(f"{mark}  {case.name}: {shown(case.tried)}")
    why = "why" if case.result == "not_applicable" else "said"
    for name, text in ((why, case.line), ("change", case.remedy)):
        if text:
            say(f"    {name:7} {shown(text)}")
