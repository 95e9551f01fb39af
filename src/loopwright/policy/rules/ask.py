"""What a person sees each time, whatever the plan says: there is no "always allow" for these."""

from loopwright.policy.case import Case, Finding
from loopwright.policy.conditions import fitting

__all__ = ["must_ask"]


def must_ask(case: Case) -> Finding | None:
    assert case.spec is not None
    tool, effect = case.call.tool, case.spec.effect
    if effect == "destroy":
        why = f"{tool!r} destroys" + ("" if case.spec.reversible else ", and it cannot be taken back")
        return Finding("ask", "ask.destroy", why, "approve this call; it is asked about each time", step_up=True)
    if effect == "credential":
        why = f"{tool!r} touches credentials"
        return Finding("ask", "ask.credential", why, "approve this call; it is asked about each time", step_up=True)
    if effect == "spend" and (case.now.mandated is None or case.now.mandated != case.call.digest):
        return Finding(
            "ask", "ask.payment_without_mandate", f"{tool!r} pays, and no signed mandate covers exactly this payment",
            "sign a mandate for this payee and amount, or approve this call", step_up=True,
        )  # fmt: skip
    if effect == "exec" and not case.now.sandboxed:
        return Finding(
            "ask", "ask.exec_unsandboxed", f"{tool!r} would run a program outside the sandbox",
            "run with a sandbox (see `loopwright doctor`), or approve this call", step_up=True,
        )  # fmt: skip
    rule = fitting(case, "ask")
    if rule is not None:
        return Finding(
            "ask", "ask.rule", rule.why or f"a rule of the policy file asks about this call of {tool!r}",
            f"approve this call, or narrow the [[rule]] that asks about {tool!r} in the policy file",
        )  # fmt: skip
    return None
