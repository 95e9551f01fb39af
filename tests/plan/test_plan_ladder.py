"""The plan says what is known, which rung works on it and what must hold afterwards."""

import asyncio
from pathlib import Path

import msgspec

from loopwright.kernel.loop import CommandRung, EvaluatePolicy, Loop, Permit, RepairRung, TestsSource
from loopwright.kernel.values import Observation, Plan
from loopwright.plan.planner import LadderPlanner
from loopwright.plan.protocol import PlanRequest
from loopwright.suite.report import SuiteReport, TestCase
from support.judging import make_loop
from support.workshops import make_shop


def plan(
    tmp_path: Path, loop: Loop, *, rung: int = 0, ticket: str | None = None, lessons: tuple[str, ...] = ()
) -> Plan:
    shop, tree = make_shop(tmp_path, {"f": ""})
    a, b, c = (TestCase(f"t.py::test_{n}", "passed" if n == "c" else "failed", 0) for n in "abc")
    report = SuiteReport(("pytest",), "red", 1, 1, (a, b, c), ("t.py::test_b",), "")
    content = shop.blobs.put(msgspec.json.encode(report), "application/json")
    seen = Observation("o1", "tests: pytest", 0, content, "untrusted", "1 of 3 tests fails: t.py::test_a")
    return asyncio.run(LadderPlanner().plan(PlanRequest(tree, loop, rung, 2, (seen,), ticket, lessons), shop))


LOOP = make_loop(
    act=(RepairRung(), CommandRung("fixer --fast")),
    evaluate=EvaluatePolicy(tests=TestsSource("pytest -q"), guard=TestsSource("make lint"), protect=("tests/",)),
    permit=Permit(write=("src/",)),
)


def test_the_steps_name_the_failures_the_rung_and_the_checks(tmp_path: Path) -> None:
    made = plan(tmp_path, LOOP)
    assert made.steps == (
        "localise 1 failing test: t.py::test_a",
        "search edits in src/ with rung 1 of 2, repair",
        "keep what passes: `pytest -q` breaks nothing and fixes something, `make lint` still holds; tests/ untouched",
    )
    assert made.rationale == "iteration 2: 1 of 3 tests fails: t.py::test_a"


def test_a_later_rung_its_lessons_and_the_ticket_are_said(tmp_path: Path) -> None:
    made = plan(tmp_path, LOOP, rung=1, ticket="\n# Dates are off\nSee test_a.", lessons=("breaks t.py::test_c",))
    assert "search edits in src/ with rung 2 of 2, command `fixer --fast`" in made.steps
    assert "do not repeat what was rejected (1 lesson)" in made.steps
    assert made.rationale.endswith(
        "the cheaper rungs before this one have nothing more to propose; ticket: Dates are off; rejected before: breaks t.py::test_c"
    )


def test_a_loop_without_verifiers_says_so(tmp_path: Path) -> None:
    made = plan(tmp_path, make_loop(evaluate=EvaluatePolicy()))
    assert made.steps[-1] == "keep nothing unchecked: this loop has no verifier but its scope"
