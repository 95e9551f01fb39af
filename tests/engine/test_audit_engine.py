"""The audit of a site: what is signed, where it lies, what is carried away; and which streams of a journal are runs."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from loopwright import loopfile
from loopwright.engine import runs
from loopwright.engine.audit import (
    books_of,
    checkpoint_now,
    checkpoint_or_say,
    export_site,
    push_new_notes,
    stream_named,
    verify_site,
)
from loopwright.engine.mandates import minor_units
from loopwright.engine.site import Site, open_site
from loopwright.engine.standing import Standings, is_run
from loopwright.engine.triggers.overview import loop_rows
from loopwright.errors import JournalError, LoopwrightError, UsageError
from loopwright.journal.notes_file import split_notes
from loopwright.testing.clock import FakeClock
from loopwright.tools.pay.ledger import PREFIX, Holder, JournalLedger
from loopwright.tools.pay.terms import Payment
from support.two_faults import make_repository

START_MS = 1_790_000_000_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_repository(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path


@pytest.fixture
def site(place: Path) -> Site:
    return opened(place, place / "home")


def opened(place: Path, home: Path, **env: str) -> Site:
    return open_site(place / "repo", {"PATH": os.environ["PATH"], "HOME": str(home), **env}, FakeClock(START_MS, 1))


def begin(site: Site, place: Path, run_id: str) -> None:
    runs.start(site, loopfile.read(place / "loop.md"), runs.StartOptions(run_id=run_id, jobs=1))


def stream_of_a_mandate(site: Site, mandate: str = "m-0123456789abcdef") -> str:
    """The stream that the payment tool's book reserves a mandate with."""
    payment = Payment(mandate, "acct-7", "EUR", 1234)
    assert JournalLedger(site.journal).reserve(Holder("aaaa1111", "c1"), payment, "0" * 64) is None
    return f"{PREFIX}{mandate}"


# --- checkpoints --------------------------------------------------------------------------------------------------------------
def test_every_stream_that_grew_is_signed_and_nothing_twice(site: Site, place: Path) -> None:
    begin(site, place, "aaaa1111")
    mandate = stream_of_a_mandate(site)
    first = checkpoint_now(site)
    assert first is not None
    assert {statement.stream for statement in first.statements} == {"aaaa1111", mandate}
    assert checkpoint_now(site) is None
    begin(site, place, "bbbb2222")
    second = checkpoint_now(site)
    assert second is not None and [statement.stream for statement in second.statements] == ["bbbb2222"]
    report = verify_site(site, None)
    assert report.ok and all(stream.signed == stream.chain.count for stream in report.streams)


def test_a_checkpoint_that_cannot_be_kept_is_told_in_one_line_and_raises_nothing(place: Path) -> None:
    (place / "blocked").write_text("no folder")
    for home, said in ((place / "blocked", "cannot be made"), (place / "repo", "no run can reach")):
        site = opened(place, home)
        if site.journal.head("aaaa1111") is None:
            begin(site, place, "aaaa1111")
        told: list[str] = []
        checkpoint_or_say(site, told.append)
        assert len(told) == 1 and said in told[0] and "\n" not in told[0]
    homeless = open_site(place / "repo", {"PATH": os.environ["PATH"]}, FakeClock(START_MS))
    told = []
    checkpoint_or_say(homeless, told.append)
    assert len(told) == 1 and "HOME" in told[0]


def test_notes_inside_the_repository_are_refused_though_the_key_lies_outside(place: Path) -> None:
    site = opened(place, place / "home", XDG_STATE_HOME=str(place / "repo" / "state"))
    begin(site, place, "aaaa1111")
    with pytest.raises(UsageError, match="set XDG_STATE_HOME"):
        checkpoint_now(site)
    assert not (place / "repo" / "state").exists()


def test_another_checkout_has_other_notes_under_the_same_key(site: Site, place: Path) -> None:
    other = place / "other"
    make_repository(other)
    there = opened(other, place / "home")
    assert books_of(site).places.key == books_of(there).places.key
    assert books_of(site).notes.path != books_of(there).notes.path


