"""Judges are asked at once; what ends one of them leaves none running behind it."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from loopwright.engine.beats import Beats
from loopwright.errors import ActionError
from loopwright.kernel.fold import apply
from loopwright.kernel.loop import EvaluatePolicy, Review, TestsSource
from loopwright.kernel.values import Change, Proposal
from loopwright.testing.noop import noop_start
from support.workshops import make_shop


def test_a_judge_that_cannot_be_asked_ends_the_others_with_it(tmp_path: Path) -> None:
    """One judge would take a minute, the other cannot be asked at all: the action fails at once, and nothing goes on."""
    shop, tree = make_shop(tmp_path, {"a.py": "A = 1\n"})
    change = Change("a.py", "100644", shop.blobs.put(b"A = 2\n"))
    started = noop_start(1)
    policy = EvaluatePolicy(tests=TestsSource("true"), review=(Review("sleep 60"), Review(model="vendor:judge")))
    loop = msgspec.structs.replace(started.loop, evaluate=policy)
    state = apply(None, msgspec.structs.replace(started, loop=loop, base_tree=tree), 1)
    state = msgspec.structs.replace(state, proposals=(Proposal("p1", "command", "two", "", (change,), "d"),))

    async def asked() -> set[str]:
        with pytest.raises(ActionError, match="review by a model"):
            await Beats(tmp_path / "runtime").evaluate(state, "p1", "review", shop)
        return {str(task.get_coro()) for task in asyncio.all_tasks() - {asyncio.current_task()}}

    assert asyncio.run(asked()) == set()
