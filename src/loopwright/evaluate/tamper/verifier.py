"""Judges a proposal by what its edits do to tests, settings and source, without running anything.

It is wrong now and then: an honest refactor may look like a cheat. So by default it asks a person and refuses nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

import msgspec

from loopwright.errors import WorkspaceError
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.tamper.examine import examine
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Edit, Scene, kind_of
from loopwright.evaluate.tamper.special import suspects
from loopwright.kernel.loop import Loop
from loopwright.kernel.values import Verdict
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["TamperVerifier", "summary_of"]

NAME = "tamper"
MOST_TEST_FILES = 300
MOST_TEST_CHARS = 4_000_000
"""What is read of the tests to find their literals: a suite larger than this is read in part."""


class TamperVerifier:
    """`mode`: a finding that is `sure` or `likely` is put to a person (`ask`), is a failure (`refuse`), or is only shown (`note`).
    What is only a smell is always only shown."""

    def __init__(self, mode: Literal["ask", "refuse", "note"] = "ask") -> None:
        self._mode = mode
        self._tests: dict[str, str] = {}

    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        """One line with the first finding; all of them are in the evidence, as JSON. Raises: `BlobMissing`, `BlobCorrupt`."""
        try:
            findings = await asyncio.to_thread(self._findings, request, shop)
        except WorkspaceError as error:
            return Verdict(NAME, "fail", f"the proposal cannot be looked at: {error}")
        if not findings:
            return Verdict(NAME, "pass", "no sign of tampering")
        evidence = shop.blobs.put(msgspec.json.encode(findings), "application/json")
        grave = [f for f in findings if f.severity != "smell"]
        if not grave:
            return Verdict(NAME, "pass", summary_of(findings), evidence=evidence, advisory=True)
        summary = summary_of(findings)
        match self._mode:
            case "ask":
                return Verdict(NAME, "ask", summary, evidence=evidence)
            case "refuse":
                return Verdict(NAME, "fail", summary, evidence=evidence)
            case "note":
                return Verdict(NAME, "pass", summary, evidence=evidence, advisory=True)

    def _findings(self, request: JudgeRequest, shop: Workshop) -> tuple[Finding, ...]:
        protect = request.loop.evaluate.protect
        edits = [
            Edit(
                change.path,
                shop.workspace.read(request.tree, change.path),
                None if change.content is None else shop.blobs.get(change.content),
            )
            for change in request.proposal.changes
            if not matches(change.path, protect)  # put back before anything is run: `scope` says so
        ]
        paths = shop.workspace.paths(request.tree)
        scene = Scene.of_edits(edits, paths=paths, metrics=_metrics(request.loop))
        if any(True for subject in scene.subjects for _ in suspects(subject)):
            tests = self._tests_of(request.tree, paths, shop)
            scene = Scene(scene.subjects, scene.paths, scene.metrics, tests)
        return examine(scene)

    def _tests_of(self, tree: str, paths: Sequence[str], shop: Workshop) -> str:
        """The text of the head's tests, read once a head and only when there is a literal to look for in it."""
        if tree not in self._tests:
            texts: list[str] = []
            left = MOST_TEST_CHARS
            for path in [p for p in paths if kind_of(p) == "test" and p.endswith(".py")][:MOST_TEST_FILES]:
                data = shop.workspace.read(tree, path) or b""
                texts.append(data.decode("utf-8", "replace")[:left])
                left -= len(texts[-1])
                if left <= 0:
                    break
            self._tests = {tree: "\n".join(texts)}
        return self._tests[tree]


def summary_of(findings: Sequence[Finding]) -> str:
    """The first finding with its place and what to do, and how many more there are."""
    first = findings[0]
    place = f"{first.path}:{first.line}" if first.line else first.path
    more = f"; and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{place}: {first.says} [{first.rule}]{more}"


def _metrics(loop: Loop) -> tuple[str, ...]:
    metric = loop.evaluate.metric
    return () if metric is None else (metric.name, *(bound.name for bound in metric.bounds))
