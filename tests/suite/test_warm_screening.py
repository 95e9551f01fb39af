"""Candidates screened in forked processes: each is judged as a cold run judges it, whatever it does, and none reaches the next."""

import asyncio
import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Change
from loopwright.sandbox.protocol import Sandbox
from loopwright.suite.warm.screened import Screened
from loopwright.suite.warm.warm import warm
from support.mutants import Mutant, mutants
from support.nasty import NASTY
from support.nasty import RED as RED_NASTY
from support.repositories import added, deleted
from support.warmth import changes_of, report_of, side_by_side
from support.workshops import isolated, make_shop, plain, pytest_source

BEFORE = "LIMIT = 40\n\n\ndef answer():\n    return LIMIT + 2\n\n\ndef other():\n    return 1\n"
FILES = {
    "src/deep.py": BEFORE,
    "tests/test_answer.py": (
        "import deep\nfrom deep import answer\n\n\n"
        "def test_other():\n    assert deep.other() == 1\n\n\n"
        "def test_answer():\n    assert answer() == 42\n"
    ),
}
ANSWER = "tests/test_answer.py::test_answer"


@pytest.fixture(params=[plain, isolated])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    made: Sandbox = request.param(tmp_path)
    yield made
    made.close()


def screened(
    tmp_path: Path,
    files: Mapping[str, str],
    candidates: list[Mapping[str, str | None]],
    *,
    sandbox: Sandbox | None = None,
    source: TestsSource | None = None,
    limit_s: int | None = None,
    jobs: int = 1,
    protect: tuple[str, ...] = (),
    progress: bool = True,
    cold: bool = False,
) -> list[Screened]:
    shop, tree = make_shop(tmp_path, files, sandbox=sandbox)
    shop = dataclasses.replace(shop, jobs=jobs)
    source = source or pytest_source()
    limited = msgspec.structs.replace(source, timeout_s=limit_s)

    async def run() -> list[Screened]:
        head = await report_of(tree, source, shop)
        async with warm(limited, tree, head, shop, protect) as suite:
            sets = [changes_of(Mutant("", candidate), shop) for candidate in candidates]
            if jobs > 1:
                return list(await asyncio.gather(*(suite.screen(s, progress=progress, cold=cold) for s in sets)))
            return [await suite.screen(s, progress=progress, cold=cold) for s in sets]

    return asyncio.run(run())


def body(line: str) -> Mapping[str, str | None]:
    return {"src/deep.py": BEFORE.replace("return LIMIT + 2", line)}


GOOD = body("return 2 + LIMIT")
BAD = body("return LIMIT + 3")


@pytest.mark.parametrize("sandbox", [isolated], indirect=True)
def test_bodies_are_swapped_and_everything_else_is_collected_anew(tmp_path: Path, sandbox: Sandbox) -> None:
    candidates = [
        BAD,
        GOOD,
        {"src/deep.py": BEFORE.replace("LIMIT = 40", "LIMIT = 41")},
        {"src/deep.py": BEFORE.replace("LIMIT = 40", "LIMIT = int(40)")},
        {"src/deep.py": BEFORE.replace("def answer():", "def answer(:")},
        {"src/deep.py": None},
        {"src/more.py": "x = 1\n"},
        {"tests/test_answer.py": FILES["tests/test_answer.py"].replace("def test_answer", "def check_answer")},
        GOOD,
    ]
    found = screened(tmp_path, FILES, candidates, sandbox=sandbox)
    assert [(s.mode, s.status) for s in found] == [
        ("swap", "fail"),
        ("swap", "pass"),
        ("fork", "fail"),
        ("fork", "pass"),
        ("fork", "fail"),
        ("fork", "fail"),
        ("fork", "pass"),
        ("fork", "fail"),
        ("swap", "pass"),
    ]
    assert [(c.id, c.message) for c in found[0].failed] == [(ANSWER, "assert 43 == 42")]
    assert found[0].ran == 1, "the impacted test stands before the one that is collected first"
    assert found[1].ran == 2
    assert found[4].failed[0].message.startswith("cannot be collected: SyntaxError")
    assert found[7].missing == (ANSWER,)


STALE = {
    "src/low.py": "def base():\n    return 1\n",
    "src/high.py": "from low import base\n\nKEPT = base\n\n\ndef twice():\n    return 2 * base()\n",
    "tests/test_high.py": (
        "from high import KEPT, twice\nfrom low import base\n\n\n"
        "def test_twice():\n    assert twice() == 2\n\n\n"
        "def test_kept():\n    assert KEPT() == 1 and base() == 1\n"
    ),
}


