"""What a judge is given: the goal, the change and the evidence, and not one word of the maker.

A title, a rationale or a summary that argues well makes a judge accept more, right or wrong. So the proposal goes in as what it would
do to the files, and lines in it that speak to a reviewer are named.
"""

import json
from pathlib import Path

from loopwright.errors import LoopwrightError
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.review.addressed import MOST, Addressed
from loopwright.kernel.values import Observation
from loopwright.suite.outcome import decode_suite, failing
from loopwright.workspace.workshop import Workshop

__all__ = ["DIFF_BYTES", "PROTOCOL", "review_request"]

PROTOCOL = 1
DIFF_BYTES = 16 << 20
"""A larger diff is not cut: what is wrong would then stand behind the cut. It gets no review."""
_TICKET_BYTES = 256 << 10
_NAMED_TESTS = 200


def review_request(
    request: JudgeRequest,
    diff: str,
    flagged: tuple[Addressed, ...],
    *,
    before: Path,
    candidate: Path,
    shop: Workshop,
) -> bytes:
    """One JSON object, ASCII, one line. `candidate` is the folder in which the judge finds all files with the change in them, `before`
    one with the changed files as they were."""
    loop = request.loop
    there = frozenset(shop.workspace.paths(request.tree))
    return json.dumps(
        {
            "protocol": PROTOCOL,
            "goal": loop.goal,
            "ticket": _ticket(request.observations, shop),
            "diff": diff,
            "changed": [
                {
                    "path": c.path,
                    "change": "deleted" if c.content is None else "modified" if c.path in there else "added",
                    "mode": None if c.content is None else c.mode,
                }
                for c in request.proposal.changes
            ],
            "addressed": [{"path": a.path, "line": a.line or None, "says": a.says} for a in flagged],
            "addressed_more": len(flagged) == MOST,
            "evidence": [_evidence(o, shop) for o in request.observations],
            "protect": list(loop.evaluate.protect),
            "write": list(loop.permit.write),
            "candidate": str(candidate),
            "before": str(before),
        }
    ).encode("ascii")


def _evidence(observation: Observation, shop: Workshop) -> dict[str, object]:
    """What was seen of the head, before the change. It quotes the repository's own output: data, not instructions."""
    seen: dict[str, object] = {
        "source": observation.source,
        "summary": observation.summary,
        "goal_met": observation.goal_met,
        "trust": observation.trust,
    }
    report = decode_suite(observation, shop.blobs)
    if report is not None:
        bad = [c.id for c in failing(report)]
        seen["tests"] = {
            "status": report.status,
            "passed": len(report.ids("passed")),
            "skipped": len(report.ids("skipped")),
            "failing": bad[:_NAMED_TESTS],
            "failing_more": max(0, len(bad) - _NAMED_TESTS),
            "flaky": list(report.flaky[:_NAMED_TESTS]),
        }
    return seen


def _ticket(observations: tuple[Observation, ...], shop: Workshop) -> str | None:
    """The text of the first observation of a ticket; its summary where the text cannot be had."""
    for observation in observations:
        if not observation.source.startswith("ticket"):
            continue
        if observation.content.size_bytes > _TICKET_BYTES:
            return observation.summary
        try:
            return shop.blobs.get(observation.content).decode("utf-8", "replace")
        except LoopwrightError:
            return observation.summary
    return None
