"""What both reports tell, gathered once: the run's view with the contents of its blobs, and the sentences that judge it."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from loopwright.errors import BlobCorrupt, BlobMissing
from loopwright.journal.protocol import BlobStore
from loopwright.keep.results import ResultStatus, result_status
from loopwright.kernel.events import Event
from loopwright.kernel.values import BlobRef, StopReason
from loopwright.suite.report import SuiteReport, TestCase
from loopwright.views.cost import CostView, cost_view
from loopwright.views.describe import duration
from loopwright.views.metric import MetricView, metric_view
from loopwright.views.run import ProposalView, RunView
from loopwright.views.text import plain, usd
from loopwright.views.trajectory import TrajectoryView, trajectory_view

__all__ = ["CALLS_SHOWN", "REASONS", "Attempt", "Facts", "TestChange", "gather", "headline"]

CALLS_SHOWN: Final = 200
"""Rows of tool calls in a report."""

DIFF_LINES: Final = 400
PLAUSIBLE: Final = 5
EVIDENCE_BYTES: Final = 32 << 20

REASONS: Final[dict[StopReason, str]] = {
    "goal": "the goal is reached",
    "nothing_to_do": "there was nothing to do: the goal was met before anything was tried",
    "iterations": "the limit of iterations was reached",
    "minutes": "the time limit was reached",
    "usd": "the dollar budget is used up",
    "tokens": "the token budget is used up",
    "plateau": "too many iterations in a row kept nothing",
    "diminishing": "another iteration would bring less than it costs",
    "drift": "the metric rose while what was held out fell",
    "noise": "the metric is too noisy for the difference that was asked for",
    "disagreement": "the judges contradicted each other, and a person ended it",
    "cycle": "the proposals only repeated what had been judged",
    "repeated_error": "the same error came again and again",
    "exhausted": "every rung has nothing more to propose",
    "error_rate": "too many actions failed",
    "cannot_observe": "the starting point could not be observed",
    "failed": "a step of the loop could not be performed",
    "impossible": "the goal was declared impossible, and a person agreed",
    "refused": "the policy refused",
    "integrity": "an integrity check failed",
    "stopped": "a person stopped the run",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A proposal with its diff (`""` = not there any more), cut after 400 lines (`cut_lines` left out), and its last test report."""

    iteration: int
    proposal: ProposalView
    status: ResultStatus | None
    diff: str
    cut_lines: int
    suite: SuiteReport | None


@dataclass(frozen=True, slots=True)
class TestChange:
    """The tests of the base and of the kept state; `None` = not known. Cases are ordered by id."""

    __test__ = False

    before: SuiteReport | None
    after: SuiteReport | None
    fixed: tuple[TestCase, ...]
    broken: tuple[TestCase, ...]
    failing: tuple[TestCase, ...]
    """Still failing at the end."""
    flaky: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    view: RunView
    headline: str
    attempts: tuple[Attempt, ...]
    tests: TestChange
    cost: CostView
    trajectory: TrajectoryView
    metric: MetricView | None
    """What was measured; `None` for a loop without a metric."""
    isolation: str
    limits: tuple[tuple[str, str, str], ...]
    """What is limited, what was used, the limit in words (`not limited`)."""
    commands: tuple[tuple[str, str], ...]
    """What to do next, each with the command that does it."""

    @property
    def evidence(self) -> bool:
        """Whether there is anything to show beside what was measured."""
        seen = self.tests.before is not None or self.tests.after is not None or bool(self.view.observed)
        return self.metric is None or seen

    @property
    def kept(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if a.proposal.state == "kept")

    @property
    def places(self) -> tuple[str, ...]:
        """Where the result was delivered to, beside the branch."""
        return tuple(p for p in self.view.places if p != f"branch {self.view.branch}")

    @property
    def not_kept(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if a.proposal.state != "kept")

    @property
    def plausible(self) -> tuple[Attempt, ...]:
        """Proposals that every verifier passed and that were not kept: at most 5, a search can find very many."""
        return tuple(a for a in self.not_kept if a.proposal.passed)[:PLAUSIBLE]


def gather(view: RunView, events: Iterable[Event], blobs: BlobStore) -> Facts:
    """All that a report of this run says; what is no longer in the blob store is left out, never an error."""
    history = list(events)
    measured = metric_view(history)
    attempts = tuple(_attempt(i.number, p, blobs) for i in view.iterations for p in i.proposals)
    return Facts(
        view=view,
        headline=headline(view, measured),
        attempts=attempts,
        tests=_tests(view, attempts, blobs),
        cost=cost_view(history),
        trajectory=trajectory_view(history),
        metric=measured,
        isolation=_isolation(view),
        limits=_limits(view),
        commands=_commands(view),
    )


