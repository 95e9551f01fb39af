"""The door: any program may knock, nothing goes through that the gate did not decide, and no input ends it."""

import asyncio
import contextlib
import json
import os
import re
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.errors import JournalError, SandboxError
from loopwright.kernel import events as ev
from loopwright.policy.values import Json, Rule
from loopwright.sandbox.protocol import ExecSpec, Sandbox
from loopwright.testing.forwarding import ForwardingJournal
from loopwright.testing.memory import MemoryJournal
from loopwright.tools.door import DOOR_PATH, Door, open_door
from loopwright.tools.protocol import ToolContext
from support.gates import LOOK, SEND, Desk, FakeSandbox, FakeTool, desk
from support.workshops import isolated, plain

TOKEN = "knock" * 4
GUIDE = Path(__file__).parents[2] / "docs" / "reference" / "tool-door.md"


def talk(at: Desk, work: Callable[[Path], object], *, action_id: str = "") -> Door:
    """Run `work` with the socket of an open door, in a thread as another program would."""

    async def main() -> Door:
        outside = FakeSandbox(isolated=False)
        outside.uid = os.geteuid()
        async with open_door(at.gate, outside, token=TOKEN, actor="agent", action_id=action_id) as door:
            await asyncio.to_thread(work, Path(door.env["LOOPWRIGHT_DOOR"]))
        return door

    return asyncio.run(main())


class Program:
    """A connection that speaks bytes."""

    def __init__(self, path: Path, first: bytes | None = json.dumps({"token": TOKEN}).encode()) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")
        if first is not None:
            self.greeting = self.say(first)

    def say(self, line: bytes) -> dict[str, Json]:
        self.socket.sendall(line + b"\n")
        return self.hear()

    def hear(self) -> dict[str, Json]:
        answer: dict[str, Json] = json.loads(self.lines.readline())
        return answer

    def ended(self) -> bool:
        try:
            return self.lines.readline() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@pytest.mark.parametrize("kind", [plain, isolated], ids=["plain", "bubblewrap"])
def test_the_client_of_the_reference_works_in_a_program_that_a_sandbox_runs(
    tmp_path: Path, kind: Callable[[Path], Sandbox]
) -> None:
    """The documented client, as the guide has it, in a real process with nothing but the door's two variables."""
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    assert found is not None
    assert len([line for line in found[1].splitlines() if line.strip()]) <= 20
    program = (
        found[1]
        + """
tools = Tools()
names = [tool["name"] for tool in tools.list()]
seen = tools.call("box.look", path="report.txt")
asked = tools.call("mail.send", reason="it is urgent", to="bob@example.org")
print(json.dumps([names, seen["status"], seen["output"], asked["status"], asked["ask"]]))
"""
    )
    tool = FakeTool(SEND)
    look = FakeTool(LOOK, output={"text": "numbers"})
    at = desk(MemoryJournal(), look, tool, rules=(Rule("ask", "mail.send"),))
    sandbox = kind(tmp_path)
    work = tmp_path / "work"
    work.mkdir()

    async def main() -> tuple[bytes, bytes, tuple[str, ...]]:
        async with open_door(at.gate, sandbox, token=TOKEN, actor="agent", action_id="") as door:
            argv = (sys.executable, "-c", program)
            done = await sandbox.run(
                ExecSpec(argv, work, 60, f"{tmp_path.name}/a1", env=door.env, binds=door.binds, writable=(work,))
            )
            return done.stdout, done.stderr, door.asks

    try:
        stdout, stderr, asks = asyncio.run(main())
    finally:
        sandbox.close()
    assert stderr == b""
    assert json.loads(stdout) == [["box.look", "mail.send"], "ok", {"text": "numbers"}, "asked", "q1"]
    assert asks == ("q1",)
    assert tool.done == []


def test_an_isolated_sandbox_is_given_the_socket_at_a_fixed_path() -> None:
    at = desk(MemoryJournal(), FakeTool(LOOK))

    async def main() -> None:
        sandbox = FakeSandbox(isolated=True)
        sandbox.uid = os.geteuid()
        async with open_door(at.gate, sandbox, token=TOKEN, actor="agent", action_id="") as door:
            (bind,) = door.binds
            assert (bind.target, bind.writable) == (DOOR_PATH, False)
            assert door.env["LOOPWRIGHT_DOOR"] == str(DOOR_PATH)
            status = bind.source.stat()
            assert stat.S_ISSOCK(status.st_mode)
            assert stat.S_IMODE(status.st_mode) == 0o666
            assert stat.S_IMODE(bind.source.parent.stat().st_mode) == 0o700
        assert not bind.source.parent.exists()

    asyncio.run(main())


