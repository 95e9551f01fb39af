"""Real processes against both stores: races, kill -9, and leases that end with their holder."""

import pytest

from loopwright.errors import JournalError, RunBusy
from loopwright.journal.chain import verify
from loopwright.kernel.events import RunPaused
from support.stores import Store

RACER = """
from loopwright.errors import StaleWriter
print("ready")
for line in sys.stdin:
    try:
        journal.append("r", [RunPaused(sys.argv[3])], expect_seq=int(line))
        print("won")
    except StaleWriter:
        print("stale")
"""

WRITER = """
for seq in range(0, 400, 2):
    journal.append("r", [RunPaused("x" * 300), RunPaused("y")], expect_seq=seq)
    print(seq + 2)
"""

DRIVER = """
with journal.lease("loop:fix/1"):
    print("held")
    sys.stdin.read()
print("released")
"""


def test_of_two_processes_with_the_same_head_exactly_one_wins(store: Store) -> None:
    racers = [store.python(RACER, name) for name in ("one", "other")]
    try:
        for racer in racers:
            assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
        for seq in range(25):
            answers = []
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(f"{seq}\n")
                racer.stdin.flush()
            for racer in racers:
                assert racer.stdout is not None
                answers.append(racer.stdout.readline())
            assert sorted(answers) == ["stale\n", "won\n"], f"round {seq}"
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    journal = store.open()
    report = verify(journal.raw("r"), journal.head("r"))
    assert report.ok and report.count == 25


@pytest.mark.parametrize("kill_after", [1, 60, 130])
def test_a_writer_killed_in_the_middle_leaves_a_valid_chain_with_all_that_was_acknowledged(
    store: Store, kill_after: int
) -> None:
    writer = store.python(WRITER)
    assert writer.stdout is not None
    for _ in range(kill_after):
        acknowledged = int(writer.stdout.readline())
    writer.kill()
    # What it had said before the kill reached it counts as well.
    rest = writer.communicate()[0].split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    assert acknowledged < 400, "it was to be killed in the middle"

    journal = store.open()
    report = verify(journal.raw("r"), journal.head("r"))
    assert report.ok, report.message
    assert report.count in (acknowledged, acknowledged + 2)
    assert len(list(journal.read("r"))) == report.count
    assert journal.append("r", [RunPaused("on")], expect_seq=report.count)[0].seq == report.count + 1


def test_a_run_is_leased_once_and_the_message_names_the_holder(store: Store) -> None:
    driver = store.python(DRIVER)
    assert driver.stdout is not None
    try:
        assert driver.stdout.readline() == "held\n"
        journal = store.open()
        with (
            pytest.raises(RunBusy, match=rf"'loop:fix/1': driven by process {driver.pid} on \S+: "),
            journal.lease("loop:fix/1"),
        ):
            pass
        with journal.lease("another") as lease:
            assert lease.still_held()
        assert driver.communicate("")[0] == "released\n"
        with journal.lease("loop:fix/1") as lease:
            assert lease.still_held()
    finally:
        driver.kill()
        driver.communicate()


def test_a_lease_dies_with_its_process(store: Store) -> None:
    driver = store.python(DRIVER)
    assert driver.stdout is not None and driver.stdout.readline() == "held\n"
    driver.kill()
    driver.communicate()
    journal = store.open()
    # A server notices the end of a connection a moment after the process ended; each try takes a connection's time.
    for _ in range(500):
        try:
            with journal.lease("loop:fix/1") as lease:
                assert lease.still_held()
                return
        except RunBusy:
            continue
    pytest.fail("the lease outlived its process")


def test_the_same_process_cannot_hold_a_run_twice(store: Store) -> None:
    one, other = store.open(), store.open()
    with one.lease("r") as lease:
        for journal in (one, other):
            with pytest.raises(RunBusy, match="'r': driven by process"), journal.lease("r"):
                pass
        assert lease.still_held()
    assert not lease.still_held()
    with other.lease("r") as lease:
        assert lease.still_held()


def test_a_lease_that_was_taken_away_is_no_longer_held(store: Store) -> None:
    journal = store.open()
    with journal.lease("r") as lease:
        if store.url is None:
            (store.root / ".loopwright" / "locks" / "r.lock").unlink()
        else:
            store.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
        assert not lease.still_held()


def test_a_lost_connection_is_told_and_the_next_call_connects_again(store: Store) -> None:
    """PostgreSQL only has connections to lose; SQLite must go on as if nothing had happened."""
    journal = store.open()
    events = journal.append("r", [RunPaused("x")], expect_seq=0)
    if store.url is not None:
        store.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE starts_with(application_name, 'loopwright') AND pid <> pg_backend_pid()"
        )
        with pytest.raises(JournalError, match=r"postgresql://127.0.0.1:.* the next call connects again") as raised:
            journal.append("r", [RunPaused("y")], expect_seq=1)
        assert "\n" not in str(raised.value)
    assert list(journal.read("r")) == events
    assert journal.append("r", [RunPaused("y")], expect_seq=1)[0].seq == 2
