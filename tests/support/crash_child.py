"""Crash campaign, in a process of its own: `python -m support.crash_child TEMPLATE ROOT URL FIRST LAST`.

For each append number it copies the template repository, drives a real run in a child process that is killed at that append, and
drives what is left in a second child to the end. One line of JSON a crash point tells what happened; the test judges.
"""

import dataclasses
import json
import os
import sys
import traceback
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from loopwright import loopfile
from loopwright.engine import runs
from loopwright.engine.site import Site, open_site
from loopwright.kernel import events as ev
from loopwright.testing.crash import CrashingJournal
from support.two_faults import UNSANDBOXED, copy_repository

When = Literal["before", "after"]


def main(template: Path, root: Path, url: str, points: list[tuple[int, When]]) -> None:
    for crash_at, when in points:
        name = f"{when}{crash_at}"
        place = root / name
        repository = copy_repository(template, place)
        env = {"PATH": os.environ["PATH"], **UNSANDBOXED, **({"LOOPWRIGHT_JOURNAL": url} if url else {})}
        # Two campaigns may run on this machine at once, and what a dead driver left running is found by the run's id.
        run_id = f"r{uuid.uuid4().hex[:8]}{name}"
        killed = _child(partial(_first, repository, env, place, run_id, crash_at, when))
        resumed = _child(partial(_again, repository, env, place, run_id))
        point = {"name": name, "run_id": run_id, "killed": killed, "resumed": resumed}
        sys.stdout.write(json.dumps(point) + "\n")
        sys.stdout.flush()


def _child(work: Callable[[], None]) -> int:
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


def _first(repository: Path, env: dict[str, str], place: Path, run_id: str, crash_at: int, when: When) -> None:
    site = open_site(repository, env)
    site = dataclasses.replace(site, journal=CrashingJournal(site.journal, crash_at, when))
    runs.start(site, loopfile.read(place / "loop.md"), runs.StartOptions(run_id=run_id, jobs=2))
    _drive(site, place, run_id)


def _again(repository: Path, env: dict[str, str], place: Path, run_id: str) -> None:
    site = open_site(repository, env)
    if site.journal.head(run_id) is None:
        # Killed before the very first event was durable: the run never began, and its id is free.
        runs.start(site, loopfile.read(place / "loop.md"), runs.StartOptions(run_id=run_id, jobs=2))
    _drive(site, place, run_id)


def _drive(site: Site, place: Path, run_id: str) -> None:
    """Every event that the driver was told is durable goes into a side file: none of them may be missing later."""
    import asyncio

    acknowledged = os.open(place / "acknowledged.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def watch(event: ev.Event) -> None:
        os.write(acknowledged, f"{event.seq} {event.digest}\n".encode())

    asyncio.run(runs.driver_for(site, run_id, watch).drive())


if __name__ == "__main__":
    first, last = int(sys.argv[4]), int(sys.argv[5])
    both: list[tuple[int, When]] = [(n, when) for n in range(first, last + 1) for when in ("before", "after")]
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], both)
