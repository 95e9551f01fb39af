"""A calibration shows a judge what is known, in a fair order, and counts what it gets wrong."""

import asyncio
import dataclasses
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from loopwright.errors import ActionError, UsageError
from loopwright.evaluate.review.calibrate import calibrate, rates_of
from loopwright.evaluate.review.judges import Calibration, ShownCase, load_rates, save_calibration
from loopwright.evaluate.review.seeding import Seeded, measure_tests, seed_changes
from loopwright.kernel.loop import EvaluatePolicy, Loop, Permit, Review
from loopwright.sandbox.protocol import Sandbox
from loopwright.workspace.workshop import Workshop
from support.judging import make_loop
from support.workshops import isolated, make_shop, plain, pytest_source

EXAMPLE = (Path(__file__).parents[2] / "examples/judge/judge.py").read_text()
ANSWER = "import json, os\ndef answer(**said): json.dump(said, open(os.environ['LOOPWRIGHT_RESULT'], 'w'))\n"
NOTHING: Mapping[str, str] = {}
READ = "request = json.load(open(os.environ['LOOPWRIGHT_REVIEW']))\n"
FILES = {
    "src/shop.py": '''\
import json
import os


def price(amount, rebate):
    """What it costs."""
    if amount < 0:
        raise ValueError(amount)
    total = amount * 2
    return total - rebate


def cheaper(a, b):
    best = a if a < b else b
    return best


def unseen(a):
    found = a + 1
    return found
''',
    "src/test_inside.py": "from shop import cheaper\n\n\ndef test_cheaper():\n    assert (cheaper(1, 2), cheaper(2, 1)) == (1, 1)\n",
    "tests/test_shop.py": """\
import pytest
from shop import price


def test_price():
    assert price(3, 1) == 5


def test_nothing_is_free_of_charge():
    assert price(0, 0) == 0


def test_negative():
    with pytest.raises(ValueError):
        price(-1, 0)
""",
}


def site(
    tmp_path: Path, judge: str, sandbox: Sandbox | None = None, more: Mapping[str, str] = NOTHING
) -> tuple[Workshop, str]:
    shop, tree = make_shop(tmp_path, {**FILES, "judge.py": judge, **more}, sandbox=sandbox)
    return dataclasses.replace(shop, jobs=4), tree


def loop(*, tests: bool = True, write: tuple[str, ...] = ("src/",)) -> Loop:
    return make_loop(
        evaluate=EvaluatePolicy(tests=pytest_source() if tests else None, protect=("tests/",)),
        permit=Permit(write=write),
    )


def measure(shop: Workshop, tree: str, *, of: Loop | None = None, defects: int = 6, seed: int = 0) -> Calibration:
    review = Review(run=f"{sys.executable} judge.py")
    return asyncio.run(calibrate(of or loop(tests=False), review, tree, shop, defects=defects, seed=seed))


def test_a_judge_that_always_accepts_misses_all_and_one_that_always_objects_has_only_false_alarms(
    tmp_path: Path,
) -> None:
    shop, tree = site(tmp_path / "a", ANSWER + "answer(verdict='accept')\n")
    yes = measure(shop, tree, defects=4).rates
    assert (yes.missed, yes.defects, yes.alarms, yes.harmless, yes.says_nothing) == (4, 4, 0, 4, True)
    shop, tree = site(tmp_path / "b", ANSWER + "answer(verdict='object')\n")
    no = measure(shop, tree, defects=4).rates
    assert (no.missed, no.defects, no.alarms, no.harmless, no.says_nothing) == (0, 4, 4, 4, True)
    shop, tree = site(tmp_path / "c", ANSWER + "answer(verdict='unsure')\n")
    unsure = measure(shop, tree, defects=2).rates
    assert (unsure.missed, unsure.alarms, unsure.unsure, unsure.says_nothing) == (2, 0, 4, True)


