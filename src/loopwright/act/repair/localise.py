"""Which lines are suspicious: those that failing tests run and passing tests do not. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from loopwright.act.repair.spectra import Spectra, TestTrace

__all__ = ["Suspicion", "localise"]

# A failure's own traceback points at the place or near it; the deepest frame of the project most of all.
_FRAME_BONUS, _DEEPEST_BONUS = 0.1, 0.2
# What runs at import (constants, tables, defaults) runs for every test, so the spectrum says nothing of the line. It is as
# suspicious as the file that it is in, and never more than what the failing tests ran there.
_IMPORTED_FACTOR = 0.5


@dataclass(frozen=True, slots=True, order=True)
class Suspicion:
    """`score` between 0 and 1; `failing` and `passing` are how many such tests run the line."""

    path: str
    line: int
    score: float
    failing: int
    passing: int


def localise(spectra: Spectra, failing: Iterable[str], allowed: Callable[[str], bool]) -> tuple[Suspicion, ...]:
    """The suspicious lines of files that may be edited, the most suspicious first; ties in the order of the text.

    Half Ochiai, ef / sqrt(F * (ef + ep)), half DStar, ef^2 / (ep + nf), brought into 0..1 as d / (1 + d), plus a bonus for lines in a
    failure's traceback (Abreu et al. 2007; Wong et al. 2014).
    """
    wanted = frozenset(failing)
    failed = [t for t in spectra.tests if t.test in wanted]
    passed = [t for t in spectra.tests if t.test not in wanted and not t.failed]
    total = len(failed)
    if not total:
        return ()
    bad, good = _counts(failed), _counts(passed)
    bonus = _bonuses(failed)
    scored: dict[tuple[str, int], Suspicion] = {}
    for (path, line), ef in bad.items():
        if allowed(path):
            ep = good[path, line]
            score = min(1.0, 0.8 * _score(ef, ep, total) + bonus.get((path, line), 0.0))
            scored[path, line] = Suspicion(path, line, score, ef, ep)
    highest: dict[str, float] = {}
    for s in scored.values():
        highest[s.path] = max(highest.get(s.path, 0.0), s.score)
    for path, best in highest.items():
        for line in spectra.imported.get(path, ()):
            scored.setdefault((path, line), Suspicion(path, line, _IMPORTED_FACTOR * best, 0, 0))
    return tuple(sorted(scored.values(), key=lambda s: (-s.score, s.path, s.line)))


def _score(ef: int, ep: int, total: int) -> float:
    ochiai = ef / math.sqrt(total * (ef + ep))
    below = ep + total - ef
    dstar = ef * ef / below if below else math.inf
    return 0.5 * ochiai + 0.5 * (1.0 if math.isinf(dstar) else dstar / (1 + dstar))


def _counts(tests: Iterable[TestTrace]) -> Counter[tuple[str, int]]:
    return Counter((path, line) for t in tests for path, lines in t.lines.items() for line in set(lines))


def _bonuses(failed: Iterable[TestTrace]) -> dict[tuple[str, int], float]:
    bonus: dict[tuple[str, int], float] = {}
    for test in failed:
        for n, frame in enumerate(reversed(test.frames)):
            bonus[frame] = max(bonus.get(frame, 0.0), _DEEPEST_BONUS if n == 0 else _FRAME_BONUS)
    return bonus
