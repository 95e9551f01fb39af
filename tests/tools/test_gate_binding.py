"""What an actor may do is fixed when it begins: a run that goes on, or is forked, is never given more."""

import pytest

from loopwright.errors import JournalCorrupt
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.policy.policy import Policy
from loopwright.policy.values import CallBudget, Grant, PlanStep, Rule, TaskPlan
from loopwright.tools.binding import bind
from loopwright.tools.results import Rights
from loopwright.tools.runlog import RunLog
from support.gates import begin

GRANT = Grant(tools=("a", "b"), effects=("read", "send"), hosts=("h",), budget=CallBudget(calls=10))
PLAN = TaskPlan((PlanStep("a"),))


def bound(
    journal: Journal, policy: Policy | None = None, grant: Grant = GRANT, plan: TaskPlan = PLAN, *, run_id: str = "r1"
) -> Rights:
    if journal.head(run_id) is None:
        begin(journal, run_id)
    log = RunLog(journal, run_id, lambda: 1_700_000_000_000)
    return bind(log, "agent", policy or Policy(own=("me@example.org",)), grant=grant, plan=plan, task_text="do it")


def facts(journal: Journal, run_id: str = "r1") -> list[ev.PolicyBound]:
    return [e.body for e in journal.read(run_id) if isinstance(e.body, ev.PolicyBound)]


def test_the_first_binding_is_what_is_given_and_the_same_again_writes_nothing(journal: Journal) -> None:
    rights = bound(journal)
    assert (rights.grant, rights.plan, rights.task.own) == (GRANT, PLAN, ("me@example.org",))
    assert bound(journal) == rights
    assert len(facts(journal)) == 1


def test_a_wider_policy_gives_a_run_that_goes_on_nothing_more(journal: Journal) -> None:
    first = bound(journal)
    wider = Grant(("a", "b", "c"), ("read", "send", "exec"), ("h", "evil"), budget=CallBudget(calls=1000))
    policy = Policy(own=("me@example.org", "eve@example.net"), rules=(Rule("allow", "c"),))
    assert bound(journal, policy, wider, TaskPlan((PlanStep("a"), PlanStep("c")))) == first


def test_a_narrower_policy_takes_away_for_good(journal: Journal) -> None:
    bound(journal, Policy(rules=(Rule("allow", "a"), Rule("ask", "b"))))
    less = bound(journal, Policy(rules=(Rule("deny", "a"),)), Grant(("a",), ("read",)))
    assert less.grant.tools == ("a",)
    assert less.grant.effects == ("read",)
    assert less.rules == (Rule("ask", "b"), Rule("deny", "a"))
    again = bound(journal, Policy(rules=(Rule("allow", "a"),)))
    assert again.grant == less.grant
    assert again.rules == less.rules
    assert len(facts(journal)) == 2


def test_a_fork_starts_from_what_its_parent_was_bound_to(journal: Journal) -> None:
    bound(journal, grant=Grant(("a",), ("read",)))
    events = list(journal.read("r1"))
    forked = ev.RunForked("r1", events[-1].seq, events[-1].digest, "loopwright/fix/r2")
    journal.append("r2", [*(e.body for e in events), forked], expect_seq=0)
    assert bound(journal, run_id="r2").grant.tools == ("a",)


def test_a_binding_that_cannot_be_read_stops_the_run(journal: Journal) -> None:
    begin(journal, "r1")
    text = journal.blobs.put(b"{}")
    odd = journal.blobs.put(b'{"tools": 7}')
    journal.append("r1", [ev.PolicyBound("agent", text, odd, text)], expect_seq=1)
    with pytest.raises(JournalCorrupt, match="expected the grant"):
        bound(journal)
