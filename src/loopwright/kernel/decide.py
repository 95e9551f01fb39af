"""Verdicts → decision. The one place where it is said whether a candidate is kept."""

from loopwright.kernel.state import Judgement, State, acceptable
from loopwright.kernel.values import Decision, Keep, Proposal, Retry, Revert, Verdict

__all__ = ["best_of", "decide", "question_about"]

RETRIES = 1
"""How often an inconclusive judgement is repeated before it counts as a revert."""


def decide(state: State) -> tuple[Decision, str]:
    """The decision over all proposals of the iteration, each judged, and the line that explains it.

    A proposal is acceptable when every verifier that decides passes it. Among the acceptable the highest score wins, then the fewest
    changed files, then the proposer's own order. Inconclusive is asked again once, then reverted: doubt never keeps.
    """
    if not state.proposals:
        return Revert(), "nothing was proposed"
    judged = {judgement.proposal_id: judgement for judgement in state.judgements}
    best = best_of(state)
    if best is not None:
        others = len([p for p in state.proposals if acceptable(judged[p.id])]) - 1
        why = _last(judged[best.id]).summary
        objections = "".join(f"; {v.verifier} notes: {v.summary}" for v in judged[best.id].verdicts if _noted(v))
        return Keep(best.id), why + objections + (
            f"; {others} other proposal{'s' if others > 1 else ''} passed as well" if others else ""
        )
    doubtful = tuple(p.id for p in state.proposals if _doubtful(judged[p.id]))
    if doubtful and state.retries < RETRIES:
        return Retry(doubtful), "inconclusive: judged once more"
    return Revert(), "; ".join(f"{p.title}: {_reason(judged[p.id])}" for p in state.proposals)


def best_of(state: State) -> Proposal | None:
    """What would be kept now, were every open question about it answered with yes; `None` when nothing would."""
    judged = {judgement.proposal_id: judgement for judgement in state.judgements}
    candidates = [p for p in state.proposals if p.id in judged and acceptable(judged[p.id])]
    if not candidates:
        return None
    return max(candidates, key=lambda p: (_score(judged[p.id]), -len(p.changes), -state.proposals.index(p)))


def question_about(state: State, proposal: Proposal) -> str | None:
    """What a person must say before the proposal may be kept; `None` when nobody need be asked."""
    judgement = next(j for j in state.judgements if j.proposal_id == proposal.id)
    open_ones = [f"{v.verifier}: {v.summary}" for v in judgement.verdicts if v.status == "ask" and not v.advisory]
    return f"May this be kept: {proposal.title}? {'; '.join(open_ones)}" if open_ones else None


def _noted(verdict: Verdict) -> bool:
    """An advisory objection decides nothing, and whoever reads why something was kept should know of it."""
    return verdict.advisory and verdict.status == "fail"


def _doubtful(judgement: Judgement) -> bool:
    statuses = {v.status for v in judgement.verdicts if not v.advisory}
    return "inconclusive" in statuses and statuses <= {"inconclusive", "pass", "ask"}


def _score(judgement: Judgement) -> float:
    """Proposals without any score are equal; only those with one are compared by it."""
    scores = [v.score for v in judgement.verdicts if v.score is not None]
    return scores[-1] if scores else 0.0


def _last(judgement: Judgement) -> Verdict:
    scored = [v for v in judgement.verdicts if v.score is not None]
    return (scored or [v for v in judgement.verdicts if not v.advisory])[-1]


def _reason(judgement: Judgement) -> str:
    """What refused it first, and beside it what a person would have been asked about: that question was never put."""
    against = [v for v in judgement.verdicts if v.status != "pass" and not v.advisory]
    refusing = [v for v in against if v.status != "ask"][:1]
    asking = [v for v in against if v.status == "ask"]
    return "; ".join(v.summary for v in (*refusing, *asking)) or "no verifier judged it"