@pytest.mark.parametrize("bad", ["def base():\n    return 5\n", "def base(x=5):\n    return x\n"])
def test_no_module_keeps_an_old_reference_and_passes(tmp_path: Path, bad: str) -> None:
    """Reloading the changed module in a child was seen to give a false pass: the test modules hold the functions from before."""
    (seen,) = screened(tmp_path, STALE, [{"src/low.py": bad}])
    assert seen.status == "fail"


AT_IMPORT = {
    "a table": (
        "def make():\n    return 1\n\n\nTABLE = make()\n\n\ndef value():\n    return TABLE\n",
        "return 1",
        "return 2",
    ),
    "a default": ("def make():\n    return 1\n\n\ndef value(x=make()):\n    return x\n", "return 1", "return 2"),
    "a suspended generator": (
        "def make():\n    yield 1\n\n\nWAITING = make()\n\n\ndef value():\n    return next(WAITING)\n",
        "yield 1",
        "yield 2",
    ),
    "a registry": (
        "SEEN = []\n\n\ndef note(f):\n    SEEN.append(1)\n    return f\n\n\n@note\ndef value():\n    return SEEN[0]\n",
        "append(1)",
        "append(2)",
    ),
    "a copied body": (
        "import types\n\n\ndef make():\n    return 1\n\n\nCOPY = make.__code__\n\n\ndef value():\n    return eval(COPY)\n",
        "return 1",
        "return 2",
    ),
    "its own source": (
        "import inspect as i\n\n\ndef make():\n    return 1\n\n\nT = i.getsource(make)\n\n\ndef value():\n    return int(T[-2])\n",
        "return 1",
        "return 2",
    ),
}


@pytest.mark.parametrize("name", AT_IMPORT)
def test_what_was_computed_at_import_is_computed_anew(tmp_path: Path, name: str) -> None:
    text, old, new = AT_IMPORT[name]
    files = {
        "src/mod.py": text,
        "tests/test_mod.py": "from mod import value\n\n\ndef test_value():\n    assert value() == 1\n",
    }
    (seen,) = screened(tmp_path, files, [{"src/mod.py": text.replace(old, new)}])
    assert (seen.status, seen.mode) == ("fail", "fork")


def test_partials_wrappers_and_bound_methods_see_a_swapped_body(tmp_path: Path) -> None:
    text = (
        "import functools\n\n\ndef f(a, b=1):\n    return a + b\n\n\nP = functools.partial(f, 1)\nC = functools.lru_cache(f)\n\n\n"
        "class T:\n    def m(self):\n        return 2\n\n\nB = T().m\n"
    )
    test = "from mod import B, C, P, f\n\n\ndef test_{0}():\n    assert {0}({1}) == 2\n"
    files = {"src/mod.py": text}
    for name, arguments in (("P", ""), ("C", "1"), ("B", "")):
        files[f"tests/test_{name.lower()}.py"] = test.format(name, arguments)
    for change in (("a + b", "a - b"), ("return 2", "return 3")):
        (seen,) = screened(tmp_path / change[1], files, [{"src/mod.py": text.replace(*change)}])
        assert (seen.status, seen.mode) == ("fail", "swap")


MISBEHAVING = {
    "sleeps for ever": "import time; time.sleep(3600)",
    "recurses for ever": "return answer()",
    "exits with success": "import os; os._exit(0)",
    "raises SystemExit": "raise SystemExit(0)",
    "ends pytest": "import pytest; pytest.exit('done', 0)",
    "skips the test": "import pytest; pytest.skip('not today')",
    "kills its group": "import os; os.killpg(0, 9)",
    "closes every file": "import os; os.closerange(0, 300); return 42",
    "fills the disk": "open('big', 'wb').write(bytes(1 << 31)); return 42",
    "eats memory": "return len([bytearray(1 << 28) for _ in range(64)])",
}


