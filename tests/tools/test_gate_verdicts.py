"""Every way through the gate, on real journals and with the real policy."""

import asyncio
from collections.abc import Mapping

import pytest

from loopwright.errors import ActionError
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.values import Budget, Spend
from loopwright.policy.policy import ToolLabels
from loopwright.policy.values import CallBudget, CallView, Json, Rule, Ruling, Situation, ToolSpec
from loopwright.testing.memory import MemoryJournal
from loopwright.tools.protocol import ToolContext
from loopwright.tools.results import Settings
from support.gates import LOOK, PAY, SEND, WIPE, FakeTool, desk

BOB: dict[str, Json] = {"to": "bob@example.org"}
SOON = Settings(grace_s=0)


def test_an_allowed_call_is_requested_decided_and_intended_in_one_commit_and_ended_after_the_effect(
    journal: Journal,
) -> None:
    seen: list[list[str]] = []

    async def look(context: ToolContext) -> None:
        seen.append([ev.kind_of(e.body) for e in journal.read("r1")])

    tool = FakeTool(SEND, before=look, sent_bytes=12)
    at = desk(journal, tool)
    result = at.call("mail.send", BOB, reason="the user wants it")

    assert (result.status, result.output, result.call_id) == ("ok", "done", "c1")
    assert seen == [["run_started", "call_requested", "call_decided", "call_intended"]]
    ended = at.bodies[-1]
    assert isinstance(ended, ev.CallEnded)
    assert (ended.status, ended.sent_bytes, ended.taint) == ("ok", 12, "none")
    assert len(tool.done) == 1


