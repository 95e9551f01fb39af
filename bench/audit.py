"""What signed checkpoints and the audit cost: per event when written, and for a whole verification, beside the plain chain.

Appends are in batches of three with one checkpoint per run of `EVENTS_A_RUN` events, as the service makes them; the baseline is the
same appends without. Verification of 10,000 events: the chain alone, the chain with the Merkle tree against every statement, and
`audit verify` as a whole (chain, tree, audit fold, blobs). Pairs are interleaved; medians are compared. Run: python bench/audit.py [rounds]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from loopwright.journal.blobs import FileBlobs
from loopwright.journal.chain import verify
from loopwright.journal.checkpoint import CheckpointLog, journal_origin
from loopwright.journal.history import check_stream, make_checkpoint
from loopwright.journal.note import make_key
from loopwright.journal.notes_file import NotesFile
from loopwright.journal.redact import Redactor
from loopwright.journal.sqlite import SqliteJournal
from loopwright.kernel import events as ev
from loopwright.kernel.calls import ToolCall
from loopwright.kernel.loop import EvaluatePolicy, Loop, Permit, StopRules
from loopwright.kernel.values import BlobRef, Budget, Spend
from loopwright.views.verify import verify_all

EVENTS_A_RUN = 500
VERIFIED = 10_000
ORIGIN = journal_origin("/bench")
KEY = make_key("loopwright.audit", bytes(range(32)))
TEXT = BlobRef("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2, "application/json", "{}")


def started() -> list[ev.Body]:
    loop = Loop("bench", "", (), (), (), EvaluatePolicy(), StopRules(), Budget(), Permit(), "branch")
    return [ev.RunStarted(loop, "0" * 64, "a" * 40, "b" * 40, "x", 1, "hand", None, (), 0, "0")]


def call(number: int) -> list[ev.Body]:
    """An allowed call: request, decision, intent, outcome, about 1 kB together."""
    name = f"c{number}"
    request = ToolCall(name, "", "agent", "files.read", "read", TEXT, "f" * 64, f"{number:064x}")
    return [
        ev.CallRequested(request, ()),
        ev.CallDecided(name, "allow", "allow.read", "a read inside the sandbox", "", ()),
        ev.CallIntended(name, f"{number:040x}", Spend(tokens=10)),
        ev.CallEnded(name, "ok", "", TEXT, Spend(tokens=7), "untrusted"),
    ]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of wall time."""
    begin = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - begin) / 1e6


def fill(journal: SqliteJournal, run_id: str, events: int) -> None:
    journal.append(run_id, [*started(), ev.PolicyBound("agent", TEXT, TEXT, TEXT)], expect_seq=0)
    seq, number = 2, 0
    while seq < events:
        number += 1
        bodies = call(number)
        for part in (bodies[:3], bodies[3:]):
            journal.append(run_id, part, expect_seq=seq)
            seq += len(part)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "locks").mkdir()
        redactor = Redactor()
        clock = iter(range(10**12))
        journal = SqliteJournal(
            root / "journal.db",
            FileBlobs(root / "blobs", redactor),
            root / "locks",
            now_ms=lambda: next(clock),
            redactor=redactor,
        )
        notes = NotesFile(root / "state" / "bench.notes")
        appending, signing = [], []
        for number in range(rounds):
            appending.append(timed(lambda number=number: fill(journal, f"r{number}", EVENTS_A_RUN)))  # type: ignore[misc]
            signing.append(timed(lambda: make_checkpoint(journal, notes, ORIGIN, KEY, 1)))
        fill(journal, "long", VERIFIED)
        make_checkpoint(journal, notes, ORIGIN, KEY, 2)
        log = CheckpointLog(ORIGIN, notes.read()[0], [KEY.verifier])
        head = journal.head("long")
        assert head is not None and verify(journal.raw("long"), head).ok
        chain, tree, whole = [], [], []
        for _ in range(rounds):
            chain.append(timed(lambda: verify(journal.raw("long"), head)))
            tree.append(timed(lambda: check_stream("long", journal.raw("long"), head, log.about("long"))))
            whole.append(timed(lambda: verify_all(journal, ORIGIN, notes, [KEY.verifier], streams=["long"])))
        assert verify_all(journal, ORIGIN, notes, [KEY.verifier]).ok
        journal.close()
    append, sign = statistics.median(appending), statistics.median(signing)
    base = statistics.median(chain)
    print(
        f"append of {EVENTS_A_RUN} events          {append:9.2f} ms  {append / EVENTS_A_RUN * 1000:7.1f} us an event   1.00"
    )
    print(
        f"+ one checkpoint                {sign:9.2f} ms  {sign / EVENTS_A_RUN * 1000:7.1f} us an event   {(append + sign) / append:.2f}"
    )
    for name, times in (("chain alone", chain), ("chain + Merkle tree", tree), ("audit verify (all)", whole)):
        took = statistics.median(times)
        print(
            f"{VERIFIED} events, {name:20}{took:9.2f} ms  {took / VERIFIED * 1000:7.1f} us an event   {took / base:.2f}"
        )


if __name__ == "__main__":
    main()
