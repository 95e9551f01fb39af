"""A clear gain settles in few pairs, and nothing else does: the evidence from sizes, and what guards the scale it needs."""

import math
import random
from collections.abc import Callable
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.kernel import ratchet as rt
from loopwright.kernel.ratchet.basis import noise
from loopwright.kernel.ratchet.clear import BETS, TAILS, Bet, agree, factor, scales, size_stakes
from loopwright.kernel.ratchet.evidence import LEAST_PAIRS, evidence, sign_stakes
from loopwright.kernel.ratchet.record import Noise, Ratchet
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Measure
from support.ratchets import Course, metric, ok, proposal

KNOWN = Noise(1.0, 7)
Density = Callable[[float], float]


# --- the bet is fair ----------------------------------------------------------------------------------------------------
def cauchy(scale: float) -> Density:
    return lambda z: scale / math.pi / (scale * scale + z * z)


def normal(sd: float) -> Density:
    return lambda z: math.exp(-0.5 * (z / sd) ** 2) / sd / math.sqrt(2 * math.pi)


def laplace(sd: float) -> Density:
    return lambda z: math.exp(-abs(z) * math.sqrt(2) / sd) / sd / math.sqrt(2)


def student_of_two(scale: float) -> Density:
    return lambda z: (1 + (z / scale) ** 2 / 2) ** -1.5 / 2 / math.sqrt(2) / scale


@pytest.mark.parametrize("bet", BETS)
@pytest.mark.parametrize(
    "density",
    [cauchy(TAILS), normal(0.5), normal(1.0), normal(1.25), laplace(1.0), student_of_two(0.85)],
    ids=["cauchy", "normal, half", "normal", "normal, a quarter more", "laplace", "t(2)"],
)
def test_noise_alone_does_not_make_the_stake_grow(bet: Bet, density: Density) -> None:
    """By integration: the mean of what one pair multiplies the stake by is at most 1."""
    step, reach = 0.01, 60.0
    points = [step * (index + 0.5) - reach for index in range(int(2 * reach / step))]
    inside = step * math.fsum(density(point) for point in points)
    mean = step * math.fsum(factor(point, bet) * density(point) for point in points)
    assert inside > 0.98
    assert mean + (1 - inside) / 2 * (bet[1] + 1) <= 1.0


@given(st.sampled_from(BETS), st.floats(0, 100), st.floats(0, 100))
def test_smaller_symmetric_noise_is_no_better_for_the_stake(bet: Bet, one: float, other: float) -> None:
    """So that what holds under Cauchy noise holds under all noise whose sizes are smaller."""
    near, far = sorted((one, other))
    assert factor(near, bet) + factor(-near, bet) <= factor(far, bet) + factor(-far, bet) + 1e-12
    assert factor(-far, bet) > 0 and factor(far, bet) <= bet[1]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e300, 1e300), max_size=6),
    st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 1e300]),
    st.integers(0, 40),
)
def test_every_finite_difference_and_scale_gives_a_finite_stake(differences: list[float], sd: float, dof: int) -> None:
    stakes = size_stakes(differences, Noise(sd, dof))
    assert len(stakes) == len(differences) and all(0 < stake < math.inf for stake in stakes)
    assert evidence(differences, Noise(sd, dof), [sd]) >= 1


# --- what guards it -----------------------------------------------------------------------------------------------------
def test_two_pairs_decide_nothing_however_large_they_look() -> None:
    assert evidence([1e9] * (LEAST_PAIRS - 1), KNOWN, [1.0]) == 1
    assert evidence([1e9] * LEAST_PAIRS, KNOWN, [1.0]) > 300


def test_one_outlier_decides_nothing() -> None:
    """Among pairs that say nothing, one that is far off multiplies the stake by no more than its cap."""
    pairs = [0.1, -0.1, 1e6, 0.2, -0.2, 0.0]
    assert size_stakes(pairs, KNOWN)[-1] < 1
    assert not agree(pairs)
    assert evidence(pairs, KNOWN, [1.0]) < 3


def test_a_scale_from_a_few_runs_is_wider_and_from_fewer_than_four_runs_bets_nothing() -> None:
    wide, narrow = scales([9.0], Noise(1.0, 3))[0], scales([9.0], Noise(1.0, 100))[0]
    assert wide > 1.5 * narrow > 2.1
    for unknown in (Noise(1.0, 2), Noise(0.0, 50), Noise()):
        assert scales([9.0] * 4, unknown) == [0.0] * 4 and size_stakes([9.0] * 4, unknown) == [1.0] * 4


