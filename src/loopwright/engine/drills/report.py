"""What a drill found: each probe with what was tried, what became of it, and by which rule."""

from collections.abc import Mapping
from typing import Final, Literal

from loopwright.kernel.values import Value

__all__ = ["KNOWN", "SECTIONS", "Count", "DrillReport", "Section", "SectionName", "Tried", "Verdict"]

Verdict = Literal["held", "let_through", "not_possible"]

SectionName = Literal[
    "sandbox", "policy", "approvals", "secrets", "mcp", "skills", "exec", "destructive", "payment", "audit"
]

SECTIONS: Final[tuple[SectionName, ...]] = (
    "sandbox", "policy", "approvals", "secrets", "mcp", "skills", "exec", "destructive", "payment", "audit",
)  # fmt: skip

KNOWN: Final[Mapping[str, str]] = {}
"""Probes (`section/name`) that are known to get through, with the reason, as docs/reference/drills.md lists them: these alone do not
fail a drill. There is none."""


class Tried(Value, frozen=True):
    """One probe. `open` is what it got with nothing in its way, `got` what it got through the boundary, `""` where nothing.

    `rule`, `why` and `remedy` are of what refused it, or, where it was let through, of what allowed it. `not_possible`: it gets nowhere
    here even without the boundary, so that holding it says nothing.
    """

    name: str
    tried: str
    verdict: Verdict
    open: str
    got: str
    rule: str
    why: str
    remedy: str


class Count(Value, frozen=True):
    held: int
    let_through: int
    not_possible: int


class Section(Value, frozen=True):
    name: SectionName
    probes: tuple[Tried, ...]

    @property
    def count(self) -> Count:
        return _count(self.probes)

    def let_through(self) -> tuple[Tried, ...]:
        return tuple(probe for probe in self.probes if probe.verdict == "let_through")

    def known(self, probe: Tried) -> str:
        """Why it is known to get through; empty when it is not."""
        return KNOWN.get(f"{self.name}/{probe.name}", "")


class DrillReport(Value, frozen=True):
    """`policy` says whose policy was attacked, `sandbox` which backend and level."""

    policy: str
    sandbox: str
    sections: tuple[Section, ...]

    @property
    def count(self) -> Count:
        return _count(tuple(probe for section in self.sections for probe in section.probes))

    @property
    def ok(self) -> bool:
        """Whether everything held but what is documented."""
        return all(section.known(probe) for section in self.sections for probe in section.let_through())

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 7


def _count(probes: tuple[Tried, ...]) -> Count:
    verdicts = [probe.verdict for probe in probes]
    return Count(verdicts.count("held"), verdicts.count("let_through"), verdicts.count("not_possible"))
