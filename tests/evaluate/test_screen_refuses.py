"""A proposal refused before its cold run gets the words that the cold run would have found; nothing is ever let through."""

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.screen import Screen
from loopwright.kernel.values import Change, Observation, Verdict
from loopwright.suite.outcome import decode_suite
from loopwright.suite.report import SuiteReport
from loopwright.workspace.workshop import Workshop
from support.judging import judge, make_loop, make_proposal, observed
from support.repositories import added
from support.workshops import make_shop, pytest_source

CODE = "def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n"
TESTS = "from calc import add, sub\n\n\ndef test_add():\n    assert add(1, 2) == 3\n\n\ndef test_sub():\n    assert sub(3, 2) == 1\n"
FIXED = CODE.replace("return a - b", "return a + b", 1)


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, str, Observation]:
    shop, tree = make_shop(tmp_path_factory.mktemp("red"), {"src/calc.py": CODE, "tests/test_calc.py": TESTS})
    return shop, tree, observed(shop, tree)


def refusals(
    red: tuple[Workshop, str, Observation],
    proposals: Sequence[tuple[Change, ...]],
    *,
    name: str = "tests",
    after: int = 0,
) -> list[Verdict | None]:
    shop, tree, seen = red
    head = decode_suite(seen, shop.blobs)
    assert head is not None

    async def run() -> list[Verdict | None]:
        screen = Screen(pytest_source(), name, after=after)
        try:
            requests = [JudgeRequest(tree, tree, make_loop(), make_proposal(*p), (seen,)) for p in proposals]
            return [await screen.refuse(request, head, shop) for request in requests]
        finally:
            await screen.close()

    return asyncio.run(run())


def test_a_refusal_says_what_the_cold_verdict_says(red: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = red
    proposals = [
        (added(shop.blobs, "src/calc.py", text),)
        for text in (CODE.replace("a - b", "a + b"), CODE + "# more\n", CODE.replace("def add(", "def add(("))
    ]
    warm = refusals(red, proposals)
    cold = [judge(shop, tree, *proposal, observations=(seen,)) for proposal in proposals]
    assert [(v.status, v.summary) if v else None for v in warm] == [(v.status, v.summary) for v in cold]
    assert [v.status for v in cold] == ["fail", "fail", "crash"]
    assert warm[0] is not None and warm[0].evidence is not None
    report = msgspec.json.decode(shop.blobs.get(warm[0].evidence), type=SuiteReport)
    assert [c.id for c in report.cases] == ["tests/test_calc.py::test_sub"]
    assert report.output_tail.startswith("screened in a warm process (swap: ")


def test_what_may_pass_is_left_to_the_cold_run(red: tuple[Workshop, str, Observation]) -> None:
    shop, _, _ = red
    assert refusals(red, [(added(shop.blobs, "src/calc.py", FIXED),)]) == [None]


def test_a_guard_asks_for_no_progress(red: tuple[Workshop, str, Observation]) -> None:
    shop, _, _ = red
    proposals = [(added(shop.blobs, "src/calc.py", CODE + "# more\n"),)]
    assert refusals(red, proposals, name="guard") == [None]


def test_weakened_tests_are_put_back_and_that_is_said(red: tuple[Workshop, str, Observation]) -> None:
    shop, _, _ = red
    weak = added(shop.blobs, "tests/test_calc.py", "def test_add():\n    pass\n")
    (verdict,) = refusals(red, [(weak, added(shop.blobs, "src/calc.py", CODE + "# more\n"))])
    assert verdict is not None
    assert verdict.summary.endswith("; edits of protected files undone: tests/test_calc.py")


def test_the_first_proposals_for_a_head_are_not_worth_warming_up(red: tuple[Workshop, str, Observation]) -> None:
    shop, _, _ = red
    bad = (added(shop.blobs, "src/calc.py", CODE + "# more\n"),)
    found = refusals(red, [bad, bad, bad], after=2)
    assert [v is None for v in found] == [True, True, False]


def test_an_endless_proposal_is_said_to_be_one(red: tuple[Workshop, str, Observation], tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"src/calc.py": FIXED, "tests/test_calc.py": TESTS})
    seen = observed(shop, tree)
    shop = dataclasses.replace(shop, timeout_s=2)
    endless = FIXED.replace("def sub(a, b):\n", "def sub(a, b):\n    while True:\n        pass\n")
    (verdict,) = refusals((shop, tree, seen), [(added(shop.blobs, "src/calc.py", endless),)])
    assert verdict is not None
    assert verdict.summary == "breaks tests/test_calc.py::test_sub (was passing: does not end)"