def test_a_judge_that_knows_is_never_wrong_and_says_something(tmp_path: Path) -> None:
    """It compares the trees, but for names and for what it knows to be harmless: the counterpart of what was seeded."""
    knows = READ + (
        "import ast, re\n"
        "def bare(root):\n"
        "    text = open(root + '/src/shop.py').read()\n"
        "    for tidy in (': object', \" Part of this module's small vocabulary.\", 'import json\\n', 'import os\\n'):\n"
        "        text = text.replace(tidy, '')\n"
        "    text = re.sub(r'\\b(current|found|wanted)_(?=[a-z])', '', text)\n"
        "    constant = re.search(r'^(_\\w+) = (.*)\\n', text, re.M)\n"
        "    if constant:\n"
        "        text = text.replace(constant[0], '').replace(constant[1], constant[2])\n"
        "    return ast.dump(ast.parse(text))\n"
        "same = bare(request['before']) == bare(request['candidate'])\n"
        "answer(verdict='accept' if same else 'object', usd='0.5', tokens=10)\n"
    )
    shop, tree = site(tmp_path, ANSWER + knows)
    found = measure(shop, tree, defects=8)
    assert (found.rates.missed, found.rates.alarms, found.rates.says_nothing) == (0, 0, False)
    assert (found.spend.usd_micros, found.spend.tokens) == (8_000_000, 160)
    assert len({case.kind for case in found.cases if case.defect}) >= 5
    assert len({case.kind for case in found.cases if not case.defect}) >= 4


@pytest.mark.parametrize("backend", ["plain", "bubblewrap"])
def test_the_tests_prove_defects_and_are_hidden_from_the_judge(tmp_path: Path, backend: str) -> None:
    """A judge that could run them would catch every proved defect, and none of a run, where they passed before it was asked."""
    look = READ + (
        "files = ('tests/test_shop.py', 'src/test_inside.py')\n"
        "seen = [os.path.exists(root + '/' + file) for root in ('.', request['candidate']) for file in files]\n"
        "answer(verdict='object' if any(seen) else 'accept', reason=request['evidence'][0]['summary'])\n"
    )
    sandbox = plain(tmp_path) if backend == "plain" else isolated(tmp_path)
    try:
        shop, tree = site(tmp_path, ANSWER + look, sandbox)
        found = measure(shop, tree, of=loop(), defects=2)
    finally:
        sandbox.close()
    assert [case.said for case in found.cases] == ["accept"] * 4
    assert found.rates.proved == 2
    assert all(case.line < 18 for case in found.cases if case.defect)
    assert list((tmp_path / "repository/.loopwright/work").iterdir()) == []


def test_defects_that_no_test_notices_come_last_and_are_counted_as_that(tmp_path: Path) -> None:
    shop, tree = site(tmp_path, "", more={"tests/test_shop.py": "def test_x(): pass\n", "src/test_inside.py": ""})
    seeded = asyncio.run(_seeded(shop, tree, loop(), number=1))
    assert [(s.defect, s.proved) for s in sorted(seeded, key=lambda s: s.defect)] == [
        (False, False),
        (True, False),
    ]


async def _seeded(shop: Workshop, tree: str, of: Loop, *, number: int = 5, seed: int = 0) -> tuple[Seeded, ...]:
    tests = await measure_tests(of, tree, shop)
    return await seed_changes(of, tree, tests, shop, number=number, seed=seed)


