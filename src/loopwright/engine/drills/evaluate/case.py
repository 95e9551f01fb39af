"""A planted case: what is tried and the edit that tries it, or why it does not fit this loop."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Case", "unfit"]


@dataclass(frozen=True, slots=True)
class Case:
    """`edits` gives each changed path its new text, `None` to delete it; empty = no change at all. `unfit` says why it cannot be tried,
    "" when it can. `shieldable` are changed paths that the loop has no need to edit: `protect` may name them. `advice` is for the reader
    when no key of the loop file catches it."""

    name: str
    tried: str
    edits: Mapping[str, str | None]
    unfit: str = ""
    shieldable: tuple[str, ...] = ()
    advice: str = "let a person or a judge of another family look at what is kept (`review`)"


def unfit(name: str, tried: str, why: str) -> Case:
    return Case(name, tried, {}, why)
