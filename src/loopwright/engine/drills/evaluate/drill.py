"""`loopwright drill evaluate`: plants cheats into the user's own loop and says what its evaluation would have let through.

Nothing is kept: no branch, no journal of the user's, the checkout as it was. What is judged runs in the user's sandbox, as in a run.
"""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from loopwright.engine.drills.evaluate.case import Case
from loopwright.engine.drills.evaluate.ground import (
    Ground,
    code_under_test,
    find_code,
    find_target,
    python_files,
    runner_of,
)
from loopwright.engine.drills.evaluate.judge import Chain, calibrated, head_value, judge, proposal_of
from loopwright.engine.drills.evaluate.on_metric import cases_on_metric, metric_file
from loopwright.engine.drills.evaluate.on_source import cases_on_source, editable_file, null_cases
from loopwright.engine.drills.evaluate.on_tests import cases_on_tests
from loopwright.engine.drills.evaluate.plant import Bug, plant
from loopwright.engine.drills.evaluate.remedies import remedies
from loopwright.engine.drills.evaluate.report import CaseTried, EvaluateReport
from loopwright.engine.drills.trial import Progress
from loopwright.engine.site import Site
from loopwright.errors import ActionError, UsageError
from loopwright.evaluate import Verifier, verifiers
from loopwright.evaluate.scope import ScopeVerifier
from loopwright.evaluate.tamper import TamperVerifier
from loopwright.evaluate.tests import TestsVerifier
from loopwright.journal.opening import open_journal
from loopwright.journal.protocol import BlobStore
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.ratchet import Ratchet
from loopwright.kernel.values import Change, Observation
from loopwright.loopfile import LoopFile
from loopwright.observe.tests import TestsObserver
from loopwright.suite.outcome import decode_suite, describe, failing
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.workshop import Workshop

__all__ = ["drill_evaluate"]


async def drill_evaluate(
    site: Site,
    loop_file: LoopFile,
    progress: Progress = lambda line: None,
    *,
    only: Collection[str] = (),
    chain: Chain = verifiers,
) -> EvaluateReport:
    """Judge every planted case that fits the loop, from HEAD on; `only` names some of them, empty = all.

    Raises: `ActionError` when the tests or the metric of the unchanged base cannot be used, `UsageError` for a case that there is not,
    `SandboxError`.
    """
    with tempfile.TemporaryDirectory(prefix="loopwright-drill-", ignore_cleanup_errors=True) as scratch:
        journal = open_journal(Path(scratch), None, now_ms=site.now_ms, redactor=site.redactor)
        try:
            return await _Drill(site, loop_file, journal.blobs, progress, chain).run(only)
        finally:
            journal.close()


