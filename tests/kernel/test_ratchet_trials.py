"""One loop, told step by step: what is measured, and what the verdict says."""

import random
from collections.abc import Callable
from functools import partial
from itertools import cycle

import pytest

from loopwright.kernel import ratchet as rt
from loopwright.kernel.loop import MetricBound
from loopwright.kernel.sample import Reading, Sample
from loopwright.kernel.values import Measure
from support.ratchets import Course, metric, ok, proposal

GAINS = {"good": 2.0, "equal": 0.0, "bad": -2.0, "tiny": 0.2}


def noisy(sd: float = 1.0, seed: int = 1, head: float = 10.0) -> Callable[[Measure], Sample]:
    """The head is `head`, a candidate that by its name."""
    draw = random.Random(seed)
    return lambda work: ok(head + GAINS.get(work.proposal_id or "", 0.0) + draw.gauss(0, sd))


def exact(head: float = 10.0) -> Callable[[Measure], Sample]:
    worth = {"base": head}

    def answer(work: Measure) -> Sample:
        value = worth.setdefault(work.tree, head + GAINS.get(work.tree.removeprefix("tree-"), 0.0))
        return ok(value + GAINS.get(work.proposal_id or "", 0.0))

    return answer


def started(oracle: Callable[[Measure], Sample], **more: object) -> Course:
    run = Course(metric(**more), oracle)  # type: ignore[arg-type]
    run.know_head()
    return run


# --- without noise ----------------------------------------------------------------------------------------------------
def test_four_identical_runs_end_the_calibration_and_then_one_run_decides() -> None:
    run = started(exact())
    assert run.runs == 4 and rt.noise_sd(run.ratchet) == 0
    for name, status in (("equal", "fail"), ("bad", "fail"), ("tiny", "pass")):
        before = run.count("trial")
        assert run.attempt(proposal(name)).status == status
        assert run.count("trial") == before + 1
    claimed = rt.claim(run.ratchet, run.metric)
    assert claimed is not None and claimed.gain == claimed.low == claimed.high == pytest.approx(0.2)
    assert rt.wanted_of_end(run.ratchet, run.metric) is None


def test_without_noise_a_gain_below_min_effect_is_not_kept() -> None:
    run = started(exact(), min_effect=0.5)
    verdict = run.attempt(proposal("tiny"))
    assert verdict.status == "fail" and "less than min_effect 0.5" in verdict.summary
    assert run.attempt(proposal("good")).status == "pass"


def test_a_kept_tree_that_does_not_repeat_its_number_turns_the_noise_on() -> None:
    """Four runs that agree are no proof: a metric counted over few cases agrees by luck."""
    steps = iter([10.0] * 4 + [12.0, 11.0] + [12.0, 11.5] * 50)
    run = started(lambda work: ok(next(steps)))
    assert run.attempt(proposal("good")).status == "pass"
    assert rt.noise_sd(run.ratchet) not in (0, None)
    assert run.count("confirm") == run.metric.calibrate
    before = run.runs
    run.attempt(proposal("bad"))
    assert run.runs > before


# --- with noise -------------------------------------------------------------------------------------------------------
def test_a_candidate_that_loses_its_first_run_costs_one_run() -> None:
    run = started(noisy())
    before = run.runs
    verdict = run.attempt(proposal("bad"))
    assert (run.runs - before, verdict.status) == (1, "fail")
    assert "in its first run, no more were spent on it" in verdict.summary


def test_pairs_change_who_goes_first_so_that_a_drift_cancels() -> None:
    run = started(noisy(0.5), pairs=24)
    assert run.attempt(proposal("good")).status == "pass"
    who = "".join("c" if work.proposal_id else "h" for work in run.works if work.purpose == "trial")
    assert len(who) > 9 and who[0] == "c" and ("hcch" * 12).startswith(who[1:])


def test_a_verdict_is_one_line_with_the_numbers() -> None:
    run = started(noisy(0.5), pairs=24)
    verdict = run.attempt(proposal("good"))
    assert verdict.verifier == "metric" and verdict.status == "pass"
    assert verdict.score == pytest.approx(2.0, abs=0.8)
    assert "better by" in verdict.summary and "pairs, chance alone does that in 1 of" in verdict.summary
    assert "±" in verdict.summary and "\n" not in verdict.summary


def test_after_a_keep_only_fresh_runs_count_for_the_head() -> None:
    run = started(noisy(0.5), pairs=24)
    run.attempt(proposal("good"))
    confirms = run.samples("confirm")
    assert [fresh.value for fresh in run.ratchet.fresh] == confirms and len(confirms) == run.metric.calibrate // 2
    assert rt.head_mean(run.ratchet) == pytest.approx(sum(confirms) / len(confirms))
    assert "(4 runs)" in rt.head_summary(run.ratchet, run.metric)


