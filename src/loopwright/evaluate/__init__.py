"""The verifiers of a loop. What they judge they run themselves; nothing that a proposer says is believed."""

from loopwright.evaluate.protocol import JudgeRequest, Verifier
from loopwright.evaluate.scope import ScopeVerifier
from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import Loop

__all__ = ["JudgeRequest", "Verifier", "verifiers"]


def verifiers(loop: Loop) -> tuple[Verifier, ...]:
    """In the order in which they judge, the cheapest first: scope, tests, guard. Keep them for the whole run: they remember what
    they measured of a head."""
    chain: list[Verifier] = [ScopeVerifier()]
    if loop.evaluate.tests is not None:
        chain.append(TestsVerifier(loop.evaluate.tests))
    if loop.evaluate.guard is not None:
        chain.append(TestsVerifier(loop.evaluate.guard, "guard"))
    return tuple(chain)
