"""When measuring leads nowhere, said before it burns the budget: what was found, what it would cost, what to do."""

import math
from typing import Final

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import noise, settled_on_base
from loopwright.kernel.ratchet.record import Ratchet
from loopwright.kernel.ratchet.robust import normal_quantile
from loopwright.kernel.ratchet.words import number

__all__ = ["base_unusable", "hopeless", "pairs_to_resolve"]

USUAL_LEVEL: Final = 0.02
"""Of one test in a run that keeps something now and then; see `account`."""
POWER_WANTED: Final = 0.8
POWER_LEAST: Final = 0.2
"""A change of just the smallest effect that is found less often than this is not worth the runs. At 12 pairs that is a noise of
twice the smallest effect, the usual rule of thumb."""


def base_unusable(ratchet: Ratchet, metric: Metric) -> str | None:
    """One line on why the unchanged base cannot be measured; `None` while it can."""
    failures = ratchet.base_failures
    if not failures:
        return None
    last = failures[-1]
    once = last.status in ("missing", "invalid") and not ratchet.base
    if len(failures) < 2 and not once:
        return None
    move = {
        "crash": "run the command by hand in a clean checkout until it ends with exit code 0",
        "timeout": "make the command shorter or raise `timeout_minutes`",
        "missing": f"print a line `METRIC {metric.name}=NUMBER` (or `{metric.name}: NUMBER`), or correct the name in the loop",
        "invalid": f"let the command print a finite number for {metric.name!r}, or fail",
    }[last.status]
    times = "" if len(failures) == 1 else f" in {len(failures)} of {len(failures) + len(ratchet.base)} runs"
    return f"metric {metric.name!r}: expected a number from the unchanged base, found {last.status}{times}: {last.message}; {move}"


def pairs_to_resolve(sd: float, effect: float) -> int:
    """Pairs after which a gain of `effect` is found in four cases of five."""
    if effect <= 0:
        return 10**9
    z = -normal_quantile(USUAL_LEVEL) + normal_quantile(POWER_WANTED)
    ratio = min(1e4, sd / effect)
    return max(2, math.ceil(2 * (z * ratio) ** 2))


def hopeless(ratchet: Ratchet, metric: Metric) -> str | None:
    """One line on why no candidate can be told from the head here, and the next move; `None` when it is worth trying."""
    unusable = base_unusable(ratchet, metric)
    if unusable is not None:
        return unusable
    if ratchet.kept and len(ratchet.confirm_failures) > 2 and not ratchet.fresh:
        last = ratchet.confirm_failures[-1]
        return (
            f"metric {metric.name!r}: expected a number from the kept state, found {last.status} in every run: {last.message}; "
            "the kept change fails now and then: look at its last commit"
        )
    if not settled_on_base(ratchet, metric) or not metric.min_effect or not ratchet.noisy:
        return None
    sd = noise(ratchet).sd
    swamped = normal_quantile(1 - USUAL_LEVEL) + normal_quantile(POWER_LEAST)
    limit = math.sqrt(metric.pairs / 2) / swamped
    if sd <= limit * metric.min_effect:
        return None
    wanted = pairs_to_resolve(sd, metric.min_effect)
    return (
        f"metric {metric.name!r}: single runs differ by {number(sd)} (standard deviation), {number(sd / metric.min_effect)} times "
        f"min_effect {number(metric.min_effect)}: one decision would take about {wanted} pairs ({2 * wanted} runs) and the loop "
        f"allows {metric.pairs}; average more inside the command, fix its seed, raise `min_effect`, or set `pairs: {wanted}`"
    )
