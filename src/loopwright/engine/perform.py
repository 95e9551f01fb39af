"""Command → beat: turns an action into the one event that ends it. Every error becomes an event; only cancellation passes through."""

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import Literal, cast

import msgspec

from loopwright.act.protocol import WaitsForPerson
from loopwright.engine.beats import Beats
from loopwright.engine.boundary import Boundary
from loopwright.engine.site import Site
from loopwright.engine.trials import trials_of
from loopwright.errors import ActionError, LoopwrightError
from loopwright.evaluate.review.evidence import review_spend
from loopwright.evaluate.review.family import rung_family
from loopwright.kernel import events as ev
from loopwright.kernel.state import State, beat_of
from loopwright.kernel.values import (
    Action,
    Deliver,
    Evaluate,
    KeepProposal,
    MakePlan,
    Measure,
    Observe,
    Proposal,
    Propose,
    Spend,
    Verdict,
)
from loopwright.policy.policy import Policy
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.workshop import Workshop

__all__ = ["SitePerformer"]

GRACE_S = 15
"""What a beat may take past its own time-out to clean up before the engine cancels it."""

Status = Literal["error", "timeout", "denied", "unknown", "cancelled"]


class SitePerformer:
    """Performs the actions of one run on one site. `progress` shows a line to who watches."""

    def __init__(
        self,
        site: Site,
        run_id: str,
        progress: Callable[[str], None] = lambda line: None,
        *,
        policy: Policy | None = None,
        attended: bool = True,
    ) -> None:
        self._site = site
        self._policy = policy
        self._attended = attended
        self._boundary: Boundary | None = None
        self._run_id = run_id
        self._progress = progress
        self._workspace: GitWorkspace | None = None
        self._beats = Beats(site.runtime_dir)

    @property
    def sandbox_description(self) -> str:
        return self._site.sandbox.description

    async def perform(self, state: State, action: Action) -> ev.Body:
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(action.timeout_s + GRACE_S):
                return await self._beat(state, action, started_s)
        except TimeoutError:
            message = f"{_beat_name(action)}: not finished after {action.timeout_s} s"
            return self._failed(state, action, started_s, "timeout", message, f"{_beat_name(action)}: timeout")
        except WaitsForPerson as error:
            spend = error.spend.plus(_wall(started_s))
            return ev.ActionFailed(action.id, "cancelled", str(error), error.signature, spend)
        except ActionError as error:
            return self._failed(state, action, started_s, cast("Status", error.status), str(error), error.signature)
        except LoopwrightError as error:
            return self._failed(
                state, action, started_s, "error", str(error), f"{type(error).__name__}: {_beat_name(action)}"
            )
        except Exception as error:  # a defect of ours must end the action, not the run's journal
            trace = "".join(traceback.format_exception(error))
            frame = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{_beat_name(action)}: unexpected {type(error).__name__}: {error}"
            return self._failed(
                state, action, started_s, "error", message, f"{type(error).__name__} in {frame.name}", trace
            )

    async def close(self) -> None:
        await self._beats.close()

    async def settle_calls(self, state: State) -> list[ev.Body]:
        if not state.calls:
            return []
        # A policy that was taken away meanwhile grants nothing; what was begun under it is asked after all the same.
        boundary = self._tools() or Boundary(self._site, self._run_id, Policy(), self._site.env)
        return await boundary.settle()

    async def reconcile(self, state: State, action: Action) -> list[ev.Body]:
        """A keep is asked of the branch; whatever else was in flight is unknown, and its reserve counts as spent."""
        self._site.sandbox.kill_orphans(self._run_id)
        if isinstance(action.work, KeepProposal):
            kept = await self._beats.already_kept(state, action.work, self._shop(state, action))
            if kept is not None:
                return [
                    ev.Kept(action.id, action.work.proposal_id, action.work.iteration, kept.commit, kept.tree, Spend())
                ]
        reserve = state.work_of(action.id).reserve
        message = f"{_beat_name(action)}: the driver ended before the outcome was recorded"
        failed = ev.ActionFailed(action.id, "unknown", message, f"{_beat_name(action)}: unknown", reserve)
        if action.effect != "external":
            return [failed]
        question = f"{message}; it may have happened outside. Look, then approve to go on or deny to stop."
        return [failed, ev.Asked(f"q{state.asked + 1}", question, "unknown")]

    async def _beat(self, state: State, action: Action, started_s: float) -> ev.Body:
        shop = self._shop(state, action)
        match action.work:
            case Observe(tree=tree):
                seen = await self._beats.observe(state, tree, shop)
                told = [o.goal_met for o in seen if o.goal_met is not None]
                return ev.Observed(action.id, seen, all(told) if told else None, _wall(started_s))
            case MakePlan(tree=tree, rung=rung):
                number = state.iteration + 1
                plan = await self._beats.plan(state, tree, rung, shop)
                return ev.Planned(action.id, number, rung, plan, _wall(started_s))
            case Propose():
                events = self._site.journal.read
                result = await self._beats.propose(
                    state, action.work, shop, trials=lambda: trials_of(events(self._run_id))
                )
                family = rung_family(state.loop.act[action.work.rung])
                proposals = tuple(
                    _counted(
                        msgspec.structs.replace(proposal, id=f"{action.id}.{number}", family=proposal.family or family),
                        shop,
                    )
                    for number, proposal in enumerate(result.proposals[: action.work.batch], 1)
                )
                return ev.Proposed(
                    action.id,
                    proposals,
                    result.exhausted,
                    result.memory,
                    result.findings,
                    result.summary,
                    result.spend.plus(_wall(started_s)),
                    result.impossible,
                    result.done,
                )
            case Evaluate(proposal_id=proposal_id, stage=stage):
                verdicts: tuple[Verdict, ...] = await self._beats.evaluate(state, proposal_id, stage, shop)
                judged = review_spend(verdicts, shop.blobs).plus(_wall(started_s))
                return ev.Judged(action.id, proposal_id, verdicts, judged)
            case Measure():
                sample = await self._beats.measure(state, action.work, shop)
                return ev.Measured(action.id, sample, _wall(started_s))
            case KeepProposal(proposal_id=proposal_id, iteration=iteration):
                commit = await self._beats.keep(state, action.work, shop)
                return ev.Kept(action.id, proposal_id, iteration, commit.commit, commit.tree, _wall(started_s))
            case Deliver(how=how):
                places = await self._beats.deliver(
                    state, action.work, self._site.journal.read(self._run_id), self._site.run_dir(self._run_id), shop
                )
                return ev.Delivered(action.id, how, places, _wall(started_s))

    def _shop(self, state: State, action: Action) -> Workshop:
        return Workshop(
            run_id=self._run_id,
            action_id=action.id,
            workspace=self._workspace_of_sandbox(),
            sandbox=self._site.sandbox,
            blobs=self._site.journal.blobs,
            jobs=state.jobs,
            timeout_s=action.timeout_s,
            seed=state.seed,
            now_ms=self._site.now_ms,
            progress=self._progress,
            tools=self._tools(),
        )

    def _tools(self) -> Boundary | None:
        if self._boundary is None and self._policy is not None:
            self._boundary = Boundary(self._site, self._run_id, self._policy, self._site.env, attended=self._attended)
        return self._boundary

    def _workspace_of_sandbox(self) -> GitWorkspace:
        """Candidates are made for what the sandbox can do: copies on write where it mounts them, owned by who it runs as."""
        if self._workspace is None:
            sandbox = self._site.sandbox
            self._workspace = GitWorkspace(
                self._site.repository,
                self._site.runtime_dir,
                overlay=sandbox.overlays,
                uid=sandbox.uid,
                release=sandbox.release,
            )
        return self._workspace

    def _failed(
        self,
        state: State,
        action: Action,
        started_s: float,
        status: Status,
        message: str,
        signature: str,
        output: str | None = None,
    ) -> ev.ActionFailed:
        blob = None if output is None else self._site.journal.blobs.put(output.encode())
        # What a failed action cost beyond its time is not known: what it reserved is the only honest bound.
        spend = state.work_of(action.id).reserve.plus(_wall(started_s))
        return ev.ActionFailed(action.id, status, message, signature, spend, blob)


def _counted(proposal: Proposal, shop: Workshop) -> Proposal:
    """With the lines that it adds and removes, counted here: whoever proposes it is not asked."""
    if proposal.diff is None:
        return proposal
    lines = shop.blobs.get(proposal.diff).decode("utf-8", "replace").split("\n")
    # A file's two header lines begin with the same signs, and stand before its first hunk.
    added = removed = 0
    in_hunk = False
    for line in lines:
        if line.startswith("diff --git "):
            in_hunk = False
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk:
            added += line.startswith("+")
            removed += line.startswith("-")
    return msgspec.structs.replace(proposal, added_lines=added, removed_lines=removed)


def _beat_name(action: Action) -> str:
    return beat_of(action.work)


def _wall(started_s: float) -> Spend:
    return Spend(wall_ms=int((time.monotonic() - started_s) * 1000))
