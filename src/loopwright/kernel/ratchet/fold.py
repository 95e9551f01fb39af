"""The fold: how measurements, verdicts and keeps change the record."""

from typing import Final

import msgspec

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.account import charged
from loopwright.kernel.ratchet.basis import confirm_runs, gain_between, joined, mean_of, noise, values
from loopwright.kernel.ratchet.contradicted import contradiction
from loopwright.kernel.ratchet.holdout import streak
from loopwright.kernel.ratchet.record import (
    FRESH_WINDOW,
    Failure,
    Held,
    Noise,
    Passed,
    Previous,
    Ratchet,
    Run,
    Slip,
    Trial,
)
from loopwright.kernel.ratchet.robust import LARGEST, less, pooled
from loopwright.kernel.ratchet.standing import standing_of
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Measure, Verdict

__all__ = ["measured", "moved", "settled"]

FAILURES_KEPT: Final = 4
PASSED_KEPT: Final = 16
GAINS_KEPT: Final = 32
MESSAGE_LETTERS: Final = 300
DOF_KEPT: Final = 120
"""The pooled noise weighs no more than this, so that a machine that became noisier is believed within a few trials."""
ROOT_OF_TWO: Final = 2**0.5


def measured(ratchet: Ratchet, work: Measure, sample: Sample, metric: Metric) -> Ratchet:
    """After one run of the command."""
    run = _run_of(sample, metric, holdout=work.purpose == "holdout")
    if work.purpose == "calibrate":
        return _calibrated(ratchet, work, run)
    if work.purpose == "trial":
        return _tried(ratchet, work, run)
    if work.purpose == "confirm":
        return _confirmed(ratchet, work, run, metric)
    if work.purpose == "holdout":
        return _held(ratchet, run)
    return _compared(ratchet, work, run)


def settled(ratchet: Ratchet, metric: Metric, verdict: Verdict) -> Ratchet:
    """After the verdict on the current trial: the trial ends, what it says of noise and chance stays."""
    trial = ratchet.trial
    if trial is None:
        return ratchet
    standing = standing_of(ratchet, metric, trial, simpler=True)
    fields: dict[str, object] = {"trial": None, "noises": _noises_after(ratchet, metric, trial)}
    discovered = verdict.status == "pass" and standing.answer == "better"
    if ratchet.noisy and (trial.candidates or trial.heads):
        fields["account"] = charged(ratchet.account, metric, discovered=discovered)
    if verdict.status == "pass" and trial.screen is not None:
        passed = Passed(trial.screen.value, None if discovered else standing.slip, trial.proposal_id)
        fields["passed"] = (*ratchet.passed, passed)[-PASSED_KEPT:]
    return msgspec.structs.replace(ratchet, **fields)


def moved(ratchet: Ratchet, metric: Metric, proposal_id: str | None = None) -> Ratchet:
    """After a keep: the runs that led to it are thrown away, everything about the new head is to be measured anew.

    `proposal_id`: which of those that passed was kept; `None`, or one that is not on record, takes the worst of what all of them mean.
    """
    noises = tuple(
        _capped(
            joined(
                known,
                values(ratchet.confirm, channel),
                len(ratchet.confirm) - 1,
                noise(ratchet, channel, confirmed=False),
            )
        )
        for channel, known in enumerate(_all_noises(ratchet, metric))
    )
    kept = tuple(p for p in ratchet.passed if proposal_id is not None and p.proposal_id == proposal_id)
    kept = kept[-1:] or ratchet.passed
    gains_only = bool(kept) and all(p.slip is None for p in kept)
    slips = [p.slip for p in kept if p.slip is not None]
    slip = Slip() if gains_only else min(slips, key=lambda s: s.total - s.error, default=ratchet.slip)
    named = proposal_id if proposal_id is not None or len(kept) != 1 else kept[0].proposal_id
    falls, top = streak(ratchet, metric)
    return msgspec.structs.replace(
        ratchet,
        head_tree=None,
        trial=None,
        noises=noises,
        before=mean_of(ratchet.fresh) if ratchet.fresh else None,
        fresh=(),
        confirm=(),
        confirm_failures=(),
        slip=slip,
        expected=tuple(p.value for p in kept),
        passed=(),
        kept=ratchet.kept + 1,
        holdout_before=ratchet.holdout if ratchet.holdout.values else ratchet.holdout_before,
        holdout=Held(),
        holdout_top=top,
        falls=falls,
        final_base=(),
        final_head=(),
        final_failures=0,
        previous=Previous(tuple(values(ratchet.fresh)), named, bool(slips)),
        contradiction=contradiction(ratchet, metric),
    )


def _run_of(sample: Sample, metric: Metric, *, holdout: bool) -> Run | Failure:
    if sample.status != "ok" or sample.value is None:
        status = "missing" if sample.status == "ok" else sample.status
        said = " ".join(sample.message.split())[:MESSAGE_LETTERS]
        return Failure(status, said or f"no reading of {metric.name!r}")
    if holdout:
        return Run(_number(sample.value))
    others = []
    for bound in metric.bounds:
        reading = next((reading for reading in sample.others if reading.name == bound.name), None)
        if reading is None:
            printed = ", ".join(repr(other.name) for other in sample.others) or "no other number"
            return Failure("missing", f"bound {bound.name!r}: expected a line {bound.name}=NUMBER, found {printed}")
        others.append(_number(reading.value))
    return Run(_number(sample.value), tuple(others))


