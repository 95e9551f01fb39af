"""The picture of a run: a point for each proposal that was judged, and the best that was kept so far. Coordinates only."""

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
    """`best` are the corners of the running best as an SVG polyline, empty when nothing was kept."""

    measure: str
    points: tuple[Point, ...]
    best: str
    ticks: tuple[Tick, ...]
    summary: str


def plot_of(facts: Facts) -> Plot | None:
    """`None` when no proposal was judged, or none has a value to plot."""
    judged = [a for a in facts.attempts if a.status is not None]
    measure, values, start = _measure(facts, judged)
    known = [v for v in (*values, start) if v is not None]
    if all(v is None for v in values):
        return None
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 1, high + 1
    xs = [_LEFT + (WIDTH - _LEFT - _RIGHT) * (n + 0.5) / len(judged) for n in range(len(judged))]

    def y_of(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low), 1)

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
        best=_best(points, values, start, y_of(start) if start is not None else None),
        ticks=tuple(Tick(y_of(v), _number(v)) for v in _marks(low, high)),
        summary=f"{measure} of {len(judged)} judged proposals, {kept} kept",
    )


def _measure(facts: Facts, judged: list[Attempt]) -> tuple[str, list[float | None], float | None]:
    """What the picture shows, its value for each proposal, and the value of the base when it is known."""
    scores = [a.proposal.score for a in judged]
    scored = [v for a in judged for v in a.proposal.verdicts if v.score is not None]
    counts = [float(len(a.suite.ids("passed"))) if a.suite is not None and a.suite.cases else None for a in judged]
    if not scored or all(v.verifier == "tests" for v in scored):
        before = facts.tests.before
        base = float(len(before.ids("passed"))) if before is not None and before.cases else None
        values = [c if s is None else s for s, c in zip(scores, counts, strict=True)]
        return "tests that pass", values, base
    return "score (larger is better)", scores, None


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
