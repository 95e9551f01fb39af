"""The smallest change of a loop file that would have caught a case: tried out one after the other, not guessed."""

import re
from collections.abc import Iterator

import msgspec

from loopwright.engine.drills.evaluate.case import Case
from loopwright.kernel.loop import Loop

__all__ = ["remedies"]


def remedies(case: Case, loop: Loop) -> Iterator[tuple[str, Loop]]:
    """Each with its words and the loop as it would be then, the smallest first."""
    evaluate = loop.evaluate
    shield = tuple(_pattern(path) for path in case.shieldable if path in case.edits)
    if shield:
        protect = (*evaluate.protect, *shield)
        changed = msgspec.structs.replace(evaluate, protect=protect)
        words = ", ".join(repr(p) for p in shield)
        yield f"add {words} to evaluate.protect", msgspec.structs.replace(loop, evaluate=changed)
    if evaluate.tamper == "note":
        asks = msgspec.structs.replace(evaluate, tamper="ask")
        yield "evaluate: {tamper: ask}", msgspec.structs.replace(loop, evaluate=asks)
    if evaluate.tamper != "refuse":
        refuses = msgspec.structs.replace(evaluate, tamper="refuse")
        yield "evaluate: {tamper: refuse}", msgspec.structs.replace(loop, evaluate=refuses)


def _pattern(path: str) -> str:
    """At the root a name alone would mean every folder; patterns know no escape."""
    plain = re.sub(r"[*?\[]", "?", path)
    return plain if "/" in plain else f"./{plain}"
