"""How much of what can be gained do 40 trials gain? The knob search beside random search and a grid that turns one knob at a time.

Run: `.venv/bin/python bench/tune.py [--seeds 20] [--trials 40]`. Every objective is a training script whose literals are found, read
and written by the real modules; one is a real scikit-learn model on real data. All three get the same knobs, ranges, noise and the
same rule of what is kept: one run that beats the head's, then six pairs whose mean is above two standard errors. The figure is the
true value of what was kept at the end, as the share of the way from the start to the best that is known, median over the seeds.
Prints one line an objective and exits 1 where the knob search gains less than random search or the grid.
"""

import argparse
import itertools
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from loopwright.act.tune.edit import edited
from loopwright.act.tune.history import History, Point
from loopwright.act.tune.knobs import Knob, knobs
from loopwright.act.tune.places import Setting
from loopwright.act.tune.search import following
from loopwright.act.tune.space import same
from loopwright.act.tune.text import Text

Settings = Mapping[str, Setting]
Chooser = Callable[["Run"], Settings | None]

SGD = """
LEARNING_RATE = 1e-3
MOMENTUM = 0.5
WEIGHT_DECAY = 1e-3
BATCH_SIZE = 256

def loss(log, sqrt):
    # What counts is the step after momentum; too large a step diverges.
    step = LEARNING_RATE / (1 - MOMENTUM) * sqrt(64 / BATCH_SIZE)
    if step > 0.5:
        raise FloatingPointError("diverged")
    return 1 + 0.15 * log(step / 3e-2) ** 2 + 0.02 * log(WEIGHT_DECAY / 2e-4) ** 2 + 0.03 * log(BATCH_SIZE / 64) ** 2
"""
SPARSE = """
LR = 0.3
DECAY = 0.01
WARMUP = 100
WIDTH = 32
DEPTH = 2
CLIP = 1.0
LABEL_SMOOTHING = 0.1
EMA = 0.9

def loss(log, sqrt):
    return 2 + 0.2 * log(LR / 0.04) ** 2 + 0.3 * log(DEPTH / 6) ** 2 + 0.001 * log(WIDTH / 64) ** 2 + 0.001 * log(CLIP) ** 2
"""
MIXED = """
ACT = "relu"
NORM = False
RESIDUAL = False
LR = 0.01
DEPTH = 3
DROPOUT = 0.5

def activation(x):
    if ACT == "relu":
        return x
    if ACT == "tanh":
        return x
    if ACT == "gelu":
        return x

def loss(log, sqrt):
    best_lr = 0.03 if NORM else 0.003
    base = {"relu": 0.3, "gelu": 0.0, "tanh": 0.6}[ACT] - (0.3 if NORM else 0) - (0.2 if RESIDUAL and DEPTH > 4 else 0)
    return 3 + base + 0.1 * log(LR / best_lr) ** 2 + 0.2 * log(DEPTH / 8) ** 2 + 2 * (DROPOUT - 0.2) ** 2
"""
VALLEY = """
ALPHA = 1.0
BETA_SCALE = 1.0
STEPS = 50

def loss(log, sqrt):
    # A narrow valley along which two knobs must move together.
    x, y = log(ALPHA) / 2, log(BETA_SCALE) / 2
    return 1 + 2.0 * (y - x) ** 2 + 0.8 * (x - 0.8) ** 2 + 0.05 * log(STEPS / 120) ** 2
"""
FOREST = """
from sklearn.tree import DecisionTreeClassifier

def model(seed):
    return DecisionTreeClassifier(
        max_depth=3, min_samples_leaf=20, min_samples_split=0.1, ccp_alpha=0.01, max_features=0.1, random_state=seed
    )
"""


@dataclass(frozen=True)
class Objective:
    """`noise` is the standard deviation of one run; `best` the lowest true value that is known."""

    name: str
    text: Text
    noise: float
    true: Callable[[Settings], float | None]
    measure: Callable[[Settings, random.Random], float | None]
    best: float

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return knobs(self.text).knobs


@dataclass
class Run:
    """One search, as the ratchet sees it. Smaller is better."""

    objective: Objective
    dice: random.Random
    head: dict[str, Setting]
    knobs: tuple[Knob, ...]
    start: dict[str, Setting]
    points: list[Point] = field(default_factory=list)
    head_value: float = 0.0

    def at_head(self) -> tuple[Knob, ...]:
        data = edited(self.objective.text, self.head)
        assert data is not None
        return knobs(Text(self.objective.text.path, data)).knobs

    def known(self, settings: Settings) -> bool:
        return any(all(same(p.settings[k], v) for k, v in settings.items()) for p in self.points)

    def take(self, settings: Settings) -> None:
        """Measure, and keep what is better."""
        samples = self._samples(settings)
        moved = frozenset(k for k, v in settings.items() if not same(v, self.head[k]))
        before = dict(self.head)
        if samples is None:
            self.points.append(Point(before, settings, moved, True, (), "crash", None, None))
            return
        gain, kept = samples
        value = self.head_value - gain
        self.points.append(Point(before, settings, moved, True, (), "kept" if kept else "reverted", gain, value))
        if kept:
            self.head, self.head_value = dict(settings), value

    def _samples(self, settings: Settings) -> tuple[float, bool] | None:
        def pair() -> float | None:
            candidate = self.objective.measure(settings, self.dice)
            head = self.objective.measure(self.head, self.dice)
            return None if candidate is None or head is None else head - candidate

        first = pair()
        if first is None:
            return None
        if first <= 0:
            return first, False
        pairs = [p for p in (pair() for _ in range(6)) if p is not None]
        mean = statistics.fmean(pairs)
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        return mean, mean > 2 * error and mean > 0


