"""The deciding fold: `apply(state, body, at_ms) -> State`. Everything that can change what a run does next lives here.

A run's state is a function of its events and of nothing else; `transitions.py` says which event may happen in which phase. The
state before the first event is `None`.

A little over 500 lines: one handler for each kind of event, all of them in one place, is worth more than a second file.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, get_args

import msgspec

from loopwright.errors import IllegalTransition
from loopwright.kernel import events as ev
from loopwright.kernel import ratchet
from loopwright.kernel.calls import CallInFlight
from loopwright.kernel.history import TURN_WINDOW, turn_of
from loopwright.kernel.ratchet import Ratchet
from loopwright.kernel.state import (
    ABOUT_PROPOSAL,
    Ask,
    Ending,
    InFlight,
    Judgement,
    Mark,
    State,
    beat_of,
    trial_of,
)
from loopwright.kernel.transitions import label_of, next_phase
from loopwright.kernel.values import (
    Check,
    Escalate,
    Evaluate,
    Keep,
    Measure,
    Phase,
    Retry,
    Revert,
    Spend,
    Stop,
    Verdict,
    Work,
)

__all__ = ["apply", "by_person", "fold"]

TRIED_WINDOW: Final = 512
LESSON_WINDOW: Final = 20
MARK_WINDOW: Final = 10
JUDGE_ATTEMPTS: Final = 2
"""A proposal whose judging failed this often counts as a crash: the verifier ran, what it judged did not let it finish."""
_OK: Final = {kind: Mark(str(kind.__struct_config__.tag), "ok", "") for kind in get_args(Work)}

Fields = dict[str, Any]
"""Private: the fields of `State` that one event replaces."""


def apply(state: State | None, body: ev.Body, at_ms: int) -> State:
    """The state after `body` happened at `at_ms`.

    Raises: `IllegalTransition` when the phase does not allow it; the state given is unchanged, as all values here.
    """
    phase = next_phase("new" if state is None else state.phase, label_of(body))
    if state is None:
        if not isinstance(body, ev.RunStarted):
            raise IllegalTransition(f"the first event of a run must be run_started, found {ev.kind_of(body)}")
        return _start(body, phase, at_ms)
    kind = type(body)
    fields = _HANDLERS[kind](state, body)
    fields["phase"] = phase
    fields["seq"] = state.seq + 1
    if at_ms > state.last_at_ms:
        fields["last_at_ms"] = at_ms
    if at_ms > state.driver_at_ms and kind not in _REQUESTS:
        if state.paused is None and kind is not ev.DriverStarted:
            fields["active_ms"] = state.active_ms + at_ms - state.driver_at_ms
        fields["driver_at_ms"] = at_ms
    return msgspec.structs.replace(state, **fields)


def fold(events: Iterable[ev.Event], state: State | None = None) -> State | None:
    """`apply` over all events; `None` only for no events at all."""
    for event in events:
        state = apply(state, event.body, event.at_ms)
    return state


def _start(body: ev.RunStarted, phase: Phase, at_ms: int) -> State:
    return State(
        seq=1,
        phase=phase,
        last_at_ms=at_ms,
        driver_at_ms=at_ms,
        active_ms=0,
        loop=body.loop,
        budget=body.loop.budget,
        branch=body.branch,
        base_commit=body.base_commit,
        base_tree=body.base_tree,
        jobs=body.jobs,
        seed=body.seed,
        ticket=body.ticket,
        head_commit=body.base_commit,
        head_tree=body.base_tree,
        ratchet=None if body.loop.evaluate.metric is None else ratchet.start(),
    )


# --- one function per kind of event: which fields it replaces -----------------------------------------------------------
def _run_forked(state: State, body: ev.RunForked) -> Fields:
    # What was in flight belongs to the parent run; the fork plans anew from the state that it copied.
    return {
        "branch": body.branch,
        "branch_commit": None,
        "inflight": (),
        "calls": (),
        "asks": (),
        "impossible": None,
        "impossible_agreed": False,
        "pause_requested": None,
        "stop_requested": None,
        "paused": None,
        "ending": None,
        "failures_in_a_row": 0,
        "unknown_in_a_row": 0,
        "marks": (),
        "turn_spent": state.spent,
        "turn_active_ms": state.active_ms,
    }


def _driver_started(state: State, body: ev.DriverStarted) -> Fields:
    return {}


def _pause_requested(state: State, body: ev.PauseRequested) -> Fields:
    return {"pause_requested": body.why}


def _stop_requested(state: State, body: ev.StopRequested) -> Fields:
    # A stop for integrity is never softened by a person's later one.
    reason = state.stop_reason if state.stop_requested is not None and state.stop_reason == "integrity" else body.reason
    return {"stop_requested": body.why, "stop_reason": reason, "pause_requested": None, "paused": None, "asks": ()}


def _run_paused(state: State, body: ev.RunPaused) -> Fields:
    return {"paused": body.why, "pause_requested": None}


def _run_resumed(state: State, body: ev.RunResumed) -> Fields:
    return {"paused": None, "pause_requested": None, "failures_in_a_row": 0, "unknown_in_a_row": 0, "marks": ()}


def _limits_changed(state: State, body: ev.LimitsChanged) -> Fields:
    return {"budget": body.budget}


def _run_finished(state: State, body: ev.RunFinished) -> Fields:
    return {"finished": body, "inflight": ()}


def _action_intended(state: State, body: ev.ActionIntended) -> Fields:
    return {
        "inflight": (*state.inflight, InFlight(body.action, body.reserve)),
        "intents": state.intents + 1,
    }


def _settled(
    state: State, action_id: str, spend: Spend, status: str = "ok", signature: str = "", message: str = ""
) -> Fields:
    """What every outcome does: the intent is closed, the reserve is replaced by what it cost."""
    work = state.work_of(action_id).action.work
    marks = state.marks
    if status not in ("unknown", "cancelled"):
        mark = _OK[type(work)] if status == "ok" else Mark(beat_of(work), status, signature, message)
        marks = (*marks[1 - MARK_WINDOW :], mark)
    return {
        "inflight": tuple(f for f in state.inflight if f.action.id != action_id),
        "spent": state.spent.plus(spend),
        "marks": marks,
        "failures_in_a_row": 0,
        "unknown_in_a_row": 0,
    }


def _action_failed(state: State, body: ev.ActionFailed) -> Fields:
    flying = state.work_of(body.action_id)
    fields = _settled(state, body.action_id, body.spend, body.status, body.signature, body.message)
    if body.status == "unknown":
        fields["unknown_in_a_row"] = state.unknown_in_a_row + 1
        fields["failures_in_a_row"] = state.failures_in_a_row
    elif body.status == "cancelled":
        fields["failures_in_a_row"] = state.failures_in_a_row
    else:
        fields["failures_in_a_row"] = state.failures_in_a_row + 1
        judged = _judged_by(state, flying.action.work)
        if judged is not None:
            failed = (*state.judge_failures, judged)
            fields["judge_failures"] = failed
            if failed.count(judged) >= JUDGE_ATTEMPTS:
                crash = Verdict("runtime", "crash", body.message)
                fields["judgements"] = _with(state, judged, (crash,))
                fields["failures_in_a_row"] = 0
    return fields


def _judged_by(state: State, work: Work) -> str | None:
    """The proposal that an action judges; a run of the head beside a candidate judges that one too."""
    if isinstance(work, Evaluate):
        return work.proposal_id
    if isinstance(work, Measure) and work.purpose == "trial":
        return work.proposal_id or trial_of(state)
    return None


def _with(state: State, proposal_id: str, verdicts: tuple[Verdict, ...], **marks: bool) -> tuple[Judgement, ...]:
    """The judgements with `verdicts` added to those of the proposal."""
    known = next((j for j in state.judgements if j.proposal_id == proposal_id), None)
    if known is None:
        return (*state.judgements, Judgement(proposal_id, verdicts, **marks))
    more = msgspec.structs.replace(known, verdicts=(*known.verdicts, *verdicts), **marks)
    return tuple(more if j is known else j for j in state.judgements)


def _observed(state: State, body: ev.Observed) -> Fields:
    fields = _settled(state, body.action_id, body.spend)
    fields.update(observations=body.observations, goal_met=body.goal_met)
    if state.done:
        seen = "; ".join(o.summary for o in body.observations) or "nothing can tell"
        answer = f"the rung said that it is done; the check says: {seen}"
        fields.update(done=False, lessons=(*state.lessons, answer)[-LESSON_WINDOW:])
        fields.update(claims=state.claims + (0 if body.goal_met else 1), refuted=not body.goal_met)
    return fields


def _planned(state: State, body: ev.Planned) -> Fields:
    return {
        **_settled(state, body.action_id, body.spend),
        "iteration": body.iteration,
        "plan": body.plan,
        "proposals": (),
        "judgements": (),
        "judge_failures": (),
        "retries": 0,
        "keeping": None,
    }


def _proposed(state: State, body: ev.Proposed) -> Fields:
    known = state.tried
    fresh = [p.digest for p in body.proposals if p.digest not in known]
    repeated: tuple[Judgement, ...] = ()
    if len(fresh) < len(body.proposals):
        again = Verdict("runtime", "fail", "the same edit was judged before")
        repeated = tuple(Judgement(p.id, (again,)) for p in body.proposals if p.digest in known)
    stale = bool(body.proposals) and not fresh
    fields = _settled(state, body.action_id, body.spend)
    fields.update(
        proposals=body.proposals,
        judgements=repeated,
        exhausted=body.exhausted,
        said=body.summary,
        memory=body.memory,
        impossible=body.impossible,
        done=body.done and not body.proposals,
        refuted=False,
        tried=(*state.tried, *fresh)[-TRIED_WINDOW:],
        repeats=state.repeats + 1 if stale else 0,
    )
    if body.findings is not None:
        fields["findings"] = (*state.findings, body.findings)[-LESSON_WINDOW:]
    return fields


def _judged(state: State, body: ev.Judged) -> Fields:
    state.proposal(body.proposal_id)
    work = state.work_of(body.action_id).action.work
    reviewed = isinstance(work, Evaluate) and work.stage == "review"
    return {
        **_settled(state, body.action_id, body.spend),
        "judgements": _with(state, body.proposal_id, body.verdicts, reviewed=reviewed),
    }


def _measured(state: State, body: ev.Measured) -> Fields:
    metric, work = state.loop.evaluate.metric, state.work_of(body.action_id).action.work
    if metric is None or state.ratchet is None or not isinstance(work, Measure):
        raise IllegalTransition(f"action {body.action_id!r}: expected a measurement of a loop with a metric")
    after = ratchet.measured(state.ratchet, work, body.sample, metric)
    fields = _settled(state, body.action_id, body.spend)
    fields["ratchet"] = after
    mean = ratchet.head_mean(after)
    if metric.target is not None and mean is not None and ratchet.wanted_of_head(after, metric) is None:
        reached = mean <= metric.target if metric.goal == "min" else mean >= metric.target
        tests_fail = any(o.goal_met is False for o in state.observations)
        fields["goal_met"] = reached and not tests_fail
    return fields


def _weighed(state: State, body: ev.Weighed) -> Fields:
    metric = state.loop.evaluate.metric
    if metric is None or state.ratchet is None:
        raise IllegalTransition(f"proposal {body.proposal_id!r}: expected a loop with a metric, found none")
    state.proposal(body.proposal_id)
    return {
        "ratchet": ratchet.settled(state.ratchet, metric, body.verdict),
        "judgements": _with(state, body.proposal_id, (body.verdict,), weighed=True),
    }


def _decided(state: State, body: ev.Decided) -> Fields:
    # A decision ends what went before it: the next beat starts with no failures of its own.
    fields: Fields = {"failures_in_a_row": 0}
    match body.decision:
        case Keep(proposal_id=proposal_id):
            fields.update(keeping=proposal_id, **_turn(state, proposal_id, body.why))
        case Revert():
            fields.update(lessons=_lessons(state), **_turn(state, None, body.why))
        case Check():
            fields["observations"] = ()
        case Retry(proposal_ids=ids):
            fields["judgements"] = tuple(j for j in state.judgements if j.proposal_id not in ids)
            fields["retries"] = state.retries + 1
        case Escalate(rung=rung):
            fields.update(rung=rung, exhausted=False, memory=None, marks=(), claims=0)
        case Stop(reason=reason):
            fields.update(ending=Ending(reason, body.why), asks=(), stop_requested=None)
    return fields


def _turn(state: State, kept: str | None, why: str) -> Fields:
    """An iteration is decided: what it brought and cost, and whether its judges agreed."""
    scores = [v.score for j in state.judgements if j.proposal_id == kept for v in j.verdicts if v.score is not None]
    turn = turn_of(
        iteration=state.iteration,
        rung=state.rung,
        kept=kept is not None,
        gain=scores[-1] if scores else None,
        spend_before=state.turn_spent,
        spend_now=state.spent,
        active_ms_before=state.turn_active_ms,
        active_ms_now=state.active_ms,
        proposals=state.proposals,
        observations=state.observations,
        kept_id=kept,
        why=why,
    )
    fields: Fields = {
        "turns": (*state.turns, turn)[-TURN_WINDOW:],
        "turn_spent": state.spent,
        "turn_active_ms": state.active_ms,
    }
    if any(j.reviewed for j in state.judgements):
        fields["disagreements"] = state.disagreements + 1 if any(map(_contradictory, state.judgements)) else 0
    return fields


def _contradictory(judgement: Judgement) -> bool:
    """Two judges said the opposite of each other."""
    said = {v.status for v in judgement.verdicts if v.verifier.startswith("review")}
    return {"pass", "fail"} <= said


def _lessons(state: State) -> tuple[str, ...]:
    titles = {p.id: p.title for p in state.proposals}
    fresh = tuple(
        f"{titles.get(j.proposal_id, j.proposal_id)}: {verdict.summary}"
        for j in state.judgements
        for verdict in j.verdicts
        if verdict.status != "pass" and verdict.status != "ask"
    )
    return (*state.lessons, *fresh)[-LESSON_WINDOW:]


def _kept(state: State, body: ev.Kept) -> Fields:
    return {
        **_settled(state, body.action_id, body.spend),
        "head_commit": body.commit,
        "head_tree": body.tree,
        "branch_commit": body.commit,
        "kept": state.kept + 1,
        "last_keep_iteration": body.iteration,
        # A new head is a new problem: the cheapest rung comes first again, and nothing that a rung remembered of the old head holds.
        "rung": 0,
        "exhausted": False,
        "memory": None,
        "keeping": None,
        "observations": (),
        "goal_met": None,
        "lessons": _lessons(state),
        "claims": 0,
        "denials": 0,
        "ratchet": _moved(state, body.proposal_id),
    }


def _moved(state: State, proposal_id: str) -> Ratchet | None:
    metric = state.loop.evaluate.metric
    return None if state.ratchet is None or metric is None else ratchet.moved(state.ratchet, metric, proposal_id)


def _delivered(state: State, body: ev.Delivered) -> Fields:
    return _settled(state, body.action_id, body.spend)


def _salvaged(state: State, body: ev.Salvaged) -> Fields:
    return {}


def _asked(state: State, body: ev.Asked) -> Fields:
    return {"asks": (*state.asks, Ask(body.ask_id, body.question, body.about)), "asked": state.asked + 1}


def _answered(state: State, body: ev.Answered) -> Fields:
    ask = next((a for a in state.asks if a.ask_id == body.ask_id), None)
    if ask is None:
        raise IllegalTransition(f"ask {body.ask_id!r}: expected one that is open, found none")
    fields: Fields = {"asks": tuple(a for a in state.asks if a.ask_id != body.ask_id)}
    if ask.about == "impossible":
        if body.answer == "approve":
            fields["impossible_agreed"] = True
        else:
            # The rung gave up and a person did not: this rung has nothing more for this head.
            fields["exhausted"] = True
            fields["impossible"] = None
    elif ask.about == "disagreement":
        fields["disagreements"] = 0
        if body.answer == "deny":
            fields["disagreed"] = f"the judges disagree, and {body.by} ended it{f': {body.why}' if body.why else ''}"
    elif ask.about.startswith(ABOUT_PROPOSAL):
        fields["judgements"] = _allowed(state, ask.about.removeprefix(ABOUT_PROPOSAL), body)
    return fields


def _allowed(state: State, proposal_id: str, body: ev.Answered) -> tuple[Judgement, ...]:
    return tuple(
        msgspec.structs.replace(j, verdicts=by_person(j.verdicts, body)) if j.proposal_id == proposal_id else j
        for j in state.judgements
    )


def by_person(verdicts: tuple[Verdict, ...], body: ev.Answered) -> tuple[Verdict, ...]:
    """A person looked at what verifiers asked about: those verdicts are theirs now."""
    status: Literal["pass", "fail"] = "pass" if body.answer == "approve" else "fail"
    said = f"{'approved' if status == 'pass' else 'refused'} by {body.by}{f': {body.why}' if body.why else ''}"
    return tuple(
        msgspec.structs.replace(v, status=status, summary=f"{v.summary}; {said}") if v.status == "ask" else v
        for v in verdicts
    )


def _policy_bound(state: State, body: ev.PolicyBound) -> Fields:
    return {}


def _call_requested(state: State, body: ev.CallRequested) -> Fields:
    return {"called": state.called + 1}


def _call_decided(state: State, body: ev.CallDecided) -> Fields:
    return {"denials": state.denials + 1} if body.verdict == "deny" else {}


def _call_intended(state: State, body: ev.CallIntended) -> Fields:
    if any(call.call_id == body.call_id for call in state.calls):
        raise IllegalTransition(f"call {body.call_id!r}: expected no intent yet, found one without outcome")
    return {"calls": (*state.calls, CallInFlight(body.call_id, body.reserve))}


def _call_ended(state: State, body: ev.CallEnded) -> Fields:
    if not any(call.call_id == body.call_id for call in state.calls):
        raise IllegalTransition(f"call {body.call_id!r}: expected an intent without outcome, found none")
    return {
        "calls": tuple(call for call in state.calls if call.call_id != body.call_id),
        "spent": state.spent.plus(body.spend),
    }


# Written by people, beside the driver or long after it died: no sign of a driver at work.
_REQUESTS: Final = frozenset({ev.PauseRequested, ev.StopRequested, ev.RunResumed, ev.LimitsChanged, ev.Answered})


_HANDLERS: Final[dict[type, Callable[[State, Any], Fields]]] = {
    ev.RunForked: _run_forked,
    ev.DriverStarted: _driver_started,
    ev.PauseRequested: _pause_requested,
    ev.StopRequested: _stop_requested,
    ev.RunPaused: _run_paused,
    ev.RunResumed: _run_resumed,
    ev.LimitsChanged: _limits_changed,
    ev.RunFinished: _run_finished,
    ev.ActionIntended: _action_intended,
    ev.ActionFailed: _action_failed,
    ev.Observed: _observed,
    ev.Planned: _planned,
    ev.Proposed: _proposed,
    ev.Judged: _judged,
    ev.Measured: _measured,
    ev.Weighed: _weighed,
    ev.Decided: _decided,
    ev.Kept: _kept,
    ev.Delivered: _delivered,
    ev.Salvaged: _salvaged,
    ev.Asked: _asked,
    ev.Answered: _answered,
    ev.PolicyBound: _policy_bound,
    ev.CallRequested: _call_requested,
    ev.CallDecided: _call_decided,
    ev.CallIntended: _call_intended,
    ev.CallEnded: _call_ended,
}
