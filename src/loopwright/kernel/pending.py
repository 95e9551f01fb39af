"""State → what to do next. Recomputed from the state alone, so that a crash loses nothing but the step in flight.

`Record` is a fact that follows from the state and needs no effect; `Perform` is an action whose intent must be on disk before it
starts. An empty answer means that the run waits (for what is in flight, for a person, for `resume`) or is finished.
"""

from collections.abc import Sequence
from typing import Final, Literal

from loopwright.kernel import events as ev
from loopwright.kernel import ratchet
from loopwright.kernel.decide import best_of, decide, question_about
from loopwright.kernel.fold import apply
from loopwright.kernel.state import ABOUT_PROPOSAL, Ending, State, trial_of
from loopwright.kernel.stop import EXIT_CODES, asks_for_person, check, person, reserve_for
from loopwright.kernel.values import (
    Action,
    Check,
    Deliver,
    Effect,
    Escalate,
    Evaluate,
    KeepProposal,
    MakePlan,
    Measure,
    Observe,
    Propose,
    Spend,
    Stop,
    StopReason,
    Value,
    Work,
)

__all__ = ["Command", "Perform", "Record", "advance", "pending"]

GIVE_UP_AFTER: Final = 2
"""Failures in a row after which a beat that should never fail (observe, keep, plan) ends the run."""
CLAIMS: Final = 2
"""Claims to be done that the check refuted, after which a rung is passed over."""
RUNG_FAILURES: Final = 3
"""Failures in a row after which a rung is passed over."""
UNKNOWN_LIMIT: Final = 10
"""Interruptions in a row of the same step after which a person must say that it may go on."""
DELIVER_ATTEMPTS: Final = 3


class Record(Value, frozen=True):
    body: ev.Body


class Perform(Value, frozen=True):
    action: Action
    reserve: Spend


Command = Record | Perform


def pending(state: State) -> tuple[Command, ...]:
    """What to do next; never more than `state.jobs` actions in flight."""
    if state.phase == "finished" or state.asks or state.paused is not None:
        return ()
    if state.inflight and (state.phase != "evaluating" or state.pause_requested or state.stop_requested):
        return ()
    if state.pause_requested is not None:
        return (Record(ev.RunPaused(state.pause_requested)),)
    if state.unknown_in_a_row >= UNKNOWN_LIMIT:
        why = f"the same step was interrupted {state.unknown_in_a_row} times without an outcome; `resume` lets it go on"
        return (Record(ev.RunPaused(why)),)
    return _BEATS[state.phase](state)


def advance(
    state: State | None, fresh: Sequence[ev.Body], at_ms: int, *, go_on: bool = True
) -> tuple[State, list[ev.Body]]:
    """Apply `fresh`, then everything that follows from it without an effect, up to the intents of the next actions.

    Returns the state and all bodies, to be appended in one commit: an outcome, the decisions that it settles and the intents that
    they lead to are one durable step. With `go_on` false only `fresh` is applied: a driver that drains starts nothing new.

    Raises: `IllegalTransition`.
    """
    bodies: list[ev.Body] = list(fresh)
    for body in fresh:
        state = apply(state, body, at_ms)
    assert state is not None, "a run has at least one event"
    while go_on and (commands := pending(state)):
        for command in commands:
            body = command.body if isinstance(command, Record) else ev.ActionIntended(command.action, command.reserve)
            state = apply(state, body, at_ms)
            bodies.append(body)
    return state, bodies


def _observing(state: State) -> tuple[Command, ...]:
    ending = person(state)
    # What ran out of time once at the start does so again, and costs as long.
    hangs = state.iteration == 0 and state.failures_in_a_row > 0 and state.marks[-1].status == "timeout"
    if ending is None and (hangs or state.failures_in_a_row >= GIVE_UP_AFTER):
        reason: StopReason = "cannot_observe" if state.iteration == 0 else "failed"
        ending = Ending(reason, state.marks[-1].message)
    if ending is not None:
        return _stop(ending)
    return _perform(state, Observe(state.head_tree), "read")


