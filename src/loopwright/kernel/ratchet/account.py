"""The budget of false keeps of a whole run: every attempt of a proposer is one test in one long experiment.

Alpha-investing (Foster and Stine 2008; the bound is that of Ramdas et al., "Online control of the false discovery rate with
decaying memory", 2017): what all tests spent stays below `false_keeps` x max(1, discoveries), so the expected false keeps stay below
that share of the expected keeps. A proposer that never finds anything spends the budget of one discovery and has, with
1 - `false_keeps`, kept nothing, however long it goes on.

A test that ends without a keep gets back what its remaining evidence is worth: an e-process that stands at E when it is given up
could still have reached 1/level with a chance of up to level x E.
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


def charged(account: Account, metric: Metric, discovered: bool, evidence_left: float) -> Account:
    """After one test; `evidence_left` is the e-value that it ended with."""
    cost = level(account, metric)
    if discovered:
        return Account(account.tests + 1, account.discoveries + 1, account.spent + cost, 0)
    refund = max(0.0, min(1.0, evidence_left))
    return Account(account.tests + 1, account.discoveries, account.spent + cost * (1 - refund), account.since + 1)