def test_the_tool_gets_the_key_of_the_intent_and_a_copy_of_the_recorded_arguments(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = desk(journal, tool)
    arguments: dict[str, Json] = {"to": "bob@example.org", "body": "hi"}
    at.call("mail.send", arguments)
    given, key = tool.done[0]
    intended = next(b for b in at.bodies if isinstance(b, ev.CallIntended))
    assert (dict(given), key) == (arguments, intended.key)
    assert given is not arguments


def test_a_caller_that_changes_its_arguments_while_the_gate_looks_changes_nothing(journal: Journal) -> None:
    """The classic swap: what is decided on is a copy, so a list that is changed later reaches neither policy nor tool."""
    recipients: list[Json] = ["bob@example.org"]

    class Swapping(FakeTool):
        async def preview(self, arguments: Mapping[str, Json], context: ToolContext):  # type: ignore[no-untyped-def]
            recipients[0] = "eve@example.net"
            value = arguments["to"]
            assert isinstance(value, list)
            value[0] = "eve@example.net"
            return await super().preview(arguments, context)

    tool = Swapping(SEND)
    at = desk(journal, tool)
    assert at.call("mail.send", {"to": recipients}).status == "ok"
    assert tool.done[0][0] == {"to": ["bob@example.org"]}


def test_a_denied_call_is_recorded_with_rule_reason_and_remedy_and_is_never_looked_at(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = desk(journal, tool, rules=(Rule("deny", "mail.send", (), "no mail today"),))
    result = at.call("mail.send", BOB)
    assert result.status == "denied"
    assert (result.ruling.rule, result.ruling.why) == ("deny.rule", "no mail today")
    assert result.ruling.remedy
    assert at.kinds() == ["call_requested", "call_decided"]
    assert (tool.looked, tool.done) == (0, [])


def test_an_asked_call_comes_back_at_once_and_the_run_waits(journal: Journal) -> None:
    tool = FakeTool(WIPE)
    at = desk(journal, tool)
    result = at.call("disk.wipe", {"path": "report.txt"})
    assert (result.status, result.ask_id) == ("asked", "q1")
    assert at.kinds() == ["call_requested", "call_decided", "asked"]
    state = fold(journal.read("r1"))
    assert state is not None and [ask.ask_id for ask in state.asks] == ["q1"]
    assert tool.done == []


@pytest.mark.parametrize("name", ["nope", "", "mail.send\u200b", "x" * 500, "\ud800"])
def test_an_unknown_tool_is_denied_and_recorded(journal: Journal, name: str) -> None:
    at = desk(journal, FakeTool(SEND))
    result = at.call(name, {})
    assert (result.status, result.ruling.rule) == ("denied", "tool.unknown")
    assert at.kinds() == ["call_requested", "call_decided"]


def test_a_name_spelled_with_look_alikes_is_the_tool_it_looks_like(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = desk(journal, tool)
    assert at.call("mаil.send", BOB).status == "ok"  # a Cyrillic letter
    requested = next(b for b in at.bodies if isinstance(b, ev.CallRequested))
    assert requested.call.tool == "mail.send"


def test_two_tools_whose_names_read_alike_are_refused_together(journal: Journal) -> None:
    from loopwright.errors import UsageError

    with pytest.raises(UsageError, match="reads like"):
        desk(journal, FakeTool(SEND), FakeTool(ToolSpec("mаil.send", "read", ())))


def test_an_actor_that_nothing_is_granted_to_is_denied(journal: Journal) -> None:
    tool = FakeTool(SEND)
    result = desk(journal, tool).call("mail.send", BOB, actor="agent/helper")
    assert (result.status, result.ruling.rule, tool.done) == ("denied", "actor.unknown", [])


@pytest.mark.parametrize(
    "arguments",
    [
        {"to": float("nan")},
        {"to": "\ud800"},
        {"to": 2**60},
        {"to": {1, 2}},
        {"to": "x" * (1 << 20)},
        {"\udfff": "x"},
    ],
)
def test_arguments_that_readers_could_read_differently_are_no_call_at_all(arguments: dict[str, Json]) -> None:
    at = desk(MemoryJournal(), FakeTool(SEND))
    result = at.call("mail.send", arguments)
    assert (result.status, result.ruling.rule, result.call_id) == ("denied", "call.malformed", "")
    assert at.kinds() == []


def test_a_deep_value_is_refused_and_ends_nobody() -> None:
    deep: Json = "x"
    for _ in range(100_000):
        deep = [deep]
    assert desk(MemoryJournal(), FakeTool(SEND)).call("mail.send", {"to": deep}).ruling.rule == "call.malformed"
    while isinstance(deep, list):  # so that freeing it does not recurse
        deep = deep.pop()


def test_what_cannot_be_looked_at_is_not_done(journal: Journal) -> None:
    tool = FakeTool(SEND, error=ActionError("mail.send: no such mailbox"))
    at = desk(journal, tool)
    result = at.call("mail.send", BOB)
    assert (result.status, result.ruling.rule) == ("denied", "call.impossible")
    assert "no such mailbox" in result.message
    assert tool.done == []


def test_the_kill_switch_denies_everything(journal: Journal) -> None:
    tool = FakeTool(LOOK)
    why: list[str | None] = [None]
    at = desk(journal, tool, settings=Settings(killed=lambda: why[0]))
    assert at.call("box.look", {"path": "report.txt"}).status == "ok"
    why[0] = "pulled by ada"
    result = at.call("box.look", {"path": "report.txt"})
    assert (result.status, result.ruling.rule) == ("denied", "deny.killed")
    assert "pulled by ada" in result.message
    assert len(tool.done) == 1


@pytest.mark.parametrize("body", [ev.StopRequested("ada", "enough"), ev.PauseRequested("ada", "lunch")])
def test_a_stop_or_pause_asked_for_by_another_process_denies_the_next_call(journal: Journal, body: ev.Body) -> None:
    tool = FakeTool(LOOK)
    at = desk(journal, tool)
    head = journal.head("r1")
    assert head is not None
    journal.append("r1", [body], expect_seq=head.seq)
    assert at.call("box.look", {"path": "report.txt"}).ruling.rule == "deny.killed"
    assert tool.done == []


def test_a_quarantined_tool_is_denied_from_the_moment_its_server_changed(journal: Journal) -> None:
    tool = FakeTool(LOOK)

    class Box:
        quarantined: tuple[str, ...] = ()
        tools = (tool,)

        async def close(self) -> None:
            return None

    box = Box()
    at = desk(journal, boxes=[box])
    assert at.call("box.look", {"path": "a"}).status == "ok"
    box.quarantined = ("box.look",)
    result = at.call("box.look", {"path": "b"})
    assert (result.status, result.ruling.rule, len(tool.done)) == ("denied", "deny.quarantined", 1)
    assert at.gate.manifest("agent") == ()


def test_the_very_same_call_again_and_again_is_cut_off(journal: Journal) -> None:
    tool = FakeTool(LOOK)
    at = desk(journal, tool, calls=CallBudget(identical=3, per_minute=None))
    results = [at.call("box.look", {"path": "report.txt"}) for _ in range(6)]
    assert [r.status for r in results] == ["ok"] * 3 + ["denied"] * 3
    assert results[-1].ruling.rule == "deny.budget.identical"
    assert len(tool.done) == 3


def test_many_refused_calls_pause_the_run(journal: Journal) -> None:
    at = desk(journal, FakeTool(LOOK), settings=Settings(denials=3))
    for _ in range(3):
        at.call("nope", {})
    assert isinstance(at.bodies[-1], ev.PauseRequested)
    head = journal.head("r1")
    assert head is not None
    journal.append("r1", [ev.RunPaused("look"), ev.RunResumed("ada")], expect_seq=head.seq)
    for _ in range(3):
        at.call("nope", {})
    assert [ev.kind_of(b) for b in at.bodies].count("pause_requested") == 2


def test_a_label_of_the_user_s_policy_is_what_is_decided_by() -> None:
    """The tool says that it only reads; the user knows better."""
    tool = FakeTool(LOOK)
    at = desk(MemoryJournal(), tool, labels=(ToolLabels("box.look", effect="destroy"),))
    assert at.call("box.look", {"path": "report.txt"}).ruling.rule == "ask.destroy"
    requested = next(b for b in at.bodies if isinstance(b, ev.CallRequested))
    assert requested.call.effect == "destroy"
    assert at.asks[0].step_up


def test_a_tool_that_breaks_is_an_error_and_not_the_end_of_the_actor(journal: Journal) -> None:
    async def boom(context: ToolContext) -> None:
        raise RuntimeError("wires crossed")

    at = desk(journal, FakeTool(LOOK, before=boom))
    result = at.call("box.look", {"path": "report.txt"})
    assert result.status == "error"
    assert "wires crossed" in result.message
    assert at.kinds()[-1] == "call_ended"


def test_an_effect_that_times_out_is_asked_of_the_world(journal: Journal) -> None:
    async def hang(context: ToolContext) -> None:
        await asyncio.Event().wait()

    done = desk(journal, FakeTool(SEND, after=hang), run_id="after", timeout_s=0.01, settings=SOON)
    assert done.call("mail.send", BOB).status == "ok"  # the world says that it arrived
    undone = desk(journal, FakeTool(SEND, before=hang), run_id="before", timeout_s=0.01, settings=SOON)
    result = undone.call("mail.send", BOB)
    assert (result.status, "did not happen" in result.message) == ("timeout", True)
    silent = desk(journal, FakeTool(SEND, before=hang, answers=False), run_id="silent", timeout_s=0.01, settings=SOON)
    result = silent.call("mail.send", BOB)
    assert (result.status, result.ask_id) == ("unknown", "c1-unknown")
    assert [a.about for a in silent.asks] == ["unknown"]


def test_a_cancelled_effect_is_settled_before_the_cancellation_goes_on(journal: Journal) -> None:
    async def main(answers: bool, run_id: str) -> str:
        begun = asyncio.Event()

        async def hang(context: ToolContext) -> None:
            begun.set()
            await asyncio.Event().wait()

        at = desk(journal, FakeTool(SEND, after=hang, answers=answers), run_id=run_id)
        task = asyncio.create_task(at.gate.call("agent", "mail.send", BOB))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ended = [b for b in at.bodies if isinstance(b, ev.CallEnded)]
        return ended[0].status

    assert asyncio.run(main(True, "told")) == "ok"
    assert asyncio.run(main(False, "silent")) == "unknown"


def test_what_a_call_may_cost_is_held_until_it_ends_and_refused_when_it_does_not_fit(journal: Journal) -> None:
    held: list[int | None] = []

    async def look(context: ToolContext) -> None:
        state = fold(journal.read("r1"))
        assert state is not None
        held.append(state.remaining().usd_micros)

    tool = FakeTool(PAY, spend=Spend(usd_micros=400), before=look)
    at = desk(journal, tool, budget=Budget(usd_micros=1000))
    assert [at.call("api.ask", {"query": f"q {n}"}).status for n in "abc"] == ["ok", "ok", "denied"]
    assert held == [600, 200]
    decided = [b for b in at.bodies if isinstance(b, ev.CallDecided)]
    assert decided[-1].rule == "budget.spend"


def test_fifty_calls_at_once_never_overspend(journal: Journal) -> None:
    tool = FakeTool(PAY, spend=Spend(usd_micros=100))

    async def main() -> list[str]:
        # Three gates of the same run, as three processes would have: each with a log of its own that grows stale.
        gates = [desk(journal, tool, budget=Budget(usd_micros=1234)).gate for _ in range(3)]
        calls = (gates[n % 3].call("agent", "api.ask", {"query": f"q {n}"}) for n in range(50))
        return [result.status for result in await asyncio.gather(*calls)]

    statuses = asyncio.run(main())
    assert (statuses.count("ok"), statuses.count("denied")) == (12, 38)
    state = fold(journal.read("r1"))
    assert state is not None
    assert (state.spent.usd_micros, len(tool.done)) == (1200, 12)


@pytest.mark.parametrize(("spec", "argument"), [(SEND, "to"), (LOOK, "path")], ids=["sending", "reading"])
def test_a_secret_in_the_arguments_is_refused_and_written_nowhere(
    journal: Journal, spec: ToolSpec, argument: str
) -> None:
    secret = "hunter2" + "hunter2"
    tool = FakeTool(spec)
    at = desk(journal, tool, settings=Settings(redact=lambda text: text.replace(secret, "[redacted]")))
    result = at.call(spec.name, {argument: f"it is {secret}"}, reason=f"because {secret}")
    assert (result.status, result.ruling.rule, tool.done) == ("denied", "secret.in_arguments", [])
    assert all(secret.encode() not in data for _, data, _ in journal.raw("r1"))


def test_what_looks_like_a_token_does_not_leave_and_may_be_used_inside_the_sandbox(journal: Journal) -> None:
    token = "gh" + "p_" + "a1B2" * 9
    mail, own = FakeTool(SEND), FakeTool(ToolSpec("own.run", "exec", SEND.arguments))
    at = desk(journal, mail, own)
    assert at.call("mail.send", {"to": "bob@example.org", "body": token}).ruling.rule == "secret.in_arguments"
    assert at.call("own.run", {"to": "notes.txt", "body": token}).status == "ok"
    assert mail.done == []
    assert all(token.encode() not in data for _, data, _ in journal.raw("r1"))


def test_what_a_tool_gives_back_is_redacted_for_the_actor_and_the_journal_alike(journal: Journal) -> None:
    secret = "hunter2" + "hunter2"
    tool = FakeTool(LOOK, output={"text": f"a {secret} b", secret: [secret]})
    at = desk(journal, tool, settings=Settings(redact=lambda text: text.replace(secret, "[redacted]")))
    result = at.call("box.look", {"path": "x"})
    assert result.output == {"text": "a [redacted] b", "[redacted]": ["[redacted]"]}
    assert all(secret.encode() not in data for _, data, _ in journal.raw("r1"))


def test_an_output_that_is_no_json_or_too_large_is_bounded_and_kept_readable() -> None:
    odd: Json = {"nan": float("nan"), "big": 2**70, "half": "\ud800"}
    at = desk(MemoryJournal(), FakeTool(LOOK, output=odd))
    assert at.call("box.look", {"path": "x"}).output == {"nan": "nan", "big": str(2**70), "half": "\ufffd"}
    at = desk(MemoryJournal(), FakeTool(LOOK, output="\x01" * 1_000_000), settings=Settings(output_bytes=4096))
    output = at.call("box.look", {"path": "x"}).output
    assert isinstance(output, dict)
    assert output["truncated"] is True
    assert len(str(output)) < 8192


def test_a_gate_whose_driver_lost_the_run_does_nothing_more(journal: Journal) -> None:
    tool = FakeTool(LOOK)
    begin_bodies = [ev.DriverStarted("first", "host", 1, "0", "none")]
    at = desk(journal, tool)
    journal.append("r1", begin_bodies, expect_seq=1)
    at = desk(journal, tool)
    assert at.call("box.look", {"path": "x"}).status == "ok"
    head = journal.head("r1")
    assert head is not None
    journal.append("r1", [ev.DriverStarted("second", "host", 2, "0", "none")], expect_seq=head.seq)
    result = at.call("box.look", {"path": "y"})
    assert (result.status, result.ruling.rule, len(tool.done)) == ("denied", "run.taken_over", 1)


def test_a_call_for_an_action_that_is_over_is_denied(journal: Journal) -> None:
    tool = FakeTool(LOOK)
    at = desk(journal, tool)
    result = asyncio.run(at.gate.call("agent", "box.look", {"path": "x"}, action_id="a7"))
    assert (result.status, result.ruling.rule, tool.done) == ("denied", "run.action_over", [])


def test_the_gate_writes_beside_a_driver_that_appends_all_the_time(journal: Journal) -> None:
    """Another writer commits between every look of the gate and its commit: the gate decides again and loses nothing."""
    tool = FakeTool(LOOK)
    meddled: list[int] = []

    def meddling(call: CallView, situation: Situation) -> Ruling:
        if len(meddled) < 5:
            head = journal.head("r1")
            assert head is not None
            journal.append("r1", [ev.LimitsChanged("ada", Budget(iterations=20))], expect_seq=head.seq)
            meddled.append(head.seq)
        return Ruling("allow", "test", "a test says so")

    at = desk(journal, tool, judge=meddling)
    assert at.call("box.look", {"path": "x"}).status == "ok"
    assert len(meddled) == 5
    assert len(tool.done) == 1
    kinds = at.kinds()
    assert kinds.count("call_intended") == 1
    assert kinds.count("call_ended") == 1