@pytest.mark.parametrize("sandbox", [pytest.param(plain, marks=pytest.mark.slow), isolated], indirect=True)
def test_no_misbehaving_candidate_passes_and_good_ones_between_them_do(tmp_path: Path, sandbox: Sandbox) -> None:
    candidates: list[Mapping[str, str | None]] = [GOOD]
    for line in MISBEHAVING.values():
        candidates += [body(line), GOOD]
    found = screened(tmp_path, FILES, candidates, sandbox=sandbox, limit_s=2)
    wrong = {name: s for name, s in zip(MISBEHAVING, found[1::2], strict=True) if s.status == "pass"}
    assert not wrong
    assert {s.status for s in found[::2]} == {"pass"}


def test_what_does_not_end_is_refused_after_the_time_that_a_cold_run_has(tmp_path: Path) -> None:
    (seen,) = screened(tmp_path, FILES, [body("while True: pass")], limit_s=2)
    assert (seen.status, seen.end) == ("fail", "does not end")
    assert [c.id for c in seen.failed] == [ANSWER]


def test_a_test_that_only_takes_many_times_as_long_passes_as_in_a_cold_run(tmp_path: Path) -> None:
    """Whether it computes, in several threads too, or waits."""
    slow = "import time\n    end = time.process_time() + 0.8\n    while time.process_time() < end: pass\n    return 42"
    waits = "import time; time.sleep(1); return 42"
    assert [s.status for s in screened(tmp_path, FILES, [body(slow), body(waits)], limit_s=4)] == ["pass", "pass"]


def test_what_fails_for_want_of_memory_decides_nothing(tmp_path: Path) -> None:
    """A cold run has more: one allocation that is refused at once, and many that are caught when they fail."""
    catches = "x = []\n    try:\n        while True: x.append(bytes(1 << 28))\n    except MemoryError: return 0"
    candidates = [body("return len(bytes(3 << 30)) and 42"), body(catches)]
    assert [s.status for s in screened(tmp_path, FILES, candidates)] == ["unknown", "unknown"]


def test_what_kills_the_warm_process_leads_to_a_cold_verdict_and_to_a_new_process(tmp_path: Path) -> None:
    kills = "import os\n    pid = os.getppid()\n    os.kill(pid, 9)\n    import time; time.sleep(1)\n    return 42"
    found = screened(tmp_path, FILES, [GOOD, body(kills), GOOD], cold=True)
    assert found[1].status in {"pass", "fail", "unknown"}
    assert (found[0].status, found[2].status) == ("pass", "pass")


LITTERING = {
    "src/deep.py": "def answer():\n    return 42\n",
    "tests/test_answer.py": (
        "import os\nimport tempfile\nfrom pathlib import Path\n\nfrom deep import answer\n\n\n"
        "def test_clean():\n"
        "    for folder in ('.', str(Path.home()), tempfile.gettempdir()):\n"
        "        assert not os.path.exists(os.path.join(folder, 'left'))\n"
        "        with open(os.path.join(folder, 'left'), 'w') as stream:\n            stream.write('x')\n"
        "    os.makedirs('some/folder')\n    assert answer() == 42\n"
    ),
}


def test_files_that_a_candidate_leaves_are_gone_before_the_next(tmp_path: Path, sandbox: Sandbox) -> None:
    good = {"src/deep.py": "def answer():\n    return 40 + 2\n"}
    found = screened(
        tmp_path, LITTERING, [good, good, {"src/deep.py": "def answer(x=42):\n    return x\n"}, good], sandbox=sandbox
    )
    assert [s.status for s in found] == ["pass"] * 4


def test_a_candidate_that_spoils_a_file_of_the_head_does_not_reach_the_next(tmp_path: Path) -> None:
    spoils = body(
        "open('src/deep.py', 'w').write('def answer(): return 0'); open('tests/test_answer.py', 'w'); return 42"
    )
    found = screened(tmp_path, FILES, [spoils, GOOD, BAD])
    assert [s.status for s in found] == ["pass", "pass", "fail"]


def test_an_order_that_the_tests_depend_on_is_kept(tmp_path: Path) -> None:
    files = {
        "src/deep.py": "STATE = []\n\n\ndef first():\n    STATE.append(1)\n    return 1\n\n\ndef second():\n    return len(STATE)\n",
        "tests/test_state.py": (
            "import deep\n\n\ndef test_first():\n    assert deep.first() == 1\n\n\n"
            "def test_second():\n    assert deep.second() == 1\n"
        ),
    }
    good = {"src/deep.py": files["src/deep.py"].replace("return len(STATE)", "return len(STATE) + 0")}
    bad = {"src/deep.py": files["src/deep.py"].replace("return len(STATE)", "return len(STATE) + 1")}
    assert [s.status for s in screened(tmp_path, files, [good, bad])] == ["pass", "fail"]


