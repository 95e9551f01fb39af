"""Does a run's record explain itself: every effect decided, every ask used once, every dollar in the ledger.

A pure fold that trusts no other fold: a driver, a gate or an editor of the journal that left a fact out is named with the event at
which it shows. The hash chain says that the record is the one that was written; this says that what was written is in order.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from loopwright.errors import BlobCorrupt, BlobMissing, IllegalTransition
from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallAsk, ToolCall
from loopwright.kernel.fold import apply
from loopwright.kernel.state import State
from loopwright.kernel.values import BlobRef, Spend, Value
from loopwright.policy.grants import within
from loopwright.policy.values import Grant

__all__ = ["MEANINGS", "AuditReport", "Finding", "ReadBlob", "audit"]

MEANINGS: Final = {
    "action.no_outcome": "an action was intended and the run finished without its outcome",
    "action.unintended": "an action ended that was never intended",
    "approval.consumed_twice": "one approval let two calls through",
    "approval.denied": "a call was done although the person said no",
    "approval.expired": "a call was done on an approval that had expired",
    "approval.other_call": "a call was done on an approval of a different call",
    "approval.unanswered": "a call was done on a question that nobody had answered",
    "approval.unknown": "a call was done on an approval that nobody was asked for",
    "ask.nonce_reused": "two questions carry the same nonce, so one answer could be passed off as the other's",
    "ask.unexplained": "a person was asked about a call that no decision put to them",
    "call.decided_twice": "a call was decided on twice",
    "call.denied_effect": "a call was done although it was denied",
    "call.ended_twice": "a call ended twice",
    "call.gap": "the calls are not numbered one after the other: one is missing",
    "call.intended_twice": "a call was begun twice",
    "call.no_outcome": "a call was begun and the run finished without its outcome",
    "call.over_reserve": "a call cost more than was held for it",
    "call.unapproved": "a call was done that a person had to approve, and nobody did",
    "call.undecided": "a call was done that nobody decided on",
    "call.unintended": "a call ended that was never begun on record",
    "call.unrequested": "a fact about a call that was never requested",
    "grant.unreadable": "what an actor may do is not there to be read",
    "grant.widened": "an actor got more rights than it, or the actor above it, had before",
    "key.reused": "one idempotency key stands for two different calls",
    "policy.unbound": "an actor was let do something before its policy was bound",
    "run.illegal": "the run's own rules do not allow this event here",
    "spend.differs": "the run's total is not the sum of the ledger's rows",
    "spend.negative": "something cost less than nothing",
}
"""Every rule and what a break of it means."""

ReadBlob = Callable[[BlobRef], bytes]


class Finding(Value, frozen=True):
    """`subject` is what it is about (a call, an ask, an actor); `detail` adds to the rule's meaning what was found."""

    seq: int
    rule: str
    subject: str
    detail: str

    @property
    def meaning(self) -> str:
        return MEANINGS[self.rule]

    def line(self) -> str:
        return f"event {self.seq}: {self.rule}: {self.subject}: {self.meaning}" + (
            f" ({self.detail})" if self.detail else ""
        )


class AuditReport(Value, frozen=True):
    """`calls` were requested, of which `effects` were begun; `approvals` were consumed. `spent` is the sum of the ledger's rows."""

    run_id: str
    events: int
    calls: int
    effects: int
    approvals: int
    spent: Spend
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings


def audit(events: Iterable[ev.Event], read: ReadBlob | None = None) -> AuditReport:
    """Check a run's events; any prefix of a run will do. `read` fetches grants that do not stand in the events themselves."""
    check = _Audit(read)
    for event in events:
        check.take(event)
    return check.report()


@dataclass(slots=True)
class _Call:
    call: ToolCall
    decided: ev.CallDecided | None = None
    intended: ev.CallIntended | None = None
    ended: bool = False


@dataclass(slots=True)
class _Ask:
    bound: CallAsk
    answer: ev.Answered | None = None
    consumed_by: str | None = None


