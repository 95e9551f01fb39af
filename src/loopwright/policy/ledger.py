"""The fold of a run's tool calls: calls with what became of them, open asks, approvals that still count, calls in flight, the kill switch.

Two folds read call events: this one serves decisions and `policy explain`, and holds no output (outputs are blobs; who decides fills
them in). An approval counts once, for exactly the call that the person saw, until it expires, and never across a fork.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallAsk, Origin, ToolCall
from loopwright.kernel.values import BlobRef
from loopwright.policy.values import PastCall

__all__ = ["Approval", "CallRecord", "Calls", "fold_calls"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call and the sequence numbers of all events about it. `decisions`: the first is the policy's own word, a later one follows an
    approval. `inherited`: made before a fork, in another run."""

    call: ToolCall
    at_ms: int
    origins: tuple[Origin, ...]
    seqs: tuple[int, ...]
    decisions: tuple[ev.CallDecided, ...] = ()
    intended: ev.CallIntended | None = None
    ended: ev.CallEnded | None = None
    inherited: bool = False

    @property
    def in_flight(self) -> bool:
        return self.intended is not None and self.ended is None and not self.inherited


@dataclass(frozen=True, slots=True)
class Approval:
    """A question about one call and its answer. `void`: asked before a fork or before the run was stopped; nothing it says counts."""

    ask_id: str
    call: CallAsk
    asked_seq: int
    answer: ev.Answered | None = None
    consumed: bool = False
    void: bool = False

    def valid(self, digest: str, now_ms: int) -> bool:
        """Whether it lets the call with this digest happen now: approved, for what the person saw, in time, not used yet."""
        return (
            not self.void
            and not self.consumed
            and self.answer is not None
            and self.answer.answer == "approve"
            and self.call.digest == digest == self.answer.digest
            and now_ms < self.call.expires_at_ms
        )


@dataclass(frozen=True, slots=True)
class Calls:
    """State of the fold, in order of events. `killed` is why the run is being stopped, `None` when it is not."""

    records: dict[str, CallRecord] = field(default_factory=dict)
    approvals: dict[str, Approval] = field(default_factory=dict)
    bound: dict[str, ev.PolicyBound] = field(default_factory=dict)
    killed: str | None = None

    def past(self) -> tuple[PastCall, ...]:
        """Every decided call, without output and with the recorded arguments where they are inline; the verdict is the first one."""
        return tuple(_past(record) for record in self.records.values() if record.decisions)

    def in_flight(self) -> tuple[CallRecord, ...]:
        """Calls with an intent and no outcome."""
        return tuple(record for record in self.records.values() if record.in_flight)

    def open_asks(self) -> tuple[Approval, ...]:
        return tuple(a for a in self.approvals.values() if a.answer is None and not a.void)

    def approved(self, digest: str, now_ms: int) -> Approval | None:
        """The approval that covers exactly this call now."""
        return next((a for a in self.approvals.values() if a.valid(digest, now_ms)), None)

    def about(self, seq: int) -> CallRecord | None:
        """The call that the event with this sequence number belongs to: its request, decision, intent or outcome, or its ask."""
        for record in self.records.values():
            if seq in record.seqs:
                return record
        return None


def fold_calls(events: Iterable[ev.Event], state: Calls | None = None) -> Calls:
    """The calls after `events`; `state` is what earlier events gave, and is not changed."""
    given = state if state is not None else Calls()
    records, approvals, bound = dict(given.records), dict(given.approvals), dict(given.bound)
    killed = given.killed
    for event in events:
        match event.body:
            case ev.PolicyBound() as body:
                bound[body.actor] = body
            case ev.StopRequested() as body:
                killed = body.why or body.reason
                approvals = {i: replace(a, void=a.void or a.answer is None) for i, a in approvals.items()}
            case ev.RunForked():
                records = {i: replace(r, inherited=True) for i, r in records.items()}
                approvals = {i: replace(a, void=True) for i, a in approvals.items()}
                killed = None
            case ev.Asked(call=CallAsk() as ask) as body:
                approvals[body.ask_id] = Approval(body.ask_id, ask, event.seq)
                _note(records, ask.call_id, event.seq)
            case ev.Answered() as body if body.ask_id in approvals:
                approval = approvals[body.ask_id]
                approvals[body.ask_id] = replace(approval, answer=body)
                _note(records, approval.call.call_id, event.seq)
            case ev.CallIntended(approval=str() as consumed) as body:
                if consumed in approvals:
                    approvals[consumed] = replace(approvals[consumed], consumed=True)
                    _note(records, approvals[consumed].call.call_id, event.seq)
                _call(records, body, event)
            case ev.CallRequested() | ev.CallDecided() | ev.CallIntended() | ev.CallEnded() as body:
                _call(records, body, event)
            case _:
                pass
    return Calls(records, approvals, bound, killed)


def _call(
    records: dict[str, CallRecord],
    body: ev.CallRequested | ev.CallDecided | ev.CallIntended | ev.CallEnded,
    event: ev.Event,
) -> None:
    if isinstance(body, ev.CallRequested):
        records[body.call.call_id] = CallRecord(body.call, event.at_ms, body.origins, (event.seq,))
        return
    record = records.get(body.call_id)
    if record is None:
        return  # an audit names it; a view of the other calls must not fail with it
    seqs = (*record.seqs, event.seq)
    if isinstance(body, ev.CallDecided):
        records[body.call_id] = replace(record, seqs=seqs, decisions=(*record.decisions, body))
    elif isinstance(body, ev.CallIntended):
        records[body.call_id] = replace(record, seqs=seqs, intended=body)
    else:
        records[body.call_id] = replace(record, seqs=seqs, ended=body)


def _note(records: dict[str, CallRecord], call_id: str, seq: int) -> None:
    if call_id in records and seq not in records[call_id].seqs:
        records[call_id] = replace(records[call_id], seqs=(*records[call_id].seqs, seq))


def _past(record: CallRecord) -> PastCall:
    first, ended = record.decisions[0], record.ended
    return PastCall(
        call_id=record.call.call_id,
        actor=record.call.actor,
        tool=record.call.tool,
        arguments=_inline(record.call.arguments),
        digest=record.call.digest,
        verdict=first.verdict,
        status=None if ended is None else ended.status,
        taint="none" if ended is None else ended.taint,
        at_ms=record.at_ms,
        sent_bytes=0 if ended is None else ended.sent_bytes,
        rule=first.rule,
        started=record.intended is not None,
    )


def _inline(ref: BlobRef) -> str:
    return ref.inline if ref.inline is not None else ""