def tuned(run: Run) -> Settings | None:
    found = following(
        run.at_head(),
        History(tuple(run.points), run.head_value),
        batch=1,
        seed=run.dice.randrange(1 << 30),
        is_new=lambda s: not run.known(s),
    )
    return {**run.head, **found.ideas[0].settings} if found.ideas else None


def at_random(run: Run) -> Settings | None:
    """Uniform in the same ranges, of the first head."""
    return {k.key: k.space.at(run.dice.random()) for k in run.knobs}


def grid() -> Chooser:
    """Five levels of every knob in turn, the others as in the head."""
    turns: Iterator[tuple[int, float]] | None = None

    def choose(run: Run) -> Settings | None:
        nonlocal turns
        turns = turns or itertools.cycle(itertools.product(range(len(run.knobs)), (0.1, 0.3, 0.5, 0.7, 0.9)))
        index, level = next(turns)
        knob = run.knobs[index]
        return {**run.head, knob.key: knob.space.at(level)}

    return choose


def formula(name: str, source: str, noise: float) -> Objective:
    text = Text("train.py", source.encode())
    found = knobs(text).knobs

    script: dict[str, Any] = {}
    exec(compile(source, "train.py", "exec"), script)  # the scripts above
    names = {k.key: k.label for k in found}

    def true(settings: Settings) -> float | None:
        # What the edited file would hold; that it does is what the tests of the edits say, and parsing each anew would take minutes.
        script.update({names[key]: value for key, value in settings.items()})
        try:
            return float(script["loss"](math.log, math.sqrt))
        except FloatingPointError:
            return None

    def measure(settings: Settings, dice: random.Random) -> float | None:
        value = cached(tuple(settings.items()))
        return None if value is None else value + dice.gauss(0, noise)

    @cache
    def cached(settings: tuple[tuple[str, Setting], ...]) -> float | None:
        return true(dict(settings))

    dice = random.Random(1)
    values = []
    at = {k.key: k.value for k in found}
    for _ in range(4000):  # random, then downhill: good enough to know what can be had
        trial = {k.key: k.space.at(dice.random()) for k in found} if dice.random() < 0.3 else dict(at)
        for k in dice.sample(found, 2):
            trial[k.key] = (
                k.space.at(k.space.unit(trial[k.key]) + dice.gauss(0, 0.15))
                if k.space.ordered
                else k.space.at(dice.random())
            )
        value, now = true(trial), true(at)
        if value is not None and (now is None or value < now):
            at = trial
            values.append(value)
    return Objective(name, text, noise, lambda s: cached(tuple(s.items())), measure, min(values))


def forest() -> Objective:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    text = Text("train.py", FOREST.encode())
    images, labels = load_digits(return_X_y=True)

    @cache
    def cached(settings: tuple[tuple[str, Setting], ...], seed: int) -> float | None:
        return error(dict(settings), seed)

    def error(settings: Settings, seed: int) -> float | None:
        import numpy as np

        data = edited(text, settings)
        assert data is not None
        space: dict[str, Any] = {}
        exec(compile(data, "train.py", "exec"), space)
        order = np.random.default_rng(seed).permutation(len(labels))[:700]
        train, rest = order[:350], order[350:]
        model = space["model"](seed)
        try:
            model.fit(images[train], labels[train])
        except ValueError:  # more features than there are
            return None
        return 1 - float(model.score(images[rest], labels[rest]))

    def true(settings: Settings) -> float | None:
        errors = [cached(tuple(settings.items()), 10_000 + i) for i in range(8)]
        return None if None in errors else statistics.fmean(e for e in errors if e is not None)

    def measure(settings: Settings, dice: random.Random) -> float | None:
        return cached(tuple(settings.items()), dice.randrange(12))

    return Objective("a scikit-learn tree", text, 0.03, true, measure, 0.2)


def share(objective: Objective, chooser: Chooser, seed: int, trials: int) -> float:
    found = objective.knobs
    start = {k.key: k.value for k in found}
    run = Run(objective, random.Random(seed), dict(start), found, start)
    for _ in range(trials):
        settings = chooser(run)
        if settings is None:
            break
        run.take(settings)
    first, last = objective.true(start), objective.true(run.head)
    assert first is not None and last is not None
    return 100 * (first - last) / (first - objective.best)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    objectives: list[tuple[str, Callable[[], Objective]]] = [
        ("momentum", lambda: formula("step, momentum, decay", SGD, 0.05)),
        ("sparse", lambda: formula("2 of 8 knobs matter", SPARSE, 0.2)),
        ("mixed", lambda: formula("switches and numbers", MIXED, 0.1)),
        ("valley", lambda: formula("narrow valley", VALLEY, 0.05)),
        ("forest", forest),
    ]
    missed = False
    print(f"{options.trials} trials, median of {options.seeds} seeds: share of the possible gain that was kept, %")
    print(f"{'objective':24} {'knobs':>5} {'tune':>6} {'random':>7} {'grid':>6} {'tune/random':>12} {'s':>5}")
    for short, make in objectives:
        if options.only and short != options.only:
            continue
        began = time.perf_counter()
        objective = make()
        seeds = range(options.seeds)
        ours, drawn, turned = (
            statistics.median(share(objective, make_chooser(), seed, options.trials) for seed in seeds)
            for make_chooser in (lambda: tuned, lambda: at_random, grid)
        )
        lost = ours < max(drawn, turned)
        missed |= lost
        print(
            f"{objective.name:24} {len(objective.knobs):5} {ours:6.1f} {drawn:7.1f} {turned:6.1f} {ours / max(drawn, 0.1):12.2f}"
            f" {time.perf_counter() - began:5.0f}{'  MISS' if lost else ''}",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
