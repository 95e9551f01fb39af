"""Files through the gate: inside the candidate, no link followed, and an approval is of the content that was there."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from loopwright.errors import ActionError
from loopwright.policy.values import Json
from loopwright.testing.memory import MemoryJournal
from loopwright.tools.files import READ_CHARS, file_tools
from loopwright.tools.protocol import Preview, Tool, ToolContext, ToolOutput
from loopwright.tools.workbench import FILE_BYTES, Workbench
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.repository import Repository
from support.gates import FakeSandbox
from support.repositories import make_repository

CONTEXT = ToolContext("r1", "c1", "k", FakeSandbox(), None, (), 60, lambda: 0)


class Files:
    def __init__(self, tmp_path: Path) -> None:
        root = make_repository(
            tmp_path / "repo", {"src/a.txt": "one\ntwo\n", "b.bin": b"\xff\x00\xfe", "run.sh": "#!/bin/sh\n"}
        )
        repository = Repository.find(root)
        workspace = GitWorkspace(repository, root / ".loopwright")
        tree = repository.tree_of(repository.head)
        self.candidate = workspace.checkout(tree, "test")
        self.tools: dict[str, Tool] = {
            tool.spec.name: tool for tool in file_tools(Workbench(workspace, self.candidate, tree))
        }

    def look(self, name: str, **arguments: Json) -> Preview:
        return asyncio.run(self.tools[name].preview(arguments, CONTEXT))

    def do(self, name: str, **arguments: Json) -> ToolOutput:
        return asyncio.run(self.tools[name].call(arguments, CONTEXT))

    def value(self, name: str, **arguments: Json) -> Mapping[str, Json]:
        output = self.do(name, **arguments)
        assert output.status == "ok", output
        assert isinstance(output.value, dict)
        return output.value


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_file_is_read_from_an_offset_and_bounded(files: Files) -> None:
    assert files.value("files.read", path="src/a.txt")["text"] == "one\ntwo\n"
    assert files.value("files.read", path="src/a.txt", offset=4)["text"] == "two\n"
    files.do("files.write", path="long.txt", text="x" * (READ_CHARS + 5))
    said = files.value("files.read", path="long.txt")
    assert len(str(said["text"])) == READ_CHARS
    assert said["size_chars"] == READ_CHARS + 5


def test_what_is_no_text_comes_as_base64(files: Files) -> None:
    assert files.value("files.read", path="b.bin")["base64"] == "/wD+"


def test_a_written_file_is_in_the_candidate_and_in_its_harvest(files: Files) -> None:
    files.do("files.write", path="src/new/c.txt", text="Grüße\n")
    assert files.candidate.read("src/new/c.txt") == "Grüße\n".encode()
    files.do("files.write", path="run.sh", text="#!/bin/sh\ntrue\n", executable=True)
    files.do("files.remove", path="src/a.txt")
    changes = files.candidate.harvest(MemoryJournal().blobs)
    assert [(c.path, c.mode, c.content is None) for c in changes] == [
        ("run.sh", "100755", False),
        ("src/a.txt", "100644", True),
        ("src/new/c.txt", "100644", False),
    ]


def test_the_list_is_of_what_is_there_now(files: Files) -> None:
    files.do("files.write", path="src/z.txt", text="")
    files.do("files.remove", path="b.bin")
    assert files.value("files.list")["paths"] == ["run.sh", "src/a.txt", "src/z.txt"]
    assert files.value("files.list", pattern="src/")["paths"] == ["src/a.txt", "src/z.txt"]
    assert files.value("files.list", pattern="*.sh")["count"] == 1


def test_the_precondition_is_the_content_and_the_diff_is_what_will_change(files: Files) -> None:
    first = files.look("files.write", path="src/a.txt", text="one\n2\n")
    assert first.diff == "--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2"
    assert files.look("files.write", path="src/a.txt", text="one\n2\n").precondition == first.precondition
    files.do("files.write", path="src/a.txt", text="changed meanwhile")
    assert files.look("files.write", path="src/a.txt", text="one\n2\n").precondition != first.precondition
    absent = files.look("files.write", path="new.txt", text="x")
    assert absent.diff.startswith("--- /dev/null\n+++ b/new.txt")
    files.do("files.write", path="new.txt", text="")
    assert files.look("files.write", path="new.txt", text="x").precondition != absent.precondition


def test_a_removal_shows_what_goes(files: Files) -> None:
    assert "-two" in files.look("files.remove", path="src/a.txt").diff
    assert "3 bytes" in files.look("files.remove", path="b.bin").diff


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", ".git/config", "src/.GIT/x", "", "a\0b", "a//b", 7]
)
@pytest.mark.parametrize("name", ["files.read", "files.write", "files.remove"])
def test_a_path_that_leaves_the_candidate_is_refused_before_and_in_the_effect(
    files: Files, name: str, path: Json
) -> None:
    more: dict[str, Json] = {"text": "x"} if name == "files.write" else {}
    with pytest.raises(ActionError):
        files.look(name, path=path, **more)
    assert files.do(name, path=path, **more).status == "error"


def test_no_link_is_followed(files: Files, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    os.symlink(outside / "secret.txt", files.candidate.path / "file-link")
    os.symlink(outside, files.candidate.path / "folder-link")
    for path in ("file-link", "folder-link/secret.txt"):
        with pytest.raises(ActionError):
            files.look("files.read", path=path)
        assert files.do("files.read", path=path).status == "error"
    files.do("files.write", path="folder-link/planted.txt", text="x")
    files.do("files.write", path="file-link", text="x")
    files.do("files.remove", path="folder-link/secret.txt")
    assert sorted(p.name for p in outside.iterdir()) == ["secret.txt"]
    assert (outside / "secret.txt").read_text() == "secret"


def test_what_is_not_there_or_too_large_is_said_in_one_line(files: Files) -> None:
    for name in ("files.read", "files.remove"):
        with pytest.raises(ActionError, match="found none"):
            files.look(name, path="nope.txt")
    with pytest.raises(ActionError, match="at most"):
        files.look("files.write", path="x", text="x" * (FILE_BYTES + 1))
    with pytest.raises(ActionError, match="pattern"):
        files.look("files.list", pattern="../x")


def test_a_program_and_a_write_never_touch_the_candidate_at_once(files: Files) -> None:
    async def main() -> list[str]:
        order: list[str] = []
        tool = files.tools["files.write"]
        bench: Workbench = tool.bench  # type: ignore[attr-defined]
        async with bench.busy:
            task = asyncio.create_task(tool.call({"path": "late.txt", "text": "x"}, CONTEXT))
            for _ in range(20):
                await asyncio.sleep(0)
            order.append("absent" if files.candidate.read("late.txt") is None else "present")
        await task
        order.append("absent" if files.candidate.read("late.txt") is None else "present")
        return order

    assert asyncio.run(main()) == ["absent", "present"]
