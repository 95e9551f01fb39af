"""What runs cost that wait for a person: a service over 1,000 paused runs, beside the same service over an empty journal.

Both are real: git repository, SQLite journal, one loop with a schedule, a ticket folder and a branch. After the first look at the
journal (which folds every unfinished run once) a tick is one query, a few `stat`s, and no thread. Exit 1 when a bar is missed.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loopwright.engine.dispatch import Drives
from loopwright.engine.drive import Driver
from loopwright.engine.log import Line
from loopwright.engine.service import Service, ServiceParts
from loopwright.engine.site import new_run_id
from loopwright.journal.opening import open_journal
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.loopfile import LoopFile
from loopwright.testing.clock import FakeClock
from loopwright.testing.noop import NoopPerformer, noop_start
from loopwright.workspace.repository import Repository

RUNS = 1_000
ROUNDS = 5
TICKS = 40
CPU_BAR = 0.01
"""Of one core, at one tick a second: what a thousand waiting runs may take, everything included."""

LOOP = """---
name: idle
when: [{cron: "0 0 1 1 *"}, {ticket: tickets/}, {git: main}]
observe: [{tests: "true"}]
act: [{command: "true"}]
evaluate: {tests: "true"}
---
Do nothing.
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds of all threads; `threads` more than before the service began."""

    first_look_ms: float
    tick_ms: float
    threads: int


class Silent:
    def say(self, line: Line) -> None:
        pass


def make_repository(root: Path) -> Path:
    (root / "loops").mkdir(parents=True)
    (root / "loops" / "idle.md").write_text(LOOP)
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "init.defaultBranch=main")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "base")):
        subprocess.run(["git", *identity, *command], cwd=root, check=True)
    return root


def pause_runs(journal: Journal, count: int) -> None:
    for number in range(count):
        started = msgspec.structs.replace(noop_start(3), ticket=f"tickets/{number}.md")
        bodies: list[ev.Body] = [started, ev.PauseRequested("bench", "waits"), ev.RunPaused("waits")]
        journal.append(f"run{number:05}", bodies, expect_seq=0)


def service_over(root: Path, journal: Journal, clock: FakeClock) -> Service:
    def begin(loop_file: LoopFile, fired: ev.TriggerFired) -> None:
        raise AssertionError("nothing is due in this bench")

    def make_driver(run_id: str) -> Drives:
        return Driver(journal, run_id, NoopPerformer(), driver_id="bench", now_ms=clock)

    repository = Repository.find(root)
    return Service(
        ServiceParts(journal, repository, root / "loops", clock, new_run_id, begin, make_driver, Silent(), 2)
    )


async def measured(root: Path, journal: Journal) -> tuple[Service, FakeClock, float]:
    clock = FakeClock()
    service = service_over(root, journal, clock)
    started_s = time.process_time()
    service.tick()
    return service, clock, (time.process_time() - started_s) * 1000


def ticks_ms(service: Service, clock: FakeClock) -> float:
    started_s = time.process_time()
    for _ in range(TICKS):
        # A second would make the git files be asked for again now and then; that is part of the cost.
        clock.advance(1000)
        service.tick()
    return (time.process_time() - started_s) * 1000 / TICKS


async def compare(folder: Path, runs: int) -> tuple[Cost, Cost]:
    """The costs over `runs` paused runs and over none; the two take turns, round after round."""
    threads = threading.active_count()
    journals = []
    for name, count in (("paused", runs), ("empty", 0)):
        root = make_repository(folder / name)
        journal = open_journal(root, None)
        pause_runs(journal, count)
        journals.append((root, journal))
    held = [await measured(root, journal) for root, journal in journals]
    rounds = [[ticks_ms(service, clock) for service, clock, _ in held] for _ in range(ROUNDS)]
    extra = threading.active_count() - threads
    paused, empty = (
        Cost(first_ms, statistics.median(one[place] for one in rounds), extra)
        for place, (_, _, first_ms) in enumerate(held)
    )
    assert held[0][0].standings.counts() == (0, runs)
    for _, journal in journals:
        journal.close()
    return paused, empty


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="loopwright-bench-") as folder:
        paused, empty = asyncio.run(compare(Path(folder), runs))
    print(f"{'':24}{'first look':>12}{'tick':>12}   (CPU ms)")
    print(f"{f'{runs} paused runs':24}{paused.first_look_ms:12.1f}{paused.tick_ms:12.2f}")
    print(f"{'empty journal':24}{empty.first_look_ms:12.1f}{empty.tick_ms:12.2f}")
    share = paused.tick_ms / 1000
    print(f"a tick over paused runs costs {paused.tick_ms / empty.tick_ms:.1f} times one over an empty journal")
    print(f"threads: {paused.threads} (bar 0); at one tick a second {share:.2%} of a core (bar {CPU_BAR:.0%})")
    return 0 if paused.threads == 0 and share <= CPU_BAR else 1


if __name__ == "__main__":
    sys.exit(main())
