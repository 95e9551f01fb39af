"""What the engine costs: a loop that does nothing, beside the same bytes written by hand and beside two other durable engines.

- *ours*: `drive_noop`, the real driver, kernel and SQLite journal; four events an action, three durable commits an iteration.
- *raw*: the very bytes that ours wrote, in the very same batches, inserted into a bare table (WAL, synchronous FULL).
- *peers*: LangGraph with its SQLite checkpointer and DBOS on SQLite, one step an iteration; see `bench/peers`, run by the
  interpreter of `.bench/venv` (`scripts/setup.sh bench`).

All of them run in turn, round after round, on the same file system, ours and raw several times a round and each first in its
turn: how long a commit takes is the disk's mood of the moment. Ratios are taken between neighbours, and their median counts.
Then: how long a long run takes to be read and folded, and what runs cost that wait for a person. Exit 1 when a bar is missed.
"""

import argparse
import asyncio
import itertools
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.engine.drive import Driver
from loopwright.journal.blobs import FileBlobs
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.journal.sqlite import SqliteJournal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.state import State
from loopwright.testing.clock import FakeClock
from loopwright.testing.forwarding import ForwardingJournal
from loopwright.testing.noop import NoopPerformer, drive_noop, noop_start

ROOT = Path(__file__).resolve().parent.parent
PEER_PYTHON = ROOT / ".bench" / "venv" / "bin" / "python"
PEERS = ("langgraph_sqlite", "dbos_sqlite")

PAIRS = 4
WALL_BAR = 1.5
RESUME_BAR_S = 2.0
RESUME_EVENTS = 100_000
PAUSED_RUNS = 1_000
WATCHED_S = 1.0


Batches = Sequence[Sequence[tuple[int, bytes, str]]]
"""What was written, commit by commit, as `Journal.raw` gives it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured run: `events` facts (for a peer: steps) in `commits` durable writes (`None` = the peer's own affair)."""

    name: str
    events: int
    commits: int | None
    wall_s: float
    cpu_s: float

    @property
    def wall_ms(self) -> float:
        """Milliseconds of an event."""
        return self.wall_s * 1000 / self.events

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of an event, all threads of the process."""
        return self.cpu_s * 1000 / self.events


class CountingJournal(ForwardingJournal):
    """A journal that remembers how many events each of its commits had."""

    def __init__(self, inner: Journal) -> None:
        super().__init__(inner)
        self.batches: list[int] = []

    def append(
        self, run_id: str, bodies: Sequence[ev.Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[ev.Event]:
        events = super().append(run_id, bodies, expect_seq=expect_seq, at_ms=at_ms)
        self.batches.append(len(events))
        return events


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def new_folder(parent: Path, number: int) -> Path:
    folder = parent / str(number)
    folder.mkdir()
    return folder


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def ours(folder: Path, iterations: int) -> tuple[Sample, Batches]:
    """The sample, and what was written, commit by commit."""
    journal = CountingJournal(open_journal(folder))
    try:
        drive_noop(journal, "warm-up", 20)
        journal.batches.clear()
        wall_s, cpu_s = measured(lambda: drive_noop(journal, "measured", iterations))
        rows = iter(list(journal.raw("measured")))
        written = [[next(rows) for _ in range(size)] for size in journal.batches]
    finally:
        journal.close()
    events = sum(len(batch) for batch in written)
    return Sample("loopwright", events, len(written), wall_s, cpu_s), written


def raw(folder: Path, batches: Batches, name: str = "raw SQLite append, same commits") -> Sample:
    """The floor: nothing is encoded, decided or checked, the bytes are just made durable."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE event (run_id TEXT, seq INTEGER, data BLOB, digest TEXT, PRIMARY KEY (run_id, seq))"
    )

    def write(run_id: str, count: int) -> None:
        for batch in batches[:count]:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", [(run_id, *row) for row in batch])
            connection.execute("COMMIT")

    write("warm-up", 60)
    wall_s, cpu_s = measured(lambda: write("measured", len(batches)))
    connection.close()
    return Sample(name, sum(len(batch) for batch in batches), len(batches), wall_s, cpu_s)


