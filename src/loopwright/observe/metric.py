"""What a metric loop sees of its head. Nothing is run here: the measurements are in the journal already, made by the runtime itself."""

from typing import Literal

import msgspec

from loopwright.errors import ActionError
from loopwright.journal.protocol import BlobStore
from loopwright.kernel.loop import Metric
from loopwright.kernel.values import Observation, Value
from loopwright.suite.outcome import stable

__all__ = ["HeadMetric", "metric_goal_met", "metric_observation", "refuse_failing_guard"]


class HeadMetric(Value, frozen=True):
    """The content of a metric's observation, as JSON, in the metric's own unit. `mean` is that of the fresh runs of the head, `noise_sd`
    the standard deviation of a single run; both `None` while nothing was measured. `base_mean` is that of the state that the run began
    with."""

    name: str
    goal: Literal["min", "max"]
    mean: float | None
    runs: int
    noise_sd: float | None = None
    base_mean: float | None = None
    target: float | None = None


def metric_goal_met(metric: Metric, head_mean: float | None) -> bool | None:
    """Whether the mean of the head's fresh runs has reached the target; exactly reaching it counts. `None` without a target, and while
    nothing was measured."""
    if metric.target is None or head_mean is None:
        return None
    return head_mean <= metric.target if metric.goal == "min" else head_mean >= metric.target


def metric_observation(
    ratchet_summary: str,
    goal_met: bool | None,
    observation_id: str,
    now_ms: int,
    blobs: BlobStore,
    content: HeadMetric,
) -> Observation:
    """The head in numbers, which may be trusted: of the command's output only numbers came through, and the names are the loop file's."""
    return Observation(
        id=observation_id,
        source=f"metric: {content.name}",
        taken_at_ms=now_ms,
        content=blobs.put(msgspec.json.encode(content), "application/json"),
        trust="trusted",
        summary=ratchet_summary,
        goal_met=goal_met,
    )


def refuse_failing_guard(observation: Observation) -> None:
    """A guard that fails before anything was changed can guard nothing. `observation` is that of the guard's tests on the base.

    Raises: `ActionError`, unless the guard holds.
    """
    if observation.goal_met is True:
        return
    command = observation.source.removeprefix("tests: ")
    message = (
        f"guard: `{command}` fails on the unchanged code: {observation.summary}; "
        "repair that first (`loopwright fix`) or correct the command"
    )
    raise ActionError(message, signature=stable(message))
