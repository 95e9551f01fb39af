"""A metric loop without the loop: the ratchet is asked what to measure, an oracle answers, every fact is written down."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from loopwright.kernel import ratchet as rt
from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet import Ratchet
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Measure, Proposal, Verdict

__all__ = ["Course", "metric", "ok", "proposal", "replayed"]

Oracle = Callable[[Measure], Sample]
Fact = tuple[str, Measure, Sample] | tuple[str, Verdict] | tuple[str, str]
MOST_RUNS = 10_000


def metric(goal: str = "max", **more: object) -> Metric:
    return Metric("./measure", "score", goal, **more)  # type: ignore[arg-type]


def ok(value: float) -> Sample:
    return Sample("ok", value)


def proposal(name: str, *, simpler: bool = False) -> Proposal:
    added, removed = (1, 4) if simpler else (4, 1)
    return Proposal(name, "test", name, "", (), name, added_lines=added, removed_lines=removed)


@dataclass
class Course:
    """`oracle` is given every `Measure`; the base is the tree `base`, a kept proposal's tree is `tree-` and its id."""

    metric: Metric
    oracle: Oracle
    ratchet: Ratchet = field(default_factory=rt.start)
    tree: str = "base"
    facts: list[Fact] = field(default_factory=list)
    works: list[Measure] = field(default_factory=list)
    runs: int = 0

    def measure(self, work: Measure) -> None:
        assert self.runs < MOST_RUNS, "the ratchet does not stop asking"
        sample = self.oracle(work)
        self.runs += 1
        self.works.append(work)
        self.facts.append(("measured", work, sample))
        self.ratchet = rt.measured(self.ratchet, work, sample, self.metric)

    def know_head(self) -> None:
        while (purpose := rt.wanted_of_head(self.ratchet, self.metric)) is not None:
            self.measure(Measure(self.tree, None, purpose))

    def attempt(self, tried: Proposal, *, keep: bool = True) -> Verdict:
        """One proposal: trial, verdict and, when it passes, the keep and the new head's runs."""
        while (side := rt.wanted_of_trial(self.ratchet, self.metric, tried)) is not None:
            self.measure(Measure(self.tree, tried.id if side == "candidate" else None, "trial"))
        verdict = rt.weigh(self.ratchet, self.metric, tried)
        self.facts.append(("weighed", verdict))
        self.ratchet = rt.settled(self.ratchet, self.metric, verdict)
        if verdict.status == "pass" and keep:
            self.tree = f"tree-{tried.id}"
            self.facts.append(("kept", tried.id))
            self.ratchet = rt.moved(self.ratchet, self.metric, tried.id)
            self.know_head()
        return verdict

    def count(self, purpose: str) -> int:
        return sum(work.purpose == purpose for work in self.works)

    def samples(self, purpose: str) -> list[float]:
        """What the runs of one purpose printed."""
        found = [fact[2].value for fact in self.facts if len(fact) == 3 and fact[1].purpose == purpose]
        return [value for value in found if value is not None]

    def finish(self) -> None:
        while (side := rt.wanted_of_end(self.ratchet, self.metric)) is not None:
            self.measure(Measure("base" if side == "base" else self.tree, None, "final"))


def replayed(facts: Iterable[Fact], metric: Metric) -> Ratchet:
    """The ratchet from the facts alone, as after a crash."""
    ratchet = rt.start()
    for fact in facts:
        if len(fact) == 3:
            ratchet = rt.measured(ratchet, fact[1], fact[2], metric)
        elif isinstance(fact[1], Verdict):
            ratchet = rt.settled(ratchet, metric, fact[1])
        else:
            ratchet = rt.moved(ratchet, metric, fact[1])
    return ratchet
