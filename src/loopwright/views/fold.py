"""The fold behind `run.run_view`, for callers that follow a run and add events as they come (`log --follow`, the panel)."""

from dataclasses import dataclass, field

import msgspec

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.views import run
from loopwright.views.clock import ActiveClock
from loopwright.views.iterations import Iterations
from loopwright.views.work import beat_of, doing, subject_of

__all__ = ["RunFold"]


@dataclass(slots=True)
class _Flying:
    work: val.Work
    since_ms: int
    driver: int


@dataclass(slots=True)
class RunFold:
    """`add` every event in order, then `view` as often as you like."""

    _clock: ActiveClock = field(default_factory=ActiveClock)
    _iterations: Iterations = field(default_factory=Iterations)
    _run_id: str = ""
    _events: int = 0
    _started: ev.RunStarted | None = None
    _started_at_ms: int | None = None
    _last_at_ms: int | None = None
    _forked: ev.RunForked | None = None
    _finished: ev.RunFinished | None = None
    _finished_at_ms: int | None = None
    _paused: str | None = None
    _drivers: int = 0
    _own_iterations_from: int = 0
    _budget: val.Budget | None = None
    _spend: val.Spend = field(default_factory=val.Spend)
    _inherited: val.Spend = field(default_factory=val.Spend)
    _flying: dict[str, _Flying] = field(default_factory=dict)
    _asks: dict[str, run.OpenAsk] = field(default_factory=dict)
    _calls: dict[str, run.ToolCallView] = field(default_factory=dict)
    _baseline: tuple[run.ObservationView, ...] | None = None
    _observed: tuple[run.ObservationView, ...] = ()
    _kept: list[run.KeptView] = field(default_factory=list)
    _places: tuple[str, ...] = ()
    _sandboxes: list[str] = field(default_factory=list)
    _salvaged: list[str] = field(default_factory=list)

    def add(self, event: ev.Event) -> None:
        body, at_ms = event.body, event.at_ms
        self._run_id = event.run_id
        self._events += 1
        self._last_at_ms = at_ms
        self._clock.tick(event)
        match body:
            case ev.RunStarted():
                self._started, self._started_at_ms, self._budget = body, at_ms, body.loop.budget
            case ev.RunForked():
                self._fork(body, at_ms)
            case ev.DriverStarted():
                self._drivers += 1
                if body.sandbox not in self._sandboxes:
                    self._sandboxes.append(body.sandbox)
            case ev.RunPaused():
                self._paused = body.why
            case ev.RunResumed():
                self._paused = self._finished = self._finished_at_ms = None
            case ev.StopRequested():
                self._paused = None
                self._asks.clear()
            case ev.LimitsChanged():
                self._budget = body.budget
            case ev.RunFinished():
                self._finished, self._finished_at_ms = body, at_ms
                self._flying.clear()
            case ev.Salvaged():
                self._salvaged.append(f"{body.ref}: {body.why}")
            case ev.Asked():
                self._asks[body.ask_id] = run.OpenAsk(body.ask_id, body.question, body.about, at_ms)
            case ev.Answered():
                ask = self._asks.pop(body.ask_id, None)
                if ask is not None:
                    self._iterations.answered(ask.about, body)
            case ev.Decided():
                self._iterations.decided(body, at_ms)
                if isinstance(body.decision, val.Stop):
                    self._asks.clear()
            case ev.Weighed():
                self._iterations.weighed(body)
            case ev.ActionIntended():
                work = body.action.work
                self._flying[body.action.id] = _Flying(work, at_ms, self._drivers)
                if isinstance(work, val.Evaluate):
                    self._iterations.judging(work.proposal_id, reviewing=work.stage == "review")
            case ev.CallRequested(call=call):
                self._calls[call.call_id] = run.ToolCallView(call.call_id, call.actor, call.tool, "", "", "", None)
            case ev.CallDecided():
                self._call(body.call_id, verdict=body.verdict, rule=body.rule, why=body.why)
            case ev.CallEnded():
                self._spend = self._spend.plus(body.spend)
                self._call(body.call_id, status=body.status)
            case ev.PauseRequested() | ev.TriggerFired() | ev.TriggerSkipped() | ev.PolicyBound() | ev.CallIntended():
                pass
            case _:
                self._outcome(body, at_ms)

    def _call(self, call_id: str, **changes: str) -> None:
        if call_id in self._calls:
            self._calls[call_id] = msgspec.structs.replace(self._calls[call_id], **changes)

    def _fork(self, body: ev.RunForked, at_ms: int) -> None:
        self._forked, self._started_at_ms = body, at_ms
        self._inherited = self._spend_so_far().plus(self._inherited)
        self._spend = val.Spend()
        self._own_iterations_from = self._iterations.number
        # What the parent had in flight, asked or ended is the parent's; the fork goes on from the state that it copied.
        self._flying.clear()
        self._asks.clear()
        self._paused = self._finished = self._finished_at_ms = None
        self._places = ()
        self._sandboxes.clear()
        self._iterations.abandon_judging()

    def _outcome(
        self,
        body: ev.Outcome,
        at_ms: int,
    ) -> None:
        flying = self._flying.pop(body.action_id, None)
        self._spend = self._spend.plus(body.spend)
        match body:
            case ev.ActionFailed():
                self._iterations.failed(body, flying.work if flying else None, at_ms)
            case ev.Observed():
                self._observed = tuple(
                    run.ObservationView(o.source, o.summary, o.trust, o.goal_met, o.content, o.taken_at_ms)
                    for o in body.observations
                )
                self._baseline = self._observed if self._baseline is None else self._baseline
            case ev.Planned():
                self._iterations.planned(body, at_ms)
            case ev.Proposed():
                self._iterations.proposed(body, at_ms)
            case ev.Judged():
                self._iterations.judged(body)
            case ev.Measured():
                self._iterations.measured(body, flying.work if flying else None)
            case ev.Kept():
                title = self._iterations.kept(body)
                self._kept.append(run.KeptView(body.iteration, body.proposal_id, title, body.commit, body.tree, at_ms))
            case ev.Delivered():
                self._places = body.places

    def _spend_so_far(self) -> val.Spend:
        # Iterations are counted by their plans: no action's spend says how many there were.
        own = max(0, self._iterations.number - self._own_iterations_from)
        return val.Spend(self._spend.usd_micros, self._spend.tokens, self._spend.wall_ms, own)

    def _status(self, driven: bool) -> run.RunStatus:
        if self._finished is not None:
            return "finished"
        if self._asks and not (driven and self._flying):
            return "waiting"
        if self._paused is not None:
            return "paused"
        return "running" if driven else "interrupted"

    def _activity(self, status: run.RunStatus, driven: bool) -> str:
        if status == "finished":
            return "finished"
        if status == "waiting":
            return "waiting for an answer"
        if status == "paused":
            return f"paused: {self._paused}"
        if driven:
            return doing([f.work for f in self._flying.values()])
        return "nothing runs"

    def view(self, *, driven: bool) -> run.RunView:
        """See `run.run_view`."""
        started, finished, forked = self._started, self._finished, self._forked
        loop = started.loop if started else None
        head = self._kept[-1] if self._kept else None
        status = self._status(driven)
        return run.RunView(
            run_id=self._run_id,
            loop=loop.name if loop else "",
            goal=loop.goal if loop else "",
            trigger=started.trigger if started else "",
            ticket=started.ticket if started else None,
            status=status,
            driven=driven,
            activity=self._activity(status, driven),
            iteration=self._iterations.number,
            started_at_ms=self._started_at_ms,
            last_at_ms=self._last_at_ms,
            finished_at_ms=self._finished_at_ms,
            active_ms=self._clock.active_ms,
            events=self._events,
            stop_reason=finished.reason if finished else None,
            exit_code=finished.exit_code if finished else None,
            summary=finished.summary if finished else "",
            branch=forked.branch if forked else started.branch if started else "",
            base_commit=started.base_commit if started else "",
            base_tree=started.base_tree if started else "",
            head_commit=head.commit if head else started.base_commit if started else "",
            head_tree=head.tree if head else started.base_tree if started else "",
            deliver=loop.deliver if loop else "branch",
            places=self._places,
            kept=tuple(self._kept),
            iterations=self._iterations.views(),
            baseline=self._baseline or (),
            observed=self._observed,
            budget=self._budget or val.Budget(),
            spend=self._spend_so_far(),
            inherited=self._inherited,
            in_flight=tuple(
                run.InFlightView(
                    action_id=action_id,
                    beat=beat_of(flying.work),
                    subject=self._iterations.title(flying.work) or subject_of(flying.work),
                    since_ms=flying.since_ms,
                    orphaned=not driven or flying.driver < self._drivers,
                )
                for action_id, flying in self._flying.items()
            ),
            asks=tuple(self._asks.values()),
            calls=tuple(self._calls.values()),
            sandboxes=tuple(self._sandboxes),
            notes=started.notes if started else (),
            salvaged=tuple(self._salvaged),
            forked_from=forked.parent_run_id if forked else None,
            forked_at_seq=forked.parent_seq if forked else None,
            version=started.version if started else "",
            seed=started.seed if started else 0,
        )
