"""Tests that count for nothing: who says so, until when, and that it ends."""

import datetime as dt
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import UsageError
from loopwright.suite.quarantine import Entry, Quarantine, add, day_of, parse, remove
from loopwright.suite.report import SuiteReport, TestCase

Status = Literal["passed", "failed", "error", "skipped"]
TODAY = dt.date(2026, 11, 21)
DNS = Entry("tests/test_net.py::test_slow_dns", "dana", dt.date(2026, 12, 31), "times out", dt.date(2026, 11, 1))
FILE = """# ours
[[test]]
id = "tests/test_net.py::test_slow_dns"
owner = "dana"
expires = 2026-12-31
added = 2026-11-01
why = "times out"

# the whole folder is slow
[[test]]
id = "tests/test_io.py::*"
owner = "lee"
expires = 2026-11-20
why = "a \\"race\\""
"""


def report(cases: dict[str, Status]) -> SuiteReport:
    red = any(s in {"failed", "error"} for s in cases.values())
    found = tuple(TestCase(i, s, 0) for i, s in cases.items())
    return SuiteReport(("pytest",), "red" if red else "green", int(red), 9, found, (), "")


def quarantine(today: dt.date = TODAY) -> Quarantine:
    return Quarantine(parse(FILE, today), today)


def test_a_file_gives_its_entries() -> None:
    first, second = parse(FILE, TODAY)
    assert first == DNS
    assert second == Entry("tests/test_io.py::*", "lee", dt.date(2026, 11, 20), 'a "race"')
    assert parse("", TODAY) == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("owner =", "onwer =", "4: test[0].onwer: unknown key, with the value 'dana'; did you mean `owner`?"),
        ('owner = "dana"\n', "", "2: test[0]: expected `owner`, found none; somebody must answer for it"),
        ("expires = 2026-12-31\n", "", "2: test[0]: expected `expires`, found none; write a day, at most 90 days"),
        ('why = "times out"\n', "", "2: test[0]: expected `why`, found none"),
        ("expires = 2026-12-31", 'expires = "2026-12-31"', "5: test[0].expires: expected a day without quotes"),
        ("expires = 2026-12-31", "expires = 2026-12-31T00:00:00", "5: test[0].expires: expected a day without quotes"),
        (
            "expires = 2026-12-31",
            "expires = 2027-01-31",
            "5: test[0].expires: expected at most 90 days from `added` (2027-01-30), found 2027-01-31",
        ),
        (
            "expires = 2026-11-20",
            "expires = 2027-02-20",
            "13: test[1].expires: expected at most 90 days from today (2027-02-19), found 2027-02-20",
        ),
        ("added = 2026-11-01", "added = 2026-11-22", "6: test[0].added: expected a day that has come"),
        ("test_net.py::test_slow_dns", "test_n*.py::x", "3: test[0].id: expected an exact name or `file::*`"),
        ("test_io.py::*", "test_io.py::C::*", "11: test[1].id: expected `::*` behind a file only"),
        ('"tests/test_net.py::test_slow_dns"', '"::*"', "3: test[0].id: expected the exact name of a test"),
        ('owner = "dana"', 'owner = " "', "4: test[0].owner: expected a name, found an empty text"),
        ('owner = "dana"', "owner = 3", "4: test[0].owner: expected a text, found 3"),
        ("[[test]]\nid", "[[tests]]\nid", "2: tests: unknown key"),
        ('"dana"', "dana", "4: not valid TOML"),
    ],
)
def test_a_fault_is_named_with_its_line_and_what_was_expected(old: str, new: str, said: str) -> None:
    assert FILE.count(old)
    with pytest.raises(UsageError) as refused:
        parse(FILE.replace(old, new, 1), TODAY)
    assert f"loops/quarantine.toml:{said}" in str(refused.value)


def test_a_test_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="stands there twice"):
        parse(FILE.replace("test_io.py::*", "test_net.py::test_slow_dns"), TODAY)


def test_an_entry_counts_up_to_and_with_its_last_day() -> None:
    last = dt.date(2026, 12, 31)
    assert quarantine(last).entry_for(DNS.id) == DNS
    after = quarantine(last + dt.timedelta(days=1))
    assert after.entry_for(DNS.id) is None
    assert after.expired_for(DNS.id) == DNS


