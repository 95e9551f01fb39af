"""What both stores promise: one suite over SQLite and PostgreSQL."""

import threading

import pytest

from loopwright.errors import JournalCorrupt, JournalError, JournalTooNew, StaleWriter
from loopwright.journal.chain import verify
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.kernel.events import Judged, RunPaused, RunResumed
from loopwright.kernel.values import Spend, Verdict
from support.stores import Store


def test_what_is_appended_is_read_back_in_order_and_equal(journal: Journal) -> None:
    first = journal.append("run-1", [RunPaused("a"), RunResumed("é \U0001f600 \x00")], expect_seq=0)
    second = journal.append(
        "run-1", [Judged("a1", "p1", (Verdict("t", "pass", "ok", 0.1),), Spend(tokens=3))], expect_seq=2
    )
    assert [e.seq for e in first + second] == [1, 2, 3]
    assert list(journal.read("run-1")) == first + second
    assert [e.prev for e in first + second] == ["", first[0].digest, first[1].digest]


def test_read_starts_after_the_given_seq(store: Store) -> None:
    events = store.open().append("r", [RunPaused(str(i)) for i in range(5)], expect_seq=0)
    journal = store.open()
    for after in range(-1, 8):
        assert list(journal.read("r", after)) == events[max(after, 0) :]


def test_streams_do_not_mix_and_names_are_taken_as_they_are(journal: Journal) -> None:
    for name in ("loop:fix", "../up", "a'b\"c", "ä"):
        journal.append(name, [RunPaused(name)], expect_seq=0)
        assert [e.run_id for e in journal.read(name)] == [name]
    assert list(journal.read("nobody")) == []
    assert journal.head("nobody") is None


def test_heads_come_oldest_first_and_move_with_the_stream(store: Store) -> None:
    times = iter([100, 300, 200])
    journal = store.open(now_ms=lambda: next(times))
    journal.append("old", [RunPaused("x")], expect_seq=0)
    journal.append("young", [RunPaused("x")], expect_seq=0)
    (last,) = journal.append("old", [RunPaused("y")], expect_seq=1)
    assert [(h.run_id, h.seq, h.first_at_ms, h.last_at_ms) for h in journal.heads()] == [
        ("old", 2, 100, 200),
        ("young", 1, 300, 300),
    ]
    assert journal.head("old") == journal.heads()[0]
    assert journal.heads()[0].digest == last.digest


def test_heads_of_the_same_moment_come_by_name(journal: Journal) -> None:
    for name in ("b", "a", "Z", "é"):
        journal.append(name, [RunPaused("x")], expect_seq=0)
    assert [h.run_id for h in journal.heads()] == ["Z", "a", "b", "é"]


def test_time_never_goes_backwards_within_a_stream(store: Store) -> None:
    times = iter([500, 400, 600])
    journal = store.open(now_ms=lambda: next(times))
    written = [journal.append("r", [RunPaused("x")], expect_seq=i)[0].at_ms for i in range(3)]
    assert written == [500, 500, 600]
    late = store.open(now_ms=lambda: 1)
    assert late.append("r", [RunPaused("x")], expect_seq=3)[0].at_ms == 600
    assert late.append("other", [RunPaused("x")], expect_seq=0)[0].at_ms == 1


def test_the_writer_may_give_the_times_itself(journal: Journal) -> None:
    two = journal.append("r", [RunPaused("x"), RunPaused("y")], expect_seq=0, at_ms=(7, 9))
    one = journal.append("r", [RunPaused("z")], expect_seq=2, at_ms=8)
    assert [e.at_ms for e in two + one] == [7, 9, 9]
    head = journal.head("r")
    assert head is not None and (head.first_at_ms, head.last_at_ms) == (7, 9)


@pytest.mark.parametrize("expect_seq", [0, 1, 3, 99])
def test_a_writer_with_another_head_in_mind_is_refused_and_writes_nothing(journal: Journal, expect_seq: int) -> None:
    events = journal.append("r", [RunPaused("a"), RunPaused("b")], expect_seq=0)
    with pytest.raises(StaleWriter, match=rf"'r': expected its head at {expect_seq}, found 2"):
        journal.append("r", [RunPaused("c")], expect_seq=expect_seq)
    assert list(journal.read("r")) == events
    assert journal.append("r", [RunPaused("c")], expect_seq=2)[0].seq == 3


