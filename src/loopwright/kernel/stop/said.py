"""Ends that somebody decided: the verifiers, a person, the policy."""

from loopwright.kernel.state import Ending, State
from loopwright.kernel.stop.count import count

__all__ = ["agreed_impossible", "goal", "person", "refused"]


def goal(state: State) -> Ending | None:
    """The verifiers pass on the head, in a cold and clean checkout that the runtime made itself.

    A proposer's "done" is not looked at here: it only requests that check (`Check`), and no text that it prints can end a run.
    """
    if not state.goal_met:
        return None
    if state.kept == 0:
        return Ending("nothing_to_do", "the goal is met before anything was tried")
    return Ending("goal", f"the goal is met after {count(state.iteration, 'iteration')}, {state.kept} kept")


def person(state: State) -> Ending | None:
    """Somebody asked for the end: a person, or the runtime itself for integrity. Looked at before each act."""
    return Ending(state.stop_reason, state.stop_requested) if state.stop_requested is not None else None


def agreed_impossible(state: State) -> Ending | None:
    """A proposer said that the goal cannot be met, and a person agreed.

    Source: ImpossibleBench, where such an exit cut cheating from 54 % to 9 % of conflicting tasks; the proposer's word alone ends nothing.
    """
    return Ending("impossible", state.impossible or "") if state.impossible_agreed else None


def refused(state: State) -> Ending | None:
    """The policy refused `stop.denials` calls since the last keep (default 2).

    One refusal is a mistake that the proposer can learn from; the next says that it is looking for a way around. A call that a person
    refused is none of the policy's and does not count.
    """
    limit = state.loop.stop.denials
    if limit is not None and state.denials >= max(limit, 1):
        return Ending("refused", f"the policy refused {count(state.denials, 'call')} since the last keep")
    return None