def test_a_whole_file_is_covered_and_nothing_beside_it() -> None:
    now = quarantine(dt.date(2026, 11, 20))
    assert now.entry_for("tests/test_io.py::C::test_a[1]") is not None
    assert now.entry_for("tests/test_io.pyx::test_a") is None
    assert now.entry_for("tests/test_net.py::test_slow_dns2") is None


@pytest.mark.parametrize(
    ("cases", "status", "left"),
    [
        ({DNS.id: "failed", "a::x": "passed"}, "green", {"a::x"}),
        ({DNS.id: "failed", "a::x": "failed"}, "red", {"a::x"}),
        ({DNS.id: "passed", "a::x": "passed"}, "green", {"a::x"}),
        ({DNS.id: "passed", "a::x": "skipped"}, "empty", {"a::x"}),
        ({DNS.id: "failed"}, "empty", set()),
    ],
)
def test_a_report_is_what_it_would_be_without_the_test(cases: dict[str, Status], status: str, left: set[str]) -> None:
    seen = quarantine().set_aside(report(cases))
    assert (seen.status, {c.id for c in seen.cases}) == (status, left)
    assert seen.exit_code == int(status == "red" or cases == {DNS.id: "failed"})


def test_an_exit_code_that_speaks_of_more_than_failures_stays_red() -> None:
    odd = SuiteReport(("t",), "red", 2, 9, (TestCase(DNS.id, "failed", 0), TestCase("a::x", "passed", 0)), (), "")
    assert quarantine().set_aside(odd).status == "red"


def test_the_notes_name_what_fails_who_answers_and_what_has_expired() -> None:
    seen = report({DNS.id: "failed", "tests/test_io.py::a": "failed", "tests/test_io.py::b": "passed"})
    assert quarantine().notes(seen) == (
        "1 quarantined test fails: tests/test_net.py::test_slow_dns (dana, until 2026-12-31)",
        "the quarantine of 1 failing test has expired: tests/test_io.py::a (lee, on 2026-11-20)",
    )
    assert quarantine().notes(report({DNS.id: "passed"})) == ()
    assert quarantine().notes(seen, held=lambda i: i == DNS.id)[0] == "1 quarantined test fails"


# --- the file is edited, and stays a person's own ---------------------------------------------------------------------
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda t: bool(t.strip()))


@given(WORDS, WORDS, st.integers(0, 90))
def test_what_is_added_is_read_back(owner: str, why: str, days: int) -> None:
    entry = Entry('tests/t.py::test[a\\b"é]', owner, TODAY + dt.timedelta(days=days), why, TODAY)
    assert parse(add(None, entry, TODAY), TODAY) == (entry,)
    assert parse(add(FILE, entry, TODAY), TODAY)[-1] == entry


def test_what_is_removed_takes_nothing_else_with_it() -> None:
    left = remove(FILE, DNS.id, TODAY)
    assert left == FILE[: FILE.index("[[test]]")] + FILE[FILE.index("# the whole") :]
    assert parse(left, TODAY) == parse(FILE, TODAY)[1:]
    assert parse(remove(FILE, "tests/test_io.py::*", TODAY), TODAY) == (DNS,)


def test_editing_says_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="already; `loopwright quarantine remove` it first"):
        add(FILE, DNS, TODAY)
    with pytest.raises(UsageError, match="expected at most 90 days"):
        add(FILE, Entry("a::b", "x", TODAY + dt.timedelta(days=91), "y", TODAY), TODAY)
    with pytest.raises(UsageError, match=r"did you mean `tests/test_net.py::test_slow_dns`"):
        remove(FILE, "tests/test_net.py::test_slow_dn", TODAY)
    inline = 'test = [{id = "a::b", owner = "x", expires = 2026-12-01, why = "y"}]\n'
    with pytest.raises(UsageError, match="remove it by hand"):
        remove(inline, "a::b", TODAY)


def test_a_day_is_that_of_utc() -> None:
    assert day_of(1_795_305_599_999) == dt.date(2026, 11, 21)
    assert day_of(1_795_305_600_000) == dt.date(2026, 11, 22)
