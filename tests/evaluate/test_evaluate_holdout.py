"""Verdicts where part of the tests is held out: all of them judge, and no proposer learns which they are."""

from pathlib import Path

import msgspec
import pytest

from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import EvaluatePolicy, Loop
from loopwright.kernel.values import Observation, Verdict
from loopwright.suite.holdout import Split, head_split
from loopwright.suite.report import SuiteReport
from loopwright.workspace.workshop import Workshop
from support.judging import judge, make_loop, observed
from support.repositories import added
from support.workshops import make_shop, pytest_source

CODE = "def double(n):\n    return n\n\n\ndef ten():\n    return 10\n"
RIGHT = CODE.replace("return n", "return n * 2")
TESTS = "import pytest\nfrom calc import double, ten\n"
TESTS += "".join(f"\n\ndef test_double_{n}():\n    assert double({n}) == {2 * n}\n" for n in range(1, 7))
TESTS += "".join(f"\n\ndef test_ten_{n}():\n    assert ten() == 10\n" for n in range(6))


def fit(ids: frozenset[str]) -> str:
    """An edit that is right for the numbers of these tests alone."""
    numbers = {int(i.rpartition("_")[2]) for i in ids if "double" in i}
    return CODE.replace("return n", f"return n * 2 if n in {numbers!r} else n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, str, Observation]:
    shop, tree = make_shop(tmp_path_factory.mktemp("held"), {"src/calc.py": CODE, "tests/test_calc.py": TESTS})
    return shop, tree, observed(shop, tree)


def loop_of(holdout: float | None = 0.4) -> Loop:
    return make_loop(evaluate=EvaluatePolicy(tests=pytest_source(), protect=("tests/",), holdout=holdout))


def drawn_of(site: tuple[Workshop, str, Observation]) -> Split:
    shop, tree, seen = site
    return head_split((seen,), loop_of().evaluate, seed=shop.seed, tree=tree, blobs=shop.blobs)


def verdict_on(site: tuple[Workshop, str, Observation], code: str, name: str = "tests") -> Verdict:
    shop, tree, seen = site
    change = added(shop.blobs, "src/calc.py", code)
    verifier = TestsVerifier(pytest_source(), name)
    return judge(shop, tree, change, observations=(seen,), loop=loop_of(), verifier=verifier)


def told(site: tuple[Workshop, str, Observation], verdict: Verdict) -> set[str]:
    """The held-out tests that a summary names."""
    return {i for i in drawn_of(site).held if i.rpartition("::")[2] in verdict.summary}


def test_a_right_fix_is_said_in_both_parts(site: tuple[Workshop, str, Observation]) -> None:
    verdict = verdict_on(site, RIGHT)
    assert verdict.status == "pass"
    assert verdict.summary == "fixes 4 of 4 visible failing tests, 2 of 2 held out, breaks none (12 pass)"
    assert verdict.score == 12.0


def test_a_fix_of_what_was_shown_and_of_nothing_else_is_put_to_a_person(
    site: tuple[Workshop, str, Observation],
) -> None:
    """It may know the tests and not the fault. A fix of a part of them is progress like any other."""
    verdict = verdict_on(site, fit(drawn_of(site).visible))
    assert verdict.status == "ask"
    assert verdict.summary == (
        "fixes 4 of 4 visible failing tests, 0 of 2 held out, breaks none (10 pass); "
        "it may fit no more than the tests that were shown"
    )
    some = frozenset(sorted(i for i in drawn_of(site).visible if "double" in i)[:1])
    part = verdict_on(site, fit(some))
    assert part.status == "pass"
    assert part.summary == "fixes 1 of 4 visible failing tests, 0 of 2 held out, breaks none (7 pass)"


@pytest.mark.parametrize("name", ["tests", "guard"])
def test_a_fix_that_breaks_a_held_out_test_fails_without_its_name(
    site: tuple[Workshop, str, Observation], name: str
) -> None:
    held = sorted(i for i in drawn_of(site).held if "ten" in i)
    assert len(held) == 2
    caught = " or ".join(f"{i.rpartition('::')[2]!r} in name" for i in held)
    wrong = RIGHT.replace(
        "    return 10",
        f"    import os\n    name = os.environ['PYTEST_CURRENT_TEST']\n    return 9 if {caught} else 10",
    )
    verdict = verdict_on(site, wrong, name)
    assert (verdict.status, verdict.summary) == ("fail", "breaks 2 held-out tests")
    assert verdict.evidence is not None
    evidence = msgspec.json.decode(site[0].blobs.get(verdict.evidence), type=SuiteReport)
    assert evidence.ids("failed") == set(held)


def test_a_proposal_that_breaks_all_names_the_visible_ones_alone(site: tuple[Workshop, str, Observation]) -> None:
    verdict = verdict_on(site, RIGHT.replace("return 10", "return 11"))
    assert verdict.status == "fail"
    assert verdict.summary.endswith("(was passing: assert 11 == 10); breaks 2 held-out tests")
    assert not told(site, verdict)


def test_held_out_tests_that_are_not_collected_any_more_are_counted(site: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = site
    names = {i.rpartition("::")[2] for i in drawn_of(site).held if "ten" in i}
    hide = f"def pytest_collection_modifyitems(items): items[:] = [i for i in items if i.name not in {names!r}]\n"
    changes = added(shop.blobs, "src/calc.py", RIGHT), added(shop.blobs, "conftest.py", hide)
    verdict = judge(shop, tree, *changes, observations=(seen,), loop=loop_of())
    assert verdict.status == "fail"
    assert verdict.summary == "2 held-out tests passed before and are no longer collected"


def test_what_changes_nothing_is_measured_by_the_visible_tests(site: tuple[Workshop, str, Observation]) -> None:
    verdict = verdict_on(site, f"# x\n{CODE}")
    assert verdict.status == "fail"
    assert verdict.summary.startswith("fixes 0 of 4 visible failing tests, 0 of 2 held out: tests/test_calc.py::test_")
    assert not told(site, verdict)


def test_a_held_out_success_that_does_not_repeat_is_counted(tmp_path: Path) -> None:
    """The only failing test that is shown stays red; one that is held out passes once."""
    count = tmp_path / "count"
    tests = "def test_a(): assert 0\n" + "".join(
        f"def test_{name}():\n    open({str(count)!r}, 'a').write('x')\n    assert len(open({str(count)!r}).read()) == 100\n"
        for name in "bcd"
    )
    shop, tree = make_shop(tmp_path, {"f.py": "", "tests/test_t.py": tests})
    seen = observed(shop, tree)
    drawn = head_split((seen,), loop_of(0.9).evaluate, seed=0, tree=tree, blobs=shop.blobs)
    count.write_text("x" * 97)
    verdict = judge(shop, tree, added(shop.blobs, "f.py", "x = 1\n"), observations=(seen,), loop=loop_of(0.9))
    assert verdict.status == "inconclusive"
    assert verdict.summary.endswith(" passed once and failed when it was repeated")
    assert ("1 held-out test" in verdict.summary) == ("tests/test_t.py::test_d" in drawn.held)


def test_whole_files_that_are_held_out_stay_unnamed_when_they_cannot_be_collected(tmp_path: Path) -> None:
    files = {f"tests/test_{n}.py": f"from calc import f{n}\n\n\ndef test_{n}():\n    assert f{n}\n" for n in range(8)}
    names = [f"f{n} = {int(n > 0)}\n" for n in range(8)]
    shop, tree = make_shop(tmp_path, {**files, "src/calc.py": "".join(names)})
    seen = observed(shop, tree)
    drawn = head_split((seen,), loop_of().evaluate, seed=0, tree=tree, blobs=shop.blobs)
    (file, *_) = sorted(drawn.files)
    number = int(file[len("tests/test_")])
    gone = "".join(line for n, line in enumerate(names) if n != number).replace("f0 = 0", "f0 = 1")
    verdict = judge(shop, tree, added(shop.blobs, "src/calc.py", gone), observations=(seen,), loop=loop_of())
    assert verdict.status in {"fail", "crash"}
    assert "held-out" in verdict.summary
    assert f"test_{number}" not in verdict.summary
