"""In what order edits are tried: suspicion of the line × how often the operator was the one. Lazy, deterministic, pure."""

import heapq
from collections.abc import Iterator, Mapping, Sequence

from loopwright.act.repair.edits import Edit, Operator, Sieve, Site
from loopwright.act.repair.localise import Suspicion
from loopwright.act.repair.source import Source, own_lines, statements

__all__ = ["in_order", "sites"]


def sites(sources: Mapping[str, Source], suspicions: Sequence[Suspicion]) -> list[tuple[float, Site]]:
    """The statements that hold suspicious lines, each with its highest score; the most suspicious first.

    A line belongs to the innermost statement around it, so a whole function is not suspicious for one of its lines.
    """
    by_path: dict[str, dict[int, float]] = {}
    for s in suspicions:
        by_path.setdefault(s.path, {})[s.line] = s.score
    found: list[tuple[float, str, int, Site]] = []
    for path, scores in by_path.items():
        source = sources.get(path)
        if source is None:
            continue
        for statement in statements(source.tree):
            score = max((scores.get(line, 0.0) for line in own_lines(statement)), default=0.0)
            if score > 0:
                site = Site(source, statement, source.function_of(statement))
                found.append((score, path, source.span(statement)[0], site))
    found.sort(key=lambda row: (-row[0], row[1], row[2]))
    return [(score, site) for score, _, _, site in found]


def in_order(ranked: Sequence[tuple[float, Site]], operators: Sequence[Operator]) -> Iterator[Edit]:
    """Every edit once, the heaviest first. A statement's edits are made only when one of them could be next.

    Files of thousands of lines have hundreds of thousands of edits, and the fix is mostly among the first hundred.
    """
    heaviest = max((op.prior for op in operators), default=0.0)
    heap: list[tuple[float, int, int, int, Edit, Site]] = []
    sieve = Sieve()
    for place, (score, site) in enumerate(ranked):
        while heap and -heap[0][0] >= score * heaviest:
            yield from _let_through(sieve, heapq.heappop(heap))
        for kind, operator in enumerate(operators):
            for number, rewrite in enumerate(operator.rewrites(site)):
                weight = round(score * operator.prior * rewrite.likely, 9)
                edit = Edit(
                    site.source.path,
                    rewrite.start,
                    rewrite.end,
                    rewrite.replacement,
                    operator.name,
                    _line_at(site, rewrite.start),
                    score,
                    weight,
                )
                heapq.heappush(heap, (-weight, place, kind, number, edit, site))
    while heap:
        yield from _let_through(sieve, heapq.heappop(heap))


def _let_through(sieve: Sieve, row: tuple[float, int, int, int, Edit, Site]) -> Iterator[Edit]:
    edit, site = row[4], row[5]
    if sieve.passes(site.source, site.statement, edit):
        yield edit


def _line_at(site: Site, position: int) -> int:
    return site.source.line_at(position)
