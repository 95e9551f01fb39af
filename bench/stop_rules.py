"""When should a run of improvements end? Net value per stop rule, as % of what stopping at the best moment would have brought.

Run: `.venv/bin/python bench/stop_rules.py [--replicates 400] [--seed 1] [--json]`. Every world is written down below, with what a unit of
gain is worth and what an iteration costs; no rule sees the world, only the turns of the run so far. The oracle stops each replicate at the
moment that was the best in hindsight (at once, where nothing pays). Exit 1 and a line with MISS where a bar is not held.
"""

import argparse
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from loopwright.kernel import events as ev
from loopwright.kernel.fold import apply
from loopwright.kernel.history import TURN_WINDOW, Turn
from loopwright.kernel.loop import CommandRung, EvaluatePolicy, Loop, Metric, Permit, StopRules
from loopwright.kernel.state import State
from loopwright.kernel.stop import check
from loopwright.kernel.values import Budget

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
    hopeless: bool = False


def _falls(start: float, iterations: float, rest: float = 0.0) -> Callable[[int], float]:
    return lambda t: start * math.exp(-t / iterations) + rest


def _always(value: float) -> Callable[[int], float]:
    return lambda t: value


# Written down before any rule was tuned, and not changed after; `hopeless` worlds are those in which the best is not to
# begin: there every rule that tries anything loses, and the question is how much.
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
    World("none at all", _always(0.0), _always(0.0), worth_usd=1.0, cost_usd=0.10, hopeless=True),
    World("not worth its cost", _always(0.2), _always(0.2), worth_usd=1.0, cost_usd=0.10, hopeless=True),
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


Stop = Callable[[World, tuple[Step, ...]], int]
"""A rule: how many iterations the run had when it ended."""


def nets_usd(world: World, run: tuple[Step, ...]) -> tuple[float, ...]:
    """The net value after 0, 1, … iterations."""
    nets = [0.0]
    for step in run:
        nets.append(nets[-1] + step.gain * world.worth_usd - world.cost_usd)
    return tuple(nets)


def patience(iterations: int) -> Stop:
    """Stops after so many iterations in a row without a keep."""

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


def ours(*, worth_known: bool) -> Stop:
    """Every rule of `kernel.stop`, as it runs: `check` on the state of a metric loop after each iteration."""

    def stop(world: World, run: tuple[Step, ...]) -> int:
        state = begun(world.worth_usd * 1e6 if worth_known else None)
        for t, step in enumerate(run, 1):
            turn = Turn(
                t,
                0,
                step.kept,
                step.seen if step.kept else None,
                usd_micros=round(world.cost_usd * 1e6),
                signature=f"{t}",
            )
            state = msgspec.structs.replace(
                state,
                iteration=t,
                kept=state.kept + step.kept,
                last_keep_iteration=t if step.kept else state.last_keep_iteration,
                turns=(*state.turns, turn)[-TURN_WINDOW:],
            )
            if ending := check(state):
                reasons[worth_known, world.name, ending.reason] += 1
                return t
        return len(run)

    return stop


def begun(worth_usd_micros: float | None) -> State:
    loop = Loop(
        name="improve",
        goal="Make it better.",
        when=(),
        observe=(),
        act=(CommandRung("propose"),),
        evaluate=EvaluatePolicy(metric=Metric("measure", "score", "max")),
        stop=StopRules(worth_usd_micros=worth_usd_micros),
        budget=Budget(),
        permit=Permit(),
        deliver="branch",
    )
    start = ev.RunStarted(loop, "0" * 64, "a" * 40, "b" * 40, "branch", 1, "hand", None, (), 0, "0")
    return apply(None, start, 0)


reasons: Counter[tuple[bool, str, str]] = Counter()

