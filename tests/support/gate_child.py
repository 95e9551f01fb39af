"""Crash campaign of the gate, in a process of its own: `python -m support.gate_child ROOT URL REMEMBERS`.

The world is an SQLite file that counts every effect, durably. For each crash point a child makes one call that an approval covers and
is killed there; a second child recovers the run and makes the same call again, as an actor that lost its answer would. One line of
JSON a crash point says what the journal and the world hold; the test judges.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from loopwright.journal.opening import open_journal
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.kernel import events as ev
from loopwright.policy.values import Json, Rule
from loopwright.testing.crash import CrashingJournal
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput
from loopwright.tools.recover import recover
from loopwright.tools.registry import Registry
from loopwright.tools.results import Place, Settings
from loopwright.tools.runlog import RunLog
from support.gates import SEND, FakeSandbox, begin, desk

ARGUMENTS: dict[str, Json] = {"to": "bob@example.org", "body": "the report"}
RULES = (Rule("ask", "mail.send", (), "a person reads mail first"),)
POINTS = ("none", "before1", "after1", "in_effect", "after_effect", "before2", "after2", "acknowledged")


class Mail:
    """Sends by adding a row. It does not look at the key: doing it twice is two rows. `remembers`: it can be asked by key later."""

    def __init__(self, place: Path, point: str, *, remembers: bool) -> None:
        self.spec = SEND
        self._file = place / "world.db"
        self._point = point
        self._remembers = remembers
        with contextlib.closing(self._open()) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS sent (key TEXT, body TEXT)")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, isolation_level="IMMEDIATE")

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        return Preview()

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        if self._point == "in_effect":
            die()
        with contextlib.closing(self._open()) as db, db:
            db.execute("INSERT INTO sent VALUES (?, ?)", (context.key, json.dumps(arguments)))
        if self._point == "after_effect":
            die()
        return ToolOutput("ok", "sent")

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        if not self._remembers:
            return Happened("unknown", message="it keeps no record")
        return Happened("yes" if context.key in self.keys() else "no", ToolOutput("ok", "sent"))

    def keys(self) -> list[str]:
        with contextlib.closing(self._open()) as db:
            return [str(row[0]) for row in db.execute("SELECT key FROM sent")]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(root: Path, url: str, *, remembers: bool) -> None:
    for point in POINTS:
        place = root / point
        place.mkdir(parents=True)
        run_id = f"gate-{point}-{os.getpid()}"
        open_place = partial(opened, place, url)
        prepared = child(partial(prepare, open_place, place, run_id, remembers))
        first = child(partial(attempt, open_place, place, run_id, point, remembers))
        second = child(partial(again, open_place, place, run_id, remembers))
        journal = open_place()
        line = {
            "point": point,
            "exits": [prepared, first, second],
            "told": (place / "told").read_text().split() if (place / "told").exists() else [],
            "again": (place / "again").read_text(),
            "kinds": [ev.kind_of(event.body) for event in journal.read(run_id)],
            "ends": [event.body.status for event in journal.read(run_id) if isinstance(event.body, ev.CallEnded)],
            "keys": Mail(place, "none", remembers=remembers).keys(),
        }
        journal.close()
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def opened(place: Path, url: str) -> Journal:
    return open_journal(place, url or None, redactor=Redactor())


def prepare(open_place: Callable[[], Journal], place: Path, run_id: str, remembers: bool) -> None:
    """A run whose call was asked about and approved."""
    journal = open_place()
    begin(journal, run_id)
    at = desk(journal, Mail(place, "none", remembers=remembers), run_id=run_id, rules=RULES)  # type: ignore[arg-type]
    assert at.call("mail.send", ARGUMENTS).status == "asked"
    at.approve("q1")


def attempt(open_place: Callable[[], Journal], place: Path, run_id: str, point: str, remembers: bool) -> None:
    crash_at, when = (int(point[-1]), point[:-1]) if point[-1].isdigit() else (None, "before")
    journal = CrashingJournal(open_place(), crash_at, when)  # type: ignore[arg-type]
    at = desk(journal, Mail(place, point, remembers=remembers), run_id=run_id, rules=RULES)  # type: ignore[arg-type]
    result = at.call("mail.send", ARGUMENTS)
    (place / "told").write_text(f"{result.status} {result.call_id}")
    if point == "acknowledged":
        die()


def again(open_place: Callable[[], Journal], place: Path, run_id: str, remembers: bool) -> None:
    """A new driver: recover, then the actor makes the same call again."""
    journal = open_place()
    tool = Mail(place, "none", remembers=remembers)
    log = RunLog(journal, run_id, lambda: 1_700_000_000_500)
    asyncio.run(recover(log, Registry([tool]), Place(FakeSandbox()), Settings()))
    at = desk(journal, tool, run_id=run_id, rules=RULES)  # type: ignore[arg-type]
    (place / "again").write_text(at.call("mail.send", ARGUMENTS).status)


def child(work: Callable[[], None]) -> int:
    """The exit status of a forked child that does `work`: negative for the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], remembers=sys.argv[3] == "yes")
