"""`doctor`: is this machine ready? Each part is really tried, and each answer says what to do next."""

import asyncio
import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from loopwright.engine.site import new_run_id, open_site
from loopwright.errors import LoopwrightError
from loopwright.kernel.values import Value
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import ExecSpec
from loopwright.workspace.git import MINIMUM_VERSION, version
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
    return [_git(directory), *_isolation(env), _journal(directory, env), _models(), _repository(directory, env)]


def _git(directory: Path) -> Check:
    if shutil.which("git") is None:
        return Check("git", "bad", "not found", "apt-get install git")
    found = version(directory if directory.is_dir() else Path("/"))
    text = ".".join(map(str, found))
    if found < MINIMUM_VERSION:
        return Check("git", "bad", f"version {text}, older than 2.30", "update git")
    return Check("git", "good", f"version {text}")


def _isolation(env: Mapping[str, str]) -> list[Check]:
    """Run a canary the way every command is run: is a secret of ours visible, is what it leaves running ended?"""
    with tempfile.TemporaryDirectory(prefix="loopwright-doctor-") as scratch:
        sandbox = PlainSandbox(Path(scratch) / "home", env.get("PATH", os.defpath))
        canary = secrets.token_hex(8)
        os.environ["LOOPWRIGHT_CANARY"] = canary
        try:
            action_id = f"doctor-{new_run_id()}/a1"
            spec = ExecSpec(("sh", "-c", "env; sleep 300 & echo started"), Path(scratch), 20, action_id)
            result = asyncio.run(sandbox.run(spec))
        except LoopwrightError as error:
            return [Check("processes", "bad", str(error))]
        finally:
            del os.environ["LOOPWRIGHT_CANARY"]
        if result.status != "exited" or b"started" not in result.stdout:
            return [Check("processes", "bad", f"a shell could not be run: {result.status}, {result.stderr[-200:]!r}")]
        if canary.encode() in result.stdout:
            return [
                Check("processes", "bad", "a secret of this environment reached a command", "report this as a defect")
            ]
        left = sandbox.kill_orphans(action_id.split("/", 1)[0])
        tried = Check("processes", "good", "clean environment, nothing left running afterwards")
        if left:
            tried = Check("processes", "bad", f"{left} processes outlived their command", "report this as a defect")
        return [
            tried,
            Check(
                "sandbox",
                "note",
                sandbox.description,
                "commands run with your rights: use loops and repositories that you trust, or a machine of their own",
            ),
        ]


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