OURS: Final = ("ours, worth known", "ours, default")
PEERS: Final = ("patience 10", "patience 40")
RULES: Final[dict[str, Stop]] = {
    "no rule": lambda _, run: len(run),
    "patience 10": patience(10),
    "patience 40": patience(40),
    "ours, worth known": ours(worth_known=True),
    "ours, default": ours(worth_known=False),
    "oracle": oracle,
}


@dataclass(frozen=True)
class Result:
    """Means over the replicates."""

    net_usd: float
    iterations: float


def measure(replicates: int, seed: int) -> dict[str, dict[str, Result]]:
    """World → rule → result; every rule sees the same replicates."""
    results: dict[str, dict[str, Result]] = {}
    for world in WORLDS:
        rng = random.Random(f"{seed} {world.name}")
        runs = [steps(world, rng) for _ in range(replicates)]
        nets = [nets_usd(world, run) for run in runs]
        results[world.name] = {}
        for name, rule in RULES.items():
            ends = [rule(world, run) for run in runs]
            net = sum(net[end] for net, end in zip(nets, ends, strict=True)) / replicates
            results[world.name][name] = Result(net, sum(ends) / replicates)
    return results


def percent(results: dict[str, dict[str, Result]], world: World, rule: str) -> float:
    return 100 * results[world.name][rule].net_usd / results[world.name]["oracle"].net_usd


def mean_percent(results: dict[str, dict[str, Result]], rule: str) -> float:
    worth_it = [world for world in WORLDS if not world.hopeless]
    return sum(percent(results, world, rule) for world in worth_it) / len(worth_it)


def mean_net_usd(results: dict[str, dict[str, Result]], rule: str) -> float:
    return sum(by_rule[rule].net_usd for by_rule in results.values()) / len(results)


def misses(results: dict[str, dict[str, Result]]) -> list[str]:
    """Every bar that is not held, in words."""
    missed = []
    for rule in OURS:
        for world in WORLDS:
            net = results[world.name][rule].net_usd
            if not world.hopeless and net < 0:
                missed.append(f"{rule}: negative in {world.name!r}: ${net:.2f}")
            if world.hopeless and net < (lost := results[world.name]["patience 40"].net_usd):
                missed.append(f"{rule}: loses more than patience 40 in {world.name!r}: ${net:.2f} < ${lost:.2f}")
        for peer in PEERS:
            if mean_percent(results, rule) <= mean_percent(results, peer):
                missed.append(f"{rule}: not better than {peer} on the average over worlds, in % of the oracle")
            if mean_net_usd(results, rule) <= mean_net_usd(results, peer):
                missed.append(f"{rule}: not better than {peer} on the average over all worlds, in dollars")
    return missed


def table(results: dict[str, dict[str, Result]]) -> str:
    rules = list(RULES)
    lines = [" " * 22 + "".join(f"{rule:>19}" for rule in rules)]
    for world in WORLDS:
        cells = []
        for rule in rules:
            result = results[world.name][rule]
            value = (
                f"${result.net_usd:.2f}"
                if world.hopeless or rule == "oracle"
                else f"{percent(results, world, rule):.0f} %"
            )
            cells.append(f"{value} ({result.iterations:.0f})")
        lines.append(f"{world.name:22}" + "".join(f"{cell:>19}" for cell in cells))
    lines.append(f"{'mean, % of oracle':22}" + "".join(f"{mean_percent(results, rule):17.0f} %" for rule in rules))
    lines.append(
        f"{'mean net, all worlds':22}" + "".join(f"{f'${mean_net_usd(results, rule):.2f}':>19}" for rule in rules)
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = measure(options.replicates, options.seed)
    missed = misses(results)
    if options.json:
        print(json.dumps({"worlds": msgspec.to_builtins(results), "misses": missed}))
    else:
        print(
            "net value as % of the oracle's (iterations); dollars for the oracle and where the best is not to begin\n"
        )
        print(table(results))
        for (known, world, reason), number in sorted(reasons.items()):
            print(f"  {OURS[not known]}, {world}: {reason} {number}")
        print(*(f"MISS {miss}" for miss in missed), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
