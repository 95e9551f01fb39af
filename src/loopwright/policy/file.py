"""The policy file: TOML text to a `Policy`, strictly. The text comes in as an argument; nothing is opened here.

Whatever a file leaves out is denied. `unlimited` is a word that has to be written; a missing budget has its default.
"""

import hashlib
from typing import Final, get_args

import msgspec

from loopwright.kernel.calls import ToolEffect
from loopwright.policy._file_sections import labels, pay, secret, server, skill
from loopwright.policy._file_values import exact_name, exact_names, folders, hosts, json_text
from loopwright.policy._toml import Table, quoted, read_toml
from loopwright.policy.policy import Policy, SecretSpec
from loopwright.policy.values import CallBudget, Condition, Grant, Hole, PlanStep, Rule, SecretUse

__all__ = ["parse_policy", "policy_digest"]

_EFFECTS: Final = get_args(ToolEffect)


def parse_policy(text: str, source: str = "policy.toml") -> Policy:
    """The policy that `text` says; an empty text is the policy that denies everything.

    Raises: `UsageError` with every fault, one line each: file, line, key, what was expected and found, the nearest key that exists.
    """
    return read_toml(source, text, _policy)


def policy_digest(policy: Policy) -> str:
    """SHA-256 (hex) of the policy's canonical JSON: two files that say the same have the same digest."""
    return hashlib.sha256(msgspec.json.encode(policy, order="deterministic")).hexdigest()


def _policy(top: Table) -> Policy:
    secrets = tuple(secret(name, table) for name, table in top.tables("secrets"))
    plan = tuple(_step(row) for row in top.rows("plan")) if "plan" in top.values else None
    if plan is None:
        top.taken.append("plan")
    return Policy(
        grant=_grant(top, secrets),
        tools=tuple(labels(name, table) for name, table in top.tables("tools")),
        rules=tuple(_rule(row) for row in top.rows("rule")),
        secrets=secrets,
        mcp=tuple(server(name, table) for name, table in top.tables("mcp")),
        skills=tuple(skill(name, table) for name, table in top.tables("skills")),
        pay=pay(top.table("pay")),
        own=_identities(top.table("identities")),
        plan=plan,
        unattended="pause" if top.text("unattended", "deny", among=("deny", "pause")) == "pause" else "deny",
    )


def _grant(top: Table, secrets: tuple[SecretSpec, ...]) -> Grant:
    budget = _budget(top.table("budget"))
    table = top.table("grant")
    uses = tuple(SecretUse(s.name, s.host, s.header) for s in secrets if s.host and not s.canary)
    if table is None:
        return Grant(secrets=uses, budget=budget)
    grant = Grant(
        tools=exact_names(table, "tools"),
        effects=table.texts("effects", among=_EFFECTS),  # type: ignore[arg-type]  # checked against the very literals
        hosts=hosts(table),
        secrets=uses,
        write=folders(table, "write"),
        budget=budget,
    )
    table.close()
    return grant


def _budget(table: Table | None) -> CallBudget:
    if table is None:
        return CallBudget()
    plain = CallBudget()
    budget = CallBudget(
        calls=table.limit("calls", plain.calls),
        sends=table.limit("sends", plain.sends),
        bytes_out=table.limit("bytes_out", plain.bytes_out),
        asks=table.limit("asks", plain.asks),
        per_minute=table.limit("per_minute", plain.per_minute),
        identical=table.limit("identical", plain.identical),
        amount_minor=table.limit("amount_minor", plain.amount_minor),
        soft_percent=table.whole("soft_percent", plain.soft_percent),
    )
    if budget.soft_percent > 100:
        table.wrong("soft_percent", f"expected 0 to 100, found {budget.soft_percent}")
    table.close()
    return budget


def _rule(table: Table) -> Rule:
    table.need("verdict", "write deny, ask or allow")
    table.need("tool", "name the tool exactly")
    rule = Rule(
        verdict=table.text("verdict", "deny", among=("deny", "ask", "allow")),  # type: ignore[arg-type]
        tool=exact_name(table, "tool"),
        when=tuple(_condition(row) for row in table.rows("when")),
        why=table.text("why"),
    )
    table.close()
    return rule


def _condition(table: Table) -> Condition:
    table.need("argument", "name the argument that it is about")
    argument = table.text("argument")
    kinds = [kind for kind in ("exact", "one_of", "under") if kind in table.values]
    if len(kinds) != 1:
        table.faults.add(table.path, f"expected one of exact, one_of, under, found {', '.join(kinds) or 'none'}")
    exact, one_of = table.any("exact"), table.any("one_of")
    under = (
        folders(table, "under")
        if isinstance(table.values.get("under"), list)
        else tuple(filter(None, [table.text("under")]))
    )
    table.close()
    if kinds == ["one_of"] and not isinstance(one_of, list):
        table.wrong("one_of", f"expected a list, found {quoted(one_of)}")
    if kinds == ["exact"]:
        return Condition(argument, "exact", (json_text(table, "exact", exact),))
    if kinds == ["one_of"]:
        return Condition(
            argument, "one_of", tuple(json_text(table, "one_of", v) for v in one_of) if isinstance(one_of, list) else ()
        )
    return Condition(argument, "under", under)


def _identities(table: Table | None) -> tuple[str, ...]:
    if table is None:
        return ()
    own = table.texts("own")
    table.close()
    return own


def _step(table: Table) -> PlanStep:
    table.need("tool", "name the tool exactly")
    holes: list[Hole] = []
    for kind in ("pinned", "template"):
        inner = table.table(kind)
        for argument in inner.values if inner is not None else ():
            assert inner is not None
            value = inner.any(argument)
            if kind == "template" and (not isinstance(value, str) or "{}" not in value):
                inner.wrong(argument, f"expected a text with {{}} in it, found {quoted(value)}")
            holes.append(
                Hole(argument, "pinned" if kind == "pinned" else "template", json_text(inner, argument, value))
            )
    holes += [Hole(argument, "open") for argument in table.texts("open")]
    step = PlanStep(exact_name(table, "tool"), table.limit("count", 1, "any"), tuple(holes))
    table.close()
    return step