AFTER = {
    "src/state.py": "SEEN = []\n\n\ndef note():\n    SEEN.append(1)\n",
    "src/deep.py": "from state import SEEN\n\n\ndef answer():\n    return 42\n",
    "tests/test_a.py": "from state import note\n\n\ndef test_note():\n    note()\n",
    "tests/test_b.py": "import deep\n\n\ndef test_answer():\n    assert deep.answer() == 42\n",
}


def test_what_passes_only_after_another_test_has_run_is_left_to_the_cold_run(tmp_path: Path) -> None:
    """The other one calls nothing that changed, so it is run late; on the head no test needs another."""
    needs = AFTER["src/deep.py"].replace("return 42", "return 41 + len(SEEN)")
    anew = needs.replace("answer()", "answer(x=1)")
    wrong = needs.replace("41", "40")
    found = screened(tmp_path, AFTER, [{"src/deep.py": text} for text in (needs, anew, wrong)])
    assert [s.status for s in found] == ["unknown", "unknown", "fail"]


def test_what_fixes_only_after_another_test_has_run_is_left_to_the_cold_run(tmp_path: Path) -> None:
    red = {**AFTER, "src/deep.py": AFTER["src/deep.py"].replace("return 42", "return 0")}
    needs = {"src/deep.py": red["src/deep.py"].replace("return 0", "return 41 + len(SEEN)")}
    useless = {"src/deep.py": red["src/deep.py"].replace("return 0", "return 40 + len(SEEN)")}
    assert [s.status for s in screened(tmp_path, red, [needs, useless])] == ["unknown", "fail"]


def test_a_test_that_fails_only_now_and_then_decides_nothing(tmp_path: Path) -> None:
    """It fails the first time that a candidate is there, and passes when it is repeated: the file tells the two runs apart."""
    flaky = (
        "import os\n    path = os.path.join(os.path.dirname(__file__), 'seen')\n"
        "    first = not os.path.exists(path)\n    open(path, 'w').close()\n    return 0 if first else 42"
    )
    (seen,) = screened(tmp_path, FILES, [body(flaky)])
    assert seen.status == "unknown"


RED = {
    "src/calc.py": "def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n",
    "tests/test_calc.py": (
        "from calc import add, sub\n\n\ndef test_sub():\n    assert sub(3, 1) == 2\n\n\n"
        "def test_add():\n    assert add(1, 2) == 3\n"
    ),
}


def test_what_fixes_nothing_fails_at_once_unless_it_only_guards(tmp_path: Path) -> None:
    fixed = RED["src/calc.py"].replace("return a - b", "return a + b", 1)
    candidates: list[Mapping[str, str | None]] = [
        {"src/calc.py": fixed},
        {"src/calc.py": f"{RED['src/calc.py']}# more\n"},
        {"src/calc.py": RED["src/calc.py"].replace("return a - b", "return a + b")},
    ]
    found = screened(tmp_path / "fix", RED, candidates)
    assert [s.status for s in found] == ["pass", "fail", "fail"]
    assert found[0].fixed == ("tests/test_calc.py::test_add",)
    assert (found[1].ran, [c.id for c in found[1].failed]) == (1, ["tests/test_calc.py::test_add"])
    guard = screened(tmp_path / "guard", RED, candidates, progress=False)
    assert [s.status for s in guard] == ["pass", "pass", "fail"]


def test_edits_of_protected_files_are_left_out(tmp_path: Path) -> None:
    weak = {**BAD, "tests/test_answer.py": "def test_answer():\n    pass\n\n\ndef test_other():\n    pass\n"}
    (seen,) = screened(tmp_path, FILES, [weak], protect=("tests/",))
    assert (seen.status, seen.mode) == ("fail", "swap")


def test_an_import_that_starts_a_thread_or_opens_a_file_is_never_shared(tmp_path: Path) -> None:
    for name, line in (
        ("thread", "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"),
        ("file", "STREAM = open(__file__)\n"),
    ):
        text = line + FILES["src/deep.py"]
        files = {**FILES, "src/deep.py": text}
        found = screened(
            tmp_path / name, files, [{"src/deep.py": text.replace("+ 2", change)} for change in ("+ 3", "+ 1 + 1")]
        )
        assert [(s.status, s.mode) for s in found] == [("fail", "fork"), ("pass", "fork")]


