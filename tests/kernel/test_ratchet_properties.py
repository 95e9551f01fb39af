"""What holds for every metric, whatever its unit, sign or noise."""

import math
import random
from collections.abc import Callable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.kernel import ratchet as rt
from loopwright.kernel.ratchet.evidence import chance_of_sum, sign_stakes
from loopwright.kernel.ratchet.robust import mean, spread, student, winsorised
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Measure
from support.ratchets import Course, metric, ok, proposal, replayed

CANDIDATES = 12
seeds = st.integers(0, 10_000)
noises = st.sampled_from([0, 1, 3])
QUICK = settings(max_examples=25, deadline=None)


def whole_numbers(seed: int, noise: int, change: Callable[[int], float] = float) -> Callable[[Measure], Sample]:
    """Effects and noise in whole numbers of 1/64, so that scaling by powers of two and shifting are exact."""
    draw = random.Random(seed)
    effects = {f"p{index}": draw.choice([0, 0, 64, 128, -64]) for index in range(CANDIDATES)}
    worth = {"base": 0}

    def answer(work: Measure) -> Sample:
        if work.tree not in worth:
            worth[work.tree] = max(worth.values()) + effects[work.tree.removeprefix("tree-")]
        value = worth[work.tree] + (effects[work.proposal_id] if work.proposal_id else 0)
        return ok(change(value + noise * draw.randint(-32, 32)))

    return answer


def course(
    seed: int, noise: int, change: Callable[[int], float] = float, **more: object
) -> tuple[Course, list[object]]:
    run = Course(metric(**more), whole_numbers(seed, noise, change))  # type: ignore[arg-type]
    run.know_head()
    statuses: list[object] = [
        run.attempt(proposal(f"p{index}", simpler=index % 3 == 0)).status for index in range(CANDIDATES)
    ]
    run.finish()
    return run, statuses


@QUICK
@given(seeds, noises, st.sampled_from([2.0**-40, 0.5, 8.0, 2.0**300]))
def test_another_unit_of_the_metric_changes_no_decision(seed: int, noise: int, scale: float) -> None:
    plain, statuses = course(seed, noise)
    scaled, same = course(seed, noise, lambda value: value * scale)
    assert same == statuses and scaled.runs == plain.runs
    one, other = rt.claim(plain.ratchet, plain.metric), rt.claim(scaled.ratchet, scaled.metric)
    assert one is not None and other is not None
    assert math.isclose(other.gain, one.gain * scale, rel_tol=1e-9)
    assert math.isclose(other.low, one.low * scale, rel_tol=1e-9)


@QUICK
@given(seeds, noises, st.sampled_from([-4096, 64, 2**20]))
def test_another_origin_of_the_metric_changes_no_decision(seed: int, noise: int, shift: int) -> None:
    plain, statuses = course(seed, noise)
    shifted, same = course(seed, noise, lambda value: float(value + shift))
    assert same == statuses and shifted.runs == plain.runs


@QUICK
@given(seeds, noises)
def test_smaller_is_better_is_larger_is_better_turned_round(seed: int, noise: int) -> None:
    up, statuses = course(seed, noise)
    down, same = course(seed, noise, lambda value: -float(value), goal="min")
    assert same == statuses and down.runs == up.runs
    one, other = rt.claim(up.ratchet, up.metric), rt.claim(down.ratchet, down.metric)
    assert (
        one is not None and other is not None and (one.gain, one.low, one.high) == (other.gain, other.low, other.high)
    )


@QUICK
@given(seeds, noises)
def test_the_journal_alone_gives_the_same_ratchet_at_every_point(seed: int, noise: int) -> None:
    run, _ = course(seed, noise)
    cut = len(run.facts) // 2
    half = replayed(run.facts[:cut], run.metric)
    stored = msgspec.json.decode(msgspec.json.encode(half), type=rt.Ratchet)
    assert stored == half
    assert replayed(run.facts, run.metric) == run.ratchet


