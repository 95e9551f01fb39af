"""The bars of the keep rule in small: simulated worlds with fixed seeds and wide margins. `bench/keep_rules.py` is the whole of it."""

import random
from dataclasses import dataclass

import pytest

from loopwright.kernel import ratchet as rt
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Measure
from support.ratchets import Course, metric, ok, proposal

PAIRS = 24


@dataclass
class Outcome:
    gain: float
    oracle: float
    keeps: list[float]
    claimed: float
    low: float
    runs: int
    trial_runs: int


def world(seed: int, candidates: int, noise: float, good: float, bad: float, simpler: float = 0.0) -> Outcome:
    """True effects are exponential with mean 1; the head is worth the sum of what was kept."""
    draw = random.Random(seed * 7919)
    effects = {}
    for index in range(candidates):
        sort, size = draw.random(), draw.expovariate(1.0)
        effects[f"p{index}"] = size if sort < good else -size if sort < good + bad else 0.0
    worth = {"base": 0.0}

    def answer(work: Measure) -> Sample:
        value = worth[work.tree] + effects.get(work.proposal_id or "", 0.0)
        return ok(value + (draw.gauss(0, noise) if noise else 0.0))

    run = Course(metric(pairs=PAIRS), answer)
    run.know_head()
    keeps = []
    for name, effect in effects.items():
        worth[f"tree-{name}"] = worth[run.tree] + effect
        if run.attempt(proposal(name, simpler=draw.random() < simpler)).status == "pass":
            keeps.append(effect)
    run.finish()
    claimed = rt.claim(run.ratchet, run.metric)
    assert claimed is not None
    oracle = sum(effect for effect in effects.values() if effect > 0)
    return Outcome(worth[run.tree], oracle, keeps, claimed.gain, claimed.low, run.runs, run.count("trial"))


def test_without_noise_every_gain_is_kept_at_one_run_a_candidate() -> None:
    found = world(1, 200, noise=0.0, good=0.15, bad=0.4)
    assert found.gain == pytest.approx(found.oracle) and found.trial_runs == 200
    assert found.claimed == pytest.approx(found.gain)
    assert found.runs == 200 + 4 + len(found.keeps), "one more run for each new head"


def test_noise_as_large_as_the_effects_moves_the_ratchet_hardly_ever_back() -> None:
    found = [world(seed, 200, noise=1.0, good=0.15, bad=0.4) for seed in range(5)]
    keeps = [effect for each in found for effect in each.keeps]
    assert sum(each.gain for each in found) >= 0.6 * sum(each.oracle for each in found)
    assert sum(effect <= 0 for effect in keeps) <= 0.12 * len(keeps)
    assert sum(effect < -0.1 for effect in keeps) <= 0.03 * len(keeps)
    assert abs(sum(each.claimed - each.gain for each in found)) / len(found) < 0.6
    assert all(each.runs < 2_500 for each in found)


def test_five_hundred_changes_that_do_nothing_are_not_kept_and_no_gain_is_claimed() -> None:
    found = [world(seed, 500, noise=1.0, good=0.0, bad=0.0) for seed in range(3)]
    assert sum(len(each.keeps) for each in found) <= 2
    assert not any(each.low > 0 for each in found)


def test_simplifications_do_not_walk_the_metric_down() -> None:
    """Nothing is good here and every change takes lines away: the worst case for keeping what is as good as the head."""
    found = [world(seed, 120, noise=1.0, good=0.0, bad=0.5, simpler=1.0) for seed in range(4)]
    keeps = [effect for each in found for effect in each.keeps]
    assert keeps and min(keeps) > -1.0
    assert all(each.gain > -1.0 for each in found)