def test_the_final_comparison_claims_what_base_and_head_show_in_turn() -> None:
    draw = random.Random(2)
    run = started(lambda work: ok((2.0 if "good" in f"{work.tree} {work.proposal_id}" else 0.0) + draw.gauss(0, 0.5)))
    run.metric = metric(pairs=24)
    run.attempt(proposal("good"))
    early = rt.claim(run.ratchet, run.metric)
    assert early is not None and early.source == "confirm"
    run.finish()
    claimed = rt.claim(run.ratchet, run.metric)
    assert claimed is not None and claimed.source == "final" and claimed.runs == 24
    assert claimed.low < 2.0 < claimed.high and claimed.low > 1.0


def test_a_run_that_kept_nothing_claims_nothing() -> None:
    run = started(noisy())
    assert rt.claim(rt.start(), run.metric) is None
    run.attempt(proposal("bad"))
    run.finish()
    claimed = rt.claim(run.ratchet, run.metric)
    assert claimed is not None and claimed.gain == 0 and rt.wanted_of_end(run.ratchet, run.metric) is None


def test_a_long_dry_spell_asks_for_more_evidence_and_a_keep_for_less() -> None:
    """Every attempt is part of one experiment: the thousandth no-op must be rarer luck than the first."""
    from loopwright.kernel.ratchet.account import charged, level
    from loopwright.kernel.ratchet.record import Account

    asked, account = metric(), Account()
    levels = []
    for _ in range(1_000):
        levels.append(level(account, asked))
        account = charged(account, asked, discovered=False)
    assert sum(levels) <= asked.false_keeps and levels == sorted(levels, reverse=True)
    after = charged(account, asked, discovered=True)
    assert level(charged(after, asked, discovered=True), asked) > level(account, asked)


# --- simplifications ----------------------------------------------------------------------------------------------------
def test_fewer_lines_at_the_same_number_are_kept() -> None:
    run = started(exact())
    verdict = run.attempt(proposal("equal", simpler=True))
    assert verdict.status == "pass" and "fewer lines" in verdict.summary
    assert started(exact(), simpler=False).attempt(proposal("equal", simpler=True)).status == "fail"


def test_many_small_losses_find_no_way_in_as_simplifications() -> None:
    """Each is within min_effect, their sum is not."""
    worth = {"base": 10.0}

    def answer(work: Measure) -> Sample:
        value = worth.setdefault(work.tree, min(worth.values()) - 0.4)
        return ok(value - 0.4 if work.proposal_id else value)

    run = started(answer, min_effect=1.0)
    assert [run.attempt(proposal(f"p{index}", simpler=True)).status for index in range(4)] == ["pass"] * 2 + [
        "fail"
    ] * 2


def test_with_noise_a_simplification_must_be_shown_to_be_as_good() -> None:
    kept = {"equal": 0, "bad": 0}
    for seed in range(12):
        for name in kept:
            run = started(noisy(0.3, 7919 * seed), min_effect=0.4, pairs=16)
            verdict = run.attempt(proposal(name, simpler=True), keep=False)
            kept[name] += verdict.status == "pass"
    assert kept["equal"] >= 5 and kept["bad"] == 0


# --- crashes ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", ["crash", "timeout", "missing", "invalid"])
def test_a_candidate_whose_run_fails_has_crashed_whatever_its_other_runs_say(status: str) -> None:
    good = noisy(0.5)
    turns = iter(range(100))

    def answer(work: Measure) -> Sample:
        if work.proposal_id and next(turns) == 3:
            return Sample(status, message="Traceback:\n  boom")  # type: ignore[arg-type]
        return good(work)

    run = started(answer, pairs=24)
    verdict = run.attempt(proposal("good"))
    assert verdict.status == "crash" and verdict.summary == f"score: {status} in run 4: Traceback: boom"
    assert run.attempt(proposal("good")).status == "pass", "the next trial begins anew"


def test_a_head_that_fails_is_run_again_twice_and_then_the_trial_has_no_answer() -> None:
    def answer(work: Measure, fails: list[int]) -> Sample:
        if work.purpose == "trial" and work.proposal_id is None and fails[0]:
            fails[0] -= 1
            return Sample("crash", message="out of memory")
        return good(work)

    for times, status in ((2, "pass"), (3, "inconclusive")):
        good, fails = noisy(0.5), [times]
        run = started(partial(answer, fails=fails), pairs=24)
        verdict = run.attempt(proposal("good"))
        assert verdict.status == status
    assert "the head itself failed 3 times beside it (crash: out of memory)" in verdict.summary


def test_failing_confirm_and_final_runs_end_the_asking() -> None:
    good = noisy(0.5)
    run = started(
        lambda work: Sample("crash", message="x") if work.purpose in ("confirm", "final") else good(work), pairs=24
    )
    assert run.attempt(proposal("good")).status == "pass"
    run.finish()
    why = rt.hopeless(run.ratchet, run.metric)
    assert why is not None and "kept state" in why and "crash" in why
    assert rt.claim(run.ratchet, run.metric) is None


