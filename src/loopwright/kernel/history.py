"""What an ended iteration was, in one small value: what the stop rules and the account of the run's progress look back on.

Pure, and below `state`: the fold appends `turn_of(...)` when an iteration is decided (keep or revert) and holds a window of the last
ones, so every word that is kept here is bounded.
"""

import hashlib
from typing import Final

from loopwright.kernel.values import Observation, Proposal, Spend, Value

__all__ = ["TURN_WINDOW", "Turn", "signature_of", "turn_of"]

TURN_WINDOW: Final = 256
TITLE_CHARS: Final = 120
WHY_CHARS: Final = 240
SIGNATURE_HEX: Final = 24


class Turn(Value, frozen=True):
    """One ended iteration. `iteration` counts from 1.

    `gain`: what the keep brought, in the metric's unit and larger is better (a tests loop: the verifier's score); `None` = nothing was
    kept or nobody scored it. `usd_micros`, `tokens` and `wall_ms` (active time) are what this iteration alone cost, its judging and
    retries included. `offered`: how many proposals were made. `signature`: equal for iterations that saw the same and did the same;
    empty when nothing was proposed. `title`: the kept proposal's, else the first one's, in the proposer's words. `why`: the decision's
    line.
    """

    iteration: int
    rung: int
    kept: bool
    gain: float | None = None
    usd_micros: int = 0
    tokens: int = 0
    wall_ms: int = 0
    offered: int = 0
    signature: str = ""
    title: str = ""
    why: str = ""


def turn_of(
    *,
    iteration: int,
    rung: int,
    kept: bool,
    gain: float | None,
    spend_before: Spend,
    spend_now: Spend,
    active_ms_before: int,
    active_ms_now: int,
    proposals: tuple[Proposal, ...],
    observations: tuple[Observation, ...],
    kept_id: str | None = None,
    why: str = "",
) -> Turn:
    """The value of an iteration that was just decided.

    `spend_before`, `active_ms_before`: the run's totals when the iteration before it was decided (0 for the first), so that planning,
    judging and retries are in the cost of the iteration that caused them. `kept_id` names the kept proposal where there were several.
    """
    chosen = next((p for p in proposals if p.id == kept_id), None)
    if chosen is None and proposals and (not kept or len(proposals) == 1):
        # which of several was kept is not guessed
        chosen = proposals[0]
    return Turn(
        iteration=iteration,
        rung=rung,
        kept=kept,
        gain=gain,
        usd_micros=max(0, spend_now.usd_micros - spend_before.usd_micros),
        tokens=max(0, spend_now.tokens - spend_before.tokens),
        wall_ms=max(0, active_ms_now - active_ms_before),
        offered=len(proposals),
        signature=signature_of(proposals, observations),
        title="" if chosen is None else _bounded(chosen.title, TITLE_CHARS),
        why=_bounded(why, WHY_CHARS),
    )


def signature_of(proposals: tuple[Proposal, ...], observations: tuple[Observation, ...]) -> str:
    """A hash over what was proposed and what was seen before it, whatever their order; `""` when nothing was proposed.

    An iteration without a proposal did nothing that could repeat: a long search that found nothing yet is no cycle.
    """
    if not proposals:
        return ""
    acted = sorted({proposal.digest for proposal in proposals})
    # The account of the run's own progress is another one each time; what it looks at is what counts.
    seen = sorted({observation.content.sha256 for observation in observations if observation.source != "progress"})
    # The length first: no digest can be moved from one list to the other without another hash.
    words = "\n".join((str(len(acted)), *acted, *seen))
    return hashlib.sha256(words.encode()).hexdigest()[:SIGNATURE_HEX]


def _bounded(text: str, chars: int) -> str:
    """One line; what is too long is cut between words, since half the name of a held-out test would pass every filter for it."""
    line = " ".join(text.split())
    return line if len(line) <= chars else line[: chars - 1].rsplit(" ", 1)[0] + "…"
