"""How much of what a proposal writes the tests run at all: a test that never comes by a line says nothing of it.

It costs one more run of the tests, so it stands behind them in the chain. The tests grade the change here, not the other way round: a line
that was run may still be wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from loopwright.errors import WorkspaceError
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Verdict
from loopwright.suite.command import parse
from loopwright.suite.coverage import Changed, changed_lines, not_run
from loopwright.suite.coverage_run import Lines, lines_run
from loopwright.suite.outcome import decode_suite
from loopwright.workspace.patterns import matches
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["ChangedLinesVerifier"]

NAME = "changed lines"
MOST_ADVISORY_S = 120
"""A remark is not worth another run of a suite that takes longer."""
_TESTS = ("test_*.py", "*_test.py", "conftest.py")
"""Lines of tests are run by themselves."""


class ChangedLinesVerifier:
    """Advisory; with `evaluate.changed_lines` a proposal of whose lines a smaller share is run fails. Python only."""

    def __init__(self, source: TestsSource) -> None:
        self._source = source

    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        """Ask it only what passed the tests. Raises: `UsageError`, `SandboxError`."""
        least = request.loop.evaluate.changed_lines
        advisory = least is None
        changed = _changed(request, shop)
        total = sum(len(c.spans) for c in changed.values())
        if not total:
            return Verdict(NAME, "pass", "changes no line of Python code", advisory=advisory)
        if advisory and (taken_s := self._usual_s(request, shop)) > MOST_ADVISORY_S:
            long = f"the tests take {taken_s:.0f} s; set evaluate.changed_lines to have them run once more"
            return Verdict(
                NAME, "inconclusive", f"which changed lines the tests run was not looked at: {long}", advisory=True
            )
        shop.progress(f"running the tests once more to see which of {total} changed lines they run")
        try:
            lines = await lines_run(self._source, tuple(changed), lambda: _copy(request, shop), shop)
        except WorkspaceError as error:
            return Verdict(NAME, "fail", f"the proposal cannot be applied: {error}", advisory=advisory)
        missed = {path: not_run(c, lines.by_file[path]) for path, c in changed.items()}
        missing = sum(map(len, missed.values()))
        if (why := _unseen(lines)) and missing:
            return Verdict(
                NAME, "inconclusive", f"which changed lines the tests run is not known: {why}", advisory=advisory
            )
        said = f"runs {total - missing} of {total} changed line{'s' if total != 1 else ''}"
        left = f"; not run: {_places(missed)}" if missing else ""
        if least is not None and total - missing < least * total:
            asked = f", at least {least:.0%} are asked for (evaluate.changed_lines)"
            return Verdict(NAME, "fail", f"{said}{asked}{left}; change less, or what the tests come by")
        cost = f" (one more run of the tests, {lines.wall_ms / 1000:.1f} s)"
        return Verdict(NAME, "pass", f"{said}{left}{cost}", advisory=advisory)

    def _usual_s(self, request: JudgeRequest, shop: Workshop) -> float:
        """How long the tests took on the head; 0 where nobody observed it."""
        reports = (decode_suite(observation, shop.blobs) for observation in request.observations)
        argv = parse(self._source.run).argv
        return next((r.wall_ms / 1000 for r in reports if r is not None and r.command == argv), 0.0)


def _changed(request: JudgeRequest, shop: Workshop) -> dict[str, Changed]:
    """The changed lines of code, by path."""
    found: dict[str, Changed] = {}
    for change in request.proposal.changes:
        path = change.path
        if change.content is None or change.mode == "120000" or not path.endswith(".py"):
            continue
        if matches(path, (*request.loop.evaluate.protect, *_TESTS)):
            continue
        old = shop.workspace.read(request.tree, path)
        changed = changed_lines(None if old is None else _text(old), _text(shop.blobs.get(change.content)))
        if changed.spans:
            found[path] = changed
    return found


@contextmanager
def _copy(request: JudgeRequest, shop: Workshop) -> Iterator[Candidate]:
    with shop.workspace.checkout(request.tree, "lines") as candidate:
        candidate.apply(request.proposal.changes, shop.blobs)
        candidate.restore(request.loop.evaluate.protect)
        yield candidate


def _unseen(lines: Lines) -> str | None:
    """Why the lines that ran are not all known; `None` when they are."""
    if lines.ended == "not_found":
        return "the test command was not found"
    if lines.ended != "exited":
        return f"the tests did not end by themselves while they were watched ({lines.ended})"
    if lines.seen == "nothing":
        return "no Python of the test command took the tracer; it may clear PYTHONPATH or run no Python"
    if lines.seen == "part":
        return "another tracer (a debugger, coverage) took the place of ours"
    return None


def _places(missed: Mapping[str, Sequence[int]], most: int = 8) -> str:
    """`src/a.py:12, 15; src/b.py:3 and 4 more`."""
    places: list[str] = []
    left = most
    for path, lines in missed.items():
        if lines and left > 0:
            places.append(f"{path}:{', '.join(map(str, lines[:left]))}")
            left -= len(lines[:left])
    total = sum(map(len, missed.values()))
    return "; ".join(places) + (f" and {total - most} more" if total > most else "")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\r\n", "\n")
