"""What fires and what is skipped, decided over facts alone."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel import events as ev
from loopwright.kernel import schedule
from loopwright.kernel.due import (
    QUIET_LIMIT_MS,
    Branch,
    Decision,
    Facts,
    Fire,
    Folder,
    Look,
    Schedule,
    Sighting,
    decide,
)
from loopwright.kernel.schedule import Moment, ScheduleState

CRON = "cron 0 * * * * UTC"
GIT = "git main"
TICKETS = "ticket tickets/"
LOOP, TREE = "1" * 64, "a" * 40


def facts(*looks: Look, now: int = 100, tree: str = TREE, active: dict[str | None, str] | None = None) -> Facts:
    return Facts(now, LOOP, tree, looks, active or {})


def due(*at: int, more: bool = False) -> Schedule:
    return Schedule(CRON, tuple(Moment(ms, f"t{ms}") for ms in at), more)


def folder(*names: str, digest: str = "d" * 64) -> Folder:
    return Folder(TICKETS, tuple(Sighting(f"tickets/{name}", digest) for name in names))


def step(state: ScheduleState, seen: Facts, run_id: str = "r1") -> tuple[ScheduleState, tuple[Decision, ...]]:
    """Decide, and write what was decided."""
    state, made = decide(state, seen)
    bodies = [
        one.event(f"{run_id}.{n}" if n else run_id) if isinstance(one, Fire) else one for n, one in enumerate(made)
    ]
    return schedule.fold(bodies, state), made


def seen(*looks: Look) -> ScheduleState:
    """A loop whose triggers were looked at once."""
    return step(ScheduleState(), facts(*looks, now=0))[0]


def test_a_schedule_and_a_branch_fire_only_from_when_they_were_first_seen() -> None:
    state, made = step(ScheduleState(), facts(due(10, 20), Branch(GIT, "c1", TREE)))
    assert [(type(one), one.trigger) for one in made] == [(ev.TriggerSkipped, CRON), (ev.TriggerSkipped, GIT)]
    assert schedule.moments_after(state, CRON) == 100
    assert step(state, facts(due(), Branch(GIT, "c1", TREE)))[1] == ()


def test_an_open_ticket_fires_at_first_sight_once_and_again_when_its_text_changed() -> None:
    state, made = step(ScheduleState(), facts(folder("a.md", "b.md")))
    assert [one.subject for one in made if isinstance(one, Fire)] == ["tickets/a.md", "tickets/b.md"]
    assert step(state, facts(folder("a.md", "b.md"), tree="b" * 40))[1] == ()
    _, made = step(state, facts(folder("a.md", digest="e" * 64)))
    assert [type(one) for one in made] == [Fire]


def test_another_ticket_with_the_same_text_is_another_ticket() -> None:
    state, _ = step(ScheduleState(), facts(folder("a.md")))
    _, made = step(state, facts(folder("a.md", "b.md")))
    assert [one.subject for one in made if isinstance(one, Fire)] == ["tickets/b.md"]


def test_of_many_moments_the_newest_fires_and_one_event_counts_the_others() -> None:
    _, made = step(seen(due()), facts(due(10, 20, 30)))
    missed, fire = made
    assert isinstance(missed, ev.TriggerSkipped) and missed.reason == "missed"
    assert missed.detail.startswith("2 firings between t10 and t20")
    assert isinstance(fire, Fire) and (fire.due_at_ms, fire.subject) == (30, "t30")
    _, made = step(seen(due()), facts(due(10, 20, 30, more=True)))
    assert isinstance(made[0], ev.TriggerSkipped) and made[0].detail.startswith("more than 2 firings since t10")


def test_nothing_fires_while_a_run_for_the_same_ticket_or_none_is_on() -> None:
    state = seen(due(), Branch(GIT, "c1", TREE))
    looks = (due(10), Branch(GIT, "c2", TREE), folder("a.md", "b.md"))
    _, made = step(state, facts(*looks, active={None: "x", "tickets/a.md": "y"}))
    assert {one.trigger: one.reason for one in made if isinstance(one, ev.TriggerSkipped)} == dict.fromkeys(
        (CRON, GIT, TICKETS), "active"
    )
    assert [one.subject for one in made if isinstance(one, Fire)] == ["tickets/b.md"]


def test_two_triggers_that_are_due_in_one_look_begin_one_run() -> None:
    _, made = step(seen(due(), Branch(GIT, "c1", TREE)), facts(due(10), Branch(GIT, "c2", "b" * 40)))
    assert [type(one) for one in made] == [Fire, ev.TriggerSkipped]


def test_what_an_active_run_held_back_fires_later_for_states_and_not_for_moments() -> None:
    state = seen(due(), Branch(GIT, "c1", TREE))
    looks = (due(10), Branch(GIT, "c2", "b" * 40), folder("a.md"))
    state, _ = step(state, facts(*looks, active={None: "x", "tickets/a.md": "y"}))
    again = (due(), *looks[1:])
    assert step(state, facts(*again, active={None: "x", "tickets/a.md": "y"}))[1] == (), "said once"
    _, made = step(state, facts(*again))
    assert [(type(one), one.trigger) for one in made] == [(Fire, GIT), (Fire, TICKETS)]


def test_the_same_loop_over_the_same_files_does_not_run_twice() -> None:
    state, _ = step(seen(due(), Branch(GIT, "c1", TREE)), facts(due(10)))
    state, made = step(state, facts(due(20)))
    assert isinstance(made[0], ev.TriggerSkipped) and made[0].reason == "unchanged" and "r1" in made[0].detail
    # A commit that changes no file, and another trigger: nothing to do either.
    _, made = step(state, facts(Branch(GIT, "c2", TREE)))
    assert isinstance(made[0], ev.TriggerSkipped) and made[0].reason == "unchanged"
    assert isinstance(step(state, facts(due(30), tree="b" * 40))[1][0], Fire), "other files"
    other = msgspec.structs.replace(facts(due(30)), loop_digest="2" * 64)
    assert isinstance(step(state, other)[1][-1], Fire), "another loop"


def test_skips_that_repeat_each_other_are_counted_and_written_when_something_else_happens() -> None:
    state, _ = step(seen(due()), facts(due(10)))
    state, first = step(state, facts(due(20)))
    assert len(first) == 1
    for at in range(30, 1000, 10):
        state, made = step(state, facts(due(at)))
        assert made == ()
        assert schedule.moments_after(state, CRON) == at
    (written,) = schedule.settled(state)
    assert "97 firings between t30 and t990" in written.detail
    state, made = step(state, facts(due(1000), tree="b" * 40))
    assert made[0] == written and isinstance(made[1], Fire)
    assert schedule.settled(state) == ()


def test_a_count_of_silent_skips_is_written_after_a_day() -> None:
    """Otherwise a crash would forget for how long the service had looked."""
    state, _ = step(seen(due()), facts(due(10)))
    written = 0
    hour = 3_600_000
    for at in range(hour, 10 * QUIET_LIMIT_MS, hour):
        state, made = step(state, facts(due(at)))
        written += len(made)
    assert 10 <= written <= 20


def test_a_firing_whose_run_was_given_up_no_longer_counts() -> None:
    state, made = step(seen(due()), facts(due(10)))
    assert [fired.run_id for fired in schedule.firings(state)] == ["r1"]
    assert isinstance(made[0], Fire)
    state = schedule.apply(state, ev.TriggerSkipped(CRON, "t10", 10, "error", "no", made[0].evidence))
    assert schedule.firings(state) == ()
    assert isinstance(step(state, facts(due(20)))[1][0], Fire)


looks = st.one_of(
    st.lists(st.integers(0, 50), max_size=3).map(lambda at: due(*sorted(at))),
    st.sampled_from("abc").map(lambda tree: Branch(GIT, f"c{tree}", tree * 40)),
    st.lists(st.sampled_from(["a.md", "b.md"]), unique=True).map(lambda names: folder(*names)),
)


@given(st.lists(st.tuples(st.lists(looks, max_size=3), st.sampled_from("abc"), st.booleans()), max_size=30))
def test_never_two_runs_at_once_for_a_ticket_and_replaying_the_events_gives_the_state(
    steps: list[tuple[list[Look], str, bool]],
) -> None:
    state, bodies = ScheduleState(), list[ev.Body]()
    active: dict[str | None, str] = {}
    for number, (found, tree, ends) in enumerate(steps):
        state, made = decide(state, facts(*found, now=number * 10, tree=tree * 40, active=active))
        tickets = [one.ticket for one in made if isinstance(one, Fire)]
        assert len(tickets) == len(set(tickets))
        assert not set(tickets) & set(active)
        for place, one in enumerate(made):
            body = one.event(f"r{number}.{place}") if isinstance(one, Fire) else one
            if isinstance(one, Fire):
                active[one.ticket] = f"r{number}.{place}"
            bodies.append(body)
            state = schedule.apply(state, body)
        if ends:
            active.clear()
        assert schedule.fold(bodies) == msgspec.structs.replace(state, quiet={})
