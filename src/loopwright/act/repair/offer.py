"""From edits that passed the screening to proposals, and what is said of the search. Which ones and in what order is decided here."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.act.digest import changes_digest
from loopwright.act.protocol import ProposeRequest
from loopwright.act.repair.edits import Edit
from loopwright.act.repair.localise import Suspicion
from loopwright.act.repair.memory import Failure, Findings, NearMiss, SuspiciousLine
from loopwright.act.repair.screen import Screened
from loopwright.act.repair.source import Source
from loopwright.kernel.values import BlobRef, Change, Proposal
from loopwright.suite.report import SuiteReport
from loopwright.workspace.command import file_mode
from loopwright.workspace.workshop import Workshop

__all__ = ["Offers", "Search", "choose", "findings", "summary"]

_LINES, _NEAR_MISSES, _FAILURES = 30, 20, 20
_TEXT_CHARS, _TITLE_CHARS = 120, 60


@dataclass(frozen=True, slots=True)
class Search:
    """What one call did; `screened_in_all` counts the calls before it for the same head too."""

    how: str
    failing: tuple[str, ...]
    suspicions: tuple[Suspicion, ...]
    screened: tuple[Screened, ...]
    screened_in_all: int


def choose(screened: Sequence[Screened], is_new: Callable[[Edit], bool], most: int) -> list[Screened]:
    """Edits that fix every failing test, in their order; only when there is none, those that fix most of them."""
    good = [s for s in screened if s.passed and is_new(s.edit)]
    complete = sorted((s for s in good if s.complete), key=lambda s: s.index)
    return (complete or sorted(good, key=lambda s: (-len(s.passed), s.index)))[:most]


class Offers:
    """Makes proposals. `untouched` is a folder with the files of the head, for their modes."""

    def __init__(self, request: ProposeRequest, shop: Workshop, untouched: Path, sources: Mapping[str, Source]) -> None:
        self._request = request
        self._shop = shop
        self._untouched = untouched
        self._sources = sources

    def is_new(self, edit: Edit) -> bool:
        content = edit.apply(self._sources[edit.path].data)
        ref = BlobRef(hashlib.sha256(content).hexdigest(), len(content))
        return (
            changes_digest([Change(edit.path, file_mode(self._untouched, edit.path), ref)]) not in self._request.tried
        )

    def proposals(self, offered: Sequence[Screened]) -> tuple[Proposal, ...]:
        return tuple(self._proposal(s) for s in offered)

    def _proposal(self, screened: Screened) -> Proposal:
        edit, blobs = screened.edit, self._shop.blobs
        source = self._sources[edit.path]
        ref = blobs.put(edit.apply(source.data), "text/x-python", exact=True)
        changes = (Change(edit.path, file_mode(self._untouched, edit.path), ref),)
        digest = changes_digest(changes)
        before, after = _before_after(edit, source)
        diff = self._shop.workspace.diff(self._request.tree, changes, blobs)
        return Proposal(
            id=f"repair-{self._request.iteration}-{digest[:12]}",
            rung="repair",
            title=_title(edit, source),
            rationale=(
                f"{edit.path}:{edit.line} (suspicion {edit.suspicion:.2f}), {edit.operator}: `{before}` → `{after}`; "
                f"edit number {screened.index + 1}, makes {_tests(sorted(screened.passed))} pass"
            ),
            changes=changes,
            digest=digest,
            diff=blobs.put(diff.encode("utf-8", "surrogateescape"), "text/x-diff"),
            family="none",
        )


def summary(search: Search, offered: Sequence[Screened], sources: Mapping[str, Source]) -> str:
    """One line for the report: how much was tried where, and with what success."""
    lines = {(s.edit.path, s.edit.line) for s in search.screened}
    files = sorted({path for path, _ in lines}) or sorted(sources)
    where = files[0] if len(files) == 1 else f"{len(files)} files"
    tried = f"tried {len(search.screened)} edits on {len(lines)} suspicious lines in {where} ({search.how})"
    if not offered:
        return f"{tried}; none makes a failing test pass"
    best = max(offered, key=lambda s: len(s.passed))
    verb = "makes" if len(offered) == 1 else "make"
    of = "" if best.complete else f" of {len(search.failing)} failing ones"
    return f"{tried}; {len(offered)} {verb} {_tests(sorted(best.passed))}{of} pass"


def findings(search: Search, report: SuiteReport, sources: Mapping[str, Source]) -> Findings:
    """The hand-over to a rung that can do more: where it hurts, what the failures say, what nearly helped."""
    near = sorted((s for s in search.screened if s.passed and not s.complete), key=lambda s: -len(s.passed))
    failures = [c for c in report.cases if c.status in {"failed", "error"}]
    return Findings(
        how=search.how,
        failures=tuple(Failure(c.id, c.message) for c in failures[:_FAILURES]),
        lines=tuple(
            SuspiciousLine(s.path, s.line, round(s.score, 3), sources[s.path].line(s.line) if s.path in sources else "")
            for s in search.suspicions[:_LINES]
        ),
        screened=search.screened_in_all,
        near_misses=tuple(_near_miss(s, sources[s.edit.path]) for s in near[:_NEAR_MISSES]),
    )


def _near_miss(screened: Screened, source: Source) -> NearMiss:
    edit = screened.edit
    before, after = _before_after(edit, source)
    return NearMiss(edit.path, edit.line, edit.operator, before, after, tuple(sorted(screened.passed)))


def _before_after(edit: Edit, source: Source) -> tuple[str, str]:
    """The edited line as it was and as it is, for people; only the changed text when that is more than a line."""
    data = source.data
    start = data.rfind(b"\n", 0, edit.start) + 1
    found = data.find(b"\n", edit.end)
    end = len(data) if found < 0 else found
    return _shown(data[start:end]), _shown(data[start : edit.start] + edit.replacement + data[edit.end : end])


def _title(edit: Edit, source: Source) -> str:
    """The changed words, widened to where the white space is: `order.subtotal` rather than the letters that differ."""
    place = f"{edit.path}:{edit.line}"
    data, start, end = source.data, edit.start, edit.end
    while start and not data[start - 1 : start].isspace():
        start -= 1
    while end < len(data) and not data[end : end + 1].isspace():
        end += 1
    before, after = _shown(data[start:end]), _shown(data[start : edit.start] + edit.replacement + data[edit.end : end])
    words = f"{before} → {after}"
    return f"{edit.operator}: {words} in {place}" if len(words) <= _TITLE_CHARS else f"{edit.operator} in {place}"


def _shown(text: bytes) -> str:
    shown = " ⏎ ".join(line.strip() for line in text.decode("utf-8", "replace").splitlines())
    return shown if len(shown) <= _TEXT_CHARS else f"{shown[: _TEXT_CHARS - 1]}…"


def _tests(tests: Sequence[str]) -> str:
    return tests[0] if len(tests) == 1 else f"{len(tests)} failing tests"
