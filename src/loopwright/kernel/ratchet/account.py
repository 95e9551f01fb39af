"""The budget of false keeps of a whole run: every attempt of a proposer is one test in one long experiment.

Alpha-investing (Foster and Stine 2008; the bound is that of Ramdas et al., "Online control of the false discovery rate with
decaying memory", 2017): what all tests spent stays below `false_keeps` x max(1, discoveries), so the expected false keeps stay below
that share of the expected keeps. A proposer that never finds anything spends the budget of one discovery and has, with
1 - `false_keeps`, kept nothing, however long it goes on.

A candidate that fails its first run is not tested and costs nothing: the screen sees that run alone, the test all others. What a
test allows itself is predictable (it follows from the tests before it), which is all that the bound asks for.
"""

from typing import Final

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.record import Account

__all__ = ["charged", "level"]

PATIENCE: Final = 10
"""Tests over which the budget is spread after a discovery. By simulation: 6 starves when gains are rare, 20 when they are common."""


def level(account: Account, metric: Metric) -> float:
    """The chance of a false keep that the next test may take. Falls with every test in vain, rises with every discovery."""
    wealth = metric.false_keeps * max(1, account.discoveries) - account.spent
    return max(0.0, min(metric.false_keeps / 2, wealth / (PATIENCE + account.since)))


def charged(account: Account, metric: Metric, *, discovered: bool) -> Account:
    """After one test."""
    spent = account.spent + level(account, metric)
    if discovered:
        return Account(account.tests + 1, account.discoveries + 1, spent, 0)
    return Account(account.tests + 1, account.discoveries, spent, account.since + 1)
