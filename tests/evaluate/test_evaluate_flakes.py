"""Flakes, order and quarantine: what counts against a proposal and what does not, by real runs of real suites."""

import asyncio
import datetime as dt
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from loopwright.errors import ActionError, UsageError
from loopwright.evaluate.flakes import BISECT_WALL_MS, Repeats
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import EvaluatePolicy, TestsSource
from loopwright.kernel.values import Verdict
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.testing.clock import FakeClock
from loopwright.workspace.workshop import Workshop
from support.judging import judge, make_loop, make_proposal, observed
from support.repositories import added, git
from support.workshops import PYTEST, make_shop, pytest_source

CODE = "state = []\n\n\ndef add(a, b):\n    return a - b\n\n\ndef note(x):\n    return x\n"
FIXED = CODE.replace("a - b", "a + b")
LEAKY = FIXED.replace("    return x\n", "    state.append(x)\n    return x\n")
TESTS = {
    "src/calc.py": CODE,
    "tests/test_a.py": "import calc\n\n\ndef test_add():\n    assert calc.add(1, 2) == 3\n\n\ndef test_plain(): pass\n",
    "tests/test_b.py": (
        "import calc\n\n\ndef test_one(): pass\n\n\ndef test_note():\n    assert calc.note(1) == 1\n\n\n"
        "def test_two(): pass\n"
    ),
    "tests/test_c.py": "import calc\n\n\ndef test_clean():\n    assert not calc.state\n",
}


# --- order ------------------------------------------------------------------------------------------------------------
def test_a_test_that_another_one_spoils_is_a_break_and_the_other_one_is_named(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, TESTS)
    verdict = judge(shop, tree, added(shop.blobs, "src/calc.py", LEAKY), observations=(observed(shop, tree),))
    assert verdict.status == "fail"
    assert verdict.summary == (
        "breaks tests/test_c.py::test_clean (was passing: assert not [1]; fails only after tests/test_b.py::test_note)"
    )


def spoiler_of(shop: Workshop, tree: str, test_id: str, change: SuiteReport | None = None) -> dict[str, str]:
    with shop.workspace.checkout(tree, "x") as candidate:
        report = asyncio.run(run_suite(pytest_source(), candidate, shop))
    repeats = Repeats(pytest_source(), lambda: shop.workspace.checkout(tree, "x"), shop, "salt")
    settled = asyncio.run(repeats.failures([test_id], change or report))
    assert not settled.flaky
    return dict(settled.order)


def test_two_that_spoil_only_together_are_not_blamed_one_by_one(tmp_path: Path) -> None:
    tests = "s = []\ndef test_p(): s.append(1)\ndef test_m(): pass\ndef test_q(): s.append(1)\ndef test_z(): assert len(s) < 2\n"
    shop, tree = make_shop(tmp_path, {"test_o.py": tests})
    assert spoiler_of(shop, tree, "test_o.py::test_z") == {}


def test_a_suite_that_takes_long_is_not_searched(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"test_o.py": "s = []\ndef test_p(): s.append(1)\ndef test_z(): assert not s\n"})
    with shop.workspace.checkout(tree, "x") as candidate:
        report = asyncio.run(run_suite(pytest_source(), candidate, shop))
    assert spoiler_of(shop, tree, "test_o.py::test_z", report) == {"test_o.py::test_z": "test_o.py::test_p"}
    slow = msgspec.structs.replace(report, wall_ms=BISECT_WALL_MS + 1)
    assert spoiler_of(shop, tree, "test_o.py::test_z", slow) == {}


def test_tests_are_repeated_in_an_order_drawn_from_the_seed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    names = "abcdefgh"
    tests = "".join(f"def test_{n}():\n    open({str(log)!r}, 'a').write('{n}')\n" for n in names)
    shop, tree = make_shop(tmp_path, {"test_o.py": tests})
    ids = [f"test_o.py::test_{n}" for n in names]
    orders = []
    for seed in (1, 1, 2):
        log.write_text("")
        repeats = Repeats(pytest_source(), lambda: shop.workspace.checkout(tree, "x"), replace(shop, seed=seed), "s")
        assert asyncio.run(repeats.successes(ids)) == set(ids)
        orders.append(log.read_text())
    assert sorted(orders[0]) == list(names)
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != names


