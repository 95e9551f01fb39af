"""What a keep rule is worth on a noisy metric: the ratchet of `kernel/ratchet` beside the rules that loops usually follow.

A world is a sequence of candidates, each with a true effect on the head that it would replace; 15 % are good (exponential, mean 1
effect), 40 % are bad (the same, negative), the rest do nothing. A run of a tree prints its true value plus noise. The ratchet is
driven through its real functions, an oracle answers every `Measure`; the other rules see the same candidates. Columns:

- *gain*: true gain kept, in % of the oracle, which keeps every good candidate and nothing else;
- *false*: keeps with a true effect <= 0, in % of all keeps (for simplifications, which promise no gain: with an effect < -0.1);
- *harmful*: keeps with a true effect < -0.1, in % of all keeps; *of all*: the same in % of the candidates;
- *runs*: runs of the command, all of them: calibration, confirmation and the final comparison included;
- *claim*: claimed minus true gain over the base in effects, mean and root mean square.

Shares are taken over all replicates together. Worlds are the same in every call. Exit 1 and MISS when a bar is missed.

A last table says what one decision costs: one candidate with a gain of so many standard deviations of one run, on a base that was just
calibrated: how many pairs until it settles (of those that are kept), and how many runs until a loss is given up. Below it the share of
candidates that change nothing and are kept, for noises that the evidence was not tuned on.

Run: python bench/keep_rules.py [--replicates 30]; 200 take a quarter of an hour.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from loopwright.kernel import ratchet as rt
from loopwright.kernel.loop import Metric, MetricBound
from loopwright.kernel.sample import Reading, Sample
from loopwright.kernel.values import Measure, Proposal

HARM = -0.1
PAIRS = 24
"""What `pairs` of a loop should be by default: 12 are too few for the bars below (gain 60 % at noise 1), 40 cost more than they bring."""


@dataclass(frozen=True)
class Kind:
    """A sort of world. `noise`: sd of one run in effects, or the scale of `tails`. `drift`: random walk and steps of the machine,
    sd of a step per run in effects. `simpler`: share of the candidates that take lines away."""

    name: str
    noise: float
    candidates: int = 200
    good: float = 0.15
    bad: float = 0.40
    tails: Literal["normal", "t2", "cauchy"] = "normal"
    drift: float = 0.0
    simpler: float = 0.0
    bounds: bool = False
    restless: float = 1.0
    """Noise of candidates over that of the head."""


class World:
    """One replicate: everything random in it is drawn here, from its own seed."""

    def __init__(self, kind: Kind, seed: int) -> None:
        draw = np.random.default_rng([seed, 20260801])
        count = kind.candidates
        sort = draw.random(count)
        size = draw.exponential(1.0, count)
        effects = np.where(sort < kind.good, size, np.where(sort < kind.good + kind.bad, -size, 0.0))
        self.kind = kind
        self.effects: list[float] = effects.tolist()
        self.simpler: list[bool] = (draw.random(count) < kind.simpler).tolist()
        # Bounds: a third of the candidates lose one unit of the second number, whose noise is half of that.
        self.losses: list[float] = np.where(draw.random(count) < 1 / 3, 1.0, 0.0).tolist()
        self._draw = draw
        self._noise: list[float] = []
        self._second: list[float] = []
        self._machine = 0.0
        self.runs = 0

    def run(self, value: float, restless: bool = False) -> float:
        self.runs += 1
        kind = self.kind
        if kind.noise == 0:
            return value
        if not self._noise:
            self._noise = self._batch().tolist()
        if kind.drift:
            self._machine += kind.drift * float(self._draw.standard_normal())
            if self._draw.random() < 0.01:
                self._machine += 20 * kind.drift * float(self._draw.standard_normal())
        noise = self._noise.pop() * (kind.restless if restless else 1.0)
        return value + self._machine + noise

    def second(self, value: float) -> float:
        if not self._second:
            self._second = (0.5 * self._draw.standard_normal(512)).tolist()
        return value + self._second.pop()

    def _batch(self) -> npt.NDArray[np.float64]:
        if self.kind.tails == "normal":
            noise = self._draw.standard_normal(512)
        elif self.kind.tails == "t2":
            noise = self._draw.standard_t(2, 512)
        else:
            noise = self._draw.standard_cauchy(512)
        return self.kind.noise * noise


@dataclass
class Tally:
    """Sums over replicates."""

    replicates: int = 0
    candidates: int = 0
    keeps: int = 0
    false: int = 0
    harmful: int = 0
    simplifications: int = 0
    broken: int = 0
    breakers: int = 0
    gain: float = 0.0
    oracle: float = 0.0
    runs: int = 0
    trial_runs: int = 0
    error: float = 0.0
    squares: float = 0.0
    claims: int = 0
    covered: int = 0
    claimed_gain: int = 0
    kept_any: int = 0

    def add(self, other: "Tally") -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def kept(self, world: World, index: int, *, simplification: bool = False) -> None:
        effect = world.effects[index]
        self.keeps += 1
        self.simplifications += simplification
        self.false += effect < HARM if simplification else effect <= 0
        self.harmful += effect < HARM
        self.broken += world.kind.bounds and world.losses[index] > 0
        self.gain += effect

    def claim(self, claimed: float, true: float) -> None:
        self.claims += 1
        self.error += claimed - true
        self.squares += (claimed - true) ** 2


def metric_of(kind: Kind) -> Metric:
    bounds = (MetricBound("second", "min", 0.5),) if kind.bounds else ()
    return Metric("./measure", "score", "max", bounds=bounds, pairs=PAIRS)


def ours(world: World, metric: Metric) -> Tally:
    """The ratchet, driven as the kernel drives it."""
    tally = Tally()
    record = rt.start()
    head, second, tree = 0.0, 0.0, "base"

    def measure(tree: str, proposal: str | None, purpose: str, value: float, other: float) -> None:
        nonlocal record
        printed = world.run(value, proposal is not None)
        others = (Reading("second", world.second(other)),) if metric.bounds else ()
        work = Measure(tree, proposal, purpose)  # type: ignore[arg-type]
        record = rt.measured(record, work, Sample("ok", printed, others), metric)

    def know_head() -> None:
        while (purpose := rt.wanted_of_head(record, metric)) is not None:
            measure(tree, None, purpose, head, second)

    know_head()
    for index, effect in enumerate(world.effects):
        lines = (0, 3) if world.simpler[index] else (2, 2)
        name = f"p{index}"
        proposal = Proposal(name, "bench", name, "", (), name, added_lines=lines[0], removed_lines=lines[1])
        before = world.runs
        while (side := rt.wanted_of_trial(record, metric, proposal)) is not None:
            if side == "candidate":
                measure(tree, name, "trial", head + effect, second + world.losses[index])
            else:
                measure(tree, None, "trial", head, second)
        tally.trial_runs += world.runs - before
        verdict = rt.weigh(record, metric, proposal)
        record = rt.settled(record, metric, verdict)
        if verdict.status == "pass":
            tally.kept(world, index, simplification="fewer lines" in verdict.summary)
            head, second, tree = head + effect, second + world.losses[index], f"tree-{index}"
            record = rt.moved(record, metric)
            know_head()
    while (side_of := rt.wanted_of_end(record, metric)) is not None:
        measure("base" if side_of == "base" else tree, None, "final", 0.0 if side_of == "base" else head, 0.0)
    claimed = rt.claim(record, metric)
    assert claimed is not None
    tally.claim(claimed.gain, head)
    tally.covered += claimed.low <= head <= claimed.high
    tally.claimed_gain += claimed.low > 0
    return tally


def naive_stored(world: World, metric: Metric) -> Tally:
    """Keep what beats the best number ever printed (the AutoResearch rule)."""
    tally, head = Tally(), 0.0
    base = best = world.run(head)
    for index, effect in enumerate(world.effects):
        printed = world.run(head + effect)
        if printed > best:
            head, best = head + effect, printed
            tally.kept(world, index)
    tally.claim(best - base, head)
    return tally


def naive_fresh(world: World, metric: Metric) -> Tally:
    """Keep what beats one fresh run of the head."""
    tally, head, first, last = Tally(), 0.0, None, 0.0
    for index, effect in enumerate(world.effects):
        baseline, printed = world.run(head), world.run(head + effect)
        first = baseline if first is None else first
        last = baseline
        if printed > baseline:
            head, last = head + effect, printed
            tally.kept(world, index)
    tally.claim(last - (first or 0.0), head)
    return tally


def five_stored(world: World, metric: Metric) -> Tally:
    """Keep when the mean of five runs beats the best mean so far."""
    tally, head = Tally(), 0.0
    base = best = sum(world.run(head) for _ in range(5)) / 5
    for index, effect in enumerate(world.effects):
        printed = sum(world.run(head + effect) for _ in range(5)) / 5
        if printed > best:
            head, best = head + effect, printed
            tally.kept(world, index)
    tally.claim(best - base, head)
    return tally


def eight_pairs(world: World, metric: Metric) -> Tally:
    """Eight fresh pairs for every candidate, one-sided t-test at 5 %."""
    tally, head, claimed = Tally(), 0.0, 0.0
    for index, effect in enumerate(world.effects):
        pairs = [world.run(head + effect) - world.run(head) for _ in range(8)]
        centre = sum(pairs) / 8
        error = math.sqrt(sum((pair - centre) ** 2 for pair in pairs) / 7 / 8)
        if centre > 1.895 * error:
            head, claimed = head + effect, claimed + centre
            tally.kept(world, index)
    tally.claim(claimed, head)
    return tally


def sprt(world: World, metric: Metric) -> Tally:
    """Screen, then Wald's test of one effect against none at 5 % a candidate, at most twelve pairs; the noise is told to it."""
    tally, head, claimed = Tally(), 0.0, 0.0
    variance = 2 * world.kind.noise**2 or 1e-12
    recent = [world.run(head) for _ in range(8)]
    for index, effect in enumerate(world.effects):
        if world.run(head + effect) <= sum(recent[-12:]) / len(recent[-12:]):
            continue
        ratio, total, pairs = 0.0, 0.0, 0
        while pairs < 12 and -1.56 < ratio < 2.77:
            baseline = world.run(head)
            recent.append(baseline)
            pair = world.run(head + effect) - baseline
            ratio, total, pairs = ratio + (pair - 0.5) / variance, total + pair, pairs + 1
        if ratio >= 2.77:
            head, claimed = head + effect, claimed + total / pairs
            tally.kept(world, index)
            recent = [world.run(head) for _ in range(4)]
    tally.claim(claimed, head)
    return tally