def _planning(state: State) -> tuple[Command, ...]:
    ending = check(state)
    if ending is None and state.disagreed is not None:
        ending = Ending("disagreement", state.disagreed)
    if ending is None and state.failures_in_a_row >= GIVE_UP_AFTER:
        last = state.marks[-1]
        if last.beat == "measure":
            ending = Ending("cannot_observe" if state.iteration == 0 else "failed", last.message)
        else:
            ending = Ending("failed", f"no plan can be made: {last.message}")
    auto = state.loop.stop.plateau == "auto"
    if ending is not None and ending.reason == "plateau" and auto and state.rung + 1 < len(state.loop.act):
        # A standstill is one of the rung that stands still: a stronger one may go on from here.
        return _escalate(state, ending.why)
    if ending is not None:
        return _stop(ending)
    if (purpose := _wanted_of_head(state)) is not None:
        return _perform(state, Measure(state.head_tree, None, purpose), "read")
    if (question := asks_for_person(state)) is not None:
        return (Record(ev.Asked(f"q{state.asked + 1}", question, "disagreement")),)
    if state.claims >= CLAIMS:
        return _escalate(
            state, f"rung {state.rung + 1} says that it is done, and the check said {state.claims} times that it is not"
        )
    if state.exhausted:
        said = f" ({state.said})" if state.said else ""
        return _escalate(state, f"rung {state.rung + 1} of {len(state.loop.act)} has nothing more to propose{said}")
    return _perform(state, MakePlan(state.head_tree, state.rung), "read")


def _acting(state: State) -> tuple[Command, ...]:
    if state.failures_in_a_row >= RUNG_FAILURES and state.rung + 1 < len(state.loop.act):
        return _escalate(
            state, f"rung {state.rung + 1} failed {state.failures_in_a_row} times: {state.marks[-1].message}"
        )
    ending = check(state, begun=True)
    if ending is not None:
        return _stop(ending)
    if state.failures_in_a_row >= RUNG_FAILURES:
        return _escalate(
            state, f"rung {state.rung + 1} failed {state.failures_in_a_row} times: {state.marks[-1].message}"
        )
    # Measurements go one after another, so a second proposal would only wait for the first.
    batch = state.loop.batch or (state.jobs if state.loop.evaluate.metric is None else 1)
    return _perform(state, Propose(state.head_tree, state.rung, batch), "write")


def _evaluating(state: State) -> tuple[Command, ...]:
    if state.impossible_agreed:
        return _stop(Ending("impossible", state.impossible or ""))
    ending = person(state)
    if ending is not None:
        return _stop(ending)
    if state.impossible is not None:
        ask = ev.Asked(
            f"q{state.asked + 1}", f"A proposer says that the goal cannot be met: {state.impossible}", "impossible"
        )
        return (Record(ask),)
    if state.done:
        return (Record(ev.Decided(Check(), "the rung says that it is done: the verifiers look")),)
    busy = [f.action.work for f in state.inflight]
    if checks := _checks(state, [w.proposal_id for w in busy if isinstance(w, Evaluate)]):
        return checks
    if busy:
        return ()
    if (command := _trial(state)) is not None:
        return (command,)
    best = best_of(state)
    if best is not None and state.loop.evaluate.review and not _reviewed(state, best.id):
        return _perform(state, Evaluate(state.head_tree, best.id, "review"), "read")
    if best is not None and (question := question_about(state, best)) is not None:
        return (Record(ev.Asked(f"q{state.asked + 1}", question, f"{ABOUT_PROPOSAL}{best.id}")),)
    decision, why = decide(state)
    return (Record(ev.Decided(decision, why)),)


def _checks(state: State, busy: Sequence[str]) -> tuple[Command, ...]:
    """The proposals that no verifier looked at yet, as many as there is room for."""
    known = {*busy, *(j.proposal_id for j in state.judgements)}
    waiting = [p for p in state.proposals if p.id not in known]
    room = max(0, state.jobs - len(state.inflight))
    return tuple(
        _command(state, Evaluate(state.head_tree, p.id), "read", offset) for offset, p in enumerate(waiting[:room])
    )


def _reviewed(state: State, proposal_id: str) -> bool:
    return any(j.reviewed for j in state.judgements if j.proposal_id == proposal_id)