def test_a_test_that_fails_now_and_then_by_itself_blames_no_other(tmp_path: Path) -> None:
    """It passes alone and fails in complete runs, as one does that another one spoils, and then by itself too."""
    count = tmp_path / "n"
    odd = (
        f"def test_p(): pass\ndef test_z():\n    with open({str(count)!r}, 'a+') as f:\n        f.write('x')\n        f.seek(0)\n"
        "        n = len(f.read())\n    assert n == 2\n"
    )
    shop, tree = make_shop(tmp_path, {"test_o.py": odd})
    assert spoiler_of(shop, tree, "test_o.py::test_z") == {}


# --- quarantine -------------------------------------------------------------------------------------------------------
SLOW = "tests/test_a.py::test_plain"
ENTRY = f'[[test]]\nid = "{SLOW}"\nowner = "dana"\nadded = 2026-01-01\nexpires = 2026-01-31\nwhy = "slow"\n'
BREAKS = FIXED + "\n\ndef broken(): return 1\n"


def on(day: str, shop: Workshop) -> Workshop:
    at = dt.datetime.fromisoformat(day).replace(hour=12, tzinfo=dt.UTC)
    return replace(shop, now_ms=FakeClock(int(at.timestamp() * 1000)))


def quarantined(tmp_path: Path, day: str, test: str = "    assert not hasattr(calc, 'broken')\n") -> Verdict:
    files = {
        **TESTS,
        "tests/test_a.py": TESTS["tests/test_a.py"].replace("def test_plain(): pass\n", f"def test_plain():\n{test}"),
        "loops/quarantine.toml": ENTRY,
    }
    shop, tree = make_shop(tmp_path, files)
    shop = on(day, shop)
    return judge(shop, tree, added(shop.blobs, "src/calc.py", BREAKS), observations=(observed(shop, tree),))


def test_a_quarantined_test_that_fails_is_no_break_and_is_named_with_its_owner(tmp_path: Path) -> None:
    verdict = quarantined(tmp_path, "2026-01-31")
    assert verdict.status == "pass"
    assert verdict.summary == (
        "fixes 1 of 1 failing test, breaks none (5 pass); "
        "1 quarantined test fails: tests/test_a.py::test_plain (dana, until 2026-01-31)"
    )
    assert verdict.score == 5.0


def test_after_its_last_day_it_counts_again_and_that_is_said(tmp_path: Path) -> None:
    verdict = quarantined(tmp_path, "2026-02-01")
    assert verdict.status == "fail"
    assert verdict.summary.startswith("breaks tests/test_a.py::test_plain (was passing: ")
    assert verdict.summary.endswith(
        "; the quarantine of 1 failing test has expired: tests/test_a.py::test_plain (dana, on 2026-01-31)"
    )


def test_a_quarantined_test_that_passes_again_is_no_progress(tmp_path: Path) -> None:
    files = {"f.py": "x = 0\n", "test_f.py": "from f import x\ndef test_x(): assert x\ndef test_y(): assert 0\n"}
    entry = ENTRY.replace(SLOW, "test_f.py::test_x")
    shop, tree = make_shop(tmp_path, {**files, "loops/quarantine.toml": entry})
    shop = on("2026-01-05", shop)
    loop = make_loop(evaluate=EvaluatePolicy(tests=pytest_source()))
    verdict = judge(shop, tree, added(shop.blobs, "f.py", "x = 1\n"), observations=(observed(shop, tree),), loop=loop)
    assert (verdict.status, verdict.summary) == ("fail", "fixes none of 1 failing test: test_f.py::test_y: assert 0")


def test_the_quarantine_is_that_of_the_base_whatever_the_proposal_writes(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, TESTS)
    shop = on("2026-01-05", shop)
    changes = (
        added(shop.blobs, "loops/quarantine.toml", ENTRY.replace(SLOW, "tests/test_b.py::test_note")),
        added(shop.blobs, "src/calc.py", FIXED.replace("return x", "return 0")),
    )
    verdict = judge(shop, tree, *changes, observations=(observed(shop, tree),))
    assert verdict.status == "fail"
    assert "quarantine" not in verdict.summary


