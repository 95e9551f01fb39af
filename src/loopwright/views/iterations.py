"""The iterations of a run as they build up: plans, proposals, what was said of them and what became of them."""

from dataclasses import dataclass, field

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.kernel.fold import by_person
from loopwright.kernel.state import ABOUT_PROPOSAL
from loopwright.views import run
from loopwright.views.work import beat_of, subject_of

__all__ = ["Iterations"]

_REPEATED = "the same edit was offered before; it was not judged again"


@dataclass(slots=True)
class _Proposal:
    value: val.Proposal
    state: run.ProposalState = "offered"
    verdicts: tuple[val.Verdict, ...] = ()
    judgements: int = 0
    samples: list[run.SampleView] = field(default_factory=list)
    why: str = ""
    commit: str | None = None
    chosen: bool = False
    reviewing: bool = False

    def view(self) -> run.ProposalView:
        p = self.value
        return run.ProposalView(
            id=p.id,
            rung=p.rung,
            title=p.title,
            rationale=p.rationale,
            files=tuple(c.path for c in p.changes),
            diff=p.diff,
            digest=p.digest,
            state=self.state,
            verdicts=self.verdicts,
            judgements=self.judgements,
            why=self.why,
            commit=self.commit,
            samples=tuple(self.samples),
        )


@dataclass(slots=True)
class _Iteration:
    number: int
    rung: int
    started_at_ms: int
    plan: val.Plan | None = None
    proposals: list[_Proposal] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    failures: list[run.FailureView] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)

    def view(self) -> run.IterationView:
        return run.IterationView(
            number=self.number,
            rung=self.rung,
            rationale=self.plan.rationale if self.plan else "",
            steps=self.plan.steps if self.plan else (),
            proposals=tuple(p.view() for p in self.proposals),
            decisions=tuple(self.decisions),
            failures=tuple(self.failures),
            summary="; ".join(self.summaries),
            started_at_ms=self.started_at_ms,
        )


