"""One line a fact, in words, for `loopwright log` and the panel's timeline."""

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.views.text import one_line, short_id, usd
from loopwright.views.work import beat_of, subject_of

__all__ = ["describe", "duration"]

_LIMIT = 240


def describe(event: ev.Event) -> str:
    """What happened, on one line of at most 240 characters that is safe to print into any terminal."""
    return one_line(_words(event.body), _LIMIT)


def duration(ms: int) -> str:
    """`850 ms`, `12.3 s`, `4 min 05 s`, `30 min`, `2 h 03 min`."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 59_950:  # what would not be rounded up to a minute
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s" if seconds else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes % 60 else f"{minutes // 60} h"


def _words(body: ev.Body) -> str:
    match body:
        case ev.RunStarted():
            ticket = f", ticket {body.ticket}" if body.ticket else ""
            return f"run of {body.loop.name} started by {body.trigger}{ticket} from {short_id(body.base_commit)}"
        case ev.RunForked():
            return f"forked from run {body.parent_run_id} at event {body.parent_seq}; continues on {body.branch}"
        case ev.DriverStarted():
            return f"driver started on {body.host} (process {body.pid}, loopwright {body.version}); {body.sandbox}"
        case ev.PauseRequested():
            return f"{body.by} asked to pause{_because(body.why)}"
        case ev.StopRequested():
            return f"{body.by} asked to stop{_because(body.why)}"
        case ev.RunPaused():
            return f"paused{_because(body.why)}"
        case ev.RunResumed():
            return f"resumed by {body.by}"
        case ev.LimitsChanged():
            return f"{body.by} set the limits of the run: {_limits(body.budget)}"
        case ev.RunFinished():
            return f"finished: {body.reason} (exit {body.exit_code}){_because(body.summary)}"
        case ev.Salvaged():
            return f"saved work under {body.ref}{_because(body.why)}"
        case ev.Asked():
            return f"question {body.ask_id} about {body.about}: {body.question}"
        case ev.Answered():
            return f"{body.by} answered {body.ask_id}: {body.answer}{_because(body.why)}"
        case ev.PolicyBound() | ev.CallRequested() | ev.CallDecided() | ev.CallIntended() | ev.CallEnded():
            return _call(body)
        case ev.TriggerFired():
            return f"{body.trigger} fired for {body.subject}: starts run {body.run_id}"
        case ev.TriggerSkipped():
            return f"{body.trigger} for {body.subject} started nothing ({body.reason}){_because(body.detail)}"
        case _:
            return _beat(body)


def _call(
    body: ev.PolicyBound | ev.CallRequested | ev.CallDecided | ev.CallIntended | ev.CallEnded,
) -> str:
    match body:
        case ev.PolicyBound():
            return f"policy, grant and plan of {body.actor} are bound"
        case ev.CallRequested():
            arguments = body.call.arguments.inline or f"{body.call.arguments.size_bytes} bytes of arguments"
            return f"call {body.call.call_id}: {body.call.actor} asks for {body.call.tool} ({body.call.effect}) with {arguments}"
        case ev.CallDecided():
            said = {"allow": "allowed", "ask": "a person must say", "deny": "refused"}[body.verdict]
            return f"call {body.call_id}: {said} by {body.rule}{_because(body.why)}"
        case ev.CallIntended():
            return f"call {body.call_id} begins{f', approved by {body.approval}' if body.approval else ''}"
        case ev.CallEnded():
            return f"call {body.call_id} ended ({body.status}){_because(body.message)}{_cost(body.spend)}"


def _beat(
    body: ev.ActionIntended | ev.Outcome | ev.Weighed | ev.Decided,
) -> str:
    match body:
        case ev.ActionIntended():
            return f"begins to {beat_of(body.action.work)}: {subject_of(body.action.work)}"
        case ev.ActionFailed():
            return f"action {body.action_id} brought nothing ({body.status}){_because(body.message)}{_cost(body.spend)}"
        case ev.Observed():
            seen = "; ".join(o.summary for o in body.observations) or "nothing"
            return f"observed: {seen}{_goal(body.goal_met)}{_cost(body.spend)}"
        case ev.Planned():
            # Planners like to begin with the iteration themselves.
            said = body.plan.rationale.removeprefix(f"iteration {body.iteration}: ")
            return f"iteration {body.iteration}, rung {body.rung + 1}: {said}{_cost(body.spend)}"
        case ev.Proposed():
            titles = "; ".join(p.title for p in body.proposals)
            offered = (
                f"{len(body.proposals)} proposed: {titles}" if body.proposals else f"nothing proposed: {body.summary}"
            )
            return f"{offered}{' (the rung has no more)' if body.exhausted else ''}{_cost(body.spend)}"
        case ev.Judged():
            verdicts = "; ".join(f"{v.verifier} {v.status}: {v.summary}" for v in body.verdicts)
            return f"judged {body.proposal_id}: {verdicts or 'no verdict'}{_cost(body.spend)}"
        case ev.Measured(sample=sample):
            value = (
                f"{sample.value:g}"
                if sample.value is not None
                else f"no value ({sample.status}){_because(sample.message)}"
            )
            return f"measured {body.action_id}: {value}{_cost(body.spend)}"
        case ev.Weighed():
            return f"weighed {body.proposal_id}: {body.verdict.verifier} {body.verdict.status}: {body.verdict.summary}"
        case ev.Decided():
            return f"decided: {_decision(body.decision)}{_because(body.why)}"
        case ev.Kept():
            return f"kept {body.proposal_id} as commit {short_id(body.commit)} (iteration {body.iteration})"
        case ev.Delivered():
            return f"delivered as {body.how}: {', '.join(body.places) or 'nothing to deliver'}"


def _decision(decision: val.Decision) -> str:
    match decision:
        case val.Keep():
            return f"keep {decision.proposal_id}"
        case val.Revert():
            return "keep nothing of this iteration"
        case val.Retry():
            return f"judge {', '.join(decision.proposal_ids)} again"
        case val.Escalate():
            return f"go on with rung {decision.rung + 1}"
        case val.Stop():
            return f"stop ({decision.reason})"
        case val.Check():
            return "look whether it is done"


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _goal(met: bool | None) -> str:
    return "" if met is None else " (goal met)" if met else " (goal not met)"


def _cost(spend: val.Spend) -> str:
    parts = [duration(spend.wall_ms)] if spend.wall_ms else []
    parts += [usd(spend.usd_micros)] if spend.usd_micros else []
    parts += [f"{spend.tokens:,} tokens"] if spend.tokens else []
    return f" [{', '.join(parts)}]" if parts else ""


def _limits(budget: val.Budget) -> str:
    parts = [
        f"{usd(budget.usd_micros)}" if budget.usd_micros is not None else "",
        f"{budget.tokens:,} tokens" if budget.tokens is not None else "",
        duration(budget.wall_ms) if budget.wall_ms is not None else "",
        f"{budget.iterations} iterations" if budget.iterations is not None else "",
    ]
    return ", ".join(p for p in parts if p) or "none"