def test_what_an_earlier_keep_wrote_there_counts_as_little(tmp_path: Path) -> None:
    shop, base = make_shop(tmp_path, TESTS)
    shop = on("2026-01-05", shop)
    parent = git(tmp_path / "repository", "rev-parse", "HEAD")
    entry = added(shop.blobs, "loops/quarantine.toml", ENTRY.replace(SLOW, "tests/test_b.py::test_note"))
    head = shop.workspace.commit(parent, (entry,), shop.blobs, message="m", at_ms=0).tree
    change = added(shop.blobs, "src/calc.py", FIXED.replace("return x", "return 0"))
    request = JudgeRequest(head, base, make_loop(), make_proposal(change), (observed(shop, head),))
    verdict = asyncio.run(TestsVerifier(pytest_source()).judge(request, shop))
    assert verdict.summary == "breaks tests/test_b.py::test_note (was passing: assert 0 == 1)"


def test_a_faulty_quarantine_is_refused_with_its_line(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {**TESTS, "loops/quarantine.toml": ENTRY.replace("owner", "onwer")})
    with pytest.raises(UsageError, match=r"loops/quarantine\.toml:3: test\[0\]\.onwer: unknown key"):
        judge(on("2026-01-05", shop), tree, added(shop.blobs, "src/calc.py", FIXED))


# --- suites that end up saying nothing --------------------------------------------------------------------------------
def hidden_by(shop: Workshop, tree: str, hook: str) -> Verdict:
    changes = added(shop.blobs, "src/calc.py", FIXED), added(shop.blobs, "conftest.py", hook)
    return judge(shop, tree, *changes, observations=(observed(shop, tree),))


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (
            "import pytest\ndef pytest_runtest_setup(item): pytest.skip('no')\n",
            "no test runs any more: all 6 are skipped",
        ),
        ("def pytest_collection_modifyitems(items): items.clear()\n", "no test runs any more"),
        ("collect_ignore_glob = ['*']\n", "no test runs any more"),
    ],
)
def test_a_suite_of_which_nothing_is_left_fails(tmp_path: Path, hook: str, said: str) -> None:
    shop, tree = make_shop(tmp_path, TESTS)
    verdict = hidden_by(shop, tree, hook)
    assert (verdict.status, verdict.summary) == ("fail", said)


def test_a_report_that_names_no_test_any_more_is_no_success_of_another_runner(tmp_path: Path) -> None:
    full = '<testsuite><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'
    shop, tree = make_shop(tmp_path, {"r": full, "code": "1"})
    source = TestsSource('sh -c "cp r out.xml; exit $(cat code)"', junit="out.xml")
    loop = make_loop(evaluate=EvaluatePolicy(tests=source))
    changes = added(shop.blobs, "r", "<testsuite></testsuite>"), added(shop.blobs, "code", "0")
    seen = (observed(shop, tree, source),)
    verdict = judge(shop, tree, *changes, observations=seen, loop=loop, verifier=TestsVerifier(source))
    assert (verdict.status, verdict.summary.partition(";")[0]) == ("fail", "no test is reported any more")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (pytest_source("-k nothing_of_that_name"), "runs no test on the head itself"),
        (TestsSource("no-such-program"), "cannot be run: 'no-such-program' was not found"),
        (TestsSource("false"), "exits 1 on the head itself"),
        (TestsSource(f"{PYTEST} --no-such-option"), "exits 4 on the head itself"),
    ],
)
def test_a_guard_that_says_nothing_of_the_head_itself_cannot_judge(
    tmp_path: Path, source: TestsSource, why: str
) -> None:
    shop, tree = make_shop(tmp_path, TESTS)
    with pytest.raises(ActionError) as refused:
        judge(shop, tree, added(shop.blobs, "src/calc.py", FIXED), verifier=TestsVerifier(source, "guard"))
    assert why in str(refused.value)
    assert str(refused.value).startswith("guard: ")
