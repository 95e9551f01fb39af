"""What a person who watches a run is told: a short line for each event that matters to him, the rest is in `loopwright log`."""

from collections.abc import Sequence

from loopwright.kernel import events as ev
from loopwright.kernel.values import Escalate, Measure, Proposal, Revert, Stop, Verdict
from loopwright.views.describe import describe, duration
from loopwright.views.text import one_line, short_id

__all__ = ["Headlines"]

_NAME_CHARS = 12
_BEFOREHAND = frozenset({"scope", "tamper"})
"""Where these pass nothing was run yet: what tells comes later."""


class Headlines:
    """Remembers what was proposed, so that a verdict can be told with the title of what it is about."""

    def __init__(self) -> None:
        self._proposals: dict[str, Proposal] = {}
        self._measuring: dict[str, Measure] = {}

    def remember(self, proposals: Sequence[Proposal]) -> None:
        self._proposals = {p.id: p for p in proposals}

    def of(self, event: ev.Event, width: int) -> str | None:
        """One line of at most `width` characters; `None` when there is nothing to tell."""
        told = self._told(event.body)
        if told is None:
            return None
        name, text = told
        return f"{name:<{_NAME_CHARS}} {one_line(text, width - _NAME_CHARS - 1)}"

    def _told(self, body: ev.Body) -> tuple[str, str] | None:
        match body:
            case ev.Observed(observations=()):
                return None
            case ev.Observed(observations=seen, spend=spend):
                return "observed", f"{'; '.join(o.summary for o in seen)} [{duration(spend.wall_ms)}]"
            case ev.Planned(iteration=iteration, plan=plan):
                return f"iteration {iteration}", "; ".join(plan.steps[1:2] or plan.steps)
            case ev.Proposed(proposals=proposals, summary=summary, spend=spend):
                self.remember(proposals)
                return "proposed", f"{summary} [{duration(spend.wall_ms)}]"
            case ev.Judged(proposal_id=proposal_id, verdicts=verdicts):
                deciding = _deciding(verdicts)
                if deciding.status == "pass" and deciding.verifier in _BEFOREHAND:
                    return None
                word = "notes" if deciding.advisory else "passes" if deciding.status == "pass" else deciding.status
                return word, f"{self._title(proposal_id)}: {deciding.summary}"
            case ev.ActionIntended(action=action) if isinstance(action.work, Measure):
                self._measuring[action.id] = action.work
                return None
            case ev.Measured(action_id=action_id):
                return "measured", f"{self._measured(action_id)}: {_in_words(body).partition(': ')[2]}"
            case ev.Weighed(proposal_id=proposal_id, verdict=verdict):
                better = {"pass": "better", "fail": "no better"}.get(verdict.status, verdict.status)
                return better, f"{self._title(proposal_id)}: {verdict.summary}"
            case ev.Decided(decision=Revert()):
                return "reverted", "nothing of this iteration is kept"
            case ev.Decided(decision=Escalate(rung=rung), why=why):
                return "escalated", f"to rung {rung + 1}: {why}"
            case ev.Decided(decision=Stop(reason=reason), why=why):
                return "stops", f"{reason}: {why}"
            case ev.Decided():
                return None
            case ev.Kept(proposal_id=proposal_id, commit=commit):
                return "kept", f"commit {short_id(commit)}: {self._title(proposal_id)}"
            case ev.Delivered(places=places):
                return "delivered", ", ".join(places) or "nothing: nothing was kept"
            case ev.RunStarted() | ev.RunForked() | ev.DriverStarted() | ev.ActionIntended() | ev.RunFinished():
                return None
            case _:
                return "note", _in_words(body)

    def _measured(self, action_id: str) -> str:
        work = self._measuring.pop(action_id, None)
        if work is None:
            return action_id
        if work.purpose != "trial":
            return {"calibrate": "the base", "confirm": "the new head", "holdout": "held out", "final": "at the end"}[
                work.purpose
            ]
        return "the head beside it" if work.proposal_id is None else self._title(work.proposal_id)

    def _title(self, proposal_id: str) -> str:
        found = self._proposals.get(proposal_id)
        return proposal_id if found is None else found.title


def _in_words(body: ev.Body) -> str:
    """The log's words for an event without a place in a stream."""
    return describe(ev.Event("", 0, 0, "", body, ""))


def _deciding(verdicts: tuple[Verdict, ...]) -> Verdict:
    """The verdict that settles it: the first that is not a pass, else the last."""
    for verdict in verdicts:
        if verdict.status != "pass" and not verdict.advisory:
            return verdict
    deciding = [v for v in verdicts if not v.advisory] or list(verdicts)
    return deciding[-1] if deciding else Verdict("runtime", "fail", "no verifier judged it")