RULES: dict[str, Callable[[World, Metric], Tally]] = {
    "naive, stored best": naive_stored,
    "naive, one fresh baseline": naive_fresh,
    "mean of 5, stored": five_stored,
    "8 pairs, t-test": eight_pairs,
    "screen + SPRT, 12 pairs": sprt,
    "ours": ours,
}


def simulate(job: tuple[str, Kind, int, int]) -> Tally:
    """Some replicates of one world under one rule."""
    rule, kind, begin, end = job
    total, metric = Tally(), metric_of(kind)
    for seed in range(begin, end):
        world = World(kind, seed)
        tally = RULES[rule](world, metric)
        tally.replicates = 1
        tally.kept_any = int(tally.keeps > 0)
        tally.candidates = len(world.effects)
        tally.oracle = sum(
            effect
            for effect, loss in zip(world.effects, world.losses, strict=True)
            if effect > 0 and not (kind.bounds and loss)
        )
        tally.breakers = sum(loss > 0 for loss in world.losses) if kind.bounds else 0
        tally.runs = world.runs
        total.add(tally)
    return total


@dataclass(frozen=True)
class Single:
    """One candidate on a fresh base. `gain` in standard deviations of one run; `sort` of noise; `restless` as in `Kind`."""

    gain: float
    sort: str = "normal"
    restless: float = 1.0


