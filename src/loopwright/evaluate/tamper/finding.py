"""What a detector says of one edit: which rule, where, in words, and how sure it is."""

from typing import Final, Literal

from loopwright.kernel.values import Value

__all__ = ["RANK", "Finding", "Severity"]

Severity = Literal["sure", "likely", "smell"]
"""`sure`: nobody means this honestly. `likely`: it weakens what judges, and a refactor seldom looks like it. `smell`: worth a look."""

RANK: Final = {"sure": 0, "likely": 1, "smell": 2}


class Finding(Value, frozen=True):
    """`path` is relative to the repository, `line` counts from 1 in the new file (in the old one for what is gone; 0 = the whole file).
    `says` is one sentence without `path:line`."""

    rule: str
    path: str
    line: int
    says: str
    severity: Severity
