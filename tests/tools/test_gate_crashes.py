"""Killed between any two steps of a call: the effect is there once or a person is asked, and nothing that was told is lost."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest

from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.values import Budget, Spend
from loopwright.policy.values import Json, ToolSpec
from loopwright.tools.protocol import Happened, ToolContext, ToolOutput
from loopwright.tools.recover import recover
from loopwright.tools.registry import Registry
from loopwright.tools.results import Place, Settings
from loopwright.tools.runlog import RunLog
from support.gates import LOOK, SEND, Desk, FakeSandbox, FakeTool, desk
from support.stores import Store

TESTS = Path(__file__).parents[1]
BOB: dict[str, Json] = {"to": "bob@example.org", "body": "hello"}


class Point(TypedDict):
    point: str
    exits: list[int]
    told: list[str]
    again: str
    kinds: list[str]
    ends: list[str]
    keys: list[str]


def campaign(store: Store, root: Path, *, remembers: bool) -> dict[str, Point]:
    """Every crash point in a real process that is killed there with SIGKILL."""
    argv = (sys.executable, "-m", "support.gate_child", str(root), store.url or "", "yes" if remembers else "no")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), "HOME": str(root)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=TESTS, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    points: list[Point] = [json.loads(line) for line in done.stdout.splitlines()]
    return {point["point"]: point for point in points}


@pytest.mark.parametrize("remembers", [True, False], ids=["a world that can be asked", "a world that cannot"])
def test_killed_at_any_point_an_effect_is_done_once_or_a_person_is_asked(
    store: Store, tmp_path: Path, remembers: bool
) -> None:
    points = campaign(store, tmp_path / "crashes", remembers=remembers)
    killed = {name for name, point in points.items() if point["exits"][1] == -9}
    assert killed == {"before1", "after1", "in_effect", "after_effect", "before2", "after2", "acknowledged"}
    for name, point in points.items():
        assert (point["exits"][0], point["exits"][2]) == (0, 0), point
        # The approval was for one: never two, whatever was lost, since nobody approved a second.
        assert len(point["keys"]) <= 1, point
        assert point["kinds"].count("call_intended") == point["kinds"].count("call_ended"), point
        if point["told"]:
            assert point["told"] == ["ok", "c2"], point
            assert point["ends"][0] == "ok", point
            assert len(point["keys"]) == 1, point
        if name == "before1":
            # Nothing was written: the approval is still good, and the second attempt is the first.
            assert (point["again"], point["ends"]) == ("ok", ["ok"]), point
        elif name in ("after1", "in_effect", "after_effect", "before2"):
            happened = name in ("after_effect", "before2")
            if remembers:
                assert point["ends"] == ["ok" if happened else "cancelled"], point
            else:
                assert point["ends"] == ["unknown"], point
            # What it was approved for was begun: doing it again takes a new approval, or a person who looked.
            assert point["again"] == "asked", point


def crashed(journal: Journal, tool: FakeTool, *, arguments: dict[str, Json] = BOB) -> None:
    """A run whose last process died right after the intent of a call."""
    at = desk(journal, tool)
    step = at.gate

    class Dead(BaseException):
        pass

    async def die(context: ToolContext) -> None:
        raise Dead

    tool.before, alive = die, tool.before
    with pytest.raises(Dead):
        asyncio.run(step.call("agent", tool.spec.name, arguments))
    tool.before = alive


def recovered(journal: Journal, tool: FakeTool | None, *, sandboxed: bool = True) -> tuple[ev.Body, ...]:
    log = RunLog(journal, "r1", lambda: 1_700_000_000_500)
    place = Place(FakeSandbox(isolated=sandboxed))
    return asyncio.run(recover(log, Registry([tool] if tool else []), place, Settings()))


def ended(bodies: tuple[ev.Body, ...]) -> ev.CallEnded:
    return next(b for b in bodies if isinstance(b, ev.CallEnded))


def test_a_call_that_did_not_happen_may_be_made_again_with_the_same_key(journal: Journal) -> None:
    tool = FakeTool(SEND)
    crashed(journal, tool)
    assert ended(recovered(journal, tool)).status == "cancelled"
    at = desk(journal, tool)
    assert at.call("mail.send", BOB).status == "ok"
    keys = [b.key for b in at.bodies if isinstance(b, ev.CallIntended)]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert at.call("mail.send", BOB).status == "ok"  # wanted a second time: other work, another key
    assert len({key for _, key in tool.done}) == 2


def test_a_call_that_happened_is_recorded_with_its_output_and_cost(journal: Journal) -> None:
    tool = FakeTool(SEND, output={"id": 7})
    crashed(journal, tool)
    intended = next(e.body for e in journal.read("r1") if isinstance(e.body, ev.CallIntended))
    tool.done.append((BOB, intended.key))
    tool.spend = Spend(usd_micros=30)
    end = ended(recovered(journal, tool))
    assert (end.status, end.spend.usd_micros) == ("ok", 30)
    assert end.output is not None and journal.blobs.get(end.output) == b'{"id":7}'


def test_what_nobody_can_tell_is_put_to_a_person_and_their_word_decides(journal: Journal) -> None:
    tool = FakeTool(SEND, answers=False, spend=Spend(usd_micros=40))
    journal_budget = Budget(usd_micros=100)
    from support.gates import begin

    begin(journal, "r1", budget=journal_budget)
    crashed(journal, tool)
    assert ended(recovered(journal, tool)).status == "unknown"
    state = fold(journal.read("r1"))
    assert state is not None
    assert state.spent.usd_micros == 40  # what was reserved: the only honest bound
    at: Desk = desk(journal, tool)
    assert [(ask.ask_id, ask.about) for ask in at.asks] == [("c1-unknown", "unknown")]
    result = at.call("mail.send", BOB)
    assert (result.status, result.ask_id, tool.done) == ("asked", "c1-unknown", [])
    at.approve("c1-unknown")  # somebody looked: it did not happen
    assert at.call("mail.send", BOB).status == "ok"
    assert len({b.key for b in at.bodies if isinstance(b, ev.CallIntended)}) == 1


def test_a_person_who_leaves_it_as_it_is_ends_the_matter(journal: Journal) -> None:
    tool = FakeTool(SEND, answers=False)
    crashed(journal, tool)
    recovered(journal, tool)
    at = desk(journal, tool)
    at.deny("c1-unknown", "Bob has it")
    result = at.call("mail.send", BOB)
    assert (result.status, result.ruling.rule) == ("denied", "call.unknown")
    assert "Bob has it" in result.message
    assert tool.done == []


@pytest.mark.parametrize("effect", ["read", "net_read", "write_own", "exec"])
def test_what_does_no_harm_twice_is_unknown_and_nobody_is_asked(journal: Journal, effect: str) -> None:
    spec = ToolSpec("own.write", effect, LOOK.arguments)  # type: ignore[arg-type]
    tool = FakeTool(spec, answers=False)
    crashed(journal, tool, arguments={"path": "report.txt"})
    bodies = recovered(journal, tool)
    assert [ev.kind_of(b) for b in bodies] == ["call_ended"]
    assert ended(bodies).status == "unknown"


def test_a_program_that_ran_outside_a_sandbox_is_asked_about(journal: Journal) -> None:
    tool = FakeTool(ToolSpec("own.run", "exec", LOOK.arguments), answers=False)
    crashed(journal, tool, arguments={"path": "report.txt"})
    bodies = recovered(journal, tool, sandboxed=False)
    assert [ev.kind_of(b) for b in bodies] == ["call_ended", "asked"]


def test_a_tool_that_is_gone_or_was_replaced_cannot_answer_for_the_call(journal: Journal) -> None:
    import msgspec

    tool = FakeTool(SEND)
    crashed(journal, tool)
    replaced = FakeTool(msgspec.structs.replace(SEND, pin="another server"))
    log = RunLog(journal, "r1", lambda: 1_700_000_000_500)
    from loopwright.tools.recover import settled

    for registry in (Registry(), Registry([replaced])):
        found = asyncio.run(settled(log, registry, Place(FakeSandbox()), Settings()))
        assert ended(tuple(found["c1"])).status == "unknown"


def test_a_world_that_breaks_when_it_is_asked_does_not_know(journal: Journal) -> None:
    class Broken(FakeTool):
        async def happened(self, arguments, context) -> Happened:  # type: ignore[no-untyped-def]
            raise OSError("no route to host")

    tool = Broken(SEND)
    crashed(journal, tool)
    end = ended(recovered(journal, tool))
    assert (end.status, "no route to host" in end.message) == ("unknown", True)


def test_recovering_again_finds_nothing_to_settle(journal: Journal) -> None:
    tool = FakeTool(SEND)
    crashed(journal, tool)
    assert recovered(journal, tool) != ()
    assert recovered(journal, tool) == ()


def test_an_effect_that_ends_after_another_driver_settled_it_does_not_overwrite_the_record(journal: Journal) -> None:
    tool = FakeTool(SEND, answers=False)

    async def taken_over(context: ToolContext) -> None:
        log = RunLog(journal, "r1", lambda: 1_700_000_000_500)
        await recover(log, Registry([tool]), Place(FakeSandbox()), Settings())

    tool.before = taken_over
    at = desk(journal, tool)
    result = at.call("mail.send", BOB)
    assert result.status == "unknown"
    assert [b.status for b in at.bodies if isinstance(b, ev.CallEnded)] == ["unknown"]


def test_outputs_of_a_recovered_call_are_bounded_and_redacted(journal: Journal) -> None:
    secret = "hunter2" + "hunter2"

    class Telling(FakeTool):
        async def happened(self, arguments, context) -> Happened:  # type: ignore[no-untyped-def]
            return Happened("yes", ToolOutput("ok", f"sent {secret}"))

    tool = Telling(SEND)
    crashed(journal, tool)
    log = RunLog(journal, "r1", lambda: 1_700_000_000_500)
    settings = Settings(redact=lambda text: text.replace(secret, "[redacted]"))
    asyncio.run(recover(log, Registry([tool]), Place(FakeSandbox()), settings))
    assert all(secret.encode() not in data for _, data, _ in journal.raw("r1"))


def test_two_that_recover_at_once_settle_a_call_once(journal: Journal) -> None:
    class Slow(FakeTool):
        async def happened(self, arguments, context) -> Happened:  # type: ignore[no-untyped-def]
            if not self.looked_twice:
                self.looked_twice = True
                log = RunLog(journal, "r1", lambda: 1_700_000_000_500)
                await recover(log, Registry([self]), Place(FakeSandbox()), Settings())
            return await super().happened(arguments, context)

        looked_twice = False

    tool = Slow(SEND)
    crashed(journal, tool)
    assert recovered(journal, tool) == ()
    assert [e.body.status for e in journal.read("r1") if isinstance(e.body, ev.CallEnded)] == ["cancelled"]


def test_a_fork_does_not_settle_what_was_in_flight_in_its_parent(journal: Journal) -> None:
    tool = FakeTool(SEND)
    crashed(journal, tool)
    events = list(journal.read("r1"))
    forked = ev.RunForked("r1", events[-1].seq, events[-1].digest, "loopwright/fix/r2")
    journal.append("r2", [*(e.body for e in events), forked], expect_seq=0, at_ms=events[-1].at_ms)
    log = RunLog(journal, "r2", lambda: 1_700_000_000_500)
    assert asyncio.run(recover(log, Registry([tool]), Place(FakeSandbox()), Settings())) == ()
    fork = desk(journal, tool, run_id="r2")
    assert fork.call("mail.send", BOB).status == "ok"
    parent, child = (b.key for b in fork.bodies if isinstance(b, ev.CallIntended))
    assert parent != child


def test_two_calls_that_look_the_same_once_they_are_redacted_do_not_share_a_key(journal: Journal) -> None:
    own = ToolSpec("own.run", "exec", SEND.arguments)
    tool = FakeTool(own)
    tokens = ["gh" + "p_" + part * 9 for part in ("a1B2", "c3D4")]
    crashed(journal, tool, arguments={"to": "notes.txt", "body": tokens[0]})
    assert ended(recovered(journal, tool)).status == "unknown"
    at = desk(journal, tool)
    assert at.call("own.run", {"to": "notes.txt", "body": tokens[1]}).status == "ok"
    intended = [b for b in at.bodies if isinstance(b, ev.CallIntended)]
    recorded = {b.call.arguments.sha256 for b in at.bodies if isinstance(b, ev.CallRequested)}
    assert len(recorded) == 1
    assert len({b.key for b in intended}) == 2
