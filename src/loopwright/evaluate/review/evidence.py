"""What is kept of a review: who was asked, what it answered, what it cost."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from loopwright.evaluate.review.addressed import Addressed
from loopwright.evaluate.review.agree import is_review
from loopwright.evaluate.review.answer import Finding
from loopwright.evaluate.review.rates import Rates
from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Spend, Value, Verdict

__all__ = ["ReviewEvidence", "decode_review", "review_spend"]


class ReviewEvidence(Value, frozen=True):
    """The content of a review's `Verdict.evidence`. `verdict` is `None` where the judge gave no answer; then `problem` says why.
    `addressed` are the proposal's lines that speak to a reviewer; `printed` is the end of what the judge printed, for people."""

    judge: str
    verdict: Literal["accept", "object", "unsure"] | None
    reason: str
    findings: tuple[Finding, ...]
    addressed: tuple[Addressed, ...]
    spend: Spend
    problem: str
    printed: str
    rates: Rates | None


def decode_review(verdict: Verdict, blobs: BlobStore) -> ReviewEvidence | None:
    """`None` for what no judge gave, and for a judge that was not asked. Raises: `BlobMissing`, `BlobCorrupt`."""
    if not is_review(verdict) or verdict.evidence is None:
        return None
    try:
        return msgspec.json.decode(blobs.get(verdict.evidence), type=ReviewEvidence)
    except msgspec.DecodeError:
        return None


def review_spend(verdicts: Iterable[Verdict], blobs: BlobStore) -> Spend:
    """What the judges of these verdicts say that they cost; their time is the action's. Raises: as `decode_review`."""
    total = Spend()
    for verdict in verdicts:
        evidence = decode_review(verdict, blobs)
        if evidence is not None:
            total = total.plus(evidence.spend)
    return total
