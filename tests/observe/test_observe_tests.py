"""What the tests observer says of a tree, and how it says that it cannot see anything."""

import asyncio
import datetime as dt
from pathlib import Path

import msgspec
import pytest

from loopwright.errors import ActionError
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Observation
from loopwright.observe.tests import TestsObserver
from loopwright.suite.outcome import decode_suite
from loopwright.suite.quarantine import Quarantine, parse
from loopwright.suite.report import SuiteReport
from loopwright.workspace.workshop import Workshop
from support.workshops import PYTEST, make_shop, pytest_source

GOOD = "def test_good(): pass\n"
BAD = "def test_bad(): assert 1 == 2\n"


def observe(tmp_path: Path, files: dict[str, str], source: TestsSource | None = None) -> tuple[Observation, Workshop]:
    shop, tree = make_shop(tmp_path, files)
    return asyncio.run(TestsObserver(source or pytest_source()).observe(tree, "o1", shop)), shop


def refusal(tmp_path: Path, files: dict[str, str], source: TestsSource | None = None) -> ActionError:
    with pytest.raises(ActionError) as caught:
        observe(tmp_path, files, source)
    return caught.value


def test_failing_tests_are_counted_and_named_and_the_report_can_be_read_back(tmp_path: Path) -> None:
    seen, shop = observe(tmp_path, {"test_a.py": GOOD + BAD})
    assert (seen.summary, seen.goal_met, seen.trust) == ("1 of 2 tests fails: test_a.py::test_bad", False, "untrusted")
    assert (seen.id, seen.source, seen.taken_at_ms) == ("o1", f"tests: {PYTEST}", 1_000)
    report = decode_suite(seen, shop.blobs)
    assert report is not None
    assert report.ids("failed") == {"test_a.py::test_bad"}


def test_the_goal_is_met_when_all_tests_pass(tmp_path: Path) -> None:
    seen, _ = observe(tmp_path, {"test_a.py": GOOD})
    assert (seen.summary, seen.goal_met) == ("1 test passes", True)


def test_only_flaky_failures_meet_the_goal_and_are_named(tmp_path: Path) -> None:
    flaky = f"""
from pathlib import Path
def test_flaky():
    mark = Path({str(tmp_path / "mark")!r})
    was_there = mark.exists()
    mark.touch()
    assert was_there
"""
    seen, _ = observe(tmp_path, {"test_a.py": GOOD + flaky})
    assert (seen.summary, seen.goal_met) == ("2 tests pass; flaky: test_a.py::test_flaky", True)


def test_a_failing_exit_code_without_a_failing_test_does_not_meet_the_goal(tmp_path: Path) -> None:
    conftest = "def pytest_sessionfinish(session):\n    session.exitstatus = 1\n"
    seen, _ = observe(tmp_path, {"conftest.py": conftest, "test_a.py": GOOD})
    assert seen.goal_met is False
    assert seen.summary.startswith("1 test pass, but the command exits 1") or seen.summary.startswith(
        "1 test passes, but"
    )


def test_a_command_without_a_report_is_seen_by_its_exit_code(tmp_path: Path) -> None:
    seen, _ = observe(tmp_path / "a", {"f": ""}, TestsSource("test -e f"))
    assert (seen.summary, seen.goal_met) == ("the test command passes", True)
    seen, _ = observe(tmp_path / "b", {"f": ""}, TestsSource("test -e g"))
    assert (seen.summary, seen.goal_met) == ("the test command fails with exit code 1", False)


def test_a_file_that_cannot_be_collected_is_named_with_its_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"test_a.py": GOOD, "tests/test_x.py": "def f(:\n"})
    assert str(error).startswith("tests: the suite cannot be collected: tests/test_x.py: SyntaxError: invalid syntax")
    assert (error.signature, error.status) == (str(error), "error")


