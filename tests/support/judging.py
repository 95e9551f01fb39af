"""Loops, observations and proposals for tests of verifiers and proposers."""

import asyncio

from loopwright.act.digest import changes_digest
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import EvaluatePolicy, Loop, Permit, RepairRung, Rung, StopRules, TestsSource
from loopwright.kernel.values import Budget, Change, Observation, Proposal, Verdict
from loopwright.observe.tests import TestsObserver
from loopwright.workspace.workshop import Workshop
from support.workshops import pytest_source

__all__ = ["judge", "make_loop", "make_proposal", "observed"]


def make_loop(
    *,
    act: tuple[Rung, ...] = (RepairRung(),),
    evaluate: EvaluatePolicy | None = None,
    permit: Permit | None = None,
) -> Loop:
    return Loop(
        name="fix",
        goal="Make the failing tests pass.",
        when=(),
        observe=(pytest_source(),),
        act=act,
        evaluate=evaluate or EvaluatePolicy(tests=pytest_source(), protect=("tests/",)),
        stop=StopRules(),
        budget=Budget(),
        permit=permit or Permit(),
        deliver="branch",
    )


def make_proposal(*changes: Change) -> Proposal:
    return Proposal("p1", "repair", "an edit", "because", changes, changes_digest(changes))


def observed(shop: Workshop, tree: str, source: TestsSource | None = None) -> Observation:
    return asyncio.run(TestsObserver(source or pytest_source()).observe(tree, "o1", shop))


def judge(
    shop: Workshop,
    tree: str,
    *changes: Change,
    observations: tuple[Observation, ...] = (),
    loop: Loop | None = None,
    verifier: TestsVerifier | None = None,
) -> Verdict:
    request = JudgeRequest(tree, tree, loop or make_loop(), make_proposal(*changes), observations)
    return asyncio.run((verifier or TestsVerifier(pytest_source())).judge(request, shop))
