"""Looks at a number that a command prints of a tree, for proposers to see. What the loop judges by is measured elsewhere, many times."""

import msgspec

from loopwright.errors import ActionError
from loopwright.kernel.loop import MetricSource
from loopwright.kernel.values import Observation
from loopwright.suite.metric import run_metric
from loopwright.suite.outcome import stable
from loopwright.workspace.workshop import Workshop

__all__ = ["NumberObserver"]


class NumberObserver:
    def __init__(self, source: MetricSource, protect: tuple[str, ...]) -> None:
        self._source = source
        self._protect = protect

    async def observe(self, tree: str, observation_id: str, shop: Workshop) -> Observation:
        """One run in a fresh checkout; the content is the `Sample` as JSON. It cannot tell whether the goal is met.

        Raises: `ActionError` when the command gives no number.
        """
        source = self._source
        shop.progress(f"running {source.run}")
        taken_at_ms = shop.now_ms()
        with shop.workspace.checkout(tree, "observe") as candidate:
            sample = await run_metric(
                source.run, source.name, (), candidate, shop, timeout_s=shop.timeout_s, protect=self._protect
            )
        if sample.value is None:
            message = f"metric: {source.run!r} gives no {source.name}: {sample.message}"
            raise ActionError(
                message, signature=stable(message), status="timeout" if sample.status == "timeout" else "error"
            )
        return Observation(
            id=observation_id,
            source=f"metric: {source.run}",
            taken_at_ms=taken_at_ms,
            content=shop.blobs.put(msgspec.json.encode(sample), "application/json"),
            trust="untrusted",
            summary=f"{source.name} is {sample.value:g}",
        )