def test_a_candidate_that_is_noisier_than_the_head_widens_the_scale_of_its_later_pairs_only() -> None:
    calm, wild = scales([7.0, 7.5, 6.5, 7.0], KNOWN), scales([7.0, -7.0, 9.0, -5.0], KNOWN)
    assert calm == [calm[0]] * 4
    assert wild[:2] == calm[:2] and wild[3] > 2 * calm[3]


def test_pairs_that_disagree_among_themselves_do_not_count_by_their_size() -> None:
    """Ten times noisier than the head and lucky three times: by the head's scale a clear gain, by their own none."""
    lucky = [3.0, 15.0, 24.0]
    assert size_stakes(lucky, KNOWN)[-1] > 50 and not agree(lucky)
    assert evidence(lucky, KNOWN, [1.0]) < 8
    assert agree([13.0, 14.0, 15.0]) and not agree([13.0, 14.0]) and not agree([-13.0, -14.0, -15.0])


def test_two_pairs_that_happen_to_agree_do_not_set_the_noise() -> None:
    """They once did, for good: all runs after them were clipped to the spread of those two."""
    draw = random.Random(4)
    run = Course(metric(), lambda work: ok(draw.gauss(0, 1)))
    run.know_head()
    before = rt.noise_sd(run.ratchet)
    for run.ratchet in (with_noise(run.ratchet, 0.001, dof) for dof in (1, 2)):
        assert before is not None and noise(run.ratchet).sd > 0.8 * before


def with_noise(ratchet: Ratchet, sd: float, dof: int) -> Ratchet:
    return Ratchet(base_tree="base", noisy=True, base=ratchet.base, fresh=ratchet.fresh, noises=(Noise(sd, dof),))


def test_pairs_whose_differences_are_equal_say_nothing_of_the_noise() -> None:
    """Not even by the last bit: rounding made a spread of 1e-15 of them, and that decided what was noise."""
    turns = {True: iter([7.0, 3.0, 7.0]), False: iter([1.0, 5.0])}
    calibration = iter([0.0, 3.1, 1.7, 0.5, 4.0, 2.1, 0.2, 3.3])

    def answer(work: Measure) -> Sample:
        return ok(next(calibration) if work.purpose == "calibrate" else next(turns[work.proposal_id is not None]))

    run = Course(metric(pairs=2), answer)
    run.know_head()
    before = rt.noise_sd(run.ratchet)
    run.attempt(proposal("p"))
    after = rt.noise_sd(run.ratchet)
    assert run.count("trial") == 5 and after == before


# --- what it costs --------------------------------------------------------------------------------------------------------
def trial(gain: float, seed: int, restless: float = 1.0) -> tuple[bool, int]:
    draw = random.Random(seed * 7919 + 1)

    def answer(work: Measure) -> Sample:
        mine = work.proposal_id is not None
        return ok(gain + restless * draw.gauss(0, 1) if mine else draw.gauss(0, 1))

    run = Course(metric(pairs=24), answer)
    run.know_head()
    status = run.attempt(proposal("p"), keep=False).status
    return status == "pass", run.count("trial")


@pytest.mark.parametrize(("gain", "pairs"), [(5.0, 4), (10.0, 3), (30.0, 3)])
def test_a_clear_gain_settles_in_few_pairs(gain: float, pairs: int) -> None:
    found = [trial(gain, seed) for seed in range(41)]
    assert all(kept for kept, _ in found)
    assert median((runs - 1) // 2 for _, runs in found) <= pairs
    assert min(runs for _, runs in found) >= 1 + 2 * LEAST_PAIRS


@pytest.mark.parametrize("loss", [-5.0, -10.0, -30.0])
def test_a_clear_loss_ends_with_its_screen_or_two_pairs(loss: float) -> None:
    assert max(trial(loss, seed)[1] for seed in range(40)) <= 5


def test_a_clear_loss_with_a_lucky_first_run_ends_after_one_pair() -> None:
    draw = random.Random(3)
    first = iter([50.0])
    run = Course(metric(pairs=24), lambda work: ok(next(first, -10.0) if work.proposal_id else draw.gauss(0, 1)))
    run.know_head()
    assert run.attempt(proposal("p")).status == "fail" and run.count("trial") == 3


def test_changes_that_do_nothing_are_hardly_ever_kept_even_when_they_are_noisier() -> None:
    for restless, most in ((1.0, 3), (5.0, 5)):
        assert sum(trial(0.0, seed, restless)[0] for seed in range(150)) <= most


def test_the_two_bets_share_one_stake() -> None:
    """An average of fair games is a fair game: neither part may count in full."""
    pairs = [9.0, 10.0, 11.0]
    signs, sizes = sign_stakes(pairs, 1.0, [1.0])[-1], size_stakes(pairs, KNOWN)[-1]
    assert evidence(pairs, KNOWN, [1.0]) == pytest.approx((signs + sizes) / 2)
