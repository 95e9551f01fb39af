"""Why a call was allowed, asked about or refused: everything that the journal knows of one call, as one value.

Nothing is decided anew: what was decided then, by the rule of then, is what is shown.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from loopwright.errors import UsageError
from loopwright.kernel import events as ev
from loopwright.kernel.calls import Origin
from loopwright.kernel.values import Value
from loopwright.policy.file import parse_policy, policy_digest
from loopwright.policy.ledger import Approval, CallRecord, fold_calls
from loopwright.policy.policy import Policy
from loopwright.policy.values import CallBudget
from loopwright.views.text import one_line

__all__ = ["Answer", "Decision", "Explanation", "check_text", "explain"]

_WIDE = 160


class Decision(Value, frozen=True):
    verdict: Literal["allow", "ask", "deny"]
    rule: str
    why: str
    remedy: str
    trail: tuple[str, ...]


class Answer(Value, frozen=True):
    """`state` is in a person's words: open, approved and used, denied, expired is told by the door that tried it."""

    ask_id: str
    state: str
    by: str
    why: str


class Explanation(Value, frozen=True):
    """One call of a run. `arguments` is the recorded JSON text, `None` when it lies in the blob store under `arguments_sha256`.

    `reason` are the actor's own words, `None` when it gave none or they are not inline. `trail` names the tools of the trail's calls.
    """

    call_id: str
    seq: int
    actor: str
    tool: str
    effect: str
    digest: str
    arguments: str | None
    arguments_sha256: str
    origins: tuple[Origin, ...]
    decisions: tuple[Decision, ...]
    trail: tuple[str, ...]
    answers: tuple[Answer, ...]
    outcome: str
    reason: str | None

    def lines(self) -> tuple[str, ...]:
        """Lines that are safe on a terminal: what others wrote is shown, never obeyed; the actor's words come last, quoted."""
        found = [f"call {self.call_id} (event {self.seq}): {_safe(self.tool)} [{self.effect}] by {_safe(self.actor)}"]
        shown = self.arguments if self.arguments is not None else f"in the blob {self.arguments_sha256}"
        found.append(f"  arguments  {_safe(shown)}")
        for decision in self.decisions:
            found.append(f"  {decision.verdict:<9}  {_safe(decision.rule)}: {_safe(decision.why)}")
            if decision.remedy:
                found.append(f"  remedy     {_safe(decision.remedy)}")
        found += [f"  value      {_safe(o.argument)}: {o.source}, {_safe(o.where)}" for o in self.origins]
        if self.trail:
            found.append(f"  trail      untrusted or private data came in by {_safe(', '.join(self.trail))}")
        for answer in self.answers:
            by = f" by {_safe(answer.by)}" if answer.by else ""
            found.append(
                f"  asked      {answer.ask_id}: {answer.state}{by}" + (f", {_safe(answer.why)}" if answer.why else "")
            )
        found.append(f"  outcome    {_safe(self.outcome)}")
        if self.reason:
            found.append(f'  the actor says: "{_safe(self.reason)}"')
        return tuple(found)


def explain(events: Iterable[ev.Event], seq: int) -> Explanation:
    """What is known of the call that event `seq` belongs to: any of its events will do, also its ask and the answer to it.

    Raises: `UsageError` when the event is about no call.
    """
    known = list(events)
    calls = fold_calls(known)
    record = calls.about(seq)
    if record is None:
        raise UsageError(_no_call(known, calls.records.values(), seq))
    requested = next(
        e.body for e in known if isinstance(e.body, ev.CallRequested) and e.body.call.call_id == record.call.call_id
    )
    trail = tuple(dict.fromkeys(call_id for decision in record.decisions for call_id in decision.trail))
    named = [f"{i} ({calls.records[i].call.tool})" if i in calls.records else i for i in trail]
    return Explanation(
        call_id=record.call.call_id,
        seq=record.seqs[0],
        actor=record.call.actor,
        tool=record.call.tool,
        effect=record.call.effect,
        digest=record.call.digest,
        arguments=record.call.arguments.inline,
        arguments_sha256=record.call.arguments.sha256,
        origins=record.origins,
        decisions=tuple(Decision(d.verdict, d.rule, d.why, d.remedy, d.trail) for d in record.decisions),
        trail=tuple(named),
        answers=tuple(_answer(a) for a in calls.approvals.values() if a.call.call_id == record.call.call_id),
        outcome=_outcome(record),
        reason=requested.reason.inline if requested.reason is not None else None,
    )