def _trial(state: State) -> Command | None:
    """The next run of the metric's command, alone on the machine; or what all of its runs amount to."""
    metric = state.loop.evaluate.metric
    trial = trial_of(state) if metric is not None else None
    if metric is None or state.ratchet is None or trial is None:
        return None
    proposal = state.proposal(trial)
    wanted = ratchet.wanted_of_trial(state.ratchet, metric, proposal)
    if wanted is None:
        return Record(ev.Weighed(trial, ratchet.weigh(state.ratchet, metric, proposal)))
    subject = trial if wanted == "candidate" else None
    return _command(state, Measure(state.head_tree, subject, "trial"), "read", 0)


def _wanted_of_head(state: State) -> Literal["calibrate", "confirm", "holdout"] | None:
    metric = state.loop.evaluate.metric
    return None if metric is None or state.ratchet is None else ratchet.wanted_of_head(state.ratchet, metric)


def _keeping(state: State) -> tuple[Command, ...]:
    if state.failures_in_a_row >= GIVE_UP_AFTER:
        return _stop(Ending("failed", f"the kept change could not be committed: {state.marks[-1].message}"))
    assert state.keeping is not None
    work = KeepProposal(state.keeping, state.iteration, state.head_commit, state.last_at_ms)
    return _perform(state, work, "write")


def _delivering(state: State) -> tuple[Command, ...]:
    assert state.ending is not None
    if state.failures_in_a_row >= DELIVER_ATTEMPTS:
        return (_finish(state, Ending("failed", f"could not deliver: {state.marks[-1].message}")),)
    final = _wanted_of_end(state)
    if final is not None:
        return _perform(state, Measure(state.base_tree if final == "base" else state.head_tree, None, "final"), "read")
    return _perform(state, Deliver(state.loop.deliver, state.head_commit), "write")


def _wanted_of_end(state: State) -> Literal["base", "head"] | None:
    """A run that a limit or a person ended is not made longer by measuring: its claim rests on what was measured before."""
    metric = state.loop.evaluate.metric
    assert state.ending is not None
    if metric is None or state.ratchet is None or state.failures_in_a_row or state.ending.reason in _AT_ONCE:
        return None
    return ratchet.wanted_of_end(state.ratchet, metric) if state.kept else None


_AT_ONCE: Final[frozenset[StopReason]] = frozenset(
    {
        "minutes",
        "usd",
        "tokens",
        "stopped",
        "integrity",
        "refused",
        "failed",
        "error_rate",
        "repeated_error",
        "impossible",
        "disagreement",
    }
)


def _closing(state: State) -> tuple[Command, ...]:
    assert state.ending is not None
    return (_finish(state, state.ending),)


_BEATS: Final = {
    "observing": _observing,
    "planning": _planning,
    "acting": _acting,
    "evaluating": _evaluating,
    "keeping": _keeping,
    "delivering": _delivering,
    "closing": _closing,
}


def _escalate(state: State, why: str) -> tuple[Command, ...]:
    if state.rung + 1 < len(state.loop.act):
        return (Record(ev.Decided(Escalate(state.rung + 1), why)),)
    failed = state.failures_in_a_row >= RUNG_FAILURES
    return _stop(Ending("failed" if failed else "exhausted", why))


def _stop(ending: Ending) -> tuple[Command, ...]:
    return (Record(ev.Decided(Stop(ending.reason), ending.why)),)


def _finish(state: State, ending: Ending) -> Record:
    return Record(ev.RunFinished(ending.reason, EXIT_CODES[ending.reason], ending.why))


def _perform(state: State, work: Work, effect: Effect) -> tuple[Command, ...]:
    return (_command(state, work, effect, 0),)


def _command(state: State, work: Work, effect: Effect, offset: int) -> Perform:
    """`offset`: how many other actions are commanded in the same answer; ids count on."""
    reserve = reserve_for(state.loop.act[work.rung]) if isinstance(work, Propose) else Spend()
    timeout_s = state.loop.action_timeout_s
    metric = state.loop.evaluate.metric
    if isinstance(work, Measure) and metric is not None and metric.timeout_s is not None:
        timeout_s = metric.timeout_s
    if isinstance(work, Propose) and state.budget.wall_ms is not None:
        # Only the search is cut short by the run's minutes: judging what it found is bounded by its own time-out.
        left_s = -(
            (state.active_ms - state.budget.wall_ms) // 1000
        )  # rounded up: a second search of half a second helps nobody
        timeout_s = max(1, min(timeout_s, left_s))
    return Perform(Action(f"a{state.intents + 1 + offset}", effect, work, timeout_s), reserve)
