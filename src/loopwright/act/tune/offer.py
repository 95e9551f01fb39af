"""From settings to proposals: the edited files, and what is said of them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from loopwright.act.digest import changes_digest
from loopwright.act.protocol import ProposeRequest
from loopwright.act.tune.edit import edited, written
from loopwright.act.tune.history import History
from loopwright.act.tune.knobs import Knob
from loopwright.act.tune.places import Setting
from loopwright.act.tune.search import Idea
from loopwright.act.tune.space import same
from loopwright.act.tune.text import Text
from loopwright.kernel.values import BlobRef, Change, Proposal
from loopwright.workspace.command import file_mode
from loopwright.workspace.workshop import Workshop

__all__ = ["Offers"]

_TITLE_CHARS, _KNOWN = 160, 3


class Offers:
    """Makes proposals. `untouched` is a folder with the files of the head, for their modes."""

    def __init__(
        self,
        request: ProposeRequest,
        shop: Workshop,
        untouched: Path,
        texts: Mapping[str, Text],
        knobs: Sequence[Knob],
        history: History,
    ) -> None:
        self._request = request
        self._shop = shop
        self._untouched = untouched
        self._texts = texts
        self._knobs = knobs
        self._history = history
        self._tried = frozenset(request.tried)

    def digest(self, settings: Mapping[str, Setting]) -> str | None:
        """That of the proposal of these settings; `None` where they cannot be written or change nothing."""
        files = self._files(settings)
        if not files:
            return None
        refs = {path: BlobRef(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()}
        return changes_digest(Change(path, file_mode(self._untouched, path), ref) for path, ref in refs.items())

    def is_new(self, settings: Mapping[str, Setting]) -> bool:
        digest = self.digest(settings)
        return digest is not None and digest not in self._tried

    def proposal(self, idea: Idea) -> Proposal:
        blobs = self._shop.blobs
        changes = tuple(
            Change(path, file_mode(self._untouched, path), blobs.put(data, "text/x-python", exact=True))
            for path, data in sorted((self._files(idea.settings) or {}).items())
        )
        digest = changes_digest(changes)
        diff = self._shop.workspace.diff(self._request.tree, changes, blobs)
        return Proposal(
            id=f"tune-{self._request.iteration}-{digest[:12]}",
            rung="tune",
            title=self._title(idea.settings),
            rationale=self._rationale(idea),
            changes=changes,
            digest=digest,
            diff=blobs.put(diff.encode("utf-8", "surrogateescape"), "text/x-diff"),
            family="none",
        )

    def _files(self, settings: Mapping[str, Setting]) -> dict[str, bytes] | None:
        """The changed files; `None` when one of them cannot be written."""
        changed = {k.path for k in self._knobs if k.key in settings and not same(k.value, settings[k.key])}
        files: dict[str, bytes] = {}
        for path in changed:
            own = {k.key: settings[k.key] for k in self._knobs if k.path == path and k.key in settings}
            data = edited(self._texts[path], own)
            if data is None:
                return None
            files[path] = data
        return files

    def _title(self, settings: Mapping[str, Setting]) -> str:
        moved = [k for k in self._knobs if k.key in settings]
        several = len({k.path for k in self._knobs}) > 1
        twice = {k.label for k in self._knobs if sum(k.label == other.label for other in self._knobs) > 1}
        parts: list[str] = []
        for knob in moved:
            name = knob.label + (f" (line {knob.line})" if knob.label in twice else "")
            name = f"{knob.path}: {name}" if several else name
            parts.append(f"{name} {knob.text} → {written(settings[knob.key], knob.text)}")
        title = ", ".join(parts)
        return title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"

    def _rationale(self, idea: Idea) -> str:
        known = [f"{k.label}: {self._said(k)}" for k in self._knobs if k.key in idea.settings]
        shown = "; ".join(known[:_KNOWN]) + (f"; and {len(known) - _KNOWN} more" if len(known) > _KNOWN else "")
        return f"{idea.how}; {shown}"

    def _said(self, knob: Knob) -> str:
        """What the earlier proposals that turned it amount to."""
        points = [p for p in self._history.points if knob.key in p.moved]
        if not points:
            return "not turned yet"
        unit = knob.space.unit
        better: dict[str, int] = {}
        for point in points:
            before, after = point.before[knob.key], point.settings[knob.key]
            if point.gain is None or point.gain <= 0:
                continue
            if knob.space.ordered and knob.space.takes(before) and knob.space.takes(after):
                way = "up" if unit(after) > unit(before) else "down"
            else:
                way = written(after, knob.text)
            better[way] = better.get(way, 0) + 1
        helped = ", ".join(f"{way} looked better in {count}" for way, count in sorted(better.items()))
        failed = sum(p.failed for p in points)
        parts = [helped or "none looked better", *([f"{failed} could not run"] if failed else [])]
        return f"turned in {len(points)} earlier trial{'s' if len(points) > 1 else ''}, {', '.join(parts)}"
