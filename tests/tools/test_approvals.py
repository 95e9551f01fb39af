"""An approval is of one exact call, once, in time, by a person who saw it."""

import asyncio
import hashlib

import pytest

from loopwright.errors import UsageError
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.pending import pending
from loopwright.kernel.values import Budget
from loopwright.policy.values import CallBudget, Condition, Json, Rule
from loopwright.testing.clock import FakeClock
from loopwright.testing.memory import MemoryJournal
from loopwright.tools.approvals.absent import expire_or_deny
from loopwright.tools.approvals.answer import answer, answer_together
from loopwright.tools.results import Settings
from support.gates import LOOK, SEND, WIPE, Desk, FakeTool, begin, desk
from support.stores import Store

ASKED = (Rule("ask", "mail.send", (), "a person reads mail first"),)
BOB: dict[str, Json] = {"to": "bob@example.org", "body": "hello"}


def mailing(journal: Journal, tool: FakeTool | None = None, **more: object) -> Desk:
    return desk(journal, tool or FakeTool(SEND), rules=ASKED, **more)  # type: ignore[arg-type]


def test_an_approved_call_is_done_once_and_the_approval_is_consumed_with_the_intent(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = mailing(journal, tool)
    asked = at.call("mail.send", BOB)
    assert asked.status == "asked"
    at.approve("q1")
    result = at.call("mail.send", BOB)
    assert (result.status, result.ruling.rule) == ("ok", "approved")
    assert at.kinds()[-4:] == ["call_requested", "call_decided", "call_intended", "call_ended"]
    intended = next(b for b in at.bodies if isinstance(b, ev.CallIntended))
    assert intended.approval == "q1"
    again = at.call("mail.send", BOB)
    assert (again.status, again.ask_id, len(tool.done)) == ("asked", "q2", 1)


def test_the_same_call_of_two_processes_consumes_an_approval_once(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = mailing(journal, tool)
    at.call("mail.send", BOB)
    at.approve("q1")

    async def main() -> list[str]:
        gates = [mailing(journal, tool).gate for _ in range(4)]
        results = await asyncio.gather(*(gate.call("agent", "mail.send", BOB) for gate in gates))
        return sorted(result.status for result in results)

    assert asyncio.run(main()) == ["asked", "asked", "asked", "ok"]
    assert len(tool.done) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"to": "eve@example.net", "body": "hello"},
        {"to": "bob@example.org", "body": "hello "},
        {"to": "bob@example.org"},
        {"to": ["bob@example.org"], "body": "hello"},
    ],
)
def test_arguments_that_were_swapped_after_the_approval_are_another_call(
    journal: Journal, other: dict[str, Json]
) -> None:
    tool = FakeTool(SEND)
    at = mailing(journal, tool)
    at.call("mail.send", BOB)
    at.approve("q1")
    assert at.call("mail.send", other).status != "ok"
    assert tool.done == []
    assert at.call("mail.send", BOB).status == "ok"


def test_the_order_of_keys_is_no_other_call(journal: Journal) -> None:
    at = mailing(journal)
    at.call("mail.send", BOB)
    at.approve("q1")
    assert at.call("mail.send", dict(reversed(BOB.items()))).status == "ok"


def test_a_target_that_changed_after_the_approval_needs_a_new_one(journal: Journal) -> None:
    """The approval was of wiping what was there then: the precondition is part of the digest."""
    tool = FakeTool(WIPE, state=hashlib.sha256(b"old").hexdigest())
    at = desk(journal, tool)
    at.call("disk.wipe", {"path": "report.txt"})
    at.approve("q1", confirm="disk.wipe")
    tool.state = hashlib.sha256(b"new").hexdigest()
    result = at.call("disk.wipe", {"path": "report.txt"})
    assert (result.status, result.ask_id, tool.done) == ("asked", "q2", [])


def test_a_target_that_changes_between_the_decision_and_the_effect_stops_the_effect(journal: Journal) -> None:
    tool = FakeTool(WIPE, state="old")
    at = desk(journal, tool)
    at.call("disk.wipe", {"path": "report.txt"})
    at.approve("q1", confirm="disk.wipe")

    class Racing(FakeTool):
        async def preview(self, arguments, context):  # type: ignore[no-untyped-def]
            seen = await super().preview(arguments, context)
            self.state = "changed right after it was looked at"
            return seen

    racing = Racing(WIPE, state="old")
    result = desk(journal, racing).call("disk.wipe", {"path": "report.txt"})
    assert (result.status, racing.done) == ("error", [])
    assert "changed after it was approved" in result.message


def test_a_tool_whose_pin_changed_after_the_approval_needs_a_new_one(journal: Journal) -> None:
    import msgspec

    at = mailing(journal)
    at.call("mail.send", BOB)
    at.approve("q1")
    tool = FakeTool(msgspec.structs.replace(SEND, pin="another server"))
    assert mailing(journal, tool).call("mail.send", BOB).status == "asked"
    assert tool.done == []


