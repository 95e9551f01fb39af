"""A judge as a verifier: its opinion becomes a verdict, with how often it is wrong beside it."""

from typing import Literal

import msgspec

from loopwright.errors import ActionError
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.review.ask import Heard, ask
from loopwright.evaluate.review.evidence import ReviewEvidence
from loopwright.evaluate.review.family import dependence
from loopwright.evaluate.review.rates import Rates, rates_in_words
from loopwright.kernel.loop import Review
from loopwright.kernel.values import Verdict
from loopwright.views.text import one_line
from loopwright.workspace.workshop import Workshop

__all__ = ["ReviewVerifier"]

_Status = Literal["pass", "fail", "inconclusive"]
_SUMMARY_CHARS = 400
_STATUS: dict[str, _Status] = {"accept": "pass", "object": "fail", "unsure": "inconclusive"}
_WORDS = {"accept": "accepts", "object": "objects", "unsure": "is not sure"}


class ReviewVerifier:
    """Asked of proposals that passed everything else. `number` is the judge's place in the loop, from 1: the first is called `review`,
    the second `review-2`. `rates` are what its calibration measured; `None` = it was not calibrated."""

    def __init__(self, review: Review, number: int = 1, rates: Rates | None = None) -> None:
        self._review = review
        self._rates = rates
        self._name = "review" if number == 1 else f"review-{number}"
        self._who = "judge" if number == 1 else f"judge {number}"

    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        """`pass` for accept, `fail` for object, `inconclusive` for unsure and for no answer; advisory unless the review is a gate.

        The evidence is a `ReviewEvidence`; a judge that was refused as not independent has none, for it was not asked.
        Raises: `ActionError` for a judge that this version cannot ask, `UsageError`, `SandboxError`.
        """
        review = self._review
        why = dependence(review, request.proposal.family)
        if why is not None:
            return self._verdict("fail" if review.gate else "inconclusive", f"{self._who} refused: {why}")
        if review.run is None:
            raise ActionError(
                "review by a model arrives with the gateway; name a command in evaluate.review.run",
                signature="review: model",
            )
        shop.progress(f"asking {self._who}: {one_line(review.run, 80)}")
        timeout_s = shop.timeout_s if review.timeout_s is None else min(review.timeout_s, shop.timeout_s)
        heard = await ask(review.run, request, shop, timeout_s=timeout_s)
        status: _Status = "inconclusive" if heard.answer is None else _STATUS[heard.answer.verdict]
        verdict = self._verdict(status, _summary(self._who, heard, self._rates))
        evidence = msgspec.json.encode(_evidence(review.run, heard, self._rates))
        return msgspec.structs.replace(verdict, evidence=shop.blobs.put(evidence, "application/json"))

    def _verdict(self, status: _Status, summary: str) -> Verdict:
        return Verdict(self._name, status, one_line(summary, _SUMMARY_CHARS), advisory=not self._review.gate)


def _summary(who: str, heard: Heard, rates: Rates | None) -> str:
    """The rates come before the judge's words, so that no long reason pushes them out of the line."""
    answer = heard.answer
    said = _WORDS[answer.verdict] if answer is not None else "gave no answer"
    line = f"{who} {said} ({rates_in_words(rates)})"
    if heard.addressed:
        first = heard.addressed[0]
        place = f"{first.path}:{first.line}" if first.line else first.path
        more = f" and {len(heard.addressed) - 1} more" if len(heard.addressed) > 1 else ""
        line += f"; the change speaks to its reviewer: {one_line(place, 80)}{more}"
    if answer is None:
        return f"{line}: it {heard.problem}"
    reasons = [answer.reason] if answer.reason else []
    if answer.verdict == "object" and answer.findings:
        finding = answer.findings[0]
        place = finding.path if finding.line is None else f"{finding.path}:{finding.line}"
        reasons.append(f"{place}: {finding.says}")
    return f"{line}: {'; '.join(reasons)}" if reasons else line


def _evidence(command: str, heard: Heard, rates: Rates | None) -> ReviewEvidence:
    answer = heard.answer
    return ReviewEvidence(
        judge=command,
        verdict=None if answer is None else answer.verdict,
        reason="" if answer is None else answer.reason,
        findings=() if answer is None else answer.findings,
        addressed=heard.addressed,
        spend=heard.spend,
        problem=heard.problem,
        printed=heard.printed,
        rates=rates,
    )