def test_that_also_holds_where_the_other_files_run(tmp_path: Path) -> None:
    source = pytest_source("--continue-on-collection-errors")
    error = refusal(tmp_path, {"test_a.py": GOOD, "test_x.py": "import no_such_thing\n"}, source)
    assert "test_x.py: ModuleNotFoundError: No module named 'no_such_thing'" in str(error)


def test_a_broken_conftest_is_named_with_its_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"conftest.py": "def f(:\n", "test_a.py": GOOD})
    assert "failed by itself with exit code 4" in str(error)
    assert "SyntaxError: invalid syntax" in str(error)


def test_nothing_to_run_is_no_success(tmp_path: Path) -> None:
    assert str(refusal(tmp_path / "a", {"a.py": ""})).startswith("tests: nothing was collected by ")
    skipped = "import pytest\npytestmark = pytest.mark.skip\n" + GOOD
    assert str(refusal(tmp_path / "b", {"test_a.py": skipped})).startswith("tests: all 1 tests were skipped by ")


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"test_a.py": GOOD}, TestsSource("pytst -q"))
    assert str(error) == "tests: command not found: 'pytst' of 'pytst -q'; install it or correct the command"


def test_a_suite_that_does_not_end_is_a_time_out_with_its_limit(tmp_path: Path) -> None:
    hang = "import threading\ndef test_x(): threading.Event().wait()\n"
    error = refusal(tmp_path, {"test_a.py": hang}, pytest_source(timeout_s=1))
    assert error.status == "timeout"
    assert "did not end within 1 s" in str(error)


def test_the_signature_of_an_error_stays_the_same_from_run_to_run(tmp_path: Path) -> None:
    files = {"test_a.py": "raise ValueError(f'{object()} in {__file__}')\n"}
    first, second = refusal(tmp_path / "a", files), refusal(tmp_path / "b", files)
    assert first.signature == second.signature
    assert "0x…" in first.signature


def test_another_observation_is_no_report(tmp_path: Path) -> None:
    shop, _ = make_shop(tmp_path, {"f": ""})

    def carrying(data: bytes, media_type: str) -> SuiteReport | None:
        return decode_suite(Observation("o", "s", 0, shop.blobs.put(data, media_type), "untrusted", ""), shop.blobs)

    report = SuiteReport(("t",), "green", 0, 1, (), (), "")
    assert carrying(msgspec.json.encode(report), "application/json") == report
    assert carrying(msgspec.json.encode(report), "text/plain") is None
    assert carrying(b'{"a": 1}', "application/json") is None
    assert carrying(b"\xff", "application/json") is None


def test_a_quarantined_failure_does_not_keep_the_goal_away_and_is_named(tmp_path: Path) -> None:
    """Somebody answers for it until a day: until then it is no failing test, afterwards it is one again."""
    project = {
        "test_a.py": "def test_good():\n    pass\ndef test_net():\n    assert False\n",
    }
    entry = (
        '[[test]]\nid = "test_a.py::test_net"\nowner = "dana"\nadded = 2026-09-01\nexpires = 2026-10-31\nwhy = "dns"\n'
    )
    for day, met in ((dt.date(2026, 10, 1), True), (dt.date(2026, 11, 1), False)):
        shop, tree = make_shop(tmp_path / str(day), project)
        source = pytest_source()
        quarantine = Quarantine(parse(entry, day), day)
        seen = asyncio.run(TestsObserver(source).observe(tree, "o1", shop, quarantine))
        assert seen.goal_met is met
        assert "test_net" in seen.summary


def test_a_suite_that_is_all_in_quarantine_judges_nothing(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"test_a.py": "def test_net():\n    assert False\n"})
    day = dt.date(2026, 10, 1)
    entry = '[[test]]\nid = "test_a.py::*"\nowner = "dana"\nadded = 2026-09-01\nexpires = 2026-10-31\nwhy = "dns"\n'
    with pytest.raises(ActionError, match=r"every test of .* is in quarantine"):
        asyncio.run(TestsObserver(pytest_source()).observe(tree, "o1", shop, Quarantine(parse(entry, day), day)))
