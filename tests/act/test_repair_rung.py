"""The rung as the engine sees it: where it stopped, what it may edit, what it hands over, how it measures."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from loopwright.act.protocol import ProposeResult
from loopwright.act.repair.memory import Findings, Memory
from loopwright.act.repair.runner import Runner, runner_of
from loopwright.act.repair.spectra import Spectra, Tracing, trace
from loopwright.errors import ActionError
from loopwright.sandbox.plain import PlainSandbox
from loopwright.suite.command import parse
from loopwright.suite.report import SuiteReport
from support.repairs import Bench
from support.workshops import make_candidate

# Several edits make the failing test pass, so that several calls find something each.
FILES: dict[str, str | bytes] = {
    "src/fees.py": "def fee(amount):\n    if amount > 100:\n        return 0\n    return 5\n",
    "tests/test_fees.py": (
        "from fees import fee\n\n\n"
        "def test_border():\n    assert fee(100) == 0\n\n\n"
        "def test_small():\n    assert fee(99) == 5\n\n\n"
        "def test_large():\n    assert fee(250) == 0\n"
    ),
}


def memory_of(bench: Bench, result: ProposeResult) -> Memory:
    assert result.memory is not None
    return msgspec.json.decode(bench.shop.blobs.get(result.memory), type=Memory)


@dataclass(frozen=True)
class Fees:
    """The first three edits that are plausible, asked for at once."""

    bench: Bench
    report: SuiteReport
    offered: tuple[str, ...]


@pytest.fixture(scope="module")
def fees(tmp_path_factory: pytest.TempPathFactory) -> Fees:
    bench = Bench.of(tmp_path_factory.mktemp("fees"), FILES)
    report = asyncio.run(bench.observe())
    result = asyncio.run(bench.propose(report, batch=3))
    return Fees(bench, report, tuple(p.digest for p in result.proposals))


def test_the_next_call_goes_on_where_the_last_one_stopped(fees: Fees) -> None:
    alone: list[str] = []
    positions = [0]
    memory = None
    for _ in range(3):
        result = asyncio.run(fees.bench.propose(fees.report, memory=memory))
        memory = result.memory
        alone += [p.digest for p in result.proposals]
        positions.append(memory_of(fees.bench, result).position)
    assert len(set(alone)) == 3
    assert positions == sorted(set(positions))
    assert tuple(alone) == fees.offered


def test_memory_of_other_settings_is_not_believed(fees: Fees) -> None:
    other = fees.bench.shop.blobs.put(msgspec.json.encode(Memory("of another head", position=10_000)))
    result = asyncio.run(fees.bench.propose(fees.report, memory=other))
    assert [p.digest for p in result.proposals] == [fees.offered[0]]


def test_what_was_judged_before_is_not_offered_again(fees: Fees) -> None:
    again = asyncio.run(fees.bench.propose(fees.report, batch=3, tried=[fees.offered[0]]))
    assert [p.digest for p in again.proposals][:2] == list(fees.offered[1:])


def test_a_proposal_is_one_exact_file_and_says_what_it_does(tmp_path: Path) -> None:
    crlf = FILES["src/fees.py"].replace("\n", "\r\n")  # type: ignore[arg-type]
    bench = Bench.of(tmp_path, {**FILES, "src/fees.py": crlf.encode()})  # type: ignore[union-attr]
    (proposal,) = asyncio.run(bench.propose(asyncio.run(bench.observe()))).proposals
    (change,) = proposal.changes
    assert change.content is not None
    assert bench.shop.blobs.get(change.content).decode() == crlf.replace(">", ">=")  # type: ignore[arg-type]
    assert (change.path, change.mode) == ("src/fees.py", "100644")
    assert proposal.title == "comparison swap: > → >= in src/fees.py:2"
    assert "`if amount > 100:` → `if amount >= 100:`" in proposal.rationale
    assert proposal.diff is not None
    assert "+    if amount >= 100:" in bench.shop.blobs.get(proposal.diff).decode()


def test_only_permitted_files_that_are_neither_tests_nor_protected_are_edited(tmp_path: Path, fees: Fees) -> None:
    for name, bench in {
        "protected": Bench.of(tmp_path / "b", FILES, protect=["tests/", "fees.py"]),
        "not permitted": Bench.of(tmp_path / "c", FILES, write=["lib/"]),
    }.items():
        result = asyncio.run(bench.propose(fees.report))
        assert (result.proposals, result.exhausted) == ((), True), name
        assert "no line that may be edited" in result.summary


def test_two_bugs_are_repaired_one_after_the_other(tmp_path: Path) -> None:
    """No single edit fixes both tests; one that fixes one of them is progress and is offered."""
    files: dict[str, str | bytes] = {
        "two.py": "def low(x):\n    return x < 1\n\n\ndef high(x):\n    return x > 9\n",
        "tests/test_two.py": (
            "from two import high, low\n\n\n"
            "def test_low():\n    assert low(1)\n\n\ndef test_high():\n    assert high(9)\n\n\n"
            "def test_middle():\n    assert not low(5)\n    assert not high(5)\n"
        ),
    }
    bench = Bench.of(tmp_path, files)
    result = asyncio.run(bench.propose(asyncio.run(bench.observe()), batch=2))
    assert {(p.changes[0].path) for p in result.proposals} == {"two.py"}
    assert "of 2 failing ones" in result.summary
    assert result.findings is not None
    findings = msgspec.json.decode(bench.shop.blobs.get(result.findings), type=Findings)
    assert {n.passes for n in findings.near_misses} == {
        ("tests/test_two.py::test_low",),
        ("tests/test_two.py::test_high",),
    }
    assert {f.test for f in findings.failures} == {"tests/test_two.py::test_low", "tests/test_two.py::test_high"}
    assert findings.lines[0].text in {"return x < 1", "return x > 9"}


def test_a_search_that_finds_nothing_ends_and_says_so(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "no.py": "def answer():\n    pass\n",
        "tests/test_no.py": "from no import answer\n\n\ndef test_answer():\n    assert answer() == {'deep': ['thought']}\n",
    }
    bench = Bench.of(tmp_path, files)
    result = asyncio.run(bench.propose(asyncio.run(bench.observe())))
    assert (result.proposals, result.exhausted) == ((), True)
    assert "none makes a failing test pass" in result.summary


def test_without_a_test_report_the_rung_says_what_it_needs(fees: Fees) -> None:
    green = msgspec.structs.replace(fees.report, status="green")
    assert asyncio.run(fees.bench.propose(green)).exhausted
    with pytest.raises(ActionError, match="no test report"):
        asyncio.run(fees.bench.propose(MetricReading()))  # type: ignore[arg-type]


class MetricReading(msgspec.Struct):
    """What a source that is no test suite leaves."""

    metric: float = 0.5


TRACED = {
    "calc.py": "LIMIT = 3\n\n\ndef double(x):\n    y = x + x\n    if y > LIMIT:\n        y = 0\n    return y\n",
    "tests/conftest.py": "import pytest\nfrom calc import double\n\n\n@pytest.fixture\ndef four():\n    return double(2)\n",
    "tests/test_calc.py": (
        "from calc import double\n\n\n"
        "def test_one():\n    assert double(1) == 2\n\n\n"
        "def test_four(four):\n    assert four == 4\n\n\n"
        "def test_raises():\n    double(None)\n"
    ),
}


def traced(root: Path, tracer: str) -> Spectra:
    sandbox = PlainSandbox(root.parent / "homes", "/usr/bin:/bin")
    candidate = make_candidate(root, TRACED, sandbox)
    failing = ("tests/test_calc.py::test_four", "tests/test_calc.py::test_raises")
    tracing = Tracing(failing, ("tests/test_calc.py::test_one",), seconds=30, tracer=tracer)
    runner = Runner((sys.executable,), ("-q",), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    found = asyncio.run(trace(tracing, runner, candidate, sandbox, "r1/a1"))
    assert found is not None
    return found


# Python 3.11 has no sys.monitoring; asked for it, the next one is taken.
@pytest.mark.parametrize("tracer", ["auto", "coverage", "sys.settrace"])
def test_every_tracer_sees_the_lines_of_each_test_and_of_its_fixtures(tracer: str, tmp_path: Path) -> None:
    found = traced(tmp_path / "checkout", tracer)
    assert tracer in {"auto", found.tracer}
    lines = {t.test.rpartition("::")[2]: t.lines["calc.py"] for t in found.tests}
    assert lines == {"test_one": [5, 6, 8], "test_four": [5, 6, 7, 8], "test_raises": [5]}
    assert {t.test.rpartition("::")[2] for t in found.tests if t.failed} == {"test_four", "test_raises"}
    frames = next(t.frames for t in found.tests if t.test.endswith("test_raises"))
    assert frames[-1] == ("calc.py", 5)
    assert 1 in found.imported["calc.py"]
    assert "calc.py" in found.configured
    assert found.complete


@pytest.mark.parametrize(
    ("command", "python", "args"),
    [
        ("python -m pytest -q tests/", ("python",), ("-q", "tests/")),
        ("A=b uv run python -W error -m pytest", ("uv", "run", "python", "-W", "error"), ()),
        ("uv run pytest -x", ("uv", "run", "python"), ("-x",)),
        ("/opt/python3 -mpytest -k 'a b'", ("/opt/python3",), ("-k", "a b")),
    ],
)
def test_the_interpreter_behind_a_command_is_found(
    command: str, python: tuple[str, ...], args: tuple[str, ...]
) -> None:
    found = runner_of(parse(command))
    assert found is not None
    assert (found.python, found.args) == (python, args)


def test_a_bare_pytest_runs_in_the_interpreter_of_its_own_first_line(tmp_path: Path) -> None:
    """Another Python may stand first on the PATH, without the project's packages."""
    import subprocess

    script = tmp_path / "pytest"
    script.write_text(f"#!{sys.executable}\nraise SystemExit('not this')\n")
    script.chmod(0o755)
    found = runner_of(parse("pytest -q"))
    assert found is not None
    done = subprocess.run(
        [*found.python, "-c", "import sys; print(sys.executable)"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == sys.executable


@pytest.mark.parametrize("command", ["python -m unittest", "make test", "python run_tests.py"])
def test_what_is_not_pytest_has_no_runner(command: str) -> None:
    assert runner_of(parse(command)) is None
