"""What the run's earlier proposals, of whichever rung, say of the knobs. Pure: contents come in through functions.

Noise and the drift of a machine move a head and its candidate alike, so only differences between the two count; along the heads
that were kept they add up, and every setting gets a value on one scale: 0 is the first head, smaller is better.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Literal

from loopwright.act.protocol import Trial
from loopwright.act.tune.edit import skeleton
from loopwright.act.tune.knobs import Knob
from loopwright.act.tune.places import Setting, places
from loopwright.act.tune.space import same
from loopwright.act.tune.text import Text, Unreadable
from loopwright.kernel.values import Change

__all__ = ["History", "Point", "Version", "learn", "version_of"]


@dataclass(frozen=True, slots=True)
class Version:
    """What one state of the files holds: the values of the knobs that it has, and everything else (`rest`)."""

    settings: Mapping[str, Setting]
    rest: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One earlier proposal. `gain`: against the head that it changed, positive is better, `None` where nothing was measured; `value`:
    on the scale of the whole history, smaller is better. `moved`: the knobs that it turned; `only_knobs`: it changed nothing else."""

    before: Mapping[str, Setting]
    settings: Mapping[str, Setting]
    moved: frozenset[str]
    only_knobs: bool
    rest: tuple[bytes, ...]
    status: Literal["kept", "reverted", "crash", "refused"]
    gain: float | None
    value: float | None

    @property
    def failed(self) -> bool:
        """It says that the setting cannot be used; of an edit that changed more than knobs nobody knows what was at fault."""
        return self.gain is None and self.only_knobs and self.status in {"crash", "refused"}


@dataclass(frozen=True, slots=True)
class History:
    """`head_value`: of the present head, on the points' scale."""

    points: tuple[Point, ...] = ()
    head_value: float = 0.0


def version_of(files: Mapping[str, bytes | None], keys: frozenset[str]) -> Version:
    """Reads the knobs out of whole files; a file that is gone or cannot be parsed has none."""
    settings: dict[str, Setting] = {}
    rest: list[bytes] = []
    for path in sorted(files):
        values, other = _read(path, files[path], keys)
        settings.update(values)
        rest.append(other)
    return Version(settings, tuple(rest))


def learn(
    trials: Sequence[Trial],
    knobs: Sequence[Knob],
    goal: Literal["min", "max"],
    *,
    head_tree: str,
    read: Callable[[str, str], bytes | None],
    content: Callable[[Change], bytes | None],
) -> History:
    """`read(tree, path)` is a file of a tree, `content(change)` what a change makes of its file; `None` where there is none."""
    keys = frozenset(k.key for k in knobs)
    paths = sorted({k.path for k in knobs})
    sign = 1.0 if goal == "min" else -1.0
    offsets: dict[str, float] = {}
    head_means: dict[str, float] = {}
    latest = 0.0
    points: list[Point] = []
    for trial in trials:
        offset = offsets.setdefault(trial.tree, latest)
        if trial.head:
            head_means[trial.tree] = fmean(trial.head)
        difference = None
        if trial.candidate and trial.tree in head_means:
            difference = sign * (fmean(trial.candidate) - head_means[trial.tree])
        value = None if difference is None else offset + difference
        if trial.status == "kept":
            latest = offset if value is None else value
        before_files = {path: read(trial.tree, path) for path in paths}
        changed = {c.path: c for c in trial.proposal.changes}
        after_files = {p: content(changed[p]) if p in changed else data for p, data in before_files.items()}
        before, after = version_of(before_files, keys), version_of(after_files, keys)
        both = before.settings.keys() & after.settings.keys()
        points.append(
            Point(
                before=before.settings,
                settings=after.settings,
                moved=frozenset(k for k in both if not same(before.settings[k], after.settings[k])),
                only_knobs=before.rest == after.rest and changed.keys() <= set(paths),
                rest=after.rest,
                status=trial.status,
                gain=None if difference is None else -difference,
                value=value,
            )
        )
    return History(tuple(points), offsets.get(head_tree, latest))


@lru_cache(maxsize=512)
def _read(path: str, data: bytes | None, keys: frozenset[str]) -> tuple[tuple[tuple[str, Setting], ...], bytes]:
    """A pure function of its arguments; it is remembered because every call of the rung reads the same history again."""
    if data is None:
        return (), b""
    try:
        text = Text(path, data)
    except Unreadable:
        return (), data
    found = tuple((p.key, p.value) for p in places(text) if p.key in keys)
    return found, skeleton(text, frozenset(k for k, _ in found))
