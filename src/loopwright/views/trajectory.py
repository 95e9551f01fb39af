"""How well a run went about its task, from its journal alone: what was wasted, repeated, crashed, and when it first got ahead."""

from collections.abc import Iterable

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.views.clock import ActiveClock

__all__ = ["TrajectoryView", "trajectory_view"]


class TrajectoryView(val.Value, frozen=True):
    """Counts are of the whole trajectory, what a fork copied included; times are of the run itself.

    `success` is `None` while the run is on. `wasted_steps` are the actions that are not on the path to the kept state: those of
    iterations that kept nothing, failures, and judging what lost; observations of a head and delivery are never wasted.
    `repeated_action_rate` is the share of actions with the very same input as an earlier one, `None` without actions.
    `time_to_first_progress_ms` is time at work until the first keep, `None` = no keep. `flakes` are the proposals that a
    verifier could not decide on, or judged twice with different results. `scores` are best and last of all kept ones.
    """

    success: bool | None
    stop_reason: val.StopReason | None
    iterations: int
    actions: int
    proposals: int
    judged: int
    kept: int
    keep_rate: float | None
    wasted_steps: int
    repeated_actions: int
    repeated_action_rate: float | None
    repeated_proposals: int
    time_to_first_progress_ms: int | None
    crashes: int
    errors: int
    timeouts: int
    denials: int
    flakes: int
    asked: int
    best_score: float | None
    last_kept_score: float | None
    interruptions: int


class _Tally:
    def __init__(self) -> None:
        self.clock = ActiveClock()
        self.finished: ev.RunFinished | None = None
        self.iteration = 0
        self.works: list[val.Work] = []
        self.iteration_of: dict[str, int] = {}
        self.work_of: dict[str, val.Work] = {}
        self.failed: set[str] = set()
        self.kept_in: dict[int, str] = {}
        self.digests: list[str] = []
        self.statuses: dict[str, list[tuple[tuple[str, str], ...]]] = {}
        self.score_of: dict[str, float] = {}
        self.kept_scores: list[float] = []
        self.ends: list[str] = []
        self.crashed: set[str] = set()
        self.first_keep_ms: int | None = None
        self.asked = 0
        self.interruptions = 0
        self.flying: set[str] = set()

    def add(self, event: ev.Event) -> None:
        self.clock.tick(event)
        match event.body:
            case ev.RunFinished() as body:
                self.finished = body
                self.flying.clear()
            case ev.RunForked():
                self.finished, self.first_keep_ms = None, None
                self.flying.clear()
            case ev.RunResumed():
                self.finished = None
            case ev.DriverStarted():
                # Work without outcome when a driver starts: the one before it did not end by itself.
                self.interruptions += bool(self.flying)
                self.flying.clear()
            case ev.Asked():
                self.asked += 1
            case ev.ActionIntended(action=action):
                self.works.append(action.work)
                self.work_of[action.id] = action.work
                self.flying.add(action.id)
                # A plan opens the iteration after the one that is on.
                opens = isinstance(action.work, val.MakePlan)
                self.iteration_of[action.id] = self.iteration + 1 if opens else self.iteration
            case ev.ActionFailed() as body:
                self.flying.discard(body.action_id)
                self.failed.add(body.action_id)
                self.ends.append(body.status)
            case ev.Planned() as body:
                self.flying.discard(body.action_id)
                self.iteration = body.iteration
                self.iteration_of[body.action_id] = body.iteration
            case ev.Proposed() as body:
                self.flying.discard(body.action_id)
                self.digests += [p.digest for p in body.proposals]
            case ev.Judged() as body:
                self.flying.discard(body.action_id)
                self._judged(body)
            case ev.Kept() as body:
                self.flying.discard(body.action_id)
                self.kept_in[body.iteration] = body.proposal_id
                self.iteration_of[body.action_id] = body.iteration
                if self.first_keep_ms is None:
                    self.first_keep_ms = self.clock.active_ms
                if body.proposal_id in self.score_of:
                    self.kept_scores.append(self.score_of[body.proposal_id])
            case ev.Observed() | ev.Delivered() | ev.Measured() as body:
                self.flying.discard(body.action_id)
            case ev.Weighed(proposal_id=proposal_id, verdict=verdict):
                if verdict.score is not None:
                    self.score_of[proposal_id] = verdict.score
                if verdict.status == "crash":
                    self.crashed.add(proposal_id)
            case _:
                pass

    def _judged(self, body: ev.Judged) -> None:
        work = self.work_of.get(body.action_id)
        if not (isinstance(work, val.Evaluate) and work.stage == "review"):
            # What the judges say afterwards is no second judgement of the same kind.
            self.statuses.setdefault(body.proposal_id, []).append(tuple((v.verifier, v.status) for v in body.verdicts))
        if any(v.status == "crash" for v in body.verdicts):
            self.crashed.add(body.proposal_id)
        for verdict in body.verdicts:
            if verdict.score is not None:
                self.score_of[body.proposal_id] = verdict.score
                break

    def wasted(self) -> int:
        return sum(1 for action_id in self.work_of if self._is_wasted(action_id))

    def _is_wasted(self, action_id: str) -> bool:
        if action_id in self.failed:
            return True
        work = self.work_of[action_id]
        if action_id in self.flying or isinstance(work, val.Observe | val.Deliver):
            return False
        if isinstance(work, val.Measure) and work.purpose != "trial":
            return False  # the noise, and what a new head is worth
        winner = self.kept_in.get(self.iteration_of[action_id])
        if winner is None:
            # The iteration that is still on has not wasted anything yet.
            return self.finished is not None or self.iteration_of[action_id] < self.iteration
        return isinstance(work, val.Evaluate) and work.proposal_id != winner

    def flakes(self) -> int:
        return sum(
            1
            for judgements in self.statuses.values()
            if len(set(judgements)) > 1 or any(s == "inconclusive" for j in judgements for _, s in j)
        )


def trajectory_view(events: Iterable[ev.Event]) -> TrajectoryView:
    """The scores of a run after these events; any prefix of a run will do."""
    t = _Tally()
    for event in events:
        t.add(event)
    actions, judged, kept = len(t.works), len(t.statuses), len(t.kept_in)
    # Measuring the same again is how noise is told from gain.
    steps = [work for work in t.works if not isinstance(work, val.Measure)]
    repeats = len(steps) - len(set(steps))
    return TrajectoryView(
        success=None if t.finished is None else t.finished.exit_code == 0,
        stop_reason=None if t.finished is None else t.finished.reason,
        iterations=t.iteration,
        actions=actions,
        proposals=len(t.digests),
        judged=judged,
        kept=kept,
        keep_rate=kept / judged if judged else None,
        wasted_steps=t.wasted(),
        repeated_actions=repeats,
        repeated_action_rate=repeats / actions if actions else None,
        repeated_proposals=len(t.digests) - len(set(t.digests)),
        time_to_first_progress_ms=t.first_keep_ms,
        crashes=len(t.crashed),
        errors=t.ends.count("error"),
        timeouts=t.ends.count("timeout"),
        denials=t.ends.count("denied"),
        flakes=t.flakes(),
        asked=t.asked,
        best_score=max(t.kept_scores, default=None),
        last_kept_score=t.kept_scores[-1] if t.kept_scores else None,
        interruptions=t.interruptions,
    )
