"""Observe, act and evaluate where commands are isolated and candidates are copies on write that only the sandbox mounts."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.act.command import CommandProposer
from loopwright.act.protocol import ProposeRequest, ProposeResult
from loopwright.errors import ActionError
from loopwright.kernel.loop import CommandRung, TestsSource
from loopwright.kernel.values import Plan
from loopwright.sandbox.protocol import Sandbox
from loopwright.suite.run import run_suite
from loopwright.workspace.workshop import Workshop
from support.judging import judge, make_loop, observed
from support.repairs import UNITTEST, Bench
from support.repositories import added
from support.workshops import PYTEST, isolated, make_shop, pytest_source

FILES = {
    "src/fees.py": "def fee(amount):\n    return amount * 3\n",
    "tests/test_fees.py": (
        "from fees import fee\n\n\ndef test_double():\n    assert fee(2) == 4\n\n\ndef test_zero():\n    assert fee(0) == 0\n"
    ),
}
UNITTESTS = {
    "fees.py": FILES["src/fees.py"],
    "test_fees.py": (
        "import unittest\nfrom fees import fee\n\n\nclass T(unittest.TestCase):\n"
        "    def test_double(self):\n        self.assertEqual(fee(2), 4)\n"
    ),
}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = isolated(tmp_path)
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, sandbox: Sandbox) -> tuple[Workshop, str]:
    return make_shop(tmp_path, FILES, sandbox=sandbox)


def propose(shop: Workshop, tree: str, program: str) -> ProposeResult:
    request = ProposeRequest("r1", 1, 0, tree, make_loop(), None, Plan((), ""), (), 1, None, (), ())
    proposer = CommandProposer(CommandRung(f'{sys.executable} -c "{program}"'))
    return asyncio.run(proposer.propose(request, shop))


def test_candidates_are_overlays_here(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    with shop.workspace.checkout(tree, "x") as candidate:
        assert candidate.overlays
        assert list(candidate.path.iterdir()) == []


def test_the_tests_of_the_head_are_observed(site: tuple[Workshop, str]) -> None:
    observation = observed(*site)
    assert observation.summary == "1 of 2 tests fails: tests/test_fees.py::test_double"


def test_a_program_changes_files_and_says_so(site: tuple[Workshop, str]) -> None:
    program = (
        "import json, os; open('src/fees.py', 'w').write('x = 1'); os.remove('tests/test_fees.py'); open('new', 'w');"
        "json.dump({'title': 'an edit', 'usd': '0.5'}, open(os.environ['LOOPWRIGHT_RESULT'], 'w'))".replace('"', "'")
    )
    result = propose(*site, program)
    (proposal,) = result.proposals
    assert proposal.title == "an edit"
    assert [(c.path, c.content is None) for c in proposal.changes] == [("new", False), ("src/fees.py", False)]
    assert result.summary.endswith("edits of protected files left out: tests/test_fees.py")
    assert result.spend.usd_micros == 500_000


@pytest.mark.parametrize(
    "plant", ["os.symlink('/etc/passwd', path)", "os.mkfifo(path)", "os.mkdir(path)", "os.mkdir(path, 0)"]
)
def test_an_answer_that_is_no_plain_file_is_refused(site: tuple[Workshop, str], plant: str) -> None:
    with pytest.raises(ActionError, match="result file cannot be used"):
        propose(*site, f"import os; path = os.environ['LOOPWRIGHT_RESULT']; {plant}")


def test_a_program_finds_nothing_of_the_users_repository_and_cannot_reach_the_layers(
    site: tuple[Workshop, str],
) -> None:
    shop, tree = site
    root = Path(shop.workspace.checkout(tree, "look").path).parents[2]
    places = (str(root / ".git"), str(root / ".loopwright/cache"), "../upper")
    program = f"import os; open('seen', 'w').write(repr([os.path.exists(p) for p in {places!r}]))"
    (change,) = propose(shop, tree, program).proposals[0].changes
    assert change.content is not None
    assert shop.blobs.get(change.content) == b"[False, False, False]"


def test_a_fix_passes_and_an_edit_of_protected_tests_does_not(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    seen = observed(shop, tree)
    fixed = added(shop.blobs, "src/fees.py", "def fee(amount):\n    return amount * 2\n")
    weakened = added(shop.blobs, "tests/test_fees.py", "def test_double(): pass\n\n\ndef test_zero(): pass\n")
    planted = added(shop.blobs, "tests/conftest.py", "import fees\nfees.fee = lambda n: 4\n")
    assert judge(shop, tree, fixed, observations=(seen,)).status == "pass"
    assert judge(shop, tree, fixed, weakened, observations=(seen,)).status == "pass"
    other = added(shop.blobs, "other.py", "")
    verdict = judge(shop, tree, other, weakened, planted, observations=(seen,))
    assert verdict.status == "fail"
    assert "edits of protected files undone: tests/test_fees.py, tests/conftest.py" in verdict.summary


def test_what_another_runner_reports_is_read_out_of_the_overlay(tmp_path: Path, sandbox: Sandbox) -> None:
    program = "open('out/r.xml', 'w').write('<testsuite><testcase name=\"b\"/></testsuite>')\n"
    shop, tree = make_shop(tmp_path, {"run.py": program, "out/r.xml": "stale"}, sandbox=sandbox)
    with shop.workspace.checkout(tree, "x") as candidate:
        source = TestsSource(f"{sys.executable} run.py", junit="out/r.xml")
        report = asyncio.run(run_suite(source, candidate, shop))
    assert (report.status, [c.id for c in report.cases]) == ("green", ["b"])


def test_options_that_need_the_cache_are_tried_a_second_time_in_the_same_overlay(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    files = {"pytest.ini": "[pytest]\naddopts = --ff -x\n", "test_a.py": "def test_x(): assert 0\ndef test_y(): pass\n"}
    shop, tree = make_shop(tmp_path, files, sandbox=sandbox)
    with shop.workspace.checkout(tree, "x") as candidate:
        report = asyncio.run(run_suite(pytest_source(), candidate, shop))
    assert [c.status for c in report.cases] == ["failed", "passed"]


@pytest.mark.parametrize(
    ("files", "run", "jobs", "how"),
    [(FILES, PYTEST, 2, "forked"), (UNITTESTS, UNITTEST, 1, "by whole runs of the command")],
)
def test_the_repair_rung_finds_the_edit(
    tmp_path: Path, sandbox: Sandbox, files: dict[str, str], run: str, jobs: int, how: str
) -> None:
    bench = Bench.of(tmp_path, files, run=run, jobs=jobs, sandbox=sandbox, protect=("tests/", "test_fees.py"))
    proposal, results = asyncio.run(bench.repair())
    content = proposal.changes[0].content
    assert content is not None
    assert b"amount * 3" not in bench.shop.blobs.get(content)
    assert how in results[0].summary