def test_a_remembered_head_does_not_hide_what_another_process_wrote(store: Store) -> None:
    mine, other = store.open(), store.open()
    mine.append("r", [RunPaused("a")], expect_seq=0)
    theirs = other.append("r", [RunPaused("b")], expect_seq=1)
    with pytest.raises(StaleWriter, match="expected its head at 1, found 2"):
        mine.append("r", [RunPaused("c")], expect_seq=1)
    assert mine.append("r", [RunPaused("c")], expect_seq=2)[0].prev == theirs[0].digest
    assert verify(mine.raw("r"), mine.head("r")).ok


def test_a_batch_is_all_or_nothing(journal: Journal) -> None:
    with pytest.raises(JournalError, match="2\\*\\*53"):
        journal.append("r", [RunPaused("a"), Judged("a", "p", (), Spend(tokens=2**53))], expect_seq=0)
    assert list(journal.read("r")) == [] and journal.head("r") is None
    assert journal.append("r", [RunPaused("a")], expect_seq=0)[0].seq == 1


def test_appending_nothing_does_nothing(journal: Journal) -> None:
    assert journal.append("r", [], expect_seq=7) == []
    assert journal.heads() == []


def test_secrets_never_reach_the_stored_bytes(store: Store) -> None:
    secret = "correct-horse-battery"
    journal = store.open(redactor=Redactor([secret]))
    (event,) = journal.append("r", [RunPaused(f"tried {secret}")], expect_seq=0)
    assert event.body == RunPaused("tried [redacted:secret]")
    assert list(journal.read("r")) == [event]
    assert all(secret.encode() not in data for _, data, _ in journal.raw("r"))


def test_lone_surrogates_are_replaced_and_do_not_break_the_append(journal: Journal) -> None:
    (event,) = journal.append("r", [RunPaused("bad \udc80 name")], expect_seq=0)
    assert event.body == RunPaused("bad \ufffd name")
    assert list(journal.read("r")) == [event]


def test_many_threads_share_one_journal(journal: Journal) -> None:
    def write(name: str) -> None:
        for seq in range(20):
            journal.append(name, [RunPaused(name)], expect_seq=seq)

    threads = [threading.Thread(target=write, args=(f"run-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {h.run_id: h.seq for h in journal.heads()} == {f"run-{i}": 20 for i in range(4)}
    assert all(verify(journal.raw(h.run_id), h).ok for h in journal.heads())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE events SET digest = 'x' WHERE seq = 2", "event 2: .*do not match"),
        ("DELETE FROM events WHERE seq = 2", "event 2: .*found event 3"),
        ("DELETE FROM events WHERE seq = 3", "event 3: .*missing"),
        ("UPDATE events SET run_id = 'other' WHERE seq > 1", "event 2: .*missing"),
    ],
)
def test_reading_a_damaged_stream_says_where(store: Store, damage: str, said: str) -> None:
    store.open().append("r", [RunPaused(str(i)) for i in range(3)], expect_seq=0)
    store.execute(damage)
    with pytest.raises(JournalCorrupt, match=said):
        list(store.open().read("r"))


@pytest.mark.parametrize("after", [1, 3])
def test_reading_on_from_an_event_that_is_gone_says_so(store: Store, after: int) -> None:
    store.open().append("r", [RunPaused(str(i)) for i in range(3)], expect_seq=0)
    store.execute("DELETE FROM events WHERE seq = ?", (after,))
    with pytest.raises(JournalCorrupt, match=f"event {after}: .*missing"):
        list(store.open().read("r", after))


def test_a_place_of_a_later_version_is_refused(store: Store) -> None:
    store.open().append("r", [RunPaused("x")], expect_seq=0)
    if store.url is None:
        store.execute("PRAGMA user_version = 99")
    else:
        store.execute("INSERT INTO schema_version (number, name) VALUES (99, 'later')")
    with pytest.raises(JournalTooNew, match=r"newer loopwright \(schema 99, this one knows 1\): upgrade loopwright"):
        store.open()


def test_opening_again_keeps_what_is_there(store: Store) -> None:
    events = store.open().append("r", [RunPaused("x")], expect_seq=0)
    assert [list(store.open().read("r")) for _ in range(2)] == [events, events]


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.close()
    with pytest.raises(JournalError, match="open the journal again"):
        journal.append("r", [RunPaused("x")], expect_seq=0)