class _Drill:
    def __init__(self, site: Site, loop_file: LoopFile, blobs: BlobStore, progress: Progress, chain: Chain) -> None:
        self._site, self._loop_file, self._progress, self._chain = site, loop_file, progress, chain
        self._loop = loop_file.loop
        sandbox = site.sandbox
        self._workspace = GitWorkspace(
            site.repository, site.runtime_dir, overlay=sandbox.overlays, uid=sandbox.uid, release=sandbox.release
        )
        self._shop = Workshop(
            run_id="drill",
            action_id="drill.1",
            workspace=self._workspace,
            sandbox=sandbox,
            blobs=blobs,
            jobs=1,
            timeout_s=self._loop.action_timeout_s,
            seed=0,
            now_ms=site.now_ms,
            progress=lambda line: None,
        )
        self._notes: list[str] = []

    async def run(self, only: Collection[str]) -> EvaluateReport:
        ground, base = await self._ground()
        ratchet: Ratchet | None = None
        metric = self._loop.evaluate.metric
        if metric is not None:
            self._progress(f"measuring {metric.name} of the unchanged base, up to {metric.calibrate} runs")
            ratchet = await calibrated(ground, self._loop, metric, self._shop)
            base = (
                f"{base}; {metric.name} is {head_value(ratchet):.6g}"
                if base
                else f"{metric.name} is {head_value(ratchet):.6g}"
            )
        if self._loop.evaluate.review:
            self._notes.append("judges (`review`) were not asked: what was let through would still have met them")
        cases = self._cases(ground, ratchet, only)
        tried = []
        verifying = self._chain(self._loop)
        try:
            for case in cases:
                self._progress(f"{case.name}: {case.tried}")
                tried.append(await self._one(case, ground, ratchet, verifying))
        finally:
            for verifier in verifying:
                if isinstance(verifier, TestsVerifier):
                    await verifier.close()  # it holds warm processes
        return EvaluateReport(
            self._loop.name,
            self._site.sandbox.description,
            base or "the loop has no tests and no metric",
            tuple(self._notes),
            tuple(tried),
        )

    def _cases(self, ground: Ground, ratchet: Ratchet | None, only: Collection[str]) -> list[Case]:
        edited = metric_file(ground) if ratchet is not None else editable_file(ground)
        cases = [*null_cases(ground, edited)]
        if ratchet is None or ground.report is not None:
            cases += [*cases_on_tests(ground), *cases_on_source(ground)]
        if ratchet is not None:
            cases += cases_on_metric(ground, head_value(ratchet))
        names = [case.name for case in cases]
        for name in only:
            if name not in names:
                raise UsageError(f"--only: expected one of {', '.join(names)}, found {name!r}")
        return [case for case in cases if not only or case.name in only]

    async def _one(self, case: Case, ground: Ground, ratchet: Ratchet | None, chain: Sequence[Verifier]) -> CaseTried:
        if case.unfit:
            return CaseTried(case.name, case.tried, "not_applicable", "", case.unfit)
        proposal = proposal_of(case, ground, self._shop)
        found = await judge(proposal, ground, self._loop, chain, ratchet, self._shop)
        remedy = ""
        if found.result == "let_through":
            remedy = case.advice
            for words, loop in remedies(case, self._loop):
                # What looks at the edit alone: the tests would only say the same again.
                looking = [v for v in self._chain(loop) if isinstance(v, ScopeVerifier | TamperVerifier)]
                again = await judge(proposal, ground, loop, looking, None, self._shop)
                if again.result != "let_through":
                    remedy = words
                    break
        return CaseTried(case.name, case.tried, found.result, found.verifier, found.line, remedy)

    # --- the ground -------------------------------------------------------------------------------------------------------------
    async def _ground(self) -> tuple[Ground, str]:
        repository = self._site.repository
        tree = repository.tree_of(repository.head)
        files = python_files(self._workspace, tree)
        ground = Ground(
            self._loop, tree, self._workspace.paths(tree), files, _inside(self._loop_file.source, repository.root)
        )
        source = self._loop.evaluate.tests or next((s for s in self._loop.observe if isinstance(s, TestsSource)), None)
        if self._loop.evaluate.tests is None:
            source = None if self._loop.evaluate.metric is not None else source
        if source is None:
            return ground, ""
        self._progress(f"running the tests of the base: {source.run}")
        return await self._with_tests(ground, source)

    async def _with_tests(self, ground: Ground, source: TestsSource) -> tuple[Ground, str]:
        observation, report = await self._observed(source, ground.tree)
        ground = replace(ground, runner=runner_of(source), report=report, observations=(observation,))
        if failing(report) or report.status != "green":
            found = [case.id for case in failing(report)]
            says = (
                f"{len(found)} of {len(report.cases)} tests fail: {describe(found)}"
                if found
                else "the test command fails"
            )
            return self._aimed(ground, None), says
        return await self._broken(ground, source, report)

    async def _broken(self, ground: Ground, source: TestsSource, green: SuiteReport) -> tuple[Ground, str]:
        """All tests pass: something must be broken before anybody can cheat."""
        trees: dict[str, str] = {}

        async def with_bug(bug: Bug) -> SuiteReport:
            self._progress(f"all tests pass, so a bug is planted: {bug.says}")
            change = Change(bug.path, "100644", self._shop.blobs.put(bug.text.encode(), exact=True))
            trees[bug.says] = self._workspace.tree_with(ground.tree, [change], self._shop.blobs)
            with self._workspace.checkout(trees[bug.says], "drill") as candidate:
                return await run_suite(source, candidate, self._shop)

        planted = await plant(ground.files, with_bug)
        many = f"all {len(green.cases)} tests pass" if green.cases else "the test command passes"
        if planted is None:
            self._notes.append(
                "no bug could be planted that a test notices: cheats that need a failing test are left out"
            )
            return ground, many
        bug, _ = planted
        tree = trees[bug.says]
        observation, report = await self._observed(source, tree)
        files = {**ground.files, bug.path: bug.text}
        broken = replace(ground, tree=tree, files=files, report=report, observations=(observation,))
        found = [case.id for case in failing(report)]
        says = f"{many}, so a bug was planted: {bug.says}; now {len(found)} fail: {describe(found)}"
        return self._aimed(broken, bug), says

    def _aimed(self, ground: Ground, bug: Bug | None) -> Ground:
        assert ground.report is not None
        target = find_target(ground.report, ground.files)
        if target is None:
            return ground
        code = code_under_test(target, ground.files)
        if bug is not None:
            name = bug.says.partition(" ")[0]
            code = find_code([name], {bug.path: bug.text}) or code
        return replace(ground, target=target, code=code)

    async def _observed(self, source: TestsSource, tree: str) -> tuple[Observation, SuiteReport]:
        observation = await TestsObserver(source).observe(tree, "drill.o1", self._shop)
        report = decode_suite(observation, self._shop.blobs)
        if report is None:
            raise ActionError("drill: the report of the base's tests cannot be read", signature="drill: report")
        return observation, report


def _inside(source: str, root: Path) -> str | None:
    try:
        path = Path(source).resolve()
        return path.relative_to(root.resolve()).as_posix() if path.is_file() else None
    except (OSError, ValueError):
        return None
