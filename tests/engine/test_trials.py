"""What the metric said of earlier proposals, as a search is told: read from the journal, whoever made them."""

from loopwright.engine.trials import trials_of
from loopwright.kernel import events as ev
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Action, Keep, Measure, Proposal, Revert, Spend, Verdict
from support.improving import events_of, started

FREE = Spend()


def proposal(name: str) -> Proposal:
    return Proposal(name, "tune", f"try {name}", "", (), name * 8)


def run(action_id: str, proposal_id: str | None, purpose: str, value: float | None) -> tuple[ev.Body, ...]:
    work = Measure("b" * 40, proposal_id, purpose)  # type: ignore[arg-type]
    sample = Sample("crash", message="it died") if value is None else Sample("ok", value)
    return (ev.ActionIntended(Action(action_id, "read", work, 60), FREE), ev.Measured(action_id, sample, FREE))


def offered(*names: str) -> ev.Proposed:
    return ev.Proposed("a0", tuple(map(proposal, names)), False, None, None, "", FREE)


def test_a_candidate_stands_beside_the_heads_runs_that_it_was_compared_with() -> None:
    """A screened one beside the head's fresh runs, one that was paired beside those and the runs in between."""
    events = events_of(
        started(),
        *run("a1", None, "calibrate", 1.0),
        *run("a2", None, "calibrate", 1.2),
        offered("p"),
        *run("a3", "p", "trial", 0.8),
        *run("a4", None, "trial", 1.1),
        *run("a5", "p", "trial", 0.7),
        ev.Decided(Keep("p"), "better"),
        ev.Kept("a6", "p", 1, "c" * 40, "d" * 40, FREE),
        *run("a7", None, "confirm", 0.75),
        offered("q"),
        *run("a8", "q", "trial", 0.9),
        ev.Decided(Revert(), "no better"),
    )
    first, second = trials_of(events)
    assert (first.status, first.candidate, first.head, first.tree) == ("kept", (0.8, 0.7), (1.0, 1.2, 1.1), "b" * 40)
    assert (second.status, second.candidate, second.head, second.tree) == ("reverted", (0.9,), (0.75,), "d" * 40)


def test_what_crashed_and_what_was_never_measured_are_told_apart() -> None:
    """A crash steers a search away; a refusal by the tests says nothing of the number."""
    refused = ev.Judged("a9", "r", (Verdict("tests", "fail", "breaks one"),), FREE)
    crash, never = trials_of(
        events_of(started(), offered("p", "r"), *run("a1", "p", "trial", None), refused, ev.Decided(Revert(), "no"))
    )
    assert (crash.status, crash.candidate) == ("crash", ())
    assert (never.status, never.candidate, never.head) == ("refused", (), ())


def test_held_out_runs_teach_nobody() -> None:
    """A search that saw them would search on them."""
    events = events_of(
        started(),
        *run("a1", None, "holdout", 9.0),
        *run("a2", None, "calibrate", 1.0),
        offered("p"),
        *run("a3", "p", "trial", 2.0),
    )
    (only,) = trials_of(events)
    assert only.head == (1.0,)