def check_text(path: str, text: str) -> tuple[str, ...]:
    """A policy file in words: what is allowed, asked and denied. Raises: `UsageError` with a line for each fault."""
    policy = parse_policy(text, path)
    grant = policy.grant
    asked = [effect for effect in grant.effects if effect in ("destroy", "credential", "spend")]
    lines = [
        f"{path}: valid, digest {policy_digest(policy)[:12]}",
        f"allowed  tools {_list(grant.tools)}; effects {_list(grant.effects)}",
        f"         hosts {_list(grant.hosts)}; writes below {_list(grant.write)}; secrets {_list([s.name for s in grant.secrets])}",
        *(f"         by your rule: {_safe(rule)}" for rule in _rules(policy, "allow")),
        f"plan     {_plan(policy)}",
        f"asked    each time: {_list(asked)}; whatever the plan does not hold; if nobody is there: {policy.unattended}",
        *(f"         by your rule: {_safe(rule)}" for rule in _rules(policy, "ask")),
        "denied   every other tool, effect, host and path; policy, prompt and schedule files",
        *(f"         by your rule: {_safe(rule)}" for rule in _rules(policy, "deny")),
        f"budget   {_budget(grant.budget)}",
        *_warnings(policy),
    ]
    return tuple(lines)


def _no_call(known: Sequence[ev.Event], records: Iterable[CallRecord], seq: int) -> str:
    event = next((e for e in known if e.seq == seq), None)
    if event is None:
        return f"event {seq}: expected one of this run, which has {len(known)}; look with `loopwright log RUN`"
    near = min((r.seqs[0] for r in records), key=lambda other: abs(other - seq), default=None)
    hint = f"; the nearest call is event {near}" if near is not None else "; this run made no call"
    return f"event {seq}: expected one about a tool call, found {ev.kind_of(event.body)}{hint}"


def _answer(approval: Approval) -> Answer:
    said = approval.answer
    if said is None:
        return Answer(approval.ask_id, "closed without an answer" if approval.void else "open", "", "")
    state = "denied" if said.answer == "deny" else "approved"
    if said.answer == "approve" and said.digest != approval.call.digest:
        state = "approved, for another call: it counts for nothing"
    elif approval.consumed:
        state = "approved and used"
    elif approval.void:
        state = f"{state} before a fork: it counts for nothing here"
    return Answer(approval.ask_id, state, said.by, said.why)


def _outcome(record: CallRecord) -> str:
    if record.ended is not None:
        sent = f", {record.ended.sent_bytes} bytes left" if record.ended.sent_bytes else ""
        return f"{record.ended.status}{sent}" + (f": {record.ended.message}" if record.ended.message else "")
    if record.in_flight:
        return "in flight"
    return "belongs to the run that this one was forked from" if record.intended is not None else "not done"


def _safe(text: str) -> str:
    return one_line(text, _WIDE)


def _list(names: Iterable[str]) -> str:
    return _safe(", ".join(names)) or "none"


def _rules(policy: Policy, verdict: str) -> list[str]:
    found = []
    for rule in policy.rules:
        if rule.verdict == verdict:
            when = " and ".join(f"{c.argument} {c.kind.replace('_', ' ')} {', '.join(c.values)}" for c in rule.when)
            found.append(f"{rule.tool}" + (f" when {when}" if when else "") + (f" ({rule.why})" if rule.why else ""))
    return found


def _plan(policy: Policy) -> str:
    if policy.plan is None:
        return "written from the task's own words at the start of each run"
    steps = [f"{s.tool} {'any number of times' if s.count is None else f'{s.count} times'}" for s in policy.plan]
    return _list(steps)


def _budget(budget: CallBudget) -> str:
    rows = [
        (name, getattr(budget, name))
        for name in ("calls", "sends", "bytes_out", "asks", "per_minute", "identical", "amount_minor")
    ]
    return ", ".join(f"{name} {'unlimited' if value is None else value}" for name, value in rows)


def _warnings(policy: Policy) -> list[str]:
    """What is valid and does nothing: a step, rule or label of a tool that is not granted."""
    granted = set(policy.grant.tools)
    found = []
    for what, tools in (
        ("[[plan]] step", [step.tool for step in policy.plan or ()]),
        ("[[rule]] that allows", [rule.tool for rule in policy.rules if rule.verdict == "allow"]),
    ):
        found += [
            f"note     the {what} {_safe(tool)!r} does nothing: the tool is not granted"
            for tool in tools
            if tool not in granted
        ]
    if policy.grant.tools and not policy.grant.effects:
        found.append("note     tools are granted and no effect is: every call is denied; write `effects` under [grant]")
    return found
