"""What is harmless by its label: reading here, running programs in the sandbox. Both passed every denial and budget before."""

from loopwright.policy.case import Case, Finding
from loopwright.policy.conditions import fitting

__all__ = ["harmless", "own_allowance"]


def harmless(case: Case) -> Finding | None:
    assert case.spec is not None
    if case.spec.effect == "read":
        return Finding("allow", "allow.read", f"{case.call.tool!r} only reads", "")
    if case.spec.effect == "exec":
        return Finding(
            "allow", "allow.exec_sandboxed", f"{case.call.tool!r} runs in the sandbox, without network and secrets", ""
        )
    return None


def own_allowance(case: Case) -> Finding | None:
    """A user's `allow` rule stands in for the plan and its holes, for nothing that comes before them."""
    rule = fitting(case, "allow")
    if rule is None:
        return None
    return Finding(
        "allow", "allow.rule", rule.why or f"a rule of the policy file allows this call of {case.call.tool!r}", ""
    )
