"""What a metric loop may say that it measured: fresh runs only, and no claim that they do not carry."""

from loopwright.kernel import events as ev
from loopwright.kernel.loop import Metric
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Action, Keep, Measure, Proposal, Spend, Verdict
from loopwright.views.audit import audit
from loopwright.views.cost import cost_view
from loopwright.views.metric import metric_view
from loopwright.views.trajectory import trajectory_view
from support.improving import events_of, improve_loop, started

FREE = Spend()
BASE, KEPT = "b" * 40, "d" * 40


def runs(first: int, tree: str, proposal_id: str | None, purpose: str, *values: float) -> list[ev.Body]:
    bodies: list[ev.Body] = []
    for at, value in enumerate(values, first):
        work = Measure(tree, proposal_id, purpose)  # type: ignore[arg-type]
        bodies += [
            ev.ActionIntended(Action(f"a{at}", "read", work, 60), FREE),
            ev.Measured(f"a{at}", Sample("ok", value, wall_ms=10), FREE),
        ]
    return bodies


def a_run(*confirmed: float) -> tuple[ev.Event, ...]:
    offer = ev.Proposed("a0", (Proposal("p", "tune", "try", "", (), "x" * 8),), False, None, None, "", FREE)
    return events_of(
        started(improve_loop(Metric("run", "loss", "min", holdout="hold", calibrate=4))),
        *runs(1, BASE, None, "calibrate", 1.0, 1.1, 0.9, 1.0),
        *runs(10, BASE, None, "holdout", 1.5),
        offer,
        *runs(20, BASE, "p", "trial", 0.1),
        ev.Weighed("p", Verdict("metric", "pass", "better", 0.9)),
        ev.Decided(Keep("p"), "better"),
        ev.Kept("a30", "p", 1, "c" * 40, KEPT, FREE),
        *runs(40, KEPT, None, "confirm", *confirmed),
        *runs(60, KEPT, None, "holdout", 1.2),
    )


def test_what_chose_a_candidate_is_no_measurement_of_it() -> None:
    """The 0.1 of its trial was the lucky one; the claim stands on the fresh runs and on nothing else."""
    view = metric_view(a_run(0.5, 0.6, 0.4, 0.5))
    assert view is not None
    base, head = view.heads
    assert (base.mean, base.holdout_mean) == (1.0, 1.5)
    assert (head.runs, head.holdout_mean, head.proposal_id) == ((0.5, 0.6, 0.4, 0.5), 1.2, "p")
    assert view.claim is not None
    assert abs(view.claim.gain - 0.5) < 0.05
    assert view.claim.low > 0
    assert (view.runs, view.wall_ms) == (11, 110)


def test_a_keep_that_fresh_runs_do_not_bear_out_claims_nothing() -> None:
    view = metric_view(a_run(1.0, 1.1, 0.9, 1.0))
    assert view is not None and view.claim is not None
    assert view.claim.low <= 0 <= view.claim.high


def test_a_loop_without_a_metric_has_none() -> None:
    from loopwright.testing.noop import noop_start

    assert metric_view(events_of(noop_start(3))) is None


def test_measurements_are_actions_like_any_other_to_cost_and_audit() -> None:
    """Their time is in the account, and none of them is taken for an intent without an outcome."""
    events = a_run(0.5, 0.6, 0.4, 0.5)
    (line,) = [line for line in cost_view(events).by_beat if line.name == "measure"]
    assert line.actions == 11
    report = audit(events)
    # the proposing and the keeping of this little journal have no intents
    of_others = {"a0", "a30"}
    assert not [f for f in report.findings if f.rule.startswith(("action.", "spend.")) and f.subject not in of_others]


def test_measuring_the_same_again_is_no_repeated_action_and_the_noise_is_not_wasted() -> None:
    scores = trajectory_view(a_run(0.5, 0.6, 0.4, 0.5))
    assert (scores.repeated_actions, scores.wasted_steps) == (0, 0)
    assert scores.last_kept_score == 0.9
