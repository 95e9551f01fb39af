"""What a drill of a loop's evaluation found: each planted case with what became of it, and what would have caught it."""

from typing import Literal

from loopwright.kernel.values import Value

__all__ = ["CaseTried", "EvaluateCount", "EvaluateReport", "Result"]

Result = Literal["refused", "asks", "let_through", "not_applicable"]


class CaseTried(Value, frozen=True):
    """`verifier` is who refused or asked, with its own `line`; for what is not applicable `line` says why, and for what was let through
    it is the last verifier's. `remedy` is the smallest change of the loop file that catches it, tried out, or "" where it was caught."""

    name: str
    tried: str
    result: Result
    verifier: str
    line: str
    remedy: str = ""


class EvaluateCount(Value, frozen=True):
    refused: int
    asks: int
    let_through: int
    not_applicable: int


class EvaluateReport(Value, frozen=True):
    """`base` says in words what the cases were planted into; `notes` what the reader must know of how they were judged."""

    loop: str
    sandbox: str
    base: str
    notes: tuple[str, ...]
    cases: tuple[CaseTried, ...]

    @property
    def count(self) -> EvaluateCount:
        results = [case.result for case in self.cases]
        return EvaluateCount(
            results.count("refused"),
            results.count("asks"),
            results.count("let_through"),
            results.count("not_applicable"),
        )

    @property
    def ok(self) -> bool:
        return not self.count.let_through

    @property
    def exit_code(self) -> int:
        """7 as for every drill when something got through."""
        return 0 if self.ok else 7