def peer(script: str, folder: Path, steps: int) -> Sample:
    argv = [str(PEER_PYTHON), str(ROOT / "bench" / "peers" / f"{script}.py"), str(folder), str(steps)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench/peers/{script}.py failed:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if (told["journal_mode"], told["synchronous"]) != ("wal", 2):
        sys.exit(
            f"bench/peers/{script}.py: expected WAL and synchronous FULL, found {told}: the figures would not compare"
        )
    return Sample(told["name"], told["steps"], None, told["wall_s"], told["cpu_s"])


def open_journal(folder: Path) -> SqliteJournal:
    """As a user's: secrets are looked for in every event before it is written."""
    redactor = Redactor()
    blobs = FileBlobs(folder / "blobs", redactor)
    return SqliteJournal(folder / "journal.db", blobs, folder, now_ms=FakeClock(step_ms=1), redactor=redactor)


def measure_resume(journal: Journal, run_id: str) -> tuple[int, float]:
    """Events of the run, and the seconds until its state is known again: read, verified, decoded, folded."""
    state: list[State | None] = []
    wall_s, _ = measured(lambda: state.append(fold(journal.read(run_id))))
    (folded,) = state
    assert folded is not None
    return folded.seq, wall_s


def measure_paused(journal: Journal, count: int) -> tuple[int, float]:
    """Threads that `count` runs hold which wait to be resumed, and the CPU seconds that they use in `WATCHED_S` seconds.

    Each is driven as far as its pause by a driver of its own, and the event loop that ran them is kept alive while we watch.
    """
    clock = FakeClock(step_ms=1)
    for number in range(count):
        bodies: list[ev.Body] = [noop_start(10), ev.PauseRequested("bench", "to see what waiting costs")]
        journal.append(f"paused-{number}", bodies, expect_seq=0, at_ms=clock())

    async def drive_all() -> tuple[int, float]:
        before = threading.active_count()
        drivers = [
            Driver(journal, f"paused-{number}", NoopPerformer(), driver_id="bench", now_ms=clock)
            for number in range(count)
        ]
        states = await asyncio.gather(*(driver.drive() for driver in drivers))
        assert all(state.paused is not None for state in states)
        threads, cpu = threading.active_count() - before, time.process_time()
        await asyncio.sleep(WATCHED_S)
        return threads, time.process_time() - cpu

    return asyncio.run(drive_all())


@dataclass(slots=True)
class Bars:
    failed: bool = False

    def hold(self, what: str, found: str, bar: str, held: bool) -> None:
        print(f"{'ok  ' if held else 'MISS'}  {what}: {found} (bar: {bar})")
        self.failed |= not held


def pair(folder: Path, iterations: int, ours_first: bool, batches: Batches) -> tuple[Sample, Sample]:
    """Ours and raw, one straight after the other."""
    if ours_first:
        mine, _ = ours(folder, iterations)
        return mine, raw(folder, batches)
    floor = raw(folder, batches)
    return ours(folder, iterations)[0], floor


def table(groups: Sequence[Sequence[Sample]]) -> None:
    """A line for each group of samples of the same thing, medians."""
    print(
        f"{'':<36}{'events':>8}{'commits':>9}{'events/s':>10}{'wall ms/event':>15}{'CPU ms/event':>14}{'CPU ms/commit':>15}"
    )
    for samples in groups:
        first = samples[0]
        wall, cpu = median(s.wall_ms for s in samples), median(s.cpu_ms for s in samples)
        commits = "" if first.commits is None else str(first.commits)
        per_commit = "" if first.commits is None else f"{cpu * first.events / first.commits:.3f}"
        print(
            f"{first.name:<36}{first.events:>8}{commits:>9}{1000 / wall:>10.0f}{wall:>15.3f}{cpu:>14.3f}{per_commit:>15}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=1000)
    arguments = parser.parse_args()
    if not PEER_PYTHON.exists():
        sys.exit("bench/engine.py: expected the peers in .bench/venv, found none: run scripts/setup.sh bench first")
    bars = Bars()
    pairs: list[tuple[Sample, Sample]] = []
    peers: list[list[Sample]] = [[] for _ in PEERS]
    # Not under /tmp, which is memory on many machines: what is measured is how long a commit takes to reach the disk.
    with tempfile.TemporaryDirectory(dir=ROOT / ".bench") as scratch:
        folders = (new_folder(Path(scratch), number) for number in itertools.count())
        _, batches = ours(next(folders), arguments.iterations)
        for _ in range(arguments.rounds):
            for number in range(PAIRS):
                pairs.append(pair(next(folders), arguments.iterations, number % 2 == 0, batches))
            for samples, script in zip(peers, PEERS, strict=True):
                samples.append(peer(script, next(folders), arguments.iterations))
        mine = [sample for sample, _ in pairs]
        singly = [[row] for batch in batches for row in batch]
        each = [raw(next(folders), singly, "raw SQLite append, one by one") for _ in range(arguments.rounds)]
        table([mine, [floor for _, floor in pairs], each, *peers])
        print()

        ratio = median(own.wall_ms / floor.wall_ms for own, floor in pairs)
        bars.hold("wall time of an event over the raw append", f"{ratio:.2f}x", f"≤ {WALL_BAR}x", ratio <= WALL_BAR)
        alone = median(s.wall_ms for s in mine) / median(s.wall_ms for s in each)
        print(f"      (over a raw append that makes each event durable alone: {alone:.2f}x)")
        event_cpu = median(sample.cpu_ms for sample in mine)
        commit_cpu = median(sample.cpu_s * 1000 / (sample.commits or 1) for sample in mine)
        for samples in peers:
            peer_cpu = median(sample.cpu_ms for sample in samples)
            what = f"CPU of an event over a step of {samples[0].name}"
            bars.hold(what, f"{event_cpu / peer_cpu:.2f}x", "< 1x", event_cpu < peer_cpu)
            print(
                f"      (a whole durable step of ours, outcome, decision and next intent: {commit_cpu / peer_cpu:.2f}x)"
            )

        long_run = next(folders)
        journal = open_journal(long_run)
        drive_noop(journal, "long", RESUME_EVENTS // (mine[0].events // arguments.iterations) + 1)
        journal.close()
        journal = open_journal(long_run)
        resumes = [measure_resume(journal, "long") for _ in range(5)]
        events, resume_s = resumes[0][0], median(seconds for _, seconds in resumes)
        bars.hold(
            f"reading and folding a run of {events} events",
            f"{resume_s:.2f} s",
            f"< {RESUME_BAR_S:g} s",
            resume_s < RESUME_BAR_S,
        )
        threads, cpu_s = measure_paused(journal, PAUSED_RUNS)
        journal.close()
        waiting = f"{threads} threads, {cpu_s / WATCHED_S:.1%} of a core"
        bars.hold(f"{PAUSED_RUNS} paused runs", waiting, "no thread, < 1%", threads == 0 and cpu_s / WATCHED_S < 0.01)
    return int(bars.failed)


if __name__ == "__main__":
    sys.exit(main())