def test_other_runners_and_broken_heads_get_a_cold_run(tmp_path: Path) -> None:
    files = {
        "calc.py": "def add(a, b):\n    return a + b\n",
        "test_calc.py": "import unittest\n\nfrom calc import add\n\n\nclass T(unittest.TestCase):\n    def test_add(self):\n"
        "        self.assertEqual(add(1, 2), 3)\n",
    }
    source = TestsSource(f"{sys.executable} -m unittest")
    candidates: list[Mapping[str, str | None]] = [
        {"calc.py": "def add(a, b):\n    return b + a\n"},
        {"calc.py": "def add(a, b):\n    return a - b\n"},
    ]
    found = screened(tmp_path, files, candidates, source=source, cold=True)
    assert [(s.mode, s.status) for s in found] == [("cold", "pass"), ("cold", "fail")]
    assert found[0].why == "the test command is not pytest, or its interpreter cannot be told"
    left = screened(tmp_path / "left", files, candidates, source=source)
    assert [s.status for s in left] == ["unknown", "unknown"]


@pytest.mark.parametrize("sandbox", [isolated], indirect=True)
def test_candidates_are_judged_side_by_side_each_in_a_place_of_its_own(tmp_path: Path, sandbox: Sandbox) -> None:
    found = screened(tmp_path, FILES, [GOOD, BAD] * 6, jobs=2, sandbox=sandbox)
    assert [s.status for s in found] == ["pass", "fail"] * 6


@pytest.mark.parametrize("files", [NASTY, RED_NASTY], ids=["green", "red"])
def test_the_usual_mutants_get_the_verdicts_of_cold_runs(tmp_path: Path, files: Mapping[str, str]) -> None:
    """`bench/verify.py` does this for two thousand."""
    shop, tree = make_shop(tmp_path, files)
    pairs = asyncio.run(side_by_side(itertools.islice(mutants(30), 5), tree, pytest_source(timeout_s=20), shop))
    assert not [(p.mutant.name, p.warm, p.cold) for p in pairs if p.differs]
    assert {p.warm.status for p in pairs} >= {"pass", "fail"}


@pytest.mark.slow
@pytest.mark.parametrize("files", [NASTY, RED_NASTY], ids=["green", "red"])
def test_a_hundred_mutants_get_the_verdicts_of_cold_runs(
    tmp_path: Path, sandbox: Sandbox, files: Mapping[str, str]
) -> None:
    shop, tree = make_shop(tmp_path, files, sandbox=sandbox)
    pairs = asyncio.run(side_by_side(itertools.islice(mutants(8), 100), tree, pytest_source(timeout_s=20), shop))
    assert not [(p.mutant.name, p.warm, p.cold) for p in pairs if p.differs]


def test_entering_a_warm_suite_starts_nothing(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, FILES)

    async def run() -> None:
        head = await report_of(tree, pytest_source(), shop)
        async with warm(pytest_source(), tree, head, shop):
            with contextlib.suppress(FileNotFoundError):
                assert not list((tmp_path / "repository" / ".loopwright" / "work").glob("*warm*"))

    asyncio.run(run())


def test_a_new_file_that_hides_an_imported_module_is_left_to_the_cold_run(tmp_path: Path) -> None:
    """Warm, the module that it hides is imported already, and the tests would pass."""
    candidates: list[Mapping[str, str | None]] = [
        {"src/enum.py": "X = 1\n"},
        {"src/sitecustomize.py": "raise SystemExit\n"},
        {"src/json/__init__.py": "X = 1\n"},
    ]
    found = screened(tmp_path, FILES, candidates)
    assert [(s.mode, s.status) for s in found] == [("cold", "unknown")] * 3


def test_a_link_or_a_path_outside_is_left_to_the_cold_run(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, FILES)
    source = pytest_source()
    outside = Change("../x.py", "100644", added(shop.blobs, "x.py", "x").content)

    async def run() -> list[Screened]:
        head = await report_of(tree, source, shop)
        async with warm(source, tree, head, shop) as suite:
            sets = [(added(shop.blobs, "link", "src", "120000"),), (outside,), (deleted("nowhere.py"),)]
            return [await suite.screen(s, cold=False) for s in sets]

    found = asyncio.run(run())
    assert [s.status for s in found] == ["unknown", "unknown", "pass"]
    assert not (tmp_path / "x.py").exists()
