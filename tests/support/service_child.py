"""Service processes that die. Run as a program: `service_child.py each|random FOLDER [SEED …]` prints one JSON line a case.

A case is a repository with a service that is killed with SIGKILL right after an append to the journal, in a forked process, and then
started again until a life comes to its end. What is printed is what the journal says then.
"""

import asyncio
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from loopwright.engine.site import new_run_id
from loopwright.journal.opening import open_journal
from loopwright.kernel import events as ev
from loopwright.kernel.schedule import stream_of
from loopwright.testing.clock import FakeClock
from loopwright.testing.crash import CrashingJournal
from support.repositories import make_repository
from support.services import Served, loop_text, ticket_text

START_MS = 1_767_225_590_000
TICK_MS = 5_000
TICKS = 18


def live(root: Path, start_ms: int, dies_at: int | None) -> None:
    """One life of a service: some ticks, and a clean end."""
    journal = CrashingJournal(open_journal(root, None), dies_at, "after")
    served = Served(root, journal, FakeClock(start_ms), ids=new_run_id)

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, TICKS, TICK_MS)
        await served.stop(service)

    asyncio.run(scenario())
    journal.close()


def forked(work: Callable[[], None]) -> bool:
    """Do it in a process of its own; false when that process was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, "a life must end by itself or by SIGKILL"
    return True


def case(root: Path, template: Path, deaths: Iterator[int | None]) -> tuple[int, dict[str, object]]:
    """How often it died, and what the journal says in the end."""
    shutil.copytree(template, root)
    died, start_ms = 0, START_MS
    while not forked(lambda: live(root, start_ms, next(deaths, None))):  # noqa: B023 (the fork sees the value of now)
        died += 1
        next(deaths, None)  # the parent's own copy of the iterator
        start_ms += TICK_MS
    journal = open_journal(root, None)
    events = [event.body for event in journal.read(stream_of("fix"))]
    ends = {}
    for head in journal.heads():
        if not head.run_id.startswith("loop:"):
            bodies = [event.body for event in journal.read(head.run_id)]
            starts = sum(isinstance(body, ev.RunStarted) for body in bodies)
            finishes = sum(isinstance(body, ev.RunFinished) for body in bodies)
            ends[head.run_id] = [starts, finishes]
    journal.close()
    fired = [(one.trigger, one.subject, one.run_id) for one in events if isinstance(one, ev.TriggerFired)]
    return died, {"died": died, "fired": fired, "runs": ends}


def main(mode: str, folder: Path, seeds: Sequence[int]) -> None:
    loop = loop_text(when='[{ticket: tickets/}, {cron: "* * * * *"}]')
    template = make_repository(folder / "template", {"loops/fix.md": loop, "tickets/one.md": ticket_text()})
    if mode == "each":
        for number in range(1, 1000):
            died, found = case(folder / f"at-{number}", template, iter([number]))
            print(json.dumps(found), flush=True)  # noqa: T201
            if not died:
                return
    for seed in seeds:
        rng = random.Random(seed)
        deaths = iter([rng.randint(1, 9) for _ in range(rng.randint(3, 6))])
        print(json.dumps(case(folder / f"seed-{seed}", template, deaths)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [int(seed) for seed in sys.argv[3:]])
