"""What is refused whatever anybody approves: no answer of a person turns one of these into an allowance; only the remedy does."""

import re
from typing import Final

from loopwright.errors import UsageError
from loopwright.policy.budget import hard
from loopwright.policy.case import Case, Finding
from loopwright.policy.conditions import fitting
from loopwright.policy.holes import address_of, granted_host
from loopwright.policy.names import fold, hidden
from loopwright.policy.paths import protected
from loopwright.policy.remedy import shown
from loopwright.policy.schema import mismatch

__all__ = ["denial"]

_URL: Final = re.compile(r"^(?:https?://|www\.)", re.I)
_WRITES: Final = frozenset({"write_own", "share", "send", "destroy"})


def denial(case: Case) -> Finding | None:
    """The first reason to refuse, in a fixed order."""
    for rule in (_killed, _unknown, _quarantined, _granted, _shape, _host, _protected, _own_rule, hard):
        found = rule(case)
        if found is not None:
            return found
    return None


def _killed(case: Case) -> Finding | None:
    if case.now.killed is None:
        return None
    return Finding(
        "deny", "deny.killed", f"the run was stopped: {case.now.killed}", "start a new run once the cause is gone"
    )


def _unknown(case: Case) -> Finding | None:
    tool = case.call.tool
    same = [spec.name for spec in case.now.manifest if spec.name == tool]
    if len(same) == 1:
        return None
    if same:
        return Finding(
            "deny", "deny.ambiguous_tool", f"{len(same)} tools are called {tool!r}",
            f"rename or remove all but one provider of {tool!r}",
        )  # fmt: skip
    twin = _twin(case)
    why = f"no tool is called {shown(tool)}" + (f"; it only looks like {twin!r}" if twin else "")
    remedy = f"call {twin!r}" if twin else f"add a tool {shown(tool)} to the manifest, with labels"
    return Finding("deny", "deny.unknown_tool", why, remedy)


def _quarantined(case: Case) -> Finding | None:
    if case.call.tool not in case.now.quarantined:
        return None
    return Finding(
        "deny", "deny.quarantined", f"what provides {case.call.tool!r} is not what was pinned",
        "look at the difference and pin the server anew if it is wanted",
    )  # fmt: skip


def _granted(case: Case) -> Finding | None:
    tool, grant = case.call.tool, case.now.grant
    assert case.spec is not None
    if tool not in grant.tools:
        return Finding(
            "deny", "deny.not_granted", f"{tool!r} is not among the tools that {case.call.actor!r} holds",
            f'add "{tool}" to `tools` under [grant] of the policy file',
        )  # fmt: skip
    if case.spec.effect not in grant.effects:
        return Finding(
            "deny", "deny.not_granted.effect", f"{tool!r} has the effect {case.spec.effect!r}, which {case.call.actor!r} does not hold",
            f'add "{case.spec.effect}" to `effects` under [grant] of the policy file',
        )  # fmt: skip
    return None


def _shape(case: Case) -> Finding | None:
    assert case.spec is not None
    if case.arguments is None:
        return Finding("deny", "deny.schema", "the arguments are no JSON object", "give the arguments as a JSON object")
    problem = mismatch(case.spec, case.arguments)
    if problem is not None:
        return Finding("deny", "deny.schema", problem, "call it with the arguments that it declares")
    for part in case.parts:
        found = hidden(part.leaf.text) if part.argument.role in ("target", "object", "secret") else None
        if found is not None:
            return Finding(
                "deny", "deny.hidden_character", f"{part.leaf.path} holds {found}, a character that does not show",
                "give the value without it",
            )  # fmt: skip
    return None


def _host(case: Case) -> Finding | None:
    for part in case.parts:
        if part.argument.role != "target" or not _URL.match(part.leaf.text):
            continue
        host, port = address_of(part.leaf.text)
        if not granted_host(part.leaf.text, case.now.grant.hosts):
            host = f"{host}:{port}" if host and port else host
            named = host or "an address with user and password in it"
            return Finding(
                "deny", "deny.not_granted.host", f"{part.leaf.path} goes to {shown(named)}, which is not a granted host",
                f'add "{host}" to `hosts` under [grant] of the policy file' if host else "give the address as https://host/path",
                tuple(dict.fromkeys(s.call.call_id for s in case.seen(part.leaf.text))),
            )  # fmt: skip
    return None


def _protected(case: Case) -> Finding | None:
    assert case.spec is not None
    if case.spec.effect not in _WRITES:
        return None
    for part in case.parts:
        what = protected(part.leaf.text) if part.argument.role in ("object", "target") else None
        if what is not None:
            return Finding(
                "deny", "deny.protected_path", f"{part.leaf.path} is {shown(part.leaf.text)}, {what}: it steers later runs",
                "a person changes such a file by hand; no policy lets an actor do it",
            )  # fmt: skip
    return None


def _own_rule(case: Case) -> Finding | None:
    rule = fitting(case, "deny")
    if rule is None:
        return None
    return Finding(
        "deny", "deny.rule", rule.why or f"a rule of the policy file denies this call of {case.call.tool!r}",
        f"narrow or remove the [[rule]] that denies {case.call.tool!r} in the policy file",
    )  # fmt: skip


def _twin(case: Case) -> str | None:
    try:
        folded = fold(case.call.tool)
    except UsageError:
        return None
    return next((spec.name for spec in case.now.manifest if spec.name == folded), None)
