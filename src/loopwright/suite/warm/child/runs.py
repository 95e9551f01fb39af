"""What a child is to run, of which head, and in which order."""

from dataclasses import dataclass, field
from typing import Any

from .swap import Swap

__all__ = ["Head", "Run", "order_of"]


@dataclass
class Head:
    """What is known of the unchanged project. `must` passed there, `wanted` failed; `flaky` ones decide nothing.

    `impact`: the tests that call into a file. `ordered`: the tests' results depend on their order, so they are never run in another
    one. `candidate_s`: wall time after which a cold run is given up, for all tests of a candidate together; `collect_s`: what the
    head's collection took.
    """

    must: frozenset[str]
    wanted: tuple[str, ...]
    candidate_s: float
    memory_bytes: int
    impact: dict[str, list[str]] = field(default_factory=dict)
    ordered: bool = False
    collect_s: float = 10.0


@dataclass
class Run:
    """`first` are run before the rest, and so is what fails on the head; with `progress` none of that fixed ends the run.

    `until` and `stalled` repeat, in the suite's own order: up to that test, which alone decides; or up to the last that failed on the
    head, to see whether one of these passes.
    `all`: do not stop at the first test that decides. `traced`: say which functions each test calls. `backwards`: in reverse order.
    """

    swap: Swap = field(default_factory=list)
    first: "tuple[str, ...]" = ()
    until: "str | None" = None
    stalled: bool = False
    all: bool = False
    progress: bool = False
    traced: bool = False
    backwards: bool = False


def order_of(items: list[Any], head: Head, run: Run) -> list[Any]:
    if run.until is not None or run.stalled:
        ends = {run.until} if run.until is not None else set(head.wanted)
        last = max(n for n, item in enumerate(items) if item.nodeid in ends)
        return items[: last + 1]
    if run.backwards:
        return items[::-1]
    first, wanted = set(run.first), set(head.wanted)
    if head.ordered or run.all or not first | wanted:
        return items
    front = [i for i in items if i.nodeid in wanted]
    front += [i for i in items if i.nodeid in first and i.nodeid not in wanted]
    there = {id(i) for i in front}
    return front + [i for i in items if id(i) not in there]
