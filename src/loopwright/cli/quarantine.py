"""The quarantine verbs: which tests count for nothing, who answers for it, and until when."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Json

if TYPE_CHECKING:
    import datetime as dt

    from loopwright.suite.quarantine import Entry

__all__ = ["register"]

TestId = Annotated[
    str, typer.Argument(metavar="ID", help="The test as its runner names it, or a whole file: `tests/test_net.py::*`.")
]
Owner = Annotated[str, typer.Option("--owner", metavar="NAME", help="Who answers for it.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="What is known of it.")]
Days = Annotated[
    int, typer.Option("--days", metavar="N", min=1, max=90, help="It counts again after so many days; at most 90.")
]


def register(app: typer.Typer) -> None:
    quarantine = typer.Typer(
        rich_markup_mode=None, help="Tests that count for nothing until they expire (loops/quarantine.toml)."
    )
    quarantine.callback(invoke_without_command=True)(_default)
    quarantine.command("list")(show)
    quarantine.command("add")(add_test)
    quarantine.command("remove")(remove_test)
    app.add_typer(quarantine, name="quarantine")


def _default(context: typer.Context, directory: Directory = Path(), as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        show(directory, as_json)


def show(directory: Directory = Path(), as_json: Json = False) -> None:
    """Every quarantined test, expired ones too: they count again."""
    from loopwright.cli.console import emit, say, table
    from loopwright.suite.quarantine import parse
    from loopwright.tools.approvals.safe_text import shown

    today = _today()
    text = _text(_file(directory))
    entries = () if text is None else parse(text, today)
    if as_json:
        emit({"tests": [_told(e, today) for e in entries], "exit_code": 0, "stop_reason": "listed"})
        return
    rows: list[tuple[str, ...]] = [
        (
            "expired" if e.expired(today) else "quarantined",
            e.expires.isoformat(),
            shown(e.owner),
            shown(e.id),
            shown(e.why),
        )
        for e in entries
    ]
    if rows:
        table(rows, ("state", "until", "owner", "test", "why"))
    else:
        say("no test is quarantined")


def add_test(
    test_id: TestId, owner: Owner, why: Why, days: Days = 30, directory: Directory = Path(), as_json: Json = False
) -> None:
    """Quarantine a test. Commit the file: loops read it from the commit that they begin with."""
    import datetime as dt

    from loopwright.cli.console import emit, note, say
    from loopwright.keep.atomic import write_atomically
    from loopwright.suite.quarantine import PATH, Entry, add

    today = _today()
    file = _file(directory)
    entry = Entry(test_id, owner, today + dt.timedelta(days=days), why, today)
    write_atomically(file, add(_text(file), entry, today).encode())
    if as_json:
        emit({"test": _told(entry, today), "exit_code": 0, "stop_reason": "added"})
        return
    say(f"{test_id} counts for nothing until {entry.expires} ({owner})")
    note(f"commit {PATH}: a loop reads it from the commit that it begins with")


def remove_test(test_id: TestId, directory: Directory = Path(), as_json: Json = False) -> None:
    """Let a test count again."""
    from loopwright.cli.console import emit, say
    from loopwright.errors import UsageError
    from loopwright.keep.atomic import write_atomically
    from loopwright.suite.quarantine import PATH, remove

    file = _file(directory)
    text = _text(file)
    if text is None:
        raise UsageError(f"test {test_id!r} is not quarantined: expected it in {PATH}, found no such file")
    write_atomically(file, remove(text, test_id, _today()).encode())
    if as_json:
        emit({"id": test_id, "exit_code": 0, "stop_reason": "removed"})
        return
    say(f"{test_id} counts again")


def _told(entry: "Entry", today: "dt.date") -> dict[str, object]:
    import msgspec

    return {**msgspec.structs.asdict(entry), "expired": entry.expired(today)}


def _today() -> "dt.date":
    import datetime as dt

    return dt.datetime.now(dt.UTC).date()


def _file(directory: Path) -> Path:
    """In the repository that `directory` lies in. Raises: `UsageError` where there is none."""
    from loopwright.suite.quarantine import PATH
    from loopwright.workspace.repository import Repository

    return Repository.find(directory).root / PATH


def _text(file: Path) -> str | None:
    from loopwright.errors import UsageError

    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"quarantine {str(file)!r}: expected a UTF-8 text file, found none that can be read: {error}"
        ) from None
