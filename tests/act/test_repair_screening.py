"""The forked screening against candidates that misbehave: none of them may count as a success, none may hold the search up."""

import asyncio
import py_compile
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from loopwright.act.repair.edits import Edit
from loopwright.act.repair.runner import Runner
from loopwright.act.repair.screen import Screened, Screening, Unusable, screen
from loopwright.sandbox.protocol import Sandbox
from support.workshops import isolated, make_candidate, plain, write_files

BEFORE = "def answer():\n    return 41\n"
GOOD = "def answer():\n    return 42\n"
TEST = "tests/test_answer.py::test_answer"
FILES = {
    "deep.py": BEFORE,
    "tests/test_answer.py": (
        "from deep import answer\n\n\n"
        "def test_answer():\n    assert answer() == 42\n\n\n"
        "def test_other():\n    assert answer() > 0\n"
    ),
}

MISBEHAVING = {
    "loops for ever": "def answer():\n    while True:\n        pass\n",
    "sleeps for ever": "import time\n\n\ndef answer():\n    time.sleep(3600)\n",
    "recurses for ever": "def answer():\n    return answer()\n",
    "recurses past the stack": (
        "import sys\n\n\ndef answer():\n    sys.setrecursionlimit(10**9)\n    return repr(nest())\n\n\n"
        "def nest():\n    x = []\n    for _ in range(10**7):\n        x = [x]\n    return x\n"
    ),
    "exits with success": "import os\n\n\ndef answer():\n    os._exit(0)\n",
    "exits with success at import": "import os\n\nos._exit(0)\n",
    "raises SystemExit": "import sys\n\n\ndef answer():\n    sys.exit(0)\n",
    "raises SystemExit at import": "import sys\n\nsys.exit(0)\n",
    "ends pytest": "import pytest\n\n\ndef answer():\n    pytest.exit('done', 0)\n",
    "skips the test": "import pytest\n\n\ndef answer():\n    pytest.skip('not today')\n",
    "floods the output": (
        "import os\n\n\ndef answer():\n    for _ in range(2000):\n        print('x' * 100_000)\n"
        "        os.write(1, b'y' * 10_000)\n        os.write(2, b'z' * 10_000)\n    return 0\n"
    ),
    "eats memory": "def answer():\n    return len([bytearray(1 << 26) for _ in range(1 << 12)])\n",
    "fills the disk": "def answer():\n    with open('big', 'wb') as f:\n        f.write(bytes(1 << 28))\n    return 42\n",
    "kills its group": "import os\n\n\ndef answer():\n    os.killpg(0, 9)\n",
    "does not compile": "def answer(:\n",
}
NEVER_ENDING_THREAD = (
    "import threading\nimport time\n\n\ndef answer():\n"
    "    threading.Thread(target=time.sleep, args=(3600,)).start()\n    return 42\n"
)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    made: Sandbox = request.param(tmp_path)
    yield made
    made.close()


def whole_file(text: str) -> Edit:
    return Edit("deep.py", 0, len(BEFORE.encode()), text.encode(), "test", 1)


