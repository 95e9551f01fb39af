"""A program proposes what it changed; what it says is read strictly, and what it prints is never believed."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.act.command import CommandProposer
from loopwright.act.digest import changes_digest
from loopwright.act.protocol import ProposeRequest, ProposeResult
from loopwright.act.result_file import parse_result
from loopwright.errors import ActionError
from loopwright.kernel.loop import CommandRung
from loopwright.kernel.values import Observation, Plan
from loopwright.workspace.workshop import Workshop
from support.judging import make_loop, observed
from support.repositories import git
from support.workshops import make_shop

GUIDE = Path(__file__).parents[2] / "docs/reference/command-proposer.md"


def propose(
    shop: Workshop, tree: str, program: str, *, seen: tuple[Observation, ...] = (), tried: tuple[str, ...] = ()
) -> ProposeResult:
    """Runs `program`, Python source, as the rung."""
    request = ProposeRequest(
        run_id="r1",
        iteration=3,
        rung=0,
        tree=tree,
        loop=make_loop(),
        ticket="# A ticket",
        plan=Plan(("look",), "why"),
        observations=seen,
        batch=4,
        memory=None,
        tried=tried,
        lessons=("breaks t",),
    )
    script = shop.workspace.checkout(tree, "script")  # lives outside the candidate, as a user's tool would
    (script.path / "tool.py").write_text(program)
    with script:
        proposer = CommandProposer(CommandRung(f"{sys.executable} {script.path / 'tool.py'}"))
        return asyncio.run(proposer.propose(request, shop))


@pytest.fixture
def site(tmp_path: Path) -> tuple[Workshop, str]:
    return make_shop(
        tmp_path, {"src/a.py": "x = 1\n", "src/b.py": "y = 1\n", "tests/test_a.py": "def test_x(): pass\n"}
    )


def says(result: object) -> str:
    """A program that edits a file and writes `result` (text as it is, all else as JSON)."""
    text = result if isinstance(result, str) else json.dumps(result)
    return f"import os\nopen('src/a.py', 'w').write('x = 2\\n')\nopen(os.environ['LOOPWRIGHT_RESULT'], 'w').write({text!r})\n"


def test_the_changed_files_are_the_proposal(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    program = (
        "import os\nopen('src/a.py', 'w').write('x = 2\\n')\nos.remove('src/b.py')\nopen('new.py', 'w').write('')\n"
    )
    result = propose(shop, tree, program)
    (proposal,) = result.proposals
    contents = {c.path: None if c.content is None else shop.blobs.get(c.content) for c in proposal.changes}
    assert contents == {"new.py": b"", "src/a.py": b"x = 2\n", "src/b.py": None}
    assert (proposal.rung, proposal.title) == ("command", "edit new.py, src/a.py, src/b.py")
    assert proposal.digest == changes_digest(proposal.changes)
    assert proposal.diff is not None
    assert b"-x = 1\n+x = 2\n" in shop.blobs.get(proposal.diff)
    assert (result.exhausted, result.impossible, result.spend.usd_micros) == (False, None, 0)


def test_the_program_is_given_the_task(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"src/a.py": "x = 1\n", "tests/test_a.py": "def test_x(): assert 0, 'é'\n"})
    program = "import sys, os\nopen('task.json', 'wb').write(sys.stdin.buffer.read())\nopen('env', 'w').write(str(sorted(os.environ)))\n"
    (proposal,) = propose(shop, tree, program, seen=(observed(shop, tree),), tried=("d1",)).proposals
    written = {c.path: shop.blobs.get(c.content) for c in proposal.changes if c.content is not None}
    task = json.loads(written["task.json"])
    (seen,) = task.pop("observations")
    assert task == {
        "protocol": 1,
        "goal": "Make the failing tests pass.",
        "ticket": "# A ticket",
        "iteration": 3,
        "plan": {"steps": ["look"], "rationale": "why"},
        "tried": ["d1"],
        "lessons": ["breaks t"],
        "protect": ["tests/"],
        "write": [],
    }
    assert seen["content"]["cases"][0]["message"] == "AssertionError: é"
    assert "LOOPWRIGHT_RESULT" in written["env"].decode()
    assert "VIRTUAL_ENV" not in written["env"].decode()


def test_what_the_program_says_of_itself_is_recorded(site: tuple[Workshop, str]) -> None:
    said = {
        "title": "set  x\n",
        "rationale": "it is 2",
        "usd": "0.1234567",
        "tokens": 12,
        "exhausted": True,
        "done": True,
    }
    result = propose(*site, says(said))
    assert (result.proposals[0].title, result.proposals[0].rationale) == ("set x", "it is 2")
    assert (result.spend.usd_micros, result.spend.tokens, result.exhausted) == (123_457, 12, True)


def test_impossible_is_passed_on_as_a_question_with_nothing_more_to_offer(site: tuple[Workshop, str]) -> None:
    shop, tree = site
    program = (
        "import os\nopen(os.environ['LOOPWRIGHT_RESULT'], 'w').write('{\"impossible\": \"the tests disagree\"}')\n"
    )
    result = propose(shop, tree, program)
    assert (result.proposals, result.impossible, result.exhausted) == ((), "the tests disagree", True)


def test_a_program_that_changes_nothing_proposes_nothing_and_may_be_asked_again(site: tuple[Workshop, str]) -> None:
    result = propose(*site, "print('all done, tests pass!')\n")
    assert (result.proposals, result.exhausted, result.summary) == ((), False, "the program changed nothing")
    assert result.findings is not None
    assert site[0].blobs.get(result.findings) == b"all done, tests pass!"


def test_edits_of_protected_files_are_left_out_beside_others(site: tuple[Workshop, str]) -> None:
    program = "open('src/a.py', 'w').write('x = 2\\n')\nopen('tests/test_a.py', 'w').write('')\n"
    result = propose(*site, program)
    assert [c.path for c in result.proposals[0].changes] == ["src/a.py"]
    assert result.summary == "edit src/a.py; edits of protected files left out: tests/test_a.py"


def test_edits_of_protected_files_alone_are_offered_so_that_their_verdict_teaches(site: tuple[Workshop, str]) -> None:
    result = propose(*site, "open('tests/test_a.py', 'w').write('')\n")
    assert [c.path for c in result.proposals[0].changes] == ["tests/test_a.py"]


@pytest.mark.parametrize(
    "said",
    [
        "not json",
        "[]",
        '{"unknown": 1}',
        '{"usd": -0.5}',
        '{"usd": NaN}',
        '{"usd": "NaN"}',
        '{"usd": "-1"}',
        '{"usd": 1e999}',
        '{"usd": true}',
        '{"usd": null}',
        '{"usd": "1_000"}',
        '{"tokens": -1}',
        '{"tokens": 1.5}',
        '{"tokens": 1e15}',
        '{"done": "yes"}',
        '{"title": 3}',
        '{"title": "a"} trailing',
    ],
)
def test_a_result_that_is_not_exactly_one_is_refused(said: str) -> None:
    with pytest.raises(ActionError, match=r"^command: the result file cannot be used: .*; expected|NaN") as caught:
        parse_result(said.encode()).spend()
    assert "\n" not in str(caught.value)
    assert caught.value.signature == "command: the result file cannot be used"


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_raise_anything_but_its_own_error(data: bytes) -> None:
    try:
        spend = parse_result(data).spend()
    except ActionError:
        return
    assert spend.usd_micros >= 0


@given(st.decimals(min_value=0, max_value=999_999, places=6))
def test_dollars_with_six_places_are_exact(usd: object) -> None:
    assert parse_result(json.dumps({"usd": str(f"{usd:f}")}).encode()).spend().usd_micros == int(
        f"{usd:.6f}".replace(".", "")
    )


@pytest.mark.parametrize(
    ("usd", "micros"), [("0.0000001", 1), ("1e-05", 10), ("2.5E1", 25_000_000), ("0", 0), ("1000000", 10**12)]
)
def test_dollars_are_never_rounded_away(usd: str, micros: int) -> None:
    assert parse_result(b'{"usd": %s}' % usd.encode()).spend().usd_micros == micros


def test_a_bad_result_is_an_error_and_not_a_proposal(site: tuple[Workshop, str]) -> None:
    with pytest.raises(ActionError, match="usd is -5"):
        propose(*site, says({"usd": -5}))


@pytest.mark.parametrize(
    "plant", ["os.mkfifo(r)", "os.symlink('/etc/passwd', r)", "os.mkdir(r)", "os.truncate(os.open(r, 65), 2 << 20)"]
)
def test_a_result_file_that_is_no_plain_small_file_is_refused(site: tuple[Workshop, str], plant: str) -> None:
    with pytest.raises(ActionError, match="the result file cannot be used"):
        propose(*site, f"import os\nr = os.environ['LOOPWRIGHT_RESULT']\n{plant}\n")


def test_a_failing_program_is_an_error_with_its_last_line(site: tuple[Workshop, str]) -> None:
    with pytest.raises(ActionError) as caught:
        propose(*site, "import sys\nopen('src/a.py', 'w')\nprint('fine')\nraise ValueError(f'no {object()}')\n")
    assert "failed with exit code 1: ValueError: no <object object at 0x" in str(caught.value)
    assert caught.value.signature.endswith("ValueError: no <object object at 0x…>")


def test_a_program_that_is_not_there_or_does_not_end_is_said_so(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"f": ""}, timeout_s=1)
    with pytest.raises(ActionError, match="did not end within 1 s") as caught:
        propose(shop, tree, "import threading\nthreading.Event().wait()\n")
    assert caught.value.status == "timeout"
    request = ProposeRequest("r", 1, 0, tree, make_loop(), None, Plan((), ""), (), 1, None, (), ())
    with pytest.raises(ActionError, match="program not found: 'fixr --now'"):
        asyncio.run(CommandProposer(CommandRung("fixr --now")).propose(request, shop))


def test_the_users_checkout_is_untouched_and_no_copy_is_left(tmp_path: Path, site: tuple[Workshop, str]) -> None:
    propose(*site, says({}))
    repository = tmp_path / "repository"
    assert git(repository, "status", "--porcelain", "--", "src", "tests") == ""
    assert list((repository / ".loopwright/work").iterdir()) == []


def test_the_example_of_the_guide_works(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert example is not None
    tests = "import a\ndef test_x(): assert a.total([1]) == 1\n"
    shop, tree = make_shop(tmp_path, {"src/a.py": "def totals(x):\n    return sum(x)\n", "tests/test_a.py": tests})
    result = propose(shop, tree, example[1], seen=(observed(shop, tree),))
    (change,) = result.proposals[0].changes
    assert change.content is not None
    assert shop.blobs.get(change.content) == b"def total(x):\n    return sum(x)\n"
    assert (result.proposals[0].title, result.exhausted) == ("rename what the tests call otherwise", True)


def test_the_guide_names_every_key_of_the_task_and_of_the_result(site: tuple[Workshop, str]) -> None:
    text = GUIDE.read_text()
    said = {"title", "rationale", "usd", "tokens", "impossible", "exhausted", "done"}
    given_keys = {
        "protocol",
        "goal",
        "ticket",
        "iteration",
        "plan",
        "observations",
        "tried",
        "lessons",
        "protect",
        "write",
    }
    assert {f"| `{key}` |" for key in said | given_keys} <= set(re.findall(r"\| `\w+` \|", text))