def _number(value: float) -> float:
    """Whole numbers may be larger than any float."""
    try:
        return float(value)
    except OverflowError:
        return LARGEST if value > 0 else -LARGEST


def _calibrated(ratchet: Ratchet, work: Measure, run: Run | Failure) -> Ratchet:
    trees = {"base_tree": work.tree, "head_tree": work.tree}
    if isinstance(run, Failure):
        failures = (*ratchet.base_failures, run)[-FAILURES_KEPT:]
        return msgspec.structs.replace(ratchet, base_failures=failures, **trees)
    base = (*ratchet.base, run)
    return msgspec.structs.replace(
        ratchet,
        base=base,
        fresh=(*ratchet.fresh, run)[-FRESH_WINDOW:],
        noisy=ratchet.noisy or run.value != base[0].value,
        **trees,
    )


def _tried(ratchet: Ratchet, work: Measure, run: Run | Failure) -> Ratchet:
    trial = ratchet.trial
    if work.proposal_id is not None:
        if trial is None or trial.proposal_id != work.proposal_id:
            trial = Trial(work.proposal_id)
        if isinstance(run, Failure):
            trial = msgspec.structs.replace(trial, failure=run)
        elif trial.screen is None:
            trial = msgspec.structs.replace(trial, screen=run)
        else:
            trial = msgspec.structs.replace(trial, candidates=(*trial.candidates, run))
        return msgspec.structs.replace(ratchet, trial=trial)
    if trial is None:
        return ratchet
    if isinstance(run, Failure):
        trial = msgspec.structs.replace(trial, head_failure=run, head_failures=trial.head_failures + 1)
        return msgspec.structs.replace(ratchet, trial=trial)
    trial = msgspec.structs.replace(trial, heads=(*trial.heads, run))
    differs = bool(ratchet.fresh) and run.value != ratchet.fresh[-1].value
    return msgspec.structs.replace(
        ratchet, trial=trial, fresh=(*ratchet.fresh, run)[-FRESH_WINDOW:], noisy=ratchet.noisy or differs
    )


def _confirmed(ratchet: Ratchet, work: Measure, run: Run | Failure, metric: Metric) -> Ratchet:
    if isinstance(run, Failure):
        failures = (*ratchet.confirm_failures, run)[-FAILURES_KEPT:]
        return msgspec.structs.replace(ratchet, head_tree=work.tree, confirm_failures=failures)
    differs = bool(ratchet.fresh) and run.value != ratchet.fresh[-1].value
    # Without noise the first run of the kept tree must repeat, to the bit, what its candidate measured.
    differs = differs or (not ratchet.fresh and bool(ratchet.expected) and run.value not in ratchet.expected)
    after = msgspec.structs.replace(
        ratchet,
        head_tree=work.tree,
        confirm=(*ratchet.confirm, run),
        fresh=(*ratchet.fresh, run)[-FRESH_WINDOW:],
        noisy=ratchet.noisy or differs,
    )
    if ratchet.before is None or len(after.confirm) < confirm_runs(after, metric):
        return after
    gain = gain_between(mean_of(after.confirm), ratchet.before, metric.goal)
    return msgspec.structs.replace(after, before=None, gains=(*ratchet.gains, gain)[-GAINS_KEPT:])


def _held(ratchet: Ratchet, run: Run | Failure) -> Ratchet:
    held = ratchet.holdout
    if isinstance(run, Failure):
        return msgspec.structs.replace(ratchet, holdout=Held(held.values, held.failures + 1))
    return msgspec.structs.replace(ratchet, holdout=Held((*held.values, run.value), held.failures))


def _compared(ratchet: Ratchet, work: Measure, run: Run | Failure) -> Ratchet:
    if isinstance(run, Failure):
        return msgspec.structs.replace(ratchet, final_failures=ratchet.final_failures + 1)
    if work.tree == ratchet.base_tree:
        return msgspec.structs.replace(ratchet, final_base=(*ratchet.final_base, run.value))
    return msgspec.structs.replace(ratchet, final_head=(*ratchet.final_head, run.value))


def _noises_after(ratchet: Ratchet, metric: Metric, trial: Trial) -> tuple[Noise, ...]:
    """The pairs of a trial say how much single runs differ, whatever the candidate's gain is."""
    pairs = min(len(trial.candidates), len(trial.heads))
    known = _all_noises(ratchet, metric)
    if pairs < 2:
        return known
    after = []
    for channel, noise_before in enumerate(known):
        differences = [
            less(one, other) / ROOT_OF_TWO  # in this order: equal differences must stay equal
            for one, other in zip(values(trial.candidates, channel), values(trial.heads, channel), strict=False)
        ]
        seen = joined(Noise(), differences, pairs - 1, noise(ratchet, channel))
        after.append(_capped(_merged(noise_before, seen)))
    return tuple(after)


def _merged(one: Noise, other: Noise) -> Noise:
    return Noise(pooled(one.sd, one.dof, other.sd, other.dof), one.dof + other.dof)


def _all_noises(ratchet: Ratchet, metric: Metric) -> tuple[Noise, ...]:
    return ratchet.noises or tuple(Noise() for _ in range(1 + len(metric.bounds)))


def _capped(known: Noise) -> Noise:
    return Noise(known.sd, min(known.dof, DOF_KEPT))
