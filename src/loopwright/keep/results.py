"""`results.tsv`: a row for each proposal that was judged, in the order of the run. Other programs read it, so its form is fixed."""

from typing import Final, Literal

from loopwright.views.run import ProposalView, RunView
from loopwright.views.text import one_line, short_id

__all__ = ["HEADER", "ResultStatus", "result_status", "results_tsv"]

HEADER: Final = ("commit", "metric", "status", "description")

ResultStatus = Literal["keep", "discard", "crash", "checks_failed"]

_COMPARING: Final = frozenset({"metric", "review"})
"""Verifiers whose `fail` means that the proposal is no better, not that it breaks anything."""


def result_status(proposal: ProposalView) -> ResultStatus | None:
    """`None` for a proposal that was never judged. A crash is a status, never a score."""
    if proposal.state == "kept":
        return "keep"
    if proposal.crashed:
        return "crash"
    if not proposal.verdicts:
        # Judging it ended without a verdict, again and again.
        return "crash" if proposal.why.startswith("judging it ended with") else None
    if any(v.status == "fail" and v.verifier not in _COMPARING for v in proposal.verdicts):
        return "checks_failed"
    return "discard"


def results_tsv(view: RunView) -> str:
    """The whole file. `commit` is a short id or `-`, `metric` what was measured of it (in a metric loop the mean of its
    runs, in the metric's unit), else the score, or empty; descriptions hold no tab and no line end."""
    rows = [HEADER]
    for proposal in view.proposals:
        status = result_status(proposal)
        if status is not None:
            commit = short_id(proposal.commit) if proposal.commit else "-"
            value = proposal.score if proposal.measured is None else proposal.measured
            metric = "" if value is None else f"{value:.8g}"
            rows.append((commit, metric, status, one_line(proposal.title) or "-"))
    return "".join("\t".join(row) + "\n" for row in rows)
