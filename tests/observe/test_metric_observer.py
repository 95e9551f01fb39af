"""What a metric loop sees: trusted numbers of the head, and a guard that has to hold before anything is changed."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from loopwright.errors import ActionError
from loopwright.kernel.loop import Metric
from loopwright.observe.metric import HeadMetric, metric_goal_met, metric_observation, refuse_failing_guard
from loopwright.observe.tests import TestsObserver
from loopwright.suite.outcome import decode_suite
from loopwright.testing.memory import MemoryBlobs
from support.judging import observed
from support.workshops import PYTEST, make_shop, pytest_source

HEAD = HeadMetric("loss", "min", 0.25, runs=8, noise_sd=0.01, base_mean=0.5, target=0.2)


@pytest.mark.parametrize(
    ("goal", "target", "mean", "met"),
    [
        ("min", None, 0.1, None),
        ("min", 0.2, None, None),
        ("min", 0.2, 0.21, False),
        ("min", 0.2, 0.2, True),
        ("min", 0.2, 0.1, True),
        ("max", 0.2, 0.21, True),
        ("max", 0.2, 0.2, True),
        ("max", 0.2, 0.1, False),
        ("min", 0.0, 0.1, False),
        ("max", 0.0, -0.1, False),
    ],
)
def test_the_goal_is_the_target_reached_by_the_heads_mean(
    goal: str, target: float | None, mean: float | None, met: bool | None
) -> None:
    metric = msgspec.convert({"run": "x", "name": "loss", "goal": goal, "target": target}, Metric)
    assert metric_goal_met(metric, mean) is met


def test_the_observation_is_trusted_and_carries_the_numbers() -> None:
    blobs = MemoryBlobs()
    seen = metric_observation("loss 0.25 after 8 runs", False, "o1", 1_000, blobs, HEAD)
    assert (seen.id, seen.source, seen.taken_at_ms, seen.trust) == ("o1", "metric: loss", 1_000, "trusted")
    assert (seen.summary, seen.goal_met) == ("loss 0.25 after 8 runs", False)
    assert msgspec.json.decode(blobs.get(seen.content), type=HeadMetric) == HEAD


def test_it_is_not_taken_for_a_report_of_tests() -> None:
    blobs = MemoryBlobs()
    assert decode_suite(metric_observation("", None, "o1", 1, blobs, HEAD), blobs) is None


TESTS = "def test_a(): pass\ndef test_b(): assert 1 == 2\ndef test_c(): pass\n"


def test_a_guard_that_fails_on_the_unchanged_code_ends_the_run_with_one_line(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"test_it.py": TESTS})
    with pytest.raises(ActionError) as raised:
        refuse_failing_guard(observed(shop, tree))
    assert str(raised.value) == (
        f"guard: `{PYTEST}` fails on the unchanged code: 1 of 3 tests fails: test_it.py::test_b; "
        "repair that first (`loopwright fix`) or correct the command"
    )


def test_a_guard_that_holds_is_no_reason_to_stop(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"test_it.py": TESTS.replace("== 2", "== 1")})
    seen = observed(shop, tree)
    refuse_failing_guard(seen)
    with pytest.raises(ActionError):
        refuse_failing_guard(msgspec.structs.replace(seen, goal_met=None))


def test_a_guard_without_tests_is_refused_before_that(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"test_it.py": "x = 1\n"})
    with pytest.raises(ActionError, match="nothing was collected"):
        asyncio.run(TestsObserver(pytest_source()).observe(tree, "o1", shop))
