"""What durability with a chain costs: `Journal.append` against a bare SQLite append of the same bytes, in the same batches.

Both write one synced commit a batch of three typical events (WAL, synchronous=FULL). The pairs are interleaved, so that a
noisy neighbour hits both; the medians are compared. Run: python bench/journal_append.py [pairs]
"""

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loopwright.journal.blobs import FileBlobs
from loopwright.journal.redact import Redactor
from loopwright.journal.sqlite import SqliteJournal
from loopwright.journal.stream import seal
from loopwright.kernel.events import ActionIntended, Body, Decided, Proposed
from loopwright.kernel.values import Action, BlobRef, Change, Keep, Proposal, Propose, Spend

BAR = 1.25


def batch(number: int) -> list[Body]:
    """An intent, its outcome and a decision, about 1.3 kB together."""
    action, proposal = f"a{number}", f"p{number}"
    change = Change("src/package/module.py", "100644", BlobRef("c" * 64, 3000))
    return [
        ActionIntended(Action(action, "write", Propose("a" * 40, 0, 8), 600), Spend(tokens=4000)),
        Proposed(
            action,
            (Proposal(proposal, "repair", "flip the comparison", "suspicious line 12", (change,), "d" * 64),),
            exhausted=False,
            memory=None,
            findings=None,
            summary="one proposal, the first of 14 places",
            spend=Spend(wall_ms=210),
        ),
        Decided(Keep(proposal), "5 of 5 tests pass, 1 more than before"),
    ]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one call."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    call()
    cpu_after, wall_after = time.process_time_ns(), time.perf_counter_ns()
    return (wall_after - wall) / 1e6, (cpu_after - cpu) / 1e6


def bare_store(path: Path) -> Callable[[list[tuple[str, int, bytes, str]]], None]:
    """The least that keeps these rows durably: one table, one commit."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(
        "CREATE TABLE events (run_id TEXT, seq INTEGER, bytes BLOB, digest TEXT, PRIMARY KEY (run_id, seq)) WITHOUT ROWID"
    )

    def append(rows: list[tuple[str, int, bytes, str]]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        db.execute("COMMIT")

    return append


def main(pairs: int) -> int:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        root = Path(name)
        # Secrets as a real environment has them, so that looking for them is paid for.
        redactor = Redactor([os.urandom(20).hex() for _ in range(5)])
        journal = SqliteJournal(
            root / "journal.db", FileBlobs(root / "blobs", redactor), root, now_ms=now_ms, redactor=redactor
        )
        bare = bare_store(root / "bare.db")
        ours: list[tuple[float, float]] = []
        theirs: list[tuple[float, float]] = []
        for number in range(pairs):
            bodies = batch(number)
            head = journal.head("bench")
            _, rows, _ = seal("bench", bodies, head, now_ms(), redactor)
            append_ours = partial(journal.append, "bench", bodies, expect_seq=3 * number)
            append_bare = partial(bare, [("bench", *row) for row in rows])
            if number % 2:
                ours.append(timed(append_ours))
                theirs.append(timed(append_bare))
            else:
                theirs.append(timed(append_bare))
                ours.append(timed(append_ours))
        journal.close()
    our_wall, bare_wall = (statistics.median(wall for wall, _ in side) for side in (ours, theirs))
    our_cpu, bare_cpu = (statistics.median(cpu for _, cpu in side) for side in (ours, theirs))
    ratio = our_wall / bare_wall
    print(
        f"{pairs} commits of 3 events: journal {our_wall:.3f} ms wall {our_cpu:.3f} ms CPU, bare SQLite {bare_wall:.3f} ms wall"
        f" {bare_cpu:.3f} ms CPU; ratio wall {ratio:.2f} (bar {BAR}), CPU {our_cpu / bare_cpu:.2f}"
    )
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