def test_an_approval_expires_whether_or_not_it_was_given(journal: Journal) -> None:
    tool = FakeTool(SEND)
    clock = FakeClock(1_700_000_000_000)
    at = mailing(journal, tool, clock=clock, settings=Settings(approval_ttl_ms=1000))
    at.call("mail.send", BOB)
    at.approve("q1")
    clock.advance(1000)
    assert at.call("mail.send", BOB).ask_id == "q2"
    clock.advance(1000)
    with pytest.raises(UsageError, match="too late"):
        at.approve("q2")
    result = at.call("mail.send", BOB)  # the expired ask is closed, and it is asked anew
    assert (result.status, result.ask_id) == ("asked", "q3")
    assert [ask.ask_id for ask in at.asks] == ["q3"]
    at.approve("q3")
    assert at.call("mail.send", BOB).status == "ok"
    assert len(tool.done) == 1


def test_an_approval_counts_for_its_own_run_only(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = mailing(journal, tool)
    at.call("mail.send", BOB)
    at.approve("q1")
    other = mailing(journal, tool, run_id="r2")
    assert other.call("mail.send", BOB).status == "asked"
    seen_elsewhere = next(b for b in at.bodies if isinstance(b, ev.CallRequested)).call.digest
    with pytest.raises(UsageError, match="expected the digest"):
        answer(journal, "r2", "q1", "approve", by="ada", why="", now_ms=at.clock, digest=seen_elsewhere)
    assert tool.done == []


def test_a_forked_run_inherits_no_approval_and_no_open_ask(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = mailing(journal, tool)
    at.call("mail.send", BOB)
    at.approve("q1")
    at.call("mail.send", {"to": "bob@example.org", "body": "second"})
    events = list(journal.read("r1"))
    forked = ev.RunForked("r1", events[-1].seq, events[-1].digest, "loopwright/fix/r3")
    journal.append("r3", [*(e.body for e in events), forked], expect_seq=0, at_ms=events[-1].at_ms)
    fork = mailing(journal, tool, run_id="r3")
    assert fork.asks == ()
    assert fork.call("mail.send", BOB).status == "asked"
    with pytest.raises(UsageError, match="no longer counts"):
        fork.deny("q2")
    assert tool.done == []


def test_a_call_that_a_person_denied_stays_denied_with_their_reason(journal: Journal) -> None:
    at = mailing(journal)
    at.call("mail.send", BOB)
    at.deny("q1", "Bob left the company")
    result = at.call("mail.send", BOB)
    assert (result.status, result.ruling.rule) == ("denied", "person.denied")
    assert "ada said no: Bob left the company" in result.message
    assert len([b for b in at.bodies if isinstance(b, ev.Asked)]) == 1


def test_asking_again_while_it_is_open_is_not_a_second_question(journal: Journal) -> None:
    at = mailing(journal)
    assert [at.call("mail.send", BOB).ask_id for _ in range(3)] == ["q1"] * 3
    assert len(at.asks) == 1


def test_waiting_survives_restarts_and_starts_no_work(store: Store) -> None:
    journal = store.open()
    mailing(journal).call("mail.send", BOB)
    journal.close()
    later = store.open()
    state = fold(later.read("r1"))
    assert state is not None and pending(state) == ()
    tool = FakeTool(SEND)
    at = mailing(later, tool)
    at.approve("q1")
    state = fold(later.read("r1"))
    assert state is not None and pending(state) != ()
    assert at.call("mail.send", BOB).status == "ok"


def test_destroying_needs_the_confirmation_typed(journal: Journal) -> None:
    at = desk(journal, FakeTool(WIPE))
    at.call("disk.wipe", {"path": "report.txt"})
    digest = at.asks[0].digest
    assert digest is not None and at.asks[0].step_up
    for wrong in (None, "", "yes", "disk", digest[-5:], digest):
        with pytest.raises(UsageError, match="typed as confirmation"):
            at.approve("q1", confirm=wrong)
    at.approve("q1", confirm=digest[-6:])
    assert at.call("disk.wipe", {"path": "report.txt"}).status == "ok"


def test_an_answer_must_carry_what_the_person_was_shown(journal: Journal) -> None:
    at = mailing(journal)
    at.call("mail.send", BOB)
    digest = at.asks[0].digest

    def reply(ask_id: str = "q1", by: str = "ada", **more: str) -> None:
        answer(journal, "r1", ask_id, "approve", by=by, why="", now_ms=at.clock, **more)

    assert digest is not None
    with pytest.raises(UsageError, match="expected the digest"):
        reply()
    with pytest.raises(UsageError, match="nonce"):
        reply(digest=digest, nonce="another")
    with pytest.raises(UsageError, match="none of that name; open: q1"):
        reply("q9", digest=digest)
    for nobody in ("", "  ", "loopwright (expired)", "Loopwright"):
        with pytest.raises(UsageError, match="name of the person"):
            reply(by=nobody, digest=digest)
    assert at.kinds()[-1] == "asked"
    reply(digest=digest)
    with pytest.raises(UsageError, match="found it answered"):
        reply(digest=digest)


def test_an_answer_in_the_journal_to_another_digest_counts_for_nothing(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = mailing(journal, tool)
    at.call("mail.send", BOB)
    head = journal.head("r1")
    assert head is not None
    journal.append("r1", [ev.Answered("q1", "approve", "ada", "", "0" * 64)], expect_seq=head.seq)
    assert at.call("mail.send", BOB).status == "asked"
    assert tool.done == []


def test_too_many_questions_pause_the_run(journal: Journal) -> None:
    at = mailing(journal, calls=CallBudget(asks=2, per_minute=None))
    statuses = [at.call("mail.send", {"to": "bob@example.org", "body": f"text {n}"}).status for n in "abc"]
    assert statuses == ["asked", "asked", "denied"]
    state = fold(journal.read("r1"))
    assert state is not None and state.pause_requested is not None
    assert "too many questions" in state.pause_requested


def test_the_last_allowed_question_can_still_be_used_once_it_is_approved(journal: Journal) -> None:
    at = mailing(journal, calls=CallBudget(asks=1, per_minute=None))
    at.call("mail.send", BOB)
    at.approve("q1")
    assert at.call("mail.send", BOB).status == "ok"


def test_with_nobody_there_what_would_be_asked_is_denied_and_nobody_is_asked(journal: Journal) -> None:
    at = mailing(journal, settings=Settings(unattended=True))
    result = at.call("mail.send", BOB)
    assert (result.status, result.ruling.rule) == ("denied", "unattended")
    assert "a person reads mail first" in result.message
    assert at.asks == ()


def test_asks_that_nobody_will_answer_end_as_the_loop_declares(journal: Journal) -> None:
    clock = FakeClock(1_700_000_000_000)
    at = mailing(journal, clock=clock, settings=Settings(approval_ttl_ms=1000))
    at.call("mail.send", BOB)
    assert expire_or_deny(journal, "r1", now_ms=clock, attended=False, unattended="pause") == ()
    assert expire_or_deny(journal, "r1", now_ms=clock, attended=True) == ()
    assert expire_or_deny(journal, "r1", now_ms=clock, attended=False) == ("q1",)
    assert at.call("mail.send", BOB).ruling.rule == "person.denied"
    at.call("mail.send", {"to": "bob@example.org"})
    clock.advance(1000)
    assert expire_or_deny(journal, "r1", now_ms=clock, attended=True) == ("q2",)
    assert at.call("mail.send", {"to": "bob@example.org"}).status == "asked"


def test_a_batch_is_of_one_tool_and_one_target(journal: Journal) -> None:
    at = desk(journal, FakeTool(SEND), FakeTool(WIPE), rules=ASKED)
    for n in "ab":
        at.call("mail.send", {"to": "bob@example.org", "body": n})
    at.call("mail.send", {"to": "eve@example.net", "body": "c"})
    at.call("disk.wipe", {"path": "report.txt"})

    def together(*ask_ids: str) -> None:
        answer_together(journal, "r1", ask_ids, "approve", by="ada", why="", now_ms=at.clock)

    with pytest.raises(UsageError, match="same tool and target"):
        together("q1", "q2", "q3")
    with pytest.raises(UsageError, match="on its own"):
        together("q4")
    assert len(at.asks) == 4
    together("q1", "q2")
    assert at.call("mail.send", {"to": "bob@example.org", "body": "a"}).status == "ok"
    assert [ask.ask_id for ask in at.asks] == ["q3", "q4"]


def test_a_policy_that_denies_later_beats_an_approval(journal: Journal) -> None:
    tool = FakeTool(SEND)
    at = mailing(journal, tool)
    at.call("mail.send", BOB)
    at.approve("q1")
    to_bob = Condition("to", "exact", ('"bob@example.org"',))
    stricter = desk(journal, tool, rules=(Rule("deny", "mail.send", (to_bob,), "not to Bob"), *ASKED))
    assert stricter.call("mail.send", BOB).ruling.rule == "deny.rule"
    assert tool.done == []


def test_an_approved_call_still_needs_room_in_the_budget() -> None:
    from loopwright.kernel.values import Spend

    journal = MemoryJournal()
    begin(journal, "r1", budget=Budget(usd_micros=100))
    tool = FakeTool(SEND, spend=Spend(usd_micros=60))
    at = mailing(journal, tool)
    at.call("mail.send", BOB)
    at.approve("q1")
    assert at.call("mail.send", BOB).status == "ok"
    result = at.call("mail.send", {"to": "bob@example.org", "body": "more"})
    assert (result.status, result.ruling.rule) == ("denied", "budget.spend")


def test_reading_asks_nobody(journal: Journal) -> None:
    at = desk(journal, FakeTool(LOOK))
    assert at.call("box.look", {"path": "x"}).status == "ok"
    assert at.asks == ()
