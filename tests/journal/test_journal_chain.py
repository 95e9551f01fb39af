"""Whatever is done to stored events is found, and named at its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.journal.chain import ChainReport, verify
from loopwright.journal.codec import digest_of
from loopwright.journal.protocol import Head
from loopwright.journal.redact import Redactor
from loopwright.journal.stream import Row, seal
from loopwright.kernel.events import RunPaused
from support.stores import Store


def chain(count: int, run_id: str = "r", word: str = "x") -> tuple[list[Row], Head]:
    _, rows, head = seal(run_id, [RunPaused(f"{word} {i}") for i in range(count)], None, 5, Redactor())
    return rows, head


def renumbered(rows: list[Row]) -> list[Row]:
    return [(seq, data, digest) for seq, (_, data, digest) in enumerate(rows, 1)]


def broken_at(report: ChainReport) -> tuple[int | None, str | None]:
    assert not report.ok
    assert report.broken_seq is not None and report.count == report.broken_seq - 1
    assert report.message.startswith(f"event {report.broken_seq} is {report.kind}: ")
    assert "\n" not in report.message
    return report.broken_seq, report.kind


@given(st.integers(1, 12))
def test_an_untouched_chain_is_good(count: int) -> None:
    rows, head = chain(count)
    report = verify(rows, head)
    assert (report.ok, report.count, report.broken_seq, report.kind) == (True, count, None, None)


def test_a_run_without_events_is_good() -> None:
    assert verify([], None).ok


@given(st.data())
def test_any_changed_byte_is_named_at_its_event(data: st.DataObject) -> None:
    rows, head = chain(5)
    at = data.draw(st.integers(0, 4))
    seq, stored, digest = rows[at]
    place = data.draw(st.integers(0, len(stored) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda b: b != stored[place]))
    rows[at] = (seq, stored[:place] + bytes([other]) + stored[place + 1 :], digest)
    assert broken_at(verify(rows, head)) == (at + 1, "changed")


@given(st.integers(0, 4), st.integers(0, 63))
def test_a_changed_digest_is_named_at_its_event(at: int, place: int) -> None:
    rows, head = chain(5)
    seq, stored, digest = rows[at]
    rows[at] = (seq, stored, digest[:place] + "g" + digest[place + 1 :])
    assert broken_at(verify(rows, head)) == (at + 1, "changed")


@given(st.integers(0, 4))
def test_an_event_that_was_replaced_with_a_good_digest_is_named(at: int) -> None:
    rows, head = chain(5)
    seq, stored, _ = rows[at]
    forged = stored.replace(b'"x ', b'"y ')
    rows[at] = (seq, forged, digest_of(forged))
    assert broken_at(verify(rows, head)) == (at + 1, "changed")


@given(st.integers(0, 4), st.booleans())
def test_a_deleted_event_is_named(at: int, close_the_gap: bool) -> None:
    rows, head = chain(5)
    del rows[at]
    seq, kind = broken_at(verify(renumbered(rows) if close_the_gap else rows, head))
    assert seq == at + 1
    assert kind == ("truncated" if at == 4 else "reordered" if close_the_gap else "missing")


@given(st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_swapped_events_are_named_at_the_first(one: int, other: int, renumber: bool) -> None:
    rows, head = chain(5)
    rows[one], rows[other] = rows[other], rows[one]
    report = verify(renumbered(rows) if renumber else rows, head)
    if one == other:
        assert report.ok
    else:
        assert broken_at(report) == (min(one, other) + 1, "reordered")


@given(st.integers(0, 5), st.booleans())
def test_an_inserted_event_is_found(at: int, renumber: bool) -> None:
    rows, head = chain(5)
    forged = chain(6, word="forged")[0][at]
    rows.insert(at, forged)
    seq, _ = broken_at(verify(renumbered(rows) if renumber else rows, head))
    assert seq in (at, at + 1, at + 2)


def test_an_event_put_behind_the_head_is_found() -> None:
    rows, _ = chain(4)
    _, head = chain(3)
    assert broken_at(verify(rows, head)) == (4, "foreign")


@given(st.integers(0, 4))
def test_a_cut_tail_is_found_through_the_head(left: int) -> None:
    rows, head = chain(5)
    assert broken_at(verify(rows[:left], head)) == (left + 1, "truncated")


def test_a_removed_head_is_found() -> None:
    rows, _ = chain(3)
    assert broken_at(verify(rows, None)) == (1, "missing")


def test_a_tail_that_was_written_anew_does_not_fit_the_head() -> None:
    rows, head = chain(3)
    rows[2] = chain(3, word="forged")[0][2]
    assert broken_at(verify(rows, head)) == (2, "changed")
    forged = rows[2][1].replace(chain(3, word="forged")[0][1][2].encode(), rows[1][2].encode())
    rows[2] = (3, forged, digest_of(forged))
    assert broken_at(verify(rows, head)) == (3, "changed")


def test_a_chain_of_another_run_is_named_foreign() -> None:
    rows, head = chain(3)
    theirs, _ = chain(3, run_id="other")
    assert broken_at(verify(theirs, head)) == (1, "foreign")
    assert broken_at(verify([*rows[:1], *theirs[1:]], head)) == (2, "foreign")


def test_an_event_that_no_version_could_have_written_is_named_undecodable() -> None:
    rows, head = chain(2)
    forged = rows[1][1].replace(b"run_paused", b"run_bought")
    rows[1] = (2, forged, digest_of(forged))
    assert broken_at(verify(rows, head)) == (2, "undecodable")


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE events SET digest = 'x' WHERE seq = 4", (4, "changed")),
        ("DELETE FROM events WHERE seq = 4", (4, "missing")),
        ("DELETE FROM events WHERE seq > 4", (5, "truncated")),
        ("DELETE FROM heads", (1, "missing")),
        ("UPDATE heads SET seq = 4", (5, "foreign")),
    ],
)
def test_damage_in_a_store_is_named(store: Store, damage: str, found: tuple[int, str]) -> None:
    journal = store.open()
    journal.append("r", [RunPaused(str(i)) for i in range(6)], expect_seq=0)
    assert verify(journal.raw("r"), journal.head("r")).ok
    store.execute(damage)
    assert broken_at(verify(journal.raw("r"), journal.head("r"))) == found