# --- copies elsewhere ---------------------------------------------------------------------------------------------------------
def test_a_command_gets_every_note_once_and_what_failed_again(site: Site, place: Path) -> None:
    copy = place / "copy"
    append = ["sh", "-c", f"cat >> {copy}"]
    begin(site, place, "aaaa1111")
    checkpoint_now(site)
    begin(site, place, "bbbb2222")
    checkpoint_now(site)
    assert (push_new_notes(site, append), push_new_notes(site, append)) == (2, 0)
    begin(site, place, "cccc3333")
    checkpoint_now(site)
    with pytest.raises(JournalError, match="ended with 1"):
        push_new_notes(site, ["false"])
    assert push_new_notes(site, append) == 1
    assert push_new_notes(site, ["true"]) == 3, "another command was given nothing before"
    notes, rest = split_notes(copy.read_bytes())
    assert (notes, rest) == (books_of(site).notes.read()[0], b"")
    assert verify_site(site, None, copies=[copy.read_bytes()]).ok


def test_notes_that_were_set_back_are_not_pushed_as_if_they_were_new(site: Site, place: Path) -> None:
    begin(site, place, "aaaa1111")
    checkpoint_now(site)
    push_new_notes(site, ["true"])
    books_of(site).notes.path.write_bytes(b"")
    with pytest.raises(JournalError, match="they were set back"):
        push_new_notes(site, ["true"])


# --- names --------------------------------------------------------------------------------------------------------------------
def test_a_stream_is_named_exactly_also_one_that_was_signed_and_is_gone(site: Site, place: Path) -> None:
    begin(site, place, "aaaa1111")
    mandate = stream_of_a_mandate(site)
    checkpoint_now(site)
    assert stream_named(site, "aaaa1111") == "aaaa1111"
    assert stream_named(site, mandate) == mandate
    assert stream_named(site, "aaaa") is None
    with contextlib.closing(sqlite3.connect(place / "repo" / ".loopwright" / "journal.db")) as db, db:
        db.execute("DELETE FROM events WHERE run_id = 'aaaa1111'")
        db.execute("DELETE FROM heads WHERE run_id = 'aaaa1111'")
    assert stream_named(site, "aaaa1111") == "aaaa1111"
    report = verify_site(site, ["aaaa1111"])
    assert not report.ok and "deleted" in report.problems[0]


def test_streams_of_loops_and_mandates_are_no_runs(site: Site, place: Path) -> None:
    begin(site, place, "aaaa1111")
    mandate = stream_of_a_mandate(site)
    assert [is_run(name) for name in ("aaaa1111", mandate, "loop:fix")] == [True, False, False]
    assert [head.run_id for head in runs.run_heads(site)] == ["aaaa1111"]
    assert runs.resolve(site, "last") == "aaaa1111"
    with pytest.raises(UsageError, match="no such run"):
        runs.resolve(site, "pay")
    faults: list[tuple[str, LoopwrightError]] = []
    standings = Standings(site.journal, lambda run_id: False, lambda run_id, error: faults.append((run_id, error)))
    standings.look()
    assert faults == [] and list(standings.unfinished) == ["aaaa1111"]
    loops = place / "repo" / "loops"
    loops.mkdir()
    (loops / "fix.md").write_text((place / "loop.md").read_text())
    (row,) = loop_rows(site.journal, loops, START_MS)
    assert row.last_run is not None and row.last_run.run_id == "aaaa1111"


def test_an_export_holds_the_streams_that_were_named_and_leaves_nothing_behind_when_it_fails(
    site: Site, place: Path
) -> None:
    begin(site, place, "aaaa1111")
    begin(site, place, "bbbb2222")
    (made,) = export_site(site, ["aaaa1111"], place / "out.zip", blobs=False)
    assert made.stream == "aaaa1111" and made.statement
    with pytest.raises(UsageError):
        export_site(site, ["aaaa1111", "zzzz"], place / "more.zip", blobs=False)
    assert not (place / "more.zip").exists()


# --- amounts ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.34", "EUR", 1234), ("12", "EUR", 1200), ("0.1", "USD", 10), ("500", "JPY", 500), ("1.005", "KWD", 1005)],
)
def test_an_amount_is_its_minor_units_exactly(amount: str, currency: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor


@pytest.mark.parametrize(
    "amount", ["", ".", "0", "0.00", "-1", "+1", "1e3", "1_000", "1,5", " 1", "0.001", "nan", "inf", "１"]
)
def test_what_two_people_may_read_as_two_amounts_is_none(amount: str) -> None:
    with pytest.raises(UsageError, match="--amount: expected an amount of EUR"):
        minor_units(amount, "EUR")