@dataclass(slots=True)
class _Audit:
    read: ReadBlob | None
    run_id: str = ""
    seq: int = 0
    at_ms: int = 0
    calls: dict[str, _Call] = field(default_factory=dict)
    asks: dict[str, _Ask] = field(default_factory=dict)
    actions: dict[str, int] = field(default_factory=dict)
    grants: dict[str, Grant | None] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)
    spent: Spend = field(default_factory=Spend)
    state: State | None = None
    illegal: bool = False
    findings: list[Finding] = field(default_factory=list)

    def take(self, event: ev.Event) -> None:
        self.run_id, self.seq, self.at_ms = event.run_id, event.seq, event.at_ms
        self._fold(event)
        match event.body:
            case ev.PolicyBound() as bound:
                self._bound(bound)
            case ev.CallRequested(call=call):
                self._requested(call)
            case ev.CallDecided() as decided:
                self._decided(decided)
            case ev.CallIntended() as intended:
                self._intended(intended)
            case ev.CallEnded() as ended:
                self._ended(ended)
            case ev.Asked(call=bound_call) as asked:
                self._asked(asked, bound_call)
            case ev.Answered() as answered if answered.ask_id in self.asks:
                self.asks[answered.ask_id].answer = answered
            case ev.ActionIntended(action=action):
                self.actions[action.id] = self.seq
            case ev.RunForked():
                self._forked()
            case ev.RunFinished():
                self._finished()
            case outcome if isinstance(outcome, ev.Outcome):
                if self.actions.pop(outcome.action_id, None) is None:
                    self._find("action.unintended", outcome.action_id)
                self._paid(outcome.action_id, outcome.spend)

    def report(self) -> AuditReport:
        effects = [call for call in self.calls.values() if call.intended is not None]
        consumed = sum(ask.consumed_by is not None for ask in self.asks.values())
        if self.state is not None and not self.illegal and self.state.spent != self.spent:
            self._find("spend.differs", self.run_id, f"total {self.state.spent}, rows {self.spent}")
        return AuditReport(
            self.run_id, self.seq, len(self.calls), len(effects), consumed, self.spent, tuple(self.findings)
        )

    def _find(self, rule: str, subject: str, detail: str = "") -> None:
        self.findings.append(Finding(self.seq, rule, subject, detail))

    def _fold(self, event: ev.Event) -> None:
        if self.illegal:
            return
        try:
            self.state = apply(self.state, event.body, event.at_ms)
        except IllegalTransition as error:
            # From here on no state exists to compare with; the other checks need none.
            self.illegal = True
            self._find("run.illegal", ev.kind_of(event.body), str(error))

    # --- money ------------------------------------------------------------------------------------------------------------
    def _paid(self, subject: str, spend: Spend) -> None:
        if min(spend.usd_micros, spend.tokens, spend.wall_ms, spend.iterations) < 0:
            self._find("spend.negative", subject, str(spend))
        self.spent = self.spent.plus(spend)

    # --- rights -----------------------------------------------------------------------------------------------------------
    def _bound(self, bound: ev.PolicyBound) -> None:
        grant = self._grant(bound)
        above = bound.actor
        while above:
            if above in self.grants:
                outer = self.grants[above]
                if grant is not None and outer is not None and not within(grant, outer):
                    self._find("grant.widened", bound.actor, f"compared with what {above!r} had")
                break
            above = above.rpartition("/")[0]
        self.grants[bound.actor] = grant

    def _grant(self, bound: ev.PolicyBound) -> Grant | None:
        try:
            data = (bound.grant.inline or "").encode() if self.read is None else self.read(bound.grant)
            return msgspec.json.decode(data, type=Grant)
        except (msgspec.DecodeError, BlobMissing, BlobCorrupt) as error:
            self._find("grant.unreadable", bound.actor, str(error))
            return None

    # --- calls ------------------------------------------------------------------------------------------------------------
    def _requested(self, call: ToolCall) -> None:
        expected = f"c{len(self.calls) + 1}"
        if call.call_id != expected:
            self._find("call.gap", call.call_id, f"expected {expected}")
        self.calls[call.call_id] = _Call(call)

    def _known(self, call_id: str, what: str) -> _Call | None:
        found = self.calls.get(call_id)
        if found is None:
            self._find("call.unrequested", call_id, what)
        return found

    def _decided(self, decided: ev.CallDecided) -> None:
        call = self._known(decided.call_id, "it was decided on")
        if call is None:
            return
        if call.decided is not None:
            self._find("call.decided_twice", decided.call_id, f"{call.decided.verdict}, then {decided.verdict}")
            if call.decided.verdict != "allow":
                # A later, milder word never counts.
                return
        call.decided = decided
        if decided.verdict != "deny" and call.call.actor not in self.grants:
            self._find("policy.unbound", call.call.actor, decided.call_id)

    def _intended(self, intended: ev.CallIntended) -> None:
        call_id = intended.call_id
        call = self._known(call_id, "it was begun")
        if call is None:
            return
        if call.intended is not None:
            self._find("call.intended_twice", call_id)
        call.intended = intended
        verdict = None if call.decided is None else call.decided.verdict
        if verdict is None:
            self._find("call.undecided", call_id)
        elif verdict == "deny":
            self._find("call.denied_effect", call_id, "" if call.decided is None else call.decided.rule)
        elif verdict == "ask" and intended.approval is None:
            self._find("call.unapproved", call_id, "" if call.decided is None else call.decided.rule)
        if intended.approval is not None:
            self._consumed(call.call, intended.approval)
        work = (call.call.tool, call.call.arguments.sha256)
        if self.keys.setdefault(intended.key, work) != work:
            self._find("key.reused", call_id, intended.key)

    def _consumed(self, call: ToolCall, ask_id: str) -> None:
        """An approval is bound to the digest: the call that consumes it is the same call made again, under a number of its own."""
        ask = self.asks.get(ask_id)
        if ask is None:
            self._find("approval.unknown", call.call_id, ask_id)
            return
        if ask.consumed_by is not None:
            self._find("approval.consumed_twice", call.call_id, f"{ask_id} was consumed by {ask.consumed_by}")
        ask.consumed_by = call.call_id
        if ask.bound.digest != call.digest or not call.digest:
            self._find("approval.other_call", call.call_id, f"{ask_id} is about {ask.bound.digest[:12]}")
        if ask.answer is None:
            self._find("approval.unanswered", call.call_id, ask_id)
        elif ask.answer.answer != "approve":
            self._find("approval.denied", call.call_id, f"{ask_id}, {ask.answer.by}")
        elif ask.answer.digest != call.digest:
            self._find("approval.other_call", call.call_id, f"the answer to {ask_id} is about another digest")
        if self.at_ms > ask.bound.expires_at_ms:
            self._find("approval.expired", call.call_id, f"{ask_id}, {self.at_ms - ask.bound.expires_at_ms} ms before")

    def _asked(self, asked: ev.Asked, bound: CallAsk | None) -> None:
        if bound is None:
            if asked.about == "call":
                self._find("ask.unexplained", asked.ask_id, "it is bound to no call")
            return
        call = self.calls.get(bound.call_id)
        if call is None or call.decided is None or call.decided.verdict != "ask" or call.call.digest != bound.digest:
            self._find("ask.unexplained", asked.ask_id, bound.call_id)
        if bound.nonce in self.nonces:
            self._find("ask.nonce_reused", asked.ask_id)
        self.nonces.add(bound.nonce)
        self.asks[asked.ask_id] = _Ask(bound)

    def _ended(self, ended: ev.CallEnded) -> None:
        call = self._known(ended.call_id, "it ended")
        if call is not None:
            if call.intended is None:
                self._find("call.unintended", ended.call_id, ended.status)
            elif call.ended:
                self._find("call.ended_twice", ended.call_id, ended.status)
            elif ended.spend.usd_micros > call.intended.reserve.usd_micros:
                held = call.intended.reserve.usd_micros
                self._find("call.over_reserve", ended.call_id, f"{ended.spend.usd_micros} of {held} micro-dollars")
            call.ended = True
        self._paid(ended.call_id, ended.spend)

    # --- a run's ends -----------------------------------------------------------------------------------------------------
    def _forked(self) -> None:
        # What was in flight and what was asked belong to the parent run.
        self.actions.clear()
        self.asks.clear()
        for call in self.calls.values():
            call.ended = call.ended or call.intended is not None

    def _finished(self) -> None:
        for action_id in self.actions:
            self._find("action.no_outcome", action_id)
        for call_id, call in self.calls.items():
            if call.intended is not None and not call.ended:
                self._find("call.no_outcome", call_id)
