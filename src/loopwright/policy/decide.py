"""The decision: deny before ask before allow, the first hit wins. A function of the call and the situation, of nothing else.

The order is the whole design. What nobody may approve comes first, then what a person must see each time, then what is harmless, and
only then the plan with its holes. Taint is not asked about: every run counts as tainted from its start.
"""

from loopwright.policy.budget import asked_out
from loopwright.policy.case import Case, Finding, read_case
from loopwright.policy.origins import origins
from loopwright.policy.rules.allow import harmless, own_allowance
from loopwright.policy.rules.ask import must_ask
from loopwright.policy.rules.deny import denial
from loopwright.policy.rules.planned import planned
from loopwright.policy.taint import trail
from loopwright.policy.values import CallView, Ruling, Situation

__all__ = ["decide"]


def decide(call: CallView, situation: Situation) -> Ruling:
    """Whether `call` may be done now, by which rule, why, and what would change that.

    Every ask and every denial carries a remedy. An approval of exactly this call turns an ask into an allowance, and lifts no
    denial but the two that limit how often a person is asked: this person was asked, and answered.
    """
    case = read_case(call, situation)
    found = _first_hit(case)
    return Ruling(
        verdict=found.verdict,  # type: ignore[arg-type]  # the rules write these three words
        rule=found.rule,
        why=found.why,
        remedy=found.remedy,
        trail=trail(situation.past, found.calls),
        origins=origins(case),
        step_up=found.step_up,
    )


def _first_hit(case: Case) -> Finding:
    found = denial(case) or must_ask(case) or harmless(case) or own_allowance(case) or planned(case)
    if found.verdict != "ask":
        return found
    if case.now.approved is not None and case.now.approved == case.call.digest:
        return Finding("allow", "approved", f"a person approved exactly this call ({found.rule})", "", found.calls)
    return asked_out(case) or found
