"""The verifiers of a loop. What they judge they run themselves; nothing that a proposer says is believed."""

from collections.abc import Callable

from loopwright.evaluate.changed_lines import ChangedLinesVerifier
from loopwright.evaluate.protocol import JudgeRequest, Verifier
from loopwright.evaluate.review.rates import Rates
from loopwright.evaluate.review.verifier import ReviewVerifier
from loopwright.evaluate.scope import ScopeVerifier
from loopwright.evaluate.screen import Screen
from loopwright.evaluate.tamper import TamperVerifier
from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import Loop, Review

__all__ = ["JudgeRequest", "Verifier", "judges", "verifiers"]


def verifiers(loop: Loop) -> tuple[Verifier, ...]:
    """In the order in which they judge, the cheapest first: scope, tamper, tests and what of the change they run, guard.

    Keep them for the whole run: they remember what they measured of a head, and some hold warm processes until they are closed.
    """
    policy = loop.evaluate
    chain: list[Verifier] = [ScopeVerifier(), TamperVerifier(policy.tamper)]
    if policy.tests is not None:
        chain.append(TestsVerifier(policy.tests, screen=Screen(policy.tests)))
        chain.append(ChangedLinesVerifier(policy.tests))
    if policy.guard is not None:
        chain.append(TestsVerifier(policy.guard, "guard", screen=Screen(policy.guard, "guard")))
    return tuple(chain)


def judges(loop: Loop, rates: Callable[[Review], Rates | None]) -> tuple[Verifier, ...]:
    """Asked of what passed everything else. `rates` says what a judge's calibration measured."""
    return tuple(ReviewVerifier(review, at, rates(review)) for at, review in enumerate(loop.evaluate.review or (), 1))