@pytest.mark.parametrize(
    "first",
    [b'{"token": "wrong"}', b'{"token": 1}', b"{}", b"\xff\xfe", b'{"tool": "box.look"}', b"[" * 100_000],
)
def test_without_the_token_nothing_is_answered(first: bytes) -> None:
    tool = FakeTool(LOOK)
    at = desk(MemoryJournal(), tool)

    def work(path: Path) -> None:
        program = Program(path, None)
        answer = program.say(first + b'\n{"tool": "box.look", "arguments": {"path": "x"}}')
        assert answer["status"] == "error"
        assert TOKEN not in json.dumps(answer)
        assert program.ended()
        program.close()

    talk(at, work)
    assert (tool.done, at.kinds()) == ([], [])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b'{"tool": "box.look", "tool": "mail.send", "arguments": {}}',
        b'{"tool": "box.look", "arguments": {"path": NaN}}',
        b'{"tool": "box.look", "arguments": {"path": "a", "path": "b"}}',
        b'{"tool": "box.look", "arguments": {"path": "\\ud800"}}',
        b'{"tool": "box.look", "arguments": "path"}',
        b'{"tool": "box.look", "arguments": {"path": 1e999}}',
        b'{"tool": 7}',
        b'{"tool": "box.look", "surprise": 1}',
        b'{"list": 1}',
        b'{"list": true, "tool": "box.look"}',
        b'{"id": 7, "tool": "box.look"}',
        b'{"tool": "box.look", "arguments": {"path": "\xff"}}',
        b"[" * 200_000,
        b"9" * 10_000,
    ],
)
def test_a_malformed_line_is_answered_with_an_error_and_the_next_one_is_served(line: bytes) -> None:
    tool = FakeTool(LOOK)
    at = desk(MemoryJournal(), tool)

    def work(path: Path) -> None:
        program = Program(path)
        answer = program.say(line)
        assert (answer["status"], answer["id"]) == ("error", None)
        assert program.say(b'{"id": "n", "tool": "box.look", "arguments": {"path": "x"}}')["status"] == "ok"
        program.close()

    talk(at, work)
    assert len(tool.done) == 1


def test_a_line_that_is_too_long_ends_the_connection_and_not_the_door() -> None:
    at = desk(MemoryJournal(), FakeTool(LOOK))

    def work(path: Path) -> None:
        program = Program(path)
        with contextlib.suppress(ConnectionError):  # the door may close while we are still sending
            program.socket.sendall(b'{"tool": "' + b"x" * (3 << 20))
        with contextlib.suppress(ConnectionError):
            assert "longer" in str(program.hear()["message"])
        assert program.ended()
        program.close()
        other = Program(path)
        assert other.say(b'{"list": true}')["status"] == "ok"
        other.close()

    talk(at, work)


def test_one_call_is_in_flight_a_connection_and_answers_keep_the_order() -> None:
    running = most = 0

    async def count(context: ToolContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)

    async def done(context: ToolContext) -> None:
        nonlocal running
        running -= 1

    at = desk(MemoryJournal(), FakeTool(LOOK, before=count, after=done))

    def work(path: Path) -> None:
        program = Program(path)
        lines = [json.dumps({"id": f"{n}", "tool": "box.look", "arguments": {"path": f"{n}"}}) for n in range(20)]
        program.socket.sendall("\n".join(lines).encode() + b"\n")
        assert [program.hear()["id"] for _ in lines] == [f"{n}" for n in range(20)]
        program.close()

    talk(at, work)
    assert most == 1


def test_connections_are_few() -> None:
    at = desk(MemoryJournal(), FakeTool(LOOK))

    def work(path: Path) -> None:
        programs = [Program(path) for _ in range(8)]
        ninth = Program(path, None)
        assert "at most 8" in str(ninth.hear()["message"])
        for program in [*programs, ninth]:
            program.close()

    talk(at, work)


def test_a_refusal_says_rule_reason_and_remedy_and_calls_carry_the_action() -> None:
    at = desk(MemoryJournal(), FakeTool(LOOK))

    def work(path: Path) -> None:
        program = Program(path)
        answer = program.say(b'{"id": "1", "tool": "box.look", "arguments": {"path": "x"}}')
        assert (answer["status"], answer["rule"]) == ("denied", "run.action_over")
        assert answer["why"]
        assert answer["remedy"]
        program.close()

    talk(at, work, action_id="a9")
    requested = next(b for b in at.bodies if isinstance(b, ev.CallRequested))
    assert requested.call.action_id == "a9"


def test_closing_the_door_cancels_what_is_in_flight_and_settles_it() -> None:
    async def main() -> list[str]:
        begun = asyncio.Event()

        async def hang(context: ToolContext) -> None:
            begun.set()
            await asyncio.Event().wait()

        at = desk(MemoryJournal(), FakeTool(SEND, after=hang))
        outside = FakeSandbox(isolated=False)
        outside.uid = os.geteuid()
        async with open_door(at.gate, outside, token=TOKEN, actor="agent", action_id="") as door:
            _, writer = await asyncio.open_unix_connection(door.env["LOOPWRIGHT_DOOR"])
            writer.write(json.dumps({"token": TOKEN}).encode() + b"\n")
            writer.write(b'{"tool": "mail.send", "arguments": {"to": "bob@example.org"}}\n')
            await begun.wait()
        writer.close()
        return [b.status for b in at.bodies if isinstance(b, ev.CallEnded)]

    assert asyncio.run(main()) == ["ok"]  # the world was asked, and it had happened


def test_a_journal_that_cannot_be_written_stops_every_call() -> None:
    class Full(ForwardingJournal):
        def append(self, *args: object, **more: object) -> list[ev.Event]:
            raise JournalError("disk full")

    inner = MemoryJournal()
    tool = FakeTool(LOOK)
    desk(inner, tool)
    at = desk(Full(inner), tool)

    def work(path: Path) -> None:
        program = Program(path)
        answer = program.say(b'{"id": "1", "tool": "box.look", "arguments": {"path": "x"}}')
        assert (answer["status"], answer["id"]) == ("error", "1")
        program.close()

    door = talk(at, work)
    assert isinstance(door.failure, JournalError)
    assert tool.done == []


def test_a_folder_whose_path_is_too_long_for_a_socket_is_said_in_one_line(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    at = desk(MemoryJournal(), FakeTool(LOOK))

    async def main() -> None:
        async with open_door(at.gate, FakeSandbox(), token=TOKEN, actor="agent", action_id="", folder=deep):
            raise AssertionError("a door with such a path cannot be opened")

    with pytest.raises(SandboxError, match="shorter"):
        asyncio.run(main())
    assert list(deep.iterdir()) == []
