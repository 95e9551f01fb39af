"""When should a run of improvements end? Net value per stop rule, as % of what stopping at the best moment would have brought.

Run: `.venv/bin/python bench/stop_rules.py [--replicates 400] [--seed 1] [--json]`. Every world is written down below, with what a unit of
gain is worth and what an iteration costs; no rule sees the world, only the turns of the run so far. The oracle stops each replicate at the
moment that was the best in hindsight (at once, where nothing pays). Exit 1 and a line with MISS where a bar is not held.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CAP: Final = 200
"""No run is longer: the loop's own limit of iterations."""


@dataclass(frozen=True)
class World:
    """`keep(t)`: the chance of a keep in iteration t (from 0); `gain(t)`: the mean true gain of one (exponential), in units of the metric.

    `false_keep`: the chance of a keep that in truth costs up to `harm`; `noise`: standard deviation of the fresh measurement of a keep.
    """

    name: str
    keep: Callable[[int], float]
    gain: Callable[[int], float]
    worth_usd: float
    cost_usd: float
    false_keep: float = 0.0
    harm: float = 0.0
    noise: float = 0.0


def _falls(start: float, iterations: float, rest: float = 0.0) -> Callable[[int], float]:
    return lambda t: start * math.exp(-t / iterations) + rest


def _always(value: float) -> Callable[[int], float]:
    return lambda t: value


# Written down before any rule was tuned, and not changed after; `hopeless` worlds are those in which the best is not to begin.
WORLDS: Final = (
    World("fast, saturating", _falls(0.6, 15, 0.02), _falls(1.0, 12), worth_usd=2.0, cost_usd=0.10),
    World("slow, steady", _always(0.12), _always(1.0), worth_usd=2.0, cost_usd=0.10),
    World("rare big wins", _always(0.02), _always(10.0), worth_usd=1.0, cost_usd=0.10),
    World(
        "late bloomer", lambda t: 0.02 + 0.28 / (1 + math.exp((30 - t) / 3)), _always(1.0), worth_usd=1.0, cost_usd=0.10
    ),
    World(
        "noisy keeps",
        _falls(0.15, 60),
        _always(1.0),
        worth_usd=2.0,
        cost_usd=0.10,
        false_keep=0.15,
        harm=0.2,
        noise=0.3,
    ),
    World("falling yield", lambda t: 0.3 / (1 + t / 20), _always(1.0), worth_usd=1.0, cost_usd=0.05),
    World("none at all", _always(0.0), _always(0.0), worth_usd=1.0, cost_usd=0.10),
    World("not worth its cost", _always(0.2), _always(0.2), worth_usd=1.0, cost_usd=0.10),
)


@dataclass(frozen=True)
class Step:
    """One iteration that a world made: what it truly brought, and what the run measured of it."""

    kept: bool
    gain: float
    seen: float


def steps(world: World, rng: random.Random) -> tuple[Step, ...]:
    made: list[Step] = []
    for t in range(CAP):
        if rng.random() < world.keep(t):
            gain = rng.expovariate(1 / world.gain(t))
        elif rng.random() < world.false_keep:
            gain = -rng.random() * world.harm
        else:
            made.append(Step(False, 0.0, 0.0))
            continue
        made.append(Step(True, gain, gain + rng.gauss(0.0, world.noise)))
    return tuple(made)


def nets_usd(world: World, run: tuple[Step, ...]) -> tuple[float, ...]:
    """The net value after 0, 1, … iterations."""
    nets = [0.0]
    for step in run:
        nets.append(nets[-1] + step.gain * world.worth_usd - world.cost_usd)
    return tuple(nets)


def patience(iterations: int) -> Callable[[World, tuple[Step, ...]], int]:
    """Stops after so many iterations in a row without a keep; the answer is how many iterations the run had."""

    def stop(world: World, run: tuple[Step, ...]) -> int:
        dry = 0
        for t, step in enumerate(run, 1):
            dry = 0 if step.kept else dry + 1
            if dry >= iterations:
                return t
        return len(run)

    return stop


def oracle(world: World, run: tuple[Step, ...]) -> int:
    nets = nets_usd(world, run)
    return nets.index(max(nets))


RULES: Final[dict[str, Callable[[World, tuple[Step, ...]], int]]] = {
    "no rule": lambda _, run: len(run),
    "patience 10": patience(10),
    "patience 40": patience(40),
    "oracle": oracle,
}


def mean_net_usd(world: World, stop: Callable[[World, tuple[Step, ...]], int], runs: list[tuple[Step, ...]]) -> float:
    return sum(nets_usd(world, run)[stop(world, run)] for run in runs) / len(runs)


if __name__ == "__main__":
    for world in WORLDS:
        rng = random.Random(f"1 {world.name}")
        runs = [steps(world, rng) for _ in range(400)]
        print(world.name, {name: round(mean_net_usd(world, rule, runs), 2) for name, rule in RULES.items()})
