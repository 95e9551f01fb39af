"""Programs through the gate: a vector, one folder, a bounded answer, and a person where there is no sandbox."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.policy.decide import decide
from loopwright.policy.values import Grant, Json, Task, TaskPlan
from loopwright.sandbox.protocol import Limits, Sandbox
from loopwright.testing.clock import FakeClock
from loopwright.testing.memory import MemoryJournal
from loopwright.tools.approvals.answer import answer, open_asks
from loopwright.tools.files import file_tools
from loopwright.tools.gate import Gate
from loopwright.tools.protocol import ToolContext
from loopwright.tools.registry import Registry
from loopwright.tools.results import CallResult, Place, Rights
from loopwright.tools.runlog import RunLog
from loopwright.tools.shell import ShellTool
from loopwright.tools.workbench import Workbench
from loopwright.workspace.repository import Repository
from support.gates import begin
from support.repositories import make_repository
from support.workshops import isolated, plain, workspace_for


class Shell:
    def __init__(self, tmp_path: Path, sandbox: Sandbox, limits: Limits | None = None) -> None:
        root = make_repository(tmp_path / "repo", {"src/a.txt": "a\n", "b.txt": "b\n"})
        repository = Repository.find(root)
        workspace = workspace_for(repository, root / ".loopwright", sandbox)
        self.sandbox = sandbox
        tree = repository.tree_of(repository.head)
        self.candidate = workspace.checkout(tree, "test")
        self.bench = Workbench(workspace, self.candidate, tree)
        self.journal = MemoryJournal()
        self.clock = FakeClock()
        begin(self.journal, "r1")
        self.gate = Gate(
            RunLog(self.journal, "r1", self.clock),
            Registry([ShellTool(self.bench, limits)]),
            {"agent": Rights(Task("do it"), TaskPlan(), Grant(tools=("shell.run",), effects=("exec",)))},
            Place(sandbox, timeout_s=60),
            decide,
            new_nonce=lambda: "n",
        )

    def run(self, *argv: str, **more: Json) -> CallResult:
        return asyncio.run(self.gate.call("agent", "shell.run", {"argv": list(argv), **more}))

    def output(self, *argv: str, **more: Json) -> dict[str, Json]:
        result = self.run(*argv, **more)
        assert isinstance(result.output, dict), result
        return result.output


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """In the default sandbox, over a copy on write: there the policy lets programs run."""
    found = Shell(tmp_path, isolated(tmp_path))
    yield found
    found.sandbox.close()


@pytest.fixture
def bare(tmp_path: Path) -> Shell:
    """Without a sandbox: a person is asked."""
    return Shell(tmp_path, plain(tmp_path))


def test_a_program_gets_its_words_as_they_are_and_no_shell_reads_them(shell: Shell) -> None:
    words = ["$HOME", "a b", "; rm -rf /", "`id`", "*", "", "'\"", "\n", "--"]
    said = shell.output(sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words)
    assert json.loads(str(said["stdout"])) == words
    assert (said["exit_code"], said["stderr"], said["truncated"]) == (0, "", False)


def test_it_works_in_the_candidate_and_what_it_writes_is_harvested(shell: Shell) -> None:
    assert shell.output("pwd")["stdout"] == f"{shell.candidate.path}\n"
    assert shell.output("pwd", cwd="src")["stdout"] == f"{shell.candidate.path}/src\n"
    assert shell.output("sh", "-c", "cat > new.txt", stdin="hello")["exit_code"] == 0
    blobs = MemoryJournal().blobs
    assert [change.path for change in shell.candidate.harvest(blobs)] == ["new.txt"]


def test_words_reach_the_program_unread_in_another_folder_too(shell: Shell) -> None:
    words = ["$HOME", "a b", "; id", "-x", ""]
    said = shell.output(sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words, cwd="src")
    assert json.loads(str(said["stdout"])) == words


@pytest.mark.parametrize("cwd", ["..", "../x", "/etc", "src/../..", "a\0b", 7])
def test_a_folder_outside_the_candidate_is_refused(shell: Shell, cwd: Json) -> None:
    assert shell.run("pwd", cwd=cwd).status == "denied"


@pytest.mark.parametrize("argv", [[], [""], ["a\0b"], ["x"] * 2000, ["x" * 200_000], "ls -l", None, [1]])
def test_what_is_no_vector_is_refused(shell: Shell, argv: Json) -> None:
    result = asyncio.run(shell.gate.call("agent", "shell.run", {"argv": argv}))
    assert result.status == "denied"


def test_a_failing_a_missing_and_an_endless_program_are_told_apart(shell: Shell) -> None:
    assert shell.output("sh", "-c", "echo no >&2; exit 3")["exit_code"] == 3
    missing = shell.run("no-such-program-here")
    assert (missing.status, "not found" in missing.message) == ("error", True)
    endless = shell.run("sleep", "1000", timeout_s=0.1)
    assert (endless.status, "did not end within 0.1 s" in endless.message) == ("error", True)


def test_a_long_output_shows_both_ends(shell: Shell) -> None:
    said = shell.output(sys.executable, "-c", "print('first'); print('x' * 200_000); print('last')")
    text = str(said["stdout"])
    assert text.startswith("first")
    assert text.endswith("last\n")
    assert len(text) < 60_000


def test_a_flood_ends_the_program(tmp_path: Path) -> None:
    sandbox = isolated(tmp_path)
    flooded = Shell(tmp_path, sandbox, Limits(output_bytes=10_000)).run("yes")
    sandbox.close()
    assert (flooded.status, "too much" in flooded.message) == ("error", True)


def test_outside_a_sandbox_a_person_approves_this_vector_in_this_folder(bare: Shell) -> None:
    shell = bare
    asked = shell.run("touch", "made")
    assert asked.status == "asked"
    (ask,) = open_asks(shell.journal, "r1", shell.clock)
    assert ask.step_up
    assert '"touch", "made"' in ask.card
    answer(
        shell.journal, "r1", "q1", "approve", by="ada", why="", now_ms=shell.clock, digest=ask.digest, confirm="shell.run"
    )  # fmt: skip
    for argv, cwd in ((["touch", "other"], ""), (["touch", "made"], "src"), (["touch", "made", "x"], "")):
        assert shell.run(*argv, **({"cwd": cwd} if cwd else {})).status == "asked"
    assert shell.run("touch", "made").status == "ok"
    assert shell.candidate.read("made") == b""


def test_an_approval_outside_a_sandbox_is_of_its_input_too(bare: Shell) -> None:
    shell = bare
    shell.run("sh", stdin="touch one")
    (ask,) = open_asks(shell.journal, "r1", shell.clock)
    answer(
        shell.journal, "r1", "q1", "approve", by="ada", why="", now_ms=shell.clock, digest=ask.digest, confirm="shell.run"
    )  # fmt: skip
    assert shell.run("sh", stdin="touch two").status == "asked"
    assert shell.candidate.read("two") is None


def test_a_link_in_place_of_the_folder_shows_nothing_of_this_machine(shell: Shell, tmp_path: Path) -> None:
    """A backend shows the command its working folder: were it a link of the actor's, it would show where the link leads."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "private.txt").write_text("private")
    assert shell.output("ln", "-s", str(outside), "out")["exit_code"] == 0
    said = shell.output("ls", cwd="out")
    assert said["exit_code"] != 0
    assert "private.txt" not in str(said)


def test_files_and_programs_see_each_other_s_work(shell: Shell) -> None:
    tools = {tool.spec.name: tool for tool in file_tools(shell.bench)}
    context = ToolContext("r1", "c1", "k", shell.sandbox, None, (), 60, lambda: 0)

    def do(name: str, **arguments: Json) -> Json:
        return asyncio.run(tools[name].call(arguments, context)).value

    do("files.write", path="src/hello.sh", text="echo hello > src/said.txt\n", executable=True)
    assert shell.output("sh", "src/hello.sh")["exit_code"] == 0
    read = do("files.read", path="src/said.txt")
    assert isinstance(read, dict) and read["text"] == "hello\n"
    listed = do("files.list", pattern="src/")
    assert isinstance(listed, dict)
    assert listed["paths"] == ["src/a.txt", "src/hello.sh", "src/said.txt"]
