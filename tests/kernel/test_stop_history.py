"""Turns: an iteration costs what it caused, and two iterations are the same exactly when they saw and did the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.history import TITLE_CHARS, WHY_CHARS, signature_of, turn_of
from loopwright.kernel.values import BlobRef, Observation, Proposal, Spend

digests = st.lists(st.sampled_from(["d1", "d2", "d3", "d4", "1", "2"]), max_size=4, unique=True)


def proposal(digest: str, title: str = "edit") -> Proposal:
    return Proposal(f"id-{digest}", "command", title, "why", (), digest)


def seen(digest: str) -> Observation:
    return Observation("o", "tests", 0, BlobRef(digest, 1), "untrusted", "seen")


def signature(acted: list[str], observed: list[str]) -> str:
    return signature_of(tuple(map(proposal, acted)), tuple(map(seen, observed)))


@given(digests.filter(bool), digests, digests.filter(bool), digests)
def test_two_iterations_have_one_signature_exactly_when_they_saw_and_did_the_same(
    acted: list[str], observed: list[str], other_acted: list[str], other_observed: list[str]
) -> None:
    same = (set(acted), set(observed)) == (set(other_acted), set(other_observed))
    assert (signature(acted, observed) == signature(other_acted, other_observed)) is same


@given(digests)
def test_an_iteration_that_proposed_nothing_has_no_signature(observed: list[str]) -> None:
    assert signature([], observed) == ""


@given(*[st.integers(0, 10**9)] * 6)
def test_an_iteration_costs_the_difference_of_the_totals(
    usd: int, tokens: int, ms: int, more_usd: int, more_tokens: int, more_ms: int
) -> None:
    turn = turn_of(
        iteration=3,
        rung=1,
        kept=False,
        gain=None,
        spend_before=Spend(usd, tokens),
        spend_now=Spend(usd + more_usd, tokens + more_tokens),
        active_ms_before=ms,
        active_ms_now=ms + more_ms,
        proposals=(),
        observations=(),
    )
    assert (turn.usd_micros, turn.tokens, turn.wall_ms) == (more_usd, more_tokens, more_ms)
    assert (turn.iteration, turn.rung, turn.offered, turn.title) == (3, 1, 0, "")


def test_a_turn_names_the_proposal_that_was_kept_and_bounds_every_word() -> None:
    turn = turn_of(
        iteration=1,
        rung=0,
        kept=True,
        gain=2.0,
        spend_before=Spend(),
        spend_now=Spend(),
        active_ms_before=0,
        active_ms_now=0,
        proposals=(proposal("a", "first"), proposal("b", "second\nline " * 99)),
        observations=(),
        kept_id="id-b",
        why="w" * 999,
    )
    assert turn.title.startswith("second line second")
    assert turn.title.endswith((" line…", " second…"))
    assert TITLE_CHARS - 8 < len(turn.title) <= TITLE_CHARS
    assert (len(turn.why), turn.offered) == (WHY_CHARS, 2)


@pytest.mark.parametrize(("kept", "offered", "title"), [(True, 1, "edit 0"), (True, 2, ""), (False, 2, "edit 0")])
def test_which_of_several_proposals_was_kept_is_not_guessed(kept: bool, offered: int, title: str) -> None:
    turn = turn_of(
        iteration=1,
        rung=0,
        kept=kept,
        gain=None,
        spend_before=Spend(),
        spend_now=Spend(),
        active_ms_before=0,
        active_ms_now=0,
        proposals=tuple(proposal(f"d{n}", f"edit {n}") for n in range(offered)),
        observations=(),
    )
    assert turn.title == title


def test_the_account_of_the_run_itself_makes_no_two_iterations_different() -> None:
    told = [Observation("o", "progress", 0, BlobRef(f"p{n}", 1), "untrusted", "so far") for n in range(2)]
    first, second = (signature_of((proposal("d1"),), (seen("d2"), one)) for one in told)
    assert first == second == signature(["d1"], ["d2"])