# --- what cannot be measured --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "runs", "move"),
    [
        ("missing", 1, "METRIC score=NUMBER"),
        ("invalid", 1, "finite number"),
        ("crash", 2, "by hand"),
        ("timeout", 2, "timeout"),
    ],
)
def test_a_base_without_a_number_is_said_at_once_with_the_next_move(status: str, runs: int, move: str) -> None:
    run = started(lambda work: Sample(status, message="printed: loss is nan"))  # type: ignore[arg-type]
    why = rt.hopeless(run.ratchet, run.metric)
    assert run.runs == runs and why is not None
    assert status in why and "loss is nan" in why and move in why and "\n" not in why


def test_a_bound_that_is_never_printed_is_said_with_what_was() -> None:
    bounds = (MetricBound("accuracy", "max", 0.01),)
    run = started(lambda work: Sample("ok", 1.0, (Reading("acc", 0.9),)), bounds=bounds)
    why = rt.hopeless(run.ratchet, run.metric)
    assert why is not None and "'accuracy'" in why and "'acc'" in why


def test_noise_that_swamps_the_smallest_effect_is_said_with_its_price() -> None:
    run = started(noisy(1.0), min_effect=0.1, pairs=12)
    why = rt.hopeless(run.ratchet, run.metric)
    assert why is not None and "times min_effect 0.1" in why and "pairs" in why and "raise `min_effect`" in why
    assert rt.hopeless(started(noisy(1.0), min_effect=1.0, pairs=12).ratchet, metric(min_effect=1.0)) is None
    more = metric(min_effect=0.3, pairs=400)
    assert rt.hopeless(run.ratchet, more) is None, "enough pairs resolve it"
    assert rt.hopeless(run.ratchet, metric(min_effect=0.3, pairs=12)) is not None


# --- bounds and holdout ---------------------------------------------------------------------------------------------------
def bounded(loss: float, sd: float, seed: int = 3) -> Callable[[Measure], Sample]:
    draw = random.Random(seed)

    def answer(work: Measure) -> Sample:
        mine = work.proposal_id is not None
        value = 10.0 + (2.0 if mine else 0.0) + draw.gauss(0, 0.5)
        return Sample("ok", value, (Reading("latency", 5.0 + (loss if mine else 0.0) + draw.gauss(0, sd)),))

    return answer


@pytest.mark.parametrize(("loss", "status"), [(0.0, "pass"), (3.0, "fail")])
@pytest.mark.parametrize("sd", [0.0, 0.6])
def test_a_gain_that_breaks_a_bound_is_not_kept(loss: float, status: str, sd: float) -> None:
    run = started(bounded(loss, sd), bounds=(MetricBound("latency", "min", 1.0),), pairs=24)
    verdict = run.attempt(proposal("good"))
    assert verdict.status == status
    if status == "fail":
        assert "latency is worse by" in verdict.summary and "and 1 is allowed" in verdict.summary


def test_a_candidate_that_no_longer_prints_a_bound_has_crashed() -> None:
    whole = bounded(0.0, 0.0)
    bounds = (MetricBound("latency", "min", 1.0),)
    run = started(lambda work: ok(12.0) if work.proposal_id else whole(work), bounds=bounds)
    verdict = run.attempt(proposal("good"))
    assert verdict.status == "crash" and "bound 'latency'" in verdict.summary


def test_an_exact_metric_with_a_noisy_bound_takes_pairs_only_when_the_bound_is_close() -> None:
    wobble = cycle([0.4, -0.4])

    def answer(work: Measure) -> Sample:
        slower = {"far": -5.0, "close": 1.2}.get(work.proposal_id or "", 0.0)
        value = 11.0 if work.proposal_id else 10.0
        return Sample("ok", value, (Reading("latency", 5.0 + slower + next(wobble)),))

    run = started(answer, bounds=(MetricBound("latency", "min", 1.0),))
    before = run.runs
    assert run.attempt(proposal("far"), keep=False).status == "pass" and run.runs == before + 1
    run.attempt(proposal("close"), keep=False)
    assert run.runs > before + 2


def test_a_holdout_that_falls_while_the_metric_rises_is_counted_and_a_rise_forgets_it() -> None:
    held = iter([5.0, 4.0, 3.0, 6.0])
    values = {"base": 10.0}

    def answer(work: Measure) -> Sample:
        if work.purpose == "holdout":
            return ok(next(held))
        value = values.setdefault(work.tree, max(values.values()) + 1.0)
        return ok(value + 1.0 if work.proposal_id else value)

    run = started(answer, holdout="./held-out")
    falls = []
    for name in "abc":
        assert run.attempt(proposal(name)).status == "pass"
        falls.append(rt.holdout_falls(run.ratchet, run.metric))
    assert falls == [1, 2, 0]