def screened(
    tmp_path: Path,
    texts: list[str],
    *,
    early: bool = False,
    lookahead: int = 1000,
    jobs: int = 1,
    wanted: str = TEST,
    planted: Mapping[str, bytes] | None = None,
    sandbox: Sandbox | None = None,
) -> list[Screened]:
    sandbox = sandbox or plain(tmp_path)
    candidates = tuple(make_candidate(tmp_path / f"repository{n}", FILES, sandbox) for n in range(jobs))
    for candidate in candidates:
        for path, data in (planted or {}).items():
            candidate.write(path, data)
    screening = Screening(
        runner=Runner((sys.executable,), ("-q",), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
        wanted=(wanted,),
        modules=(),
        files=("deep.py", "tests/test_answer.py"),
        jobs=candidates,
        sandbox=sandbox,
        action_id="r1/a1",
        seconds_left=lambda: 60.0,
        lookahead=lookahead,
        patience=1000,
        early=early,
    )
    edits = enumerate(whole_file(text) for text in texts)
    found, _ = asyncio.run(screen(screening, edits, {"deep.py": BEFORE.encode()}, lambda _: None))
    assert all(candidate.read("deep.py") == BEFORE.encode() for candidate in candidates)
    return found


@pytest.mark.parametrize("sandbox", [plain, isolated], indirect=True)
def test_no_misbehaving_candidate_counts_as_a_success_and_a_good_one_among_them_does(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """One search over all of them, a good one before, between and after: what one does must not reach the next."""
    texts = [GOOD]
    for text in MISBEHAVING.values():
        texts += [text, GOOD]
    found = screened(tmp_path, texts, sandbox=sandbox)
    assert [s.index for s in found] == list(range(len(texts)))
    wrong = {name: s for name, s in zip(MISBEHAVING, found[1::2], strict=True) if s.passed or s.complete}
    assert not wrong
    assert all(s.complete and s.passed == {TEST} for s in found[::2])


@pytest.mark.parametrize("sandbox", [plain, isolated], indirect=True)
def test_an_edit_that_kills_the_screening_is_out_of_the_way_when_it_goes_on(tmp_path: Path, sandbox: Sandbox) -> None:
    """It stays in the file when the process that would have taken it out again is killed."""
    kills = "import os\n\n\ndef answer():\n    os.kill(os.getppid(), 9)\n"
    found = screened(tmp_path, [kills, GOOD, kills, GOOD], sandbox=sandbox)
    assert [(s.index, s.died, s.complete) for s in found] == [
        (0, True, False),
        (1, False, True),
        (2, True, False),
        (3, False, True),
    ]


def test_a_thread_that_never_ends_does_not_hold_a_good_candidate_up(tmp_path: Path) -> None:
    (found,) = screened(tmp_path, [NEVER_ENDING_THREAD])
    assert found.complete


@pytest.mark.parametrize("early", [False, True])
def test_candidates_of_the_same_length_are_never_taken_for_each_other(tmp_path: Path, early: bool) -> None:
    """Byte code is found by size and time stamp: two edits of one length within a second look the same to it."""
    texts = [GOOD, BEFORE.replace("41", "40"), GOOD, BEFORE.replace("41", "43")] * 5
    assert [s.complete for s in screened(tmp_path, texts, early=early)] == [True, False] * 10


def test_stale_byte_code_in_the_checkout_is_not_used(tmp_path: Path) -> None:
    good = write_files(tmp_path / "good", {"deep.py": GOOD}) / "deep.py"
    code = py_compile.compile(str(good), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, doraise=True)
    assert code is not None
    planted = {f"__pycache__/{Path(code).name}": Path(code).read_bytes()}
    assert [s.complete for s in screened(tmp_path, [BEFORE + "\n", GOOD], planted=planted)] == [False, True]


def test_the_search_ends_so_many_edits_after_the_first_good_one(tmp_path: Path) -> None:
    wrong = BEFORE.replace("41", "40")
    found = screened(tmp_path, [wrong, GOOD, *[wrong] * 30], lookahead=3)
    assert [s.index for s in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("sandbox", [plain, isolated], indirect=True)
def test_the_first_good_edit_wins_however_slow_the_job_that_has_it(tmp_path: Path, sandbox: Sandbox) -> None:
    """The second job begins at edit 16, which is good at once; edit 3 of the first job is good too, and slow."""
    wrong = BEFORE.replace("41", "40")
    slow = "import time\n\n\ndef answer():\n    time.sleep(1)\n    return 42\n"
    found = screened(
        tmp_path, [*[wrong] * 3, slow, *[wrong] * 12, GOOD, *[wrong] * 15], lookahead=0, jobs=2, sandbox=sandbox
    )
    assert [(s.index, s.complete) for s in found] == [(0, False), (1, False), (2, False), (3, True)]


def test_a_test_that_passes_by_itself_is_not_searched_for(tmp_path: Path) -> None:
    """It fails only among the others: no edit could be told from any other, and the caller takes whole runs instead."""
    with pytest.raises(Unusable, match="pass when they run by themselves"):
        screened(tmp_path, [GOOD], wanted="tests/test_answer.py::test_other")