def printed_noise(sort: str, draw: np.random.Generator) -> float:
    """One draw; the scale does not matter, only `normal` has the standard deviation 1 that gains are counted in."""
    if sort == "cauchy":
        return float(draw.standard_cauchy())
    if sort == "t2":
        return float(draw.standard_t(2))
    if sort == "lognormal":
        return float(draw.lognormal())
    if sort == "counts":
        return float(draw.binomial(50, 0.1))
    noise = float(draw.standard_normal())
    if sort == "hiccups" and draw.random() < 0.1:  # one run in ten is far off
        noise += 20 * float(draw.standard_normal())
    return noise


def decide(job: tuple[Single, int]) -> list[tuple[bool, int]]:
    """Was it kept, and the runs of its trial: one entry a replicate."""
    single, count = job
    metric = Metric("./measure", "score", "max", pairs=PAIRS)
    proposal = Proposal("p", "bench", "p", "", (), "p", added_lines=2, removed_lines=2)
    found = []
    for seed in range(count):
        draw = np.random.default_rng([seed, 20260802])
        record, runs = rt.start(), 0
        while (purpose := rt.wanted_of_head(record, metric)) is not None:
            sample = Sample("ok", printed_noise(single.sort, draw))
            record = rt.measured(record, Measure("base", None, purpose), sample, metric)
        while (side := rt.wanted_of_trial(record, metric, proposal)) is not None:
            mine = side == "candidate"
            value = printed_noise(single.sort, draw) * (single.restless if mine else 1.0) + (
                single.gain if mine else 0.0
            )
            work = Measure("base", "p" if mine else None, "trial")
            record, runs = rt.measured(record, work, Sample("ok", value), metric), runs + 1
        found.append((rt.weigh(record, metric, proposal).status == "pass", runs))
    return found