def headline(view: RunView, measured: MetricView | None = None) -> str:
    """The outcome in one sentence. A metric loop without a target has no goal to reach: what it brought is its outcome."""
    n = len(view.kept)
    if measured is not None and measured.metric.target is None and view.stop_reason is not None:
        claim = measured.claim
        sure = claim is not None and (claim.low > 0 or claim.high < 0)
        gain = (
            f"{measured.metric.name} is {'better' if claim.gain > 0 else 'worse'} by {abs(claim.gain):.4g}"
            if claim and sure
            else ""
        )
        changes = f"{n} change{'s were' if n > 1 else ' was'} kept" if n else "Nothing was kept"
        worse = measured.held_out_gain is not None and measured.held_out_gain < 0
        held = (
            f", but what is held out got worse by {-measured.held_out_gain:.4g}"
            if worse and measured.held_out_gain
            else ""
        )
        return (
            f"{changes}: {gain}{held}."
            if gain
            else f"{changes}, and no gain in {measured.metric.name} is claimed{held}."
        )
    kept = f"{n} change{'s were' if n > 1 else ' was'} kept" if n else "nothing was kept"
    if view.stop_reason == "goal":
        return f"The goal is reached: {kept}." if n else "The goal is reached without a change."
    if view.stop_reason == "nothing_to_do":
        return "There was nothing to do: the goal was met before anything was tried."
    if view.stop_reason is not None:
        return f"The goal is not reached: {REASONS[view.stop_reason]}; {kept}."
    states = {
        "running": "still going on",
        "paused": "paused",
        "waiting": "waiting for a person's answer",
        "interrupted": "interrupted, no process drives it",
        "finished": "finished",
    }
    return f"The run is {states[view.status]}; so far {kept}."


def _attempt(iteration: int, proposal: ProposalView, blobs: BlobStore) -> Attempt:
    text = plain((_bytes(proposal.diff, blobs) or b"").decode("utf-8", "replace"))
    lines = text.split("\n")
    suites = (_suite(v.evidence, blobs) for v in proposal.verdicts if v.evidence is not None)
    return Attempt(
        iteration=iteration,
        proposal=proposal,
        status=result_status(proposal),
        diff="\n".join(lines[:DIFF_LINES]).rstrip("\n"),
        cut_lines=max(0, len(lines) - DIFF_LINES),
        suite=next((s for s in suites if s is not None), None),
    )


def _bytes(ref: BlobRef | None, blobs: BlobStore) -> bytes | None:
    if ref is None or ref.size_bytes > EVIDENCE_BYTES:
        return None
    try:
        return ref.inline.encode("utf-8", "replace") if ref.inline is not None else blobs.get(ref)
    except (BlobMissing, BlobCorrupt):
        return None


def _suite(ref: BlobRef | None, blobs: BlobStore) -> SuiteReport | None:
    data = _bytes(ref, blobs)
    if data is None or not data.startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(data, type=SuiteReport)
    except msgspec.MsgspecError:
        return None  # other verifiers bring other evidence


def _tests(view: RunView, attempts: tuple[Attempt, ...], blobs: BlobStore) -> TestChange:
    before = next((s for o in view.baseline if (s := _suite(o.content, blobs)) is not None), None)
    last_keep_ms = view.kept[-1].at_ms if view.kept else 0
    # The kept state as it was seen after the keep says more than what its candidate showed before.
    seen = (_suite(o.content, blobs) for o in view.observed if o.taken_at_ms >= last_keep_ms)
    after = next((s for s in seen if s is not None), None)
    if after is None:
        kept = [a.suite for a in attempts if a.proposal.state == "kept" and a.suite is not None]
        after = kept[-1] if kept else before
    cases = {c.id: c for c in (before.cases if before else ())}
    now = {c.id: c for c in (after.cases if after else ())}
    bad = ("failed", "error")
    flaky = {i for s in (before, after, *(a.suite for a in attempts)) if s is not None for i in s.flaky}
    return TestChange(
        before=before,
        after=after,
        fixed=tuple(
            c for i, c in sorted(now.items()) if c.status == "passed" and i in cases and cases[i].status in bad
        ),
        broken=tuple(
            c for i, c in sorted(now.items()) if c.status in bad and i in cases and cases[i].status == "passed"
        ),
        failing=tuple(c for _, c in sorted(now.items()) if c.status in bad),
        flaky=tuple(sorted(flaky)),
    )


def _isolation(view: RunView) -> str:
    if view.sandboxed is None:
        return "No command was run."
    if not view.sandboxed:
        return (
            "Commands ran as plain processes: they were NOT sandboxed. The code and the tests of this repository, and whatever "
            "was proposed, could read and change what your user can."
        )
    return "Every command ran in a sandbox."


def _limits(view: RunView) -> tuple[tuple[str, str, str], ...]:
    budget, spend = view.budget, view.spend.plus(view.inherited)
    no = "not limited"
    return (
        ("iterations", str(view.iteration), no if budget.iterations is None else str(budget.iterations)),
        ("time at work", duration(view.active_ms), no if budget.wall_ms is None else duration(budget.wall_ms)),
        ("dollars", usd(spend.usd_micros), no if budget.usd_micros is None else usd(budget.usd_micros)),
        ("tokens", f"{spend.tokens:,}", no if budget.tokens is None else f"{budget.tokens:,}"),
    )


def _commands(view: RunView) -> tuple[tuple[str, str], ...]:
    run, branch = shlex.quote(view.run_id), shlex.quote(view.branch)
    commands: list[tuple[str, str]] = []
    if view.kept:
        base = shlex.quote(view.base_commit[:12])
        commands += [
            ("Look at it", f"git log --stat -p {base}..{branch}"),
            ("Merge it", f"git merge --no-ff {branch}"),
            *(
                ("Apply the patch elsewhere", f"git am {shlex.quote(p)}")
                for p in view.places
                if view.deliver == "patch"
            ),
            ("Throw it away", f"git branch -D {branch}"),
        ]
    commands += [
        ("Follow every step", f"loopwright log {run}"),
        ("Check it against its journal", f"loopwright replay {run}"),
    ]
    if view.status != "finished":
        commands.append(("Go on with it", f"loopwright resume {run}"))
    commands.append(("Try another way from here", f"loopwright fork {run} --at {view.events}"))
    return tuple(commands)