@dataclass(slots=True)
class Iterations:
    """One method an event; what does not fit is taken as well as it can be."""

    _all: list[_Iteration] = field(default_factory=list)
    _known: dict[str, _Proposal] = field(default_factory=dict)
    _digests: set[str] = field(default_factory=set)
    _measuring: str = ""

    @property
    def number(self) -> int:
        return self._all[-1].number if self._all else 0

    def views(self) -> tuple[run.IterationView, ...]:
        return tuple(i.view() for i in self._all)

    def title(self, work: val.Work) -> str:
        """The title of the proposal that the work is about; empty when it is about none."""
        if isinstance(work, val.Evaluate | val.KeepProposal | val.Measure) and work.proposal_id in self._known:
            return self._known[work.proposal_id].value.title
        return ""

    def planned(self, body: ev.Planned, at_ms: int) -> None:
        if self._all and self._all[-1].number == body.iteration and not self._all[-1].proposals:
            self._all[-1].plan, self._all[-1].rung = body.plan, body.rung
        else:
            self._all.append(_Iteration(body.iteration, body.rung, at_ms, body.plan))

    def proposed(self, body: ev.Proposed, at_ms: int) -> None:
        now = self._now(at_ms)
        if body.summary:
            now.summaries.append(body.summary)
        if body.impossible:
            now.decisions.append(f"the rung says that the goal is impossible: {body.impossible}")
        for value in body.proposals:
            proposal = _Proposal(value)
            if value.digest in self._digests:
                proposal.state, proposal.why = "discarded", _REPEATED
            now.proposals.append(proposal)
            self._known[value.id] = proposal
        self._digests.update(value.digest for value in body.proposals)

    def judging(self, proposal_id: str, *, reviewing: bool = False) -> None:
        proposal = self._known.get(proposal_id)
        if proposal is not None:
            proposal.reviewing = reviewing
        if proposal is not None and proposal.state in ("offered", "judged"):
            proposal.state = "judging"

    def abandon_judging(self) -> None:
        for proposal in self._known.values():
            if proposal.state == "judging":
                proposal.state = "judged" if proposal.verdicts else "offered"

    def judged(self, body: ev.Judged) -> None:
        proposal = self._known.get(body.proposal_id)
        if proposal is not None:
            # The judges come after the checks: what they say stands beside what was said before.
            proposal.verdicts = (*proposal.verdicts, *body.verdicts) if proposal.reviewing else body.verdicts
            proposal.judgements += 0 if proposal.reviewing else 1
            proposal.reviewing = False
            if proposal.state in ("offered", "judging"):
                proposal.state = "judged"

    def weighed(self, body: ev.Weighed) -> None:
        proposal = self._known.get(body.proposal_id)
        if proposal is not None:
            proposal.verdicts = (*proposal.verdicts, body.verdict)

    def answered(self, about: str, body: ev.Answered) -> None:
        proposal = self._known.get(about.removeprefix(ABOUT_PROPOSAL))
        if proposal is not None:
            proposal.verdicts = by_person(proposal.verdicts, body)

    def measured(self, body: ev.Measured, work: val.Work | None) -> None:
        """A run of a proposal's trial belongs to the proposal; head runs beside it too."""
        if not isinstance(work, val.Measure) or work.purpose != "trial":
            return
        if work.proposal_id is not None:
            self._measuring = work.proposal_id
        proposal = self._known.get(self._measuring)
        if proposal is not None:
            proposal.samples.append(run.SampleView(work.proposal_id is not None, body.sample))

    def decided(self, body: ev.Decided, at_ms: int) -> None:
        now = self._now(at_ms)
        now.decisions.append(body.why)
        match body.decision:
            case val.Keep(proposal_id=chosen):
                for proposal in now.proposals:
                    if proposal.value.id == chosen:
                        proposal.why, proposal.chosen = body.why, True
                    elif proposal.state != "discarded":
                        self._discard(proposal, f"another one was kept: {body.why}")
            case val.Revert() | val.Stop() | val.Escalate():
                for proposal in now.proposals:
                    if proposal.state not in ("kept", "discarded"):
                        self._discard(proposal, body.why)
            case val.Retry(proposal_ids=again):
                for proposal_id in again:
                    if proposal_id in self._known:
                        self._known[proposal_id].state = "judging"

    def kept(self, body: ev.Kept) -> str:
        """Returns the title of what was kept."""
        proposal = self._known.get(body.proposal_id)
        if proposal is None:
            return body.proposal_id
        proposal.state, proposal.commit = "kept", body.commit
        return proposal.value.title

    def failed(self, body: ev.ActionFailed, work: val.Work | None, at_ms: int) -> None:
        beat = beat_of(work) if work is not None else "action"
        subject = (self.title(work) or subject_of(work)) if work is not None else ""
        self._now(at_ms).failures.append(run.FailureView(beat, subject, body.status, body.message, at_ms))
        if isinstance(work, val.Evaluate) and work.proposal_id in self._known:
            proposal = self._known[work.proposal_id]
            if proposal.state == "judging":
                proposal.state = "judged" if proposal.verdicts else "offered"
            if body.status in ("error", "timeout") and not proposal.verdicts:
                proposal.why = f"judging it ended with {body.status}: {body.message}"

    def _now(self, at_ms: int) -> _Iteration:
        if not self._all:
            self._all.append(_Iteration(0, 0, at_ms))
        return self._all[-1]

    @staticmethod
    def _discard(proposal: _Proposal, why: str) -> None:
        proposal.state = "discarded"
        if proposal.chosen:
            proposal.why = f"it was to be kept, and then: {why}"
        elif not proposal.why:
            proposal.why = _first_objection(proposal.verdicts) or why


def _first_objection(verdicts: tuple[val.Verdict, ...]) -> str:
    """Why a verifier spoke against it; empty when none did. More use to a reader than the decision about its whole iteration.
    A refusal says more than what a person would only have been asked about, and what decides nothing is no reason."""
    against = [v for v in verdicts if v.status != "pass" and not v.advisory]
    refusing = [v for v in against if v.status != "ask"]
    return next((f"{v.verifier}: {v.summary}" for v in (*refusing, *against)), "")
