"""Verdicts → decision. The one place where it is said whether a candidate is kept."""

from loopwright.kernel.state import Judgement, State
from loopwright.kernel.values import Decision, Keep, Retry, Revert, Verdict

__all__ = ["decide"]

RETRIES = 1
"""How often an inconclusive judgement is repeated before it counts as a revert."""


def decide(state: State) -> tuple[Decision, str]:
    """The decision over all proposals of the iteration, each judged, and the line that explains it.

    A proposal is acceptable when every verifier passes it. Among the acceptable the highest score wins, then the fewest changed
    files, then the proposer's own order. Inconclusive is asked again once, then reverted: doubt never keeps.
    """
    if not state.proposals:
        return Revert(), "nothing was proposed"
    judged = {judgement.proposal_id: judgement for judgement in state.judgements}
    acceptable = [p for p in state.proposals if _all(judged[p.id], "pass")]
    if acceptable:
        best = max(acceptable, key=lambda p: (_score(judged[p.id]), -len(p.changes), -state.proposals.index(p)))
        others = len(acceptable) - 1
        why = _last(judged[best.id]).summary
        return Keep(best.id), why + (
            f"; {others} other proposal{'s' if others > 1 else ''} passed as well" if others else ""
        )
    doubtful = tuple(p.id for p in state.proposals if _doubtful(judged[p.id]))
    if doubtful and state.retries < RETRIES:
        return Retry(doubtful), "inconclusive: judged once more"
    return Revert(), "; ".join(f"{p.title}: {_reason(judged[p.id])}" for p in state.proposals)


def _all(judgement: Judgement, status: str) -> bool:
    return bool(judgement.verdicts) and all(v.status == status for v in judgement.verdicts)


def _doubtful(judgement: Judgement) -> bool:
    statuses = {v.status for v in judgement.verdicts}
    return "inconclusive" in statuses and statuses <= {"inconclusive", "pass"}


def _score(judgement: Judgement) -> float:
    """Proposals without any score are equal; only those with one are compared by it."""
    scores = [v.score for v in judgement.verdicts if v.score is not None]
    return scores[-1] if scores else 0.0


def _last(judgement: Judgement) -> Verdict:
    scored = [v for v in judgement.verdicts if v.score is not None]
    return (scored or list(judgement.verdicts))[-1]


def _reason(judgement: Judgement) -> str:
    for verdict in judgement.verdicts:
        if verdict.status != "pass":
            return verdict.summary
    return "no verifier judged it"
