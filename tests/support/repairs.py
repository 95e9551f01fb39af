"""A repository with a bug, its test report, and the repair rung on it: all parts real, nothing between them faked."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loopwright.act.protocol import ProposeRequest, ProposeResult
from loopwright.act.repair.proposer import RepairProposer
from loopwright.kernel.loop import EvaluatePolicy, Loop, Permit, RepairRung, StopRules, TestsSource
from loopwright.kernel.values import BlobRef, Budget, Observation, Plan, Proposal
from loopwright.sandbox.protocol import Sandbox
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.repository import Repository
from loopwright.workspace.workshop import Workshop
from support.repositories import make_repository
from support.workshops import PYTEST, plain, workspace_for

__all__ = ["UNITTEST", "Bench"]

UNITTEST = f"{sys.executable} -m unittest -q"


@dataclass
class Bench:
    """`run` observes the head; `propose` asks the rung; `verify` judges a proposal cold, in a fresh copy."""

    shop: Workshop
    tree: str
    tests: TestsSource
    loop: Loop

    @classmethod
    def of(
        cls,
        root: Path,
        files: Mapping[str, str | bytes],
        *,
        run: str = PYTEST,
        jobs: int = 1,
        timeout_s: int = 90,
        protect: Sequence[str] = ("tests/",),
        write: Sequence[str] = (),
        sandbox: Sandbox | None = None,
    ) -> "Bench":
        sandbox = sandbox or plain(root)
        repository = Repository.find(make_repository(root / "repository", files))
        tests = TestsSource(run)
        shop = Workshop(
            run_id="r1",
            action_id="a1",
            workspace=workspace_for(repository, root / "runtime", sandbox),
            sandbox=sandbox,
            blobs=MemoryBlobs(),
            jobs=jobs,
            timeout_s=timeout_s,
            seed=0,
            now_ms=lambda: int(time.monotonic() * 1000),
            progress=lambda _: None,
        )
        loop = Loop(
            name="fix",
            goal="Make the failing tests pass.",
            when=(),
            observe=(tests,),
            act=(RepairRung(),),
            evaluate=EvaluatePolicy(tests=tests, protect=tuple(protect)),
            stop=StopRules(),
            budget=Budget(),
            permit=Permit(write=tuple(write)),
            deliver="branch",
        )
        return cls(shop, repository.tree_of(repository.head), tests, loop)

    async def observe(self) -> SuiteReport:
        with self.shop.workspace.checkout(self.tree, "observe") as candidate:
            return await run_suite(self.tests, candidate, self.shop)

    async def propose(
        self,
        report: SuiteReport,
        *,
        batch: int = 1,
        memory: BlobRef | None = None,
        tried: Sequence[str] = (),
        seconds: int | None = 40,
    ) -> ProposeResult:
        content = self.shop.blobs.put(msgspec.json.encode(report), "application/json")
        request = ProposeRequest(
            run_id="r1",
            iteration=1,
            rung=0,
            tree=self.tree,
            loop=self.loop,
            ticket=None,
            plan=Plan((), ""),
            observations=(Observation("o1", "tests", 0, content, "untrusted", "red", False),),
            batch=batch,
            memory=memory,
            tried=tuple(tried),
            lessons=(),
        )
        return await RepairProposer(RepairRung(seconds)).propose(request, self.shop)

    async def verify(self, proposal: Proposal) -> SuiteReport:
        with self.shop.workspace.checkout(self.tree, "judge") as candidate:
            candidate.apply(proposal.changes, self.shop.blobs)
            return await run_suite(self.tests, candidate, self.shop)

    async def repair(self, *, calls: int = 8) -> tuple[Proposal, list[ProposeResult]]:
        """Ask until a proposal passes the whole suite, as a run would; fails when the rung gives up or `calls` are not enough."""
        report = await self.observe()
        assert report.status == "red", report
        results: list[ProposeResult] = []
        tried: list[str] = []
        for _ in range(calls):
            result = await self.propose(report, memory=results[-1].memory if results else None, tried=tried)
            results.append(result)
            for proposal in result.proposals:
                assert proposal.digest not in tried
                tried.append(proposal.digest)
                if (await self.verify(proposal)).status == "green":
                    return proposal, results
            assert not result.exhausted, result.summary
        raise AssertionError([r.summary for r in results])
