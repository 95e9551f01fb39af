"""Both stores against the simplest thing that could be right: a dictionary of lists."""

import random
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.errors import StaleWriter
from loopwright.journal.chain import verify
from loopwright.journal.protocol import Journal
from loopwright.kernel.events import Body, Decided, Judged, RunPaused
from loopwright.kernel.values import Keep, Spend, Verdict
from support.bodies import bodies
from support.stores import Store

Model = dict[str, list[Body]]


def append(journal: Journal, model: Model, run_id: str, batch: list[Body], off_by: int) -> None:
    known = model.setdefault(run_id, [])
    expect_seq = len(known) + off_by
    try:
        events = journal.append(run_id, batch, expect_seq=expect_seq)
    except StaleWriter:
        assert off_by != 0
    else:
        assert off_by == 0 or not batch
        assert [(e.seq, e.body) for e in events] == list(enumerate(batch, len(known) + 1))
        known.extend(batch)


def agree(journal: Journal, model: Model) -> None:
    for run_id, known in model.items():
        assert [e.body for e in journal.read(run_id)] == known
        assert verify(journal.raw(run_id), journal.head(run_id)).ok
    written = {run_id: len(known) for run_id, known in model.items() if known}
    assert {h.run_id: h.seq for h in journal.heads() if h.run_id in model} == written


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(bodies(), max_size=3), st.sampled_from([0, 0, 0, -1, 1])), max_size=8
    )
)
def test_any_events_in_any_batches_are_kept_like_in_a_list(
    store: Store, steps: list[tuple[int, list[Body], int]]
) -> None:
    journal = store.open()
    model: Model = {}
    fresh = uuid.uuid4().hex
    for stream, batch, off_by in steps:
        append(journal, model, f"{fresh}-{stream}", batch, off_by)
    agree(journal, model)
    journal.close()


def test_three_thousand_events_by_two_writers_are_kept_like_in_lists(store: Store) -> None:
    draw = random.Random(7)
    writers = [store.open(), store.open()]
    model: Model = {}
    kinds: list[Body] = [
        RunPaused("é" * 40),
        Decided(Keep("p"), "x"),
        Judged("a", "p", (Verdict("t", "fail", "s", -0.25),), Spend(tokens=1)),
    ]
    while sum(map(len, model.values())) < 3000:
        batch = [draw.choice(kinds) for _ in range(draw.choice([1, 2, 3, 60]))]
        append(draw.choice(writers), model, f"run-{draw.randrange(5)}", batch, draw.choice([0, 0, 0, 0, -1, 2]))
    for journal in (*writers, store.open()):
        agree(journal, model)
    run_id, known = max(model.items(), key=lambda item: len(item[1]))
    assert [e.body for e in writers[0].read(run_id, len(known) - 7)] == known[-7:]
