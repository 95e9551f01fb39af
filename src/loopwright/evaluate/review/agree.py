"""Whether judges contradict each other. Pure."""

import re
from collections.abc import Sequence

from loopwright.kernel.values import Verdict

__all__ = ["disagree", "is_review"]

_REVIEW = re.compile(r"review(-[2-9]|-[1-9]\d+)?")


def is_review(verdict: Verdict) -> bool:
    """Whether a judge gave it: `review`, `review-2`, …"""
    return _REVIEW.fullmatch(verdict.verifier) is not None


def disagree(verdicts: Sequence[Verdict]) -> bool:
    """One judge accepts what another objects to. One that gave no answer or is not sure contradicts nobody."""
    said = {verdict.status for verdict in verdicts if is_review(verdict)}
    return {"pass", "fail"} <= said
