"""`doctor`: is this machine ready? Each part is really tried, and each answer says what to do next."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from loopwright.engine.isolation import isolation_of
from loopwright.engine.site import open_site
from loopwright.errors import LoopwrightError
from loopwright.kernel.values import Value
from loopwright.sandbox.probe import probe
from loopwright.sandbox.protocol import Sandbox
from loopwright.workspace.git import MINIMUM_VERSION, version
from loopwright.workspace.repository import Repository
from loopwright.workspace.survey import is_cache

__all__ = ["Check", "examine"]


class Check(Value, frozen=True):
    """`bad` keeps loopwright from working, `note` should be known. `next_move` is empty when there is nothing to do."""

    name: str
    status: Literal["good", "note", "bad"]
    found: str
    next_move: str = ""


def examine(directory: Path, env: Mapping[str, str]) -> list[Check]:
    """Try git, the isolation, the journal, the models and the repository at `directory`; never raises for what it finds."""
    return [
        _git(directory),
        *_isolation(directory, env),
        _journal(directory, env),
        _models(),
        _repository(directory, env),
    ]


def _git(directory: Path) -> Check:
    if shutil.which("git") is None:
        return Check("git", "bad", "not found", "apt-get install git")
    found = version(directory if directory.is_dir() else Path("/"))
    text = ".".join(map(str, found))
    if found < MINIMUM_VERSION:
        return Check("git", "bad", f"version {text}, older than 2.30", "update git")
    return Check("git", "good", f"version {text}")


def _isolation(directory: Path, env: Mapping[str, str]) -> list[Check]:
    """The production command line with canaries, one step after the other, and what to do about the one that did not hold."""
    with tempfile.TemporaryDirectory(prefix="loopwright-doctor-") as scratch:
        try:
            root = Repository.find(directory).root
        except LoopwrightError:
            root = Path(scratch)
        sandbox: Sandbox | None = None
        try:
            sandbox = isolation_of(root, Path(scratch), env).open()
            if not sandbox.isolated:
                hint = "commands run with your rights: use loops and repositories that you trust, or unset LOOPWRIGHT_SANDBOX"
                return [Check("sandbox", "note", sandbox.description, hint)]
            report = asyncio.run(probe(sandbox, Path(scratch)))
        except LoopwrightError as error:
            return [Check("sandbox", "bad", str(error))]
        finally:
            if sandbox is not None:
                sandbox.close()
    if not report.ok:
        return [
            Check("sandbox", "bad", f"{report.backend}: {step.name} did not hold: {step.detail}", step.fix)
            for step in report.failed
        ]
    held = f"{report.backend}; {len(report.steps)} canaries held: {', '.join(step.name for step in report.steps)}"
    if report.level == "reduced":
        return [
            Check(
                "sandbox",
                "note",
                held,
                "a reduced sandbox, by your choice; docs/design/008-sandbox.md says what it lets through",
            )
        ]
    return [Check("sandbox", "good", held)]


def _journal(directory: Path, env: Mapping[str, str]) -> Check:
    url = env.get("LOOPWRIGHT_JOURNAL")
    where = "PostgreSQL" if url else f"SQLite {sqlite3.sqlite_version}"
    try:
        site = open_site(directory, env)
    except LoopwrightError as error:
        if url:
            return Check("journal", "bad", f"{where}: {error}")
        return Check("journal", "good", f"{where}, made at the first run")
    try:
        streams = len(site.journal.heads())
    except LoopwrightError as error:
        return Check("journal", "bad", f"{where}: {error}")
    finally:
        site.journal.close()
    return Check("journal", "good", f"{where}, {streams} stream{'' if streams == 1 else 's'}")


def _models() -> Check:
    return Check("models", "good", "none needed: this version's rungs (repair, command) call no model")


def _repository(directory: Path, env: Mapping[str, str]) -> Check:
    try:
        site = open_site(directory, env)
    except LoopwrightError as error:
        return Check("repository", "note", str(error))
    dirty = [path for path in site.repository.uncommitted() if not is_cache(path)]
    site.journal.close()
    state = f"{site.repository.root} at {site.repository.head[:10]}"
    if dirty:
        hint = "a run begins from HEAD without them; --snapshot takes them along"
        return Check("repository", "note", f"{state}, {len(dirty)} uncommitted", hint)
    return Check("repository", "good", state)