@QUICK
@given(seeds, st.integers(1, 30), st.integers(2, 10), st.sampled_from([None, 16.0, 64.0, 1000.0]))
def test_no_trial_takes_more_runs_than_its_pairs_and_a_screen(
    seed: int, pairs: int, calibrate: int, effect: float | None
) -> None:
    run = Course(metric(pairs=pairs, calibrate=calibrate, min_effect=effect), whole_numbers(seed, 3))
    run.know_head()
    assert run.runs <= calibrate
    for index in range(CANDIDATES):
        before = run.runs
        run.attempt(proposal(f"p{index}", simpler=index % 2 == 0))
        assert run.runs - before <= 1 + 2 * pairs + calibrate
    before = run.runs
    run.finish()
    assert run.runs - before <= 2 * max(calibrate, pairs)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from([1e300, -1e300, 1.7e308, -1.7e308, 1e-300, 5e-324, 0.0, 1.0, 1e17, 3]), min_size=1, max_size=8
    ),
    st.sampled_from(["min", "max"]),
    st.sampled_from([None, 1e-300, 1.0, 1e300]),
)
def test_every_finite_number_is_weighed_without_a_surprise(
    values: list[float], goal: str, effect: float | None
) -> None:
    """Whole numbers and the ends of what a float holds: no overflow, no NaN, no endless asking."""
    turn = iter(values * 3000)
    run = Course(metric(goal, min_effect=effect), lambda work: ok(next(turn)))
    run.know_head()
    for index in range(4):
        verdict = run.attempt(proposal(f"p{index}", simpler=index % 2 == 0))
        assert verdict.score is not None and math.isfinite(verdict.score)
        assert "nan" not in verdict.summary and "\n" not in verdict.summary
    run.finish()
    claimed = rt.claim(run.ratchet, run.metric)
    assert claimed is None or (math.isfinite(claimed.gain) and claimed.low <= claimed.gain <= claimed.high)
    assert rt.head_summary(run.ratchet, run.metric) and rt.noise_sd(run.ratchet) is not None
    rt.hopeless(run.ratchet, run.metric)


def test_a_thousand_candidates_leave_it_as_small_as_a_hundred() -> None:
    """Most do nothing, so that the head is run again and again; now and then one is kept."""
    draw = random.Random(5)
    run = Course(metric(pairs=24), lambda work: ok(draw.gauss(3.0 if work.proposal_id == "good" else 0.0, 1.0)))
    run.know_head()
    sizes, keeps = [], 0
    for index in range(1_000):
        verdict = run.attempt(proposal("good" if index % 50 == 20 else "nothing"))
        keeps += verdict.status == "pass"
        if index % 50 == 19:
            sizes.append(len(msgspec.json.encode(run.ratchet)))
        run.runs = 0
    assert keeps > 5 and len(run.ratchet.fresh) <= 12
    assert max(sizes[2:]) < min(sizes[2:]) + 1_000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-80, 80), min_size=1, max_size=10))
def test_the_exact_test_counts_what_counting_by_hand_counts(grains: list[int]) -> None:
    """Every way to put signs before the differences, one by one."""
    sd = math.sqrt(0.5)  # of a run, so that a difference of 1 is one standard deviation: 40 grains
    ways = 0
    for signs in range(1 << len(grains)):
        total = sum(abs(g) * (1 if signs >> i & 1 else -1) for i, g in enumerate(grains))
        ways += total >= sum(grains)
    assert math.isclose(chance_of_sum([g / 40 for g in grains], sd), ways / 2 ** len(grains))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.floats(0.1, 4))
def test_the_stake_stays_one_on_average_when_signs_are_chance(sizes: list[float], sd: float) -> None:
    """The bet is fair for every noise that is as likely + as -, whatever its size: over all signs the mean stake is exactly 1."""
    total = 0.0
    for signs in range(1 << len(sizes)):
        total += sign_stakes([s if signs >> i & 1 else -s for i, s in enumerate(sizes)], sd, [sd, 2 * sd])[-1]
    assert math.isclose(total / 2 ** len(sizes), 1.0, rel_tol=1e-9)


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=20), st.floats(0, 1e300))
def test_robust_figures_are_finite_and_lie_among_the_values(values: list[float], sd: float) -> None:
    assert 0 <= spread(values, sd or None) < math.inf
    assert math.isfinite(winsorised(values, sd))
    slack = 1e-12 * max(abs(value) for value in values) + 1e-300
    assert min(values) - slack <= mean(values) <= max(values) + slack


def test_students_quantiles_are_those_of_the_tables() -> None:
    for dof, quantile in ((1, 12.706), (4, 2.776), (5, 2.571), (7, 2.365), (11, 2.201), (30, 2.042), (120, 1.980)):
        assert abs(student(dof) - quantile) < 0.005 * quantile
