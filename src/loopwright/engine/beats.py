"""The one place that composes the beats: which observer, planner, proposer and verifiers a loop has, and what each is given."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from loopwright.act.command import CommandProposer
from loopwright.act.protocol import Proposer, ProposeRequest, ProposeResult, Trial
from loopwright.act.repair.proposer import RepairProposer
from loopwright.act.tune.proposer import TuneProposer
from loopwright.errors import ActionError
from loopwright.evaluate import JudgeRequest, Verifier, judges, verifiers
from loopwright.evaluate.metric import measure
from loopwright.evaluate.review.judges import load_rates
from loopwright.evaluate.tests import TestsVerifier
from loopwright.keep.deliver import deliver
from loopwright.keep.keep import KeepBeat
from loopwright.keep.steps import kept_steps
from loopwright.kernel import ratchet
from loopwright.kernel.events import Event
from loopwright.kernel.loop import CommandRung, Metric, MetricSource, RepairRung, Rung, TestsSource, TuneRung
from loopwright.kernel.sample import Sample
from loopwright.kernel.state import State
from loopwright.kernel.values import Deliver, KeepProposal, Measure, Observation, Plan, Propose, Verdict
from loopwright.observe.metric import HeadMetric, metric_goal_met, metric_observation, refuse_failing_guard
from loopwright.observe.number import NumberObserver
from loopwright.observe.progress import progress
from loopwright.observe.tests import TestsObserver
from loopwright.plan.planner import LadderPlanner
from loopwright.plan.protocol import PlanRequest
from loopwright.suite.holdout import Split, head_split, hidden_files, shown_observation
from loopwright.suite.quarantine import quarantine_of
from loopwright.workspace.hiding import HidingWorkspace
from loopwright.workspace.protocol import Commit
from loopwright.workspace.workshop import Workshop

__all__ = ["Beats"]


class Beats:
    """The beats of one run. Verifiers live as long as it does: they remember what they measured of a head."""

    def __init__(self, runtime_dir: Path) -> None:
        self._runtime_dir = runtime_dir
        self._verifiers: tuple[Verifier, ...] | None = None
        self._planner = LadderPlanner()
        self._keep = KeepBeat()

    async def observe(self, state: State, tree: str, shop: Workshop) -> tuple[Observation, ...]:
        """One observation a source, in the loop's order, and one of the guard. The metric that the loop judges by is no source: it is
        measured by actions of its own, and what they amount to is told to whoever plans and proposes."""
        loop, seen = state.loop, list[Observation]()
        quarantine = quarantine_of(shop.workspace, state.base_tree, shop.now_ms())
        for number, source in enumerate(loop.observe, 1):
            observation_id = f"{shop.action_id}.{number}"
            match source:
                case TestsSource():
                    seen.append(await TestsObserver(source).observe(tree, observation_id, shop, quarantine))
                case MetricSource() if loop.evaluate.metric is not None and _same(source, loop.evaluate.metric):
                    continue
                case MetricSource():
                    observer = NumberObserver(source, loop.evaluate.protect)
                    seen.append(await observer.observe(tree, observation_id, shop))
                case _:
                    raise ActionError(
                        f"observe[{number - 1}]: this version observes tests and metrics", signature="observe: source"
                    )
        guard = loop.evaluate.guard
        if guard is not None:
            held = await TestsObserver(guard).observe(tree, f"{shop.action_id}.guard", shop, quarantine)
            if tree == state.base_tree:
                refuse_failing_guard(held)
            # That the guard holds is no goal: it held before anything was done.
            seen.append(msgspec.structs.replace(held, goal_met=None))
        return tuple(seen)

    async def plan(self, state: State, tree: str, rung: int, shop: Workshop) -> Plan:
        request = PlanRequest(
            tree=tree,
            loop=state.loop,
            rung=rung,
            iteration=state.iteration + 1,
            observations=self._told(state, shop),
            ticket=_ticket_text(state, tree, shop),
            lessons=state.lessons,
        )
        return await self._planner.plan(request, shop)

    async def propose(
        self, state: State, work: Propose, shop: Workshop, *, trials: Callable[[], Sequence[Trial]]
    ) -> ProposeResult:
        assert state.plan is not None
        request = ProposeRequest(
            run_id=shop.run_id,
            iteration=state.iteration,
            rung=work.rung,
            tree=work.tree,
            loop=state.loop,
            ticket=_ticket_text(state, work.tree, shop),
            plan=state.plan,
            observations=self._told(state, shop),
            batch=work.batch,
            memory=state.memory,
            tried=state.tried,
            lessons=state.lessons,
            trials=trials,
        )
        return await _proposer(state.loop.act[work.rung]).propose(request, _hiding(state, work.tree, shop))

    async def measure(self, state: State, work: Measure, shop: Workshop) -> Sample:
        proposal = None if work.proposal_id is None else state.proposal(work.proposal_id)
        return await measure(work, state.loop, proposal, shop)

    async def evaluate(
        self, state: State, proposal_id: str, stage: Literal["check", "review"], shop: Workshop
    ) -> tuple[Verdict, ...]:
        """The verdicts up to and with the first that refuses: what comes after it would cost and change nothing."""
        request = JudgeRequest(
            tree=state.head_tree,
            base_tree=state.base_tree,
            loop=state.loop,
            proposal=state.proposal(proposal_id),
            observations=state.observations,
        )
        if stage == "review":
            # All of them, whatever the others say: two that contradict each other are more than one that refuses.
            try:
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(judge.judge(request, shop)) for judge in self._judges(state, shop)]
            except ExceptionGroup as errors:
                # The first says why the action failed; none of the others is left running behind it.
                raise errors.exceptions[0] from None
            return tuple(task.result() for task in asked)
        if self._verifiers is None:
            self._verifiers = verifiers(state.loop)
        verdicts: list[Verdict] = []
        for verifier in self._verifiers:
            verdict = await verifier.judge(request, shop)
            verdicts.append(verdict)
            if not verdict.advisory and verdict.status not in ("pass", "ask"):
                break
        return tuple(verdicts)

    async def keep(self, state: State, work: KeepProposal, shop: Workshop) -> Commit:
        return await self._keep.keep(
            work,
            state.proposal(work.proposal_id),
            _verdicts(state, work.proposal_id),
            branch=state.branch,
            branch_commit=state.branch_commit,
            loop=state.loop,
            shop=shop,
        )

    async def already_kept(self, state: State, work: KeepProposal, shop: Workshop) -> Commit | None:
        """Asks the branch whether a keep without outcome happened."""
        return await self._keep.already_done(
            work,
            state.proposal(work.proposal_id),
            _verdicts(state, work.proposal_id),
            branch=state.branch,
            loop=state.loop,
            shop=shop,
        )

    async def deliver(
        self, state: State, work: Deliver, events: Iterable[Event], directory: Path, shop: Workshop
    ) -> tuple[str, ...]:
        return await deliver(
            work,
            loop=state.loop,
            branch=state.branch,
            branch_commit=state.branch_commit,
            steps=kept_steps(events),
            directory=directory,
            shop=shop,
        )

    def _told(self, state: State, shop: Workshop) -> tuple[Observation, ...]:
        """What planners and proposers are given: what was observed, without the tests that are held out, what was measured, and what the
        runtime says of the run so far."""
        drawn = _split(state, shop)
        seen = tuple(shown_observation(o, drawn, shop.blobs) for o in state.observations)
        measured = _measured(state, shop)
        told = seen if measured is None else (*seen, measured)
        if state.iteration == 0:
            return told
        so_far = progress(
            state,
            f"{shop.action_id}.progress",
            shop.now_ms(),
            shop.blobs,
            claimed_done=state.refuted,
            seen=seen,
            hidden=tuple(drawn.held),
        )
        return (*told, so_far)

    def _judges(self, state: State, shop: Workshop) -> tuple[Verifier, ...]:
        def read(path: str) -> bytes | None:
            return shop.workspace.read(state.base_tree, path)

        return judges(state.loop, lambda review: load_rates(self._runtime_dir, review, read))

    async def close(self) -> None:
        """Ends what verifiers keep warm; they begin anew when they are asked again."""
        for verifier in self._verifiers or ():
            if isinstance(verifier, TestsVerifier):
                await verifier.close()


def _measured(state: State, shop: Workshop) -> Observation | None:
    """What the runs of the head amount to; `None` for a loop without a metric."""
    metric = state.loop.evaluate.metric
    if metric is None or state.ratchet is None:
        return None
    mean, base = ratchet.head_mean(state.ratchet), state.ratchet.base
    content = HeadMetric(
        name=metric.name,
        goal=metric.goal,
        mean=mean,
        runs=len(state.ratchet.fresh),
        noise_sd=ratchet.noise_sd(state.ratchet),
        base_mean=sum(run.value for run in base) / len(base) if base else None,
        target=metric.target,
    )
    return metric_observation(
        ratchet.head_summary(state.ratchet, metric),
        metric_goal_met(metric, mean),
        f"{shop.action_id}.metric",
        shop.now_ms(),
        shop.blobs,
        content,
    )


def _split(state: State, shop: Workshop) -> Split:
    """Which tests of the head are held out; nothing while it was not observed."""
    policy = state.loop.evaluate
    return head_split(state.observations, policy, seed=shop.seed, tree=state.head_tree, blobs=shop.blobs)


def _hiding(state: State, tree: str, shop: Workshop) -> Workshop:
    """The workshop of a proposer: files whose tests are all held out are not in its copies."""
    drawn = _split(state, shop)
    if not drawn.files:
        return shop

    def text_of(path: str) -> str | None:
        data = shop.workspace.read(tree, path)
        return None if data is None else data.decode("utf-8", "replace")

    hidden = hidden_files(drawn, shop.workspace.paths(tree), text_of)
    return dataclasses.replace(shop, workspace=HidingWorkspace(shop.workspace, hidden)) if hidden else shop


def _same(source: MetricSource, metric: Metric) -> bool:
    return (source.run, source.name) == (metric.run, metric.name)


def _proposer(rung: Rung) -> Proposer:
    match rung:
        case RepairRung():
            return RepairProposer(rung)
        case CommandRung():
            return CommandProposer(rung)
        case TuneRung():
            return TuneProposer(rung)
        case _:
            kind = rung.__struct_config__.tag
            raise ActionError(f"rung {kind!r} is not available in this version", signature=f"rung {kind}")


def _verdicts(state: State, proposal_id: str) -> tuple[Verdict, ...]:
    return next((j.verdicts for j in state.judgements if j.proposal_id == proposal_id), ())


def _ticket_text(state: State, tree: str, shop: Workshop) -> str | None:
    """The ticket as the tree has it, its path before it; a ticket that was never committed is named by its path alone."""
    if state.ticket is None:
        return None
    data = shop.workspace.read(tree, state.ticket)
    return state.ticket if data is None else f"{state.ticket}\n\n{data.decode(errors='replace')}"