def share(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def line(name: str, tally: Tally) -> str:
    mean, rms = tally.error / tally.claims, math.sqrt(tally.squares / tally.claims)
    gain = f"{share(tally.gain, tally.oracle):7.1f}" if tally.oracle else "      -"
    return (
        f"{name:36}{gain}{share(tally.false, tally.keeps):8.1f}{share(tally.harmful, tally.keeps):9.1f}"
        f"{share(tally.harmful, tally.candidates):8.2f}{tally.keeps / tally.replicates:8.1f}"
        f"{tally.runs / tally.replicates:8.0f}{mean:+9.2f}{rms:7.2f}"
    )


HEAD = f"{'':36}{'gain %':>7}{'false %':>8}{'harmful %':>9}{'of all':>8}{'keeps':>8}{'runs':>8}{'claim':>9}{'rms':>7}"


class Bars:
    """What has to hold; every one is printed, held or not."""

    def __init__(self) -> None:
        self.missed = 0

    def check(self, name: str, value: float, limit: float, *, least: bool = False) -> None:
        held = value >= limit if least else value <= limit
        self.missed += not held
        print(
            f"{'ok  ' if held else 'MISS'} {name}: {value:.2f}, {'at least' if least else 'at most'} {limit:g} wanted"
        )


OURS = (
    Kind("no-ops only, 500, noise 1", 1.0, 500, good=0.0, bad=0.0),
    Kind("rare wins (5 % good), noise 1", 1.0, good=0.05),
    Kind("30 % simplifications, noise 1", 1.0, simpler=0.3),
    Kind("bounds, noise 1", 1.0, bounds=True),
    Kind("drifting machine, noise 1", 1.0, drift=0.1),
    Kind("Student t(2), scale 0.7", 0.7, tails="t2"),
    Kind("Cauchy, scale 0.5", 0.5, tails="cauchy"),
    Kind("candidates 3 x noisier, noise 0.5", 0.5, restless=3.0),
)


GAINS = (1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
LOSSES = (-1.0, -3.0, -5.0, -10.0, -30.0)
IDLE = (
    Single(0.0),
    Single(0.0, "t2"),
    Single(0.0, "cauchy"),
    Single(0.0, "lognormal"),
    Single(0.0, "counts"),
    Single(0.0, "hiccups"),
    Single(0.0, restless=3.0),
    Single(0.0, restless=5.0),
    Single(0.0, restless=10.0),
)
Decided = dict[Single, list[tuple[bool, int]]]


def quantile(values: list[int], at: float) -> int:
    return sorted(values)[min(len(values) - 1, int(at * len(values)))]


def pairs_until_kept(found: list[tuple[bool, int]]) -> list[int]:
    return [(runs - 1) // 2 for kept, runs in found if kept] or [PAIRS]


def show_decisions(decided: Decided) -> None:
    print(f"\none candidate on a fresh base\n{'':36}{'kept %':>8}{'median':>8}{'90 %':>8}")
    for gain in GAINS:
        found = decided[Single(gain)]
        pairs = pairs_until_kept(found)
        kept = share(sum(kept for kept, _ in found), len(found))
        print(f"{f'gain of {gain:g} sd: pairs':36}{kept:8.1f}{quantile(pairs, 0.5):8}{quantile(pairs, 0.9):8}")
    for loss in LOSSES:
        found = decided[Single(loss)]
        runs = [runs for _, runs in found]
        kept = share(sum(kept for kept, _ in found), len(found))
        print(f"{f'loss of {-loss:g} sd: runs':36}{kept:8.1f}{quantile(runs, 0.5):8}{quantile(runs, 0.9):8}")
    for idle in IDLE:
        found = decided[idle]
        runs = [runs for _, runs in found]
        name = f"no-op, {idle.sort}" + (f", {idle.restless:g} x noisier" if idle.restless != 1 else "") + ": runs"
        kept = share(sum(kept for kept, _ in found), len(found))
        print(f"{name:36}{kept:8.1f}{quantile(runs, 0.5):8}{quantile(runs, 0.9):8}")


def judge_decisions(bars: Bars, decided: Decided) -> None:
    for gain, limit in ((5.0, 4), (10.0, 3)):
        pairs = pairs_until_kept(decided[Single(gain)])
        bars.check(f"a gain of {gain:g} sd: pairs, median", quantile(pairs, 0.5), limit)
    for loss in LOSSES[2:]:
        runs = [runs for _, runs in decided[Single(loss)]]
        bars.check(f"a loss of {-loss:g} sd: runs, 99 %", quantile(runs, 0.99), 3)
    for idle in IDLE:
        kept = share(sum(kept for kept, _ in decided[idle]), len(decided[idle]))
        bars.check(f"no-op, {idle.sort}, {idle.restless:g} x: kept, %", kept, 3)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--replicates",
        type=int,
        default=30,
        help="of each of the main worlds (default: %(default)s, which takes two minutes on one free core; 200 take a quarter of an hour)",
    )
    parser.add_argument("--processes", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args()
    began = time.perf_counter()
    mains = [Kind(f"noise {noise:g}", noise) for noise in (0.0, 0.5, 1.0, 2.0)]
    plan = [(rule, kind, options.replicates) for kind in mains for rule in RULES]
    plan += [("ours", kind, max(1, options.replicates // 3)) for kind in OURS[1:]]
    # One false claim among a few dozen runs would say nothing of a share of 2.5 %.
    plan.append(("ours", OURS[0], max(100, options.replicates // 3)))
    singles = [*(Single(gain) for gain in (*GAINS, *LOSSES)), *IDLE]
    found: dict[tuple[str, str], Tally] = {}
    with ProcessPoolExecutor(options.processes) as pool:
        started = [
            ((rule, kind.name), pool.submit(simulate, (rule, kind, begin, min(count, begin + 25))))
            for rule, kind, count in plan
            for begin in range(0, count, 25)
        ]
        for key, future in started:
            found.setdefault(key, Tally()).add(future.result())
        trials = 10 * options.replicates
        decided = dict(zip(singles, pool.map(decide, [(single, trials) for single in singles]), strict=True))
    for kind in mains:
        print(
            f"\n{kind.name} effects, {kind.candidates} candidates, {found['ours', kind.name].replicates} replicates\n{HEAD}"
        )
        for rule in RULES:
            print(line(rule, found[rule, kind.name]))
    print(f"\nours in other worlds, {found['ours', OURS[1].name].replicates} replicates (no-ops: at least 100)\n{HEAD}")
    for kind in OURS:
        print(line(kind.name, found["ours", kind.name]))
    show_decisions(decided)
    print()
    missed = judge(found, decided)
    print(f"{time.perf_counter() - began:.0f} s, pairs {PAIRS}")
    return 1 if missed else 0


def judge(found: dict[tuple[str, str], Tally], decided: Decided) -> int:
    """The bars; how many were missed."""
    bars = Bars()
    one, none = found["ours", "noise 1"], found["ours", "noise 0"]
    bars.check("noise 1: gain, % of the oracle", share(one.gain, one.oracle), 65, least=True)
    bars.check("noise 1: false keeps, % of keeps", share(one.false, one.keeps), 12)
    bars.check("noise 1: harmful keeps, % of keeps", share(one.harmful, one.keeps), 3)
    bars.check("noise 1: claimed minus true gain, effects", abs(one.error / one.claims), 0.3)
    bars.check("noise 1: claims whose interval holds the true gain, %", share(one.covered, one.claims), 90, least=True)
    bars.check("no noise: gain, % of the oracle", share(none.gain, none.oracle) + 1e-9, 100, least=True)
    bars.check("no noise: runs of a candidate", none.trial_runs / none.candidates, 1)
    idle = found["ours", OURS[0].name]
    bars.check("no-ops: keeps, % of candidates", share(idle.keeps, idle.candidates), 1)
    bars.check("no-ops: reports that claim a gain, %", share(idle.claimed_gain, idle.claims), 2.5)
    simpler = found["ours", OURS[2].name]
    bars.check("simplifications: harmful keeps, % of keeps", share(simpler.harmful, simpler.keeps), 3)
    bounded = found["ours", OURS[3].name]
    bars.check("bounds: keeps that break one, % of keeps", share(bounded.broken, bounded.keeps), 5)
    for kind in OURS[4:]:
        tally = found["ours", kind.name]
        bars.check(f"{kind.name}: false keeps, % of keeps", share(tally.false, tally.keeps), 12)
    judge_decisions(bars, decided)
    return bars.missed


if __name__ == "__main__":
    sys.exit(main())
