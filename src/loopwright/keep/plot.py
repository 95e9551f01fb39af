"""The picture of a run: a point for each proposal that was judged, and the best that was kept so far. Coordinates only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loopwright.keep.facts import Attempt, Facts
from loopwright.keep.results import ResultStatus

__all__ = ["HEIGHT", "WIDTH", "Plot", "Point", "Tick", "plot_of"]

WIDTH: Final = 640
HEIGHT: Final = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 36


@dataclass(frozen=True, slots=True)
class Point:
    """`label` is for who points at it; a proposal without a value lies on the lower edge."""

    x: float
    y: float
    status: ResultStatus
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """`best` are the corners of the running best as an SVG polyline, empty when nothing was kept. `band` is the polygon around it in
    which two of three runs of the same code fall, empty where there is no noise or none is known."""

    measure: str
    points: tuple[Point, ...]
    best: str
    ticks: tuple[Tick, ...]
    summary: str
    band: str = ""


def plot_of(facts: Facts) -> Plot | None:
    """`None` when no proposal was judged, or none has a value to plot."""
    judged = [a for a in facts.attempts if a.status is not None]
    measure, values, start = _measure(facts, judged)
    known = [v for v in (*values, start) if v is not None]
    if all(v is None for v in values):
        return None
    levels = _levels(facts, judged)
    sd = (facts.metric.noise_sd or 0.0) if facts.metric is not None else 0.0
    low, high = _range(known, [v for v in levels if v is not None], sd)
    if low == high:
        low, high = low - 1, high + 1
    xs = [_LEFT + (WIDTH - _LEFT - _RIGHT) * (n + 0.5) / len(judged) for n in range(len(judged))]

    def y_of(value: float) -> float:
        inside = min(max(value, low), high)
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (inside - low) / (high - low), 1)

    points = tuple(
        Point(
            round(x, 1),
            float(HEIGHT - _BOTTOM) if value is None else y_of(value),
            attempt.status or "discard",
            f"proposal {n}, {attempt.status}" + ("" if value is None else f", {_number(value)}"),
            attempt.proposal.title,
        )
        for n, (x, value, attempt) in enumerate(zip(xs, values, judged, strict=True), 1)
    )
    kept = sum(1 for a in judged if a.status == "keep")
    return Plot(
        measure=measure,
        points=points,
        best=_steps(points, [None if v is None else y_of(v) for v in levels])
        if facts.metric is not None
        else _best(points, values, start, y_of(start) if start is not None else None),
        band=_band(points, levels, sd, y_of) if sd > 0 else "",
        ticks=tuple(Tick(y_of(v), _number(v)) for v in _marks(low, high)),
        summary=f"{measure} of {len(judged)} judged proposals, {kept} kept",
    )


def _measure(facts: Facts, judged: list[Attempt]) -> tuple[str, list[float | None], float | None]:
    """What the picture shows, its value for each proposal, and the value of the base when it is known."""
    if facts.metric is not None:
        metric = facts.metric.metric
        better = "smaller" if metric.goal == "min" else "larger"
        # A crash has no value, whatever it printed before.
        measured = [None if a.status == "crash" else a.proposal.measured for a in judged]
        return f"{metric.name} ({better} is better)", measured, facts.metric.heads[0].mean
    scores = [a.proposal.score for a in judged]
    scored = [v for a in judged for v in a.proposal.verdicts if v.score is not None]
    counts = [float(len(a.suite.ids("passed"))) if a.suite is not None and a.suite.cases else None for a in judged]
    if not scored or all(v.verifier == "tests" for v in scored):
        before = facts.tests.before
        base = float(len(before.ids("passed"))) if before is not None and before.cases else None
        values = [c if s is None else s for s, c in zip(scores, counts, strict=True)]
        return "Tests that pass", values, base
    return "Score (larger is better)", scores, None


def _levels(facts: Facts, judged: list[Attempt]) -> list[float | None]:
    """Of a metric loop: the mean of the fresh runs of the base, and after each judged proposal that of the head then. What was measured
    to choose a proposal is no level: the best of many is better than it is."""
    if facts.metric is None:
        return []
    means = {head.proposal_id: head.mean for head in facts.metric.heads}
    levels: list[float | None] = [facts.metric.heads[0].mean]
    for attempt in judged:
        kept = attempt.status == "keep" and means.get(attempt.proposal.id) is not None
        levels.append(means[attempt.proposal.id] if kept else levels[-1])
    return levels


def _range(known: list[float], levels: list[float], sd: float) -> tuple[float, float]:
    """What the picture shows. In a metric loop one bad idea may be a hundred times worse than the rest: it lies on the edge then."""
    low, high = min(known), max(known)
    if not levels:
        return low, high
    middle = sorted(known)[len(known) // 2]
    usual = sorted(abs(v - middle) for v in known)[len(known) * 3 // 4]
    room = max(4 * usual, 4 * sd, 1.5 * (max(levels) - min(levels)))
    low, high = max(low, min(levels) - room), min(high, max(levels) + room)
    return min(low, min(levels) - sd), max(high, max(levels) + sd)


def _steps(points: tuple[Point, ...], ys: list[float | None]) -> str:
    """The level before the first point, a step at each one that changed it."""
    return " ".join(f"{x:g},{y:g}" for x, y in _corners(points, ys))


def _corners(points: tuple[Point, ...], ys: list[float | None]) -> list[tuple[float, float]]:
    if not ys or ys[0] is None:
        return []
    corners = [(float(_LEFT), ys[0])]
    for point, y in zip(points, ys[1:], strict=True):
        if y is not None and y != corners[-1][1]:
            corners += [(point.x, corners[-1][1]), (point.x, y)]
    return [*corners, (float(WIDTH - _RIGHT), corners[-1][1])]


def _band(points: tuple[Point, ...], levels: list[float | None], sd: float, y_of: Callable[[float], float]) -> str:
    upper = _corners(points, [None if v is None else y_of(v + sd) for v in levels])
    lower = _corners(points, [None if v is None else y_of(v - sd) for v in levels])
    return " ".join(f"{x:g},{y:g}" for x, y in (*upper, *reversed(lower)))


def _best(points: tuple[Point, ...], values: list[float | None], start: float | None, start_y: float | None) -> str:
    corners: list[tuple[float, float]] = []
    best = start
    y = start_y
    if y is not None:
        corners.append((_LEFT, y))
    for point, value in zip(points, values, strict=True):
        if point.status == "keep" and value is not None and (best is None or value > best):
            if y is not None:
                corners.append((point.x, y))
            best, y = value, point.y
            corners.append((point.x, y))
    if y is None or not any(p.status == "keep" for p in points):
        return ""
    corners.append((WIDTH - _RIGHT, y))
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def _marks(low: float, high: float) -> tuple[float, ...]:
    """Both ends, and the middle unless it would be half a test."""
    middle = (low + high) / 2
    whole = low == int(low) and high == int(high) and middle != int(middle)
    return (low, high) if whole else (low, middle, high)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
