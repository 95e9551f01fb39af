"""Which changed lines the tests run, measured by real runs of real suites."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from loopwright.evaluate.changed_lines import ChangedLinesVerifier
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.kernel.loop import EvaluatePolicy, TestsSource
from loopwright.kernel.values import Change, Observation, Verdict
from loopwright.sandbox.protocol import Sandbox
from loopwright.suite.command import parse
from loopwright.suite.report import SuiteReport
from loopwright.workspace.workshop import Workshop
from support.judging import make_loop, make_proposal
from support.repositories import added, deleted
from support.workshops import PYTEST, isolated, make_shop, plain, pytest_source

FILES = {
    "src/fees.py": "def fee(n):\n    return n\n",
    "src/other.py": "x = 1\n",
    "tests/test_fees.py": "import fees\n\n\ndef test_fee():\n    assert fees.fee(2) == 2\n",
}
EDIT = """def fee(n):
    # the usual case
    if n > 0:
        return n
    if n < -5:
        n = -n
        return n
    return 0
"""


@pytest.fixture(params=["plain", "isolated"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    made = plain(tmp_path) if request.param == "plain" else isolated(tmp_path)
    yield made
    made.close()


def verdict_on(
    shop: Workshop, tree: str, *changes: Change, source: TestsSource | None = None, least: float | None = None
) -> Verdict:
    tests = source or pytest_source()
    loop = make_loop(evaluate=EvaluatePolicy(tests=tests, protect=("tests/",), changed_lines=least))
    request = JudgeRequest(tree, tree, loop, make_proposal(*changes), ())
    return asyncio.run(ChangedLinesVerifier(tests).judge(request, shop))


def said(verdict: Verdict) -> str:
    """Without the time that it took."""
    return verdict.summary.partition(" (one more run of the tests, ")[0]


def test_the_changed_lines_that_no_test_runs_are_named(tmp_path: Path, sandbox: Sandbox) -> None:
    shop, tree = make_shop(tmp_path, FILES, sandbox=sandbox)
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/fees.py", EDIT))
    assert said(verdict) == "runs 2 of 6 changed lines; not run: src/fees.py:5, 6, 7, 8"
    assert (verdict.verifier, verdict.status, verdict.advisory) == ("changed lines", "pass", True)
    assert verdict.summary.endswith(" s)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, str]:
    return make_shop(tmp_path_factory.mktemp("lines"), FILES)


def test_a_smaller_share_than_is_asked_for_fails(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    edit = added(shop.blobs, "src/fees.py", EDIT)
    verdict = verdict_on(shop, tree, edit, least=0.5)
    assert (verdict.status, verdict.advisory) == ("fail", False)
    assert verdict.summary.startswith(
        "runs 2 of 6 changed lines, at least 50% are asked for (evaluate.changed_lines); not run: src/fees.py:5, 6, 7, 8;"
    )
    assert verdict_on(shop, tree, edit, least=1 / 3).status == "pass"


def test_all_changed_files_are_looked_at_and_only_code_counts(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    changes = (
        added(shop.blobs, "src/fees.py", "def fee(n):\n    # new\n    return int(n)\n"),
        added(shop.blobs, "src/new.py", "def g():\n    return 1\n"),
        added(shop.blobs, "README.md", "# x\n"),
        added(shop.blobs, "tests/test_more.py", "def test(): pass\n"),
        deleted("src/other.py"),
    )
    assert said(verdict_on(shop, tree, *changes)) == "runs 1 of 3 changed lines; not run: src/new.py:1, 2"


def test_a_change_without_python_code_costs_no_run(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    nothing = TestsSource("no-such-program")
    verdict = verdict_on(
        shop, tree, added(shop.blobs, "src/fees.py", f"# why\n{FILES['src/fees.py']}"), source=nothing, least=1.0
    )
    assert (verdict.status, verdict.summary) == ("pass", "changes no line of Python code")


def test_a_remark_does_not_cost_another_run_of_a_long_suite(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    tests = pytest_source()
    report = SuiteReport(parse(tests.run).argv, "green", 0, 121_000, (), (), "")
    content = shop.blobs.put(msgspec.json.encode(report), "application/json")
    seen = Observation("o1", "tests", 0, content, "untrusted", "")
    edit = make_proposal(added(shop.blobs, "src/fees.py", EDIT))
    for least, status in ((None, "inconclusive"), (0.1, "pass")):
        loop = make_loop(evaluate=EvaluatePolicy(tests=tests, changed_lines=least))
        request = JudgeRequest(tree, tree, loop, edit, (seen,))
        assert asyncio.run(ChangedLinesVerifier(tests).judge(request, shop)).status == status


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ("no-such-program", "the test command was not found"),
        ("true", "no Python of the test command took the tracer"),
        (f"env PYTHONPATH=src {PYTEST}", "no Python of the"),
    ],
)
def test_what_cannot_be_seen_is_said_to_be_unknown(site: tuple[Workshop, str], run: str, why: str) -> None:
    shop, tree = site
    edit = added(shop.blobs, "src/fees.py", EDIT)
    verdict = verdict_on(shop, tree, edit, source=TestsSource(run), least=0.1)
    assert (verdict.status, verdict.advisory) == ("inconclusive", False)
    assert verdict.summary.startswith(f"which changed lines the tests run is not known: {why}")


def test_what_cannot_be_seen_decides_nothing_where_nothing_was_asked_for(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/fees.py", EDIT), source=TestsSource("true"))
    assert (verdict.status, verdict.advisory) == ("inconclusive", True)


def test_tests_that_hang_while_they_are_watched_are_given_up(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    hang = added(
        shop.blobs, "src/fees.py", "import threading\ndef fee(n):\n    threading.Event().wait()\n    return 1\n"
    )
    verdict = verdict_on(shop, tree, hang, source=pytest_source(timeout_s=2))
    assert verdict.status == "inconclusive"
    assert "did not end by themselves" in verdict.summary


def test_processes_that_the_tests_start_are_watched_too_however_they_end(tmp_path: Path) -> None:
    tests = (
        "import os, subprocess, sys\n\n\ndef test_fee():\n"
        "    subprocess.run([sys.executable, '-c', 'import fees, os; fees.fee(-9); os._exit(0)'], check=True)\n"
        "    if not (pid := os.fork()):\n        import fees\n        fees.fee(-1)\n        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
    )
    shop, tree = make_shop(tmp_path, {**FILES, "tests/test_fees.py": tests})
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/fees.py", EDIT))
    assert said(verdict) == "runs 5 of 6 changed lines; not run: src/fees.py:4"


def test_threads_are_watched(tmp_path: Path) -> None:
    tests = "import fees, threading\n\n\ndef test_fee():\n"
    tests += "    t = threading.Thread(target=fees.fee, args=(-9,))\n    t.start()\n    t.join()\n"
    shop, tree = make_shop(tmp_path, {**FILES, "tests/test_fees.py": tests})
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/fees.py", EDIT))
    assert said(verdict) == "runs 4 of 6 changed lines; not run: src/fees.py:4, 8"


def test_the_environments_own_sitecustomize_still_runs(tmp_path: Path) -> None:
    own = "import builtins\nbuiltins.OWN = True\n"
    tests = "import fees\n\n\ndef test_fee():\n    assert OWN and fees.fee(2) == 2\n"
    tests += "    import sitecustomize\n    assert sitecustomize.builtins.OWN\n"
    shop, tree = make_shop(tmp_path, {**FILES, "sitecustomize.py": own, "tests/test_fees.py": tests})
    edit = added(
        shop.blobs, "src/fees.py", "def fee(n):\n    raise SystemError if n != 2 else SystemExit\n    return 1\n"
    )
    assert said(verdict_on(shop, tree, edit)) == "runs 1 of 2 changed lines; not run: src/fees.py:3"


def test_another_tracer_in_the_place_of_ours_is_noticed(tmp_path: Path) -> None:
    if hasattr(sys, "monitoring"):
        taken = (
            "import sys\nfor n in (3, 4):\n    if sys.monitoring.get_tool(n):\n        sys.monitoring.free_tool_id(n)\n"
        )
    else:
        taken = "import sys\nsys.settrace(None)\n"
    shop, tree = make_shop(tmp_path, {**FILES, "tests/conftest.py": taken})
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/fees.py", EDIT))
    assert verdict.status == "inconclusive"
    assert "another tracer" in verdict.summary


def test_other_runners_than_pytest_are_watched_as_well(tmp_path: Path) -> None:
    tests = "import unittest, fees\n\n\nclass T(unittest.TestCase):\n    def test_fee(self):\n        self.assertEqual(fees.fee(-9), 9)\n"
    shop, tree = make_shop(tmp_path, {"fees.py": FILES["src/fees.py"], "test_fees.py": tests})
    source = TestsSource(f"{sys.executable} -m unittest")
    verdict = verdict_on(shop, tree, added(shop.blobs, "fees.py", EDIT), source=source)
    assert said(verdict) == "runs 4 of 6 changed lines; not run: fees.py:4, 8"


def test_a_command_that_sets_the_path_of_python_itself_keeps_it(tmp_path: Path) -> None:
    files = {"lib/fees.py": FILES["src/fees.py"], "tests/test_fees.py": FILES["tests/test_fees.py"]}
    shop, tree = make_shop(tmp_path, files)
    source = TestsSource(f"PYTHONPATH=lib {PYTEST}")
    verdict = verdict_on(shop, tree, added(shop.blobs, "lib/fees.py", EDIT), source=source)
    assert said(verdict).startswith("runs 2 of 6")


def test_notes_that_are_no_notes_are_left_out(tmp_path: Path) -> None:
    forged = (
        "import json, os, fees\nplace = json.loads(os.environ['LOOPWRIGHT_LINES'])['into']\n"
        "open(place + '/x', 'wb').write(b'0:\\xff\\n7:5\\n0:-5\\n0:x\\n0:99999999999\\n')\n"
        "os.mkfifo(place + '/pipe')\nos.symlink('/etc/passwd', place + '/link')\nos.mkdir(place + '/folder')\n"
        "def test_fee(): assert fees.fee(2) == 2\n"
    )
    shop, tree = make_shop(tmp_path, {**FILES, "tests/test_fees.py": forged})
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/fees.py", EDIT))
    assert said(verdict) == "runs 2 of 6 changed lines; not run: src/fees.py:5, 6, 7, 8"


def test_a_long_list_is_cut(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    long = FILES["src/fees.py"] + "def f():\n" + "".join(f"    x{n} = 1\n" for n in range(20))
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/fees.py", long))
    assert said(verdict) == "runs 1 of 21 changed lines; not run: src/fees.py:4, 5, 6, 7, 8, 9, 10, 11 and 12 more"


def test_a_change_that_cannot_be_applied_fails(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    verdict = verdict_on(shop, tree, added(shop.blobs, "src/.git/x.py", "x = 1\n"))
    assert verdict.status == "fail"
    assert verdict.summary.startswith("the proposal cannot be applied: ")