def test_the_same_seed_gives_the_same_changes_in_the_same_order_and_another_one_others(tmp_path: Path) -> None:
    shop, tree = site(tmp_path, "")
    one, again, other = (asyncio.run(_seeded(shop, tree, loop(tests=False), number=9, seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    kinds = [s.defect for s in one]
    assert kinds not in (sorted(kinds), sorted(kinds, reverse=True))


def test_only_what_the_loop_may_write_outside_its_tests_is_seeded(tmp_path: Path) -> None:
    more = {"lib/other.py": FILES["src/shop.py"], "src/conftest.py": FILES["src/shop.py"]}
    shop, tree = site(tmp_path, "", more=more)
    assert {s.seed.path for s in asyncio.run(_seeded(shop, tree, loop(tests=False), number=50))} == {"src/shop.py"}
    wide = asyncio.run(_seeded(shop, tree, loop(tests=False, write=()), number=50))
    assert {s.seed.path for s in wide} == {"src/shop.py", "lib/other.py"}
    with pytest.raises(UsageError, match="nothing to seed into; expected Python functions"):
        asyncio.run(_seeded(shop, tree, loop(tests=False, write=("docs/",))))


def test_the_judge_cannot_tell_a_seeded_defect_from_the_way_it_is_shown(tmp_path: Path) -> None:
    """What it is given has the same keys and the same words for both, but for the change itself."""
    tell = READ + (
        "del request['goal']\n"
        "said = [w for w in ('seed', 'defect', 'harmless', 'mutant', 'a change') if w in json.dumps(request)]\n"
        "answer(verdict='object' if said else 'accept')\n"
    )
    shop, tree = site(tmp_path, ANSWER + tell)
    assert {case.said for case in measure(shop, tree, defects=3).cases} == {"accept"}


def test_a_judge_that_never_answers_is_an_error_and_one_that_sometimes_does_is_counted(tmp_path: Path) -> None:
    shop, tree = site(tmp_path / "a", "raise SystemExit('no credits')\n")
    with pytest.raises(ActionError, match="never answered: it failed with exit code 1: no credits"):
        measure(shop, tree, defects=2)
    sometimes = READ + "if '_VALUE' not in request['diff']: answer(verdict='accept')\n"
    shop, tree = site(tmp_path / "b", ANSWER + sometimes)
    found = measure(shop, tree, defects=6)
    silent = [case for case in found.cases if case.said is None]
    assert silent and {case.kind for case in silent} == {"extracted constant"}
    assert all(case.problem.startswith("ended without an answer") for case in silent)
    assert found.rates.unanswered == len(silent)


def test_a_model_and_a_number_that_is_none_are_refused(tmp_path: Path) -> None:
    shop, tree = site(tmp_path, "")
    with pytest.raises(UsageError, match="names a model; only a command can be calibrated yet"):
        asyncio.run(calibrate(loop(), Review(model="anthropic:claude-x"), tree, shop))
    with pytest.raises(UsageError, match="--defects expects 1 to 500, found 0"):
        measure(shop, tree, defects=0)


def test_what_was_measured_is_found_again_for_the_same_judge(tmp_path: Path) -> None:
    shop, tree = site(tmp_path, ANSWER + "answer(verdict='accept')\n")
    runtime = tmp_path / "repository/.loopwright"
    found = measure(shop, tree, defects=2)
    save_calibration(runtime, found)
    review = Review(run=f"{sys.executable} judge.py")
    assert load_rates(runtime, review) == found.rates
    assert load_rates(runtime, review, lambda path: shop.workspace.read(tree, path)) == found.rates
    (file,) = (runtime / "judges").iterdir()
    assert json.loads(file.read_text())["cases"][0].keys() >= {"kind", "path", "line", "defect", "said"}


def test_unsure_of_a_defect_is_a_miss_and_unsure_of_a_harmless_change_no_alarm() -> None:
    def case(said: str | None, *, defect: bool) -> ShownCase:
        return ShownCase("k", "p", 1, defect, defect, said)

    told = ("accept", "object", "unsure", None)
    rates = rates_of([case(said, defect=defect) for said in told for defect in (True, False)])
    assert (rates.missed, rates.defects, rates.alarms, rates.harmless) == (3, 4, 1, 4)
    assert (rates.unsure, rates.unanswered, rates.proved) == (2, 2, 4)


# --- the example judge ------------------------------------------------------------------------------------------------
def test_the_example_judge_is_better_than_chance_where_it_looks(tmp_path: Path) -> None:
    """It looks for lost guards, calls and checks, not for wrong numbers: a second opinion that knows what it knows."""
    guards = "\n\n".join(
        f"def f{n}(x):\n    '''Doc.'''\n    if x < {n}:\n        raise ValueError(x)\n    return x\n" for n in range(6)
    )
    shop, tree = site(tmp_path, EXAMPLE, more={"src/shop.py": guards})
    found = measure(shop, tree, defects=12)
    assert found.rates.alarms == 0
    assert all(case.said == "object" for case in found.cases if case.kind == "removed guard")
    assert any(case.said == "accept" for case in found.cases if case.kind == "comparison")
    assert re.fullmatch(r"[a-z ]+", found.cases[0].kind)
    assert os.fspath(tmp_path) not in json.dumps(msgspec.to_builtins(found.cases))
