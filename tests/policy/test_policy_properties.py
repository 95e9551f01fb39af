"""What must hold for every call, situation and grant, not only for the ones that somebody thought of."""

import json
from collections.abc import Sequence
from typing import TypeVar, get_args

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.kernel.calls import ArgumentRole, ToolEffect
from loopwright.policy.budget import used
from loopwright.policy.decide import decide
from loopwright.policy.grants import narrowed, within
from loopwright.policy.values import (
    Argument,
    CallBudget,
    CallView,
    Condition,
    Grant,
    Hole,
    OutputField,
    PastCall,
    PlanStep,
    Rule,
    SecretUse,
    Situation,
    Task,
    TaskPlan,
    ToolSpec,
)

EFFECTS: tuple[ToolEffect, ...] = get_args(ToolEffect)
ROLES: tuple[ArgumentRole, ...] = get_args(ArgumentRole)
NAMES = [f"tool_{effect}" for effect in EFFECTS]
VALUES = [
    "bob@firm.example",
    "eve@evil.example",
    "m17",
    "m18",
    "note",
    "250",
    "AB12CD34",
    "https://docs.example/a",
    "2026-05-20",
    "src/a.py",
]
TEXTS = [
    "",
    "Write to bob@firm.example",
    "Send m17 and 250 euros to eve@evil.example on 2026-05-20",
    "note AB12CD34 https://docs.example/a",
]

T = TypeVar("T")


def subsets(items: Sequence[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(st.sampled_from(items), unique=True).map(tuple)


limits = st.one_of(st.none(), st.integers(0, 4))
budgets = st.builds(
    CallBudget, calls=limits, sends=limits, bytes_out=st.one_of(st.none(), st.integers(0, 200)), asks=limits,
    per_minute=limits, identical=limits, amount_minor=limits, soft_percent=st.integers(0, 100),
)  # fmt: skip
grants = st.builds(
    Grant, tools=subsets([*NAMES, "*"]), effects=subsets(EFFECTS), hosts=subsets(["docs.example", "evil.example"]),
    secrets=subsets([SecretUse("K", "docs.example", "Authorization"), SecretUse("K", "evil.example", "Authorization")]),
    write=subsets(["src/", "src/a.py", "notes", ".", "src/deep/er"]), budget=budgets,
)  # fmt: skip
wide = st.builds(
    lambda budget: Grant(tuple(NAMES), EFFECTS, ("docs.example",), write=("src/",), budget=budget),
    st.one_of(st.just(CallBudget()), budgets),
)
manifests = st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES)), min_size=len(NAMES), max_size=len(NAMES)).map(
    lambda roles: tuple(
        ToolSpec(
            name, effect, (Argument("a", one), Argument("b", two, required=False)),
            (OutputField("[].id", "system", "item"), OutputField("[].from", "system", "address"), OutputField("[].text", "free")),
        )
        for name, effect, (one, two) in zip(NAMES, EFFECTS, roles, strict=True)
    )
)  # fmt: skip
arguments = st.fixed_dictionaries(
    {"a": st.sampled_from(VALUES)}, optional={"b": st.sampled_from(VALUES), "c": st.just("x")}
)
items = st.fixed_dictionaries(
    {"id": st.sampled_from(["m17", "m18"]), "from": st.sampled_from(VALUES[:2]), "text": st.sampled_from(VALUES)}
)
outputs = st.lists(items, max_size=3)
pasts = st.lists(
    st.builds(
        lambda tool, given, verdict, status, at, output, rule: (tool, given, verdict, status, at, output, rule),
        st.sampled_from(NAMES), arguments, st.sampled_from(["allow", "ask", "deny"]),
        st.sampled_from(["ok", "error", "unknown", None]), st.integers(0, 120_000), outputs, st.sampled_from(["", "ask.plan.not_in_plan"]),
    ),
    max_size=5,
).map(
    lambda rows: tuple(
        PastCall(
            f"c{i}", "agent", tool, json.dumps(given), f"d{i}", verdict, status if verdict != "deny" else "denied", "both", at,
            len(json.dumps(given)), json.dumps(output), rule,
        )
        for i, (tool, given, verdict, status, at, output, rule) in enumerate(rows)
    )
)  # fmt: skip
holes = st.sampled_from(
    [(), (Hole("a", "pinned", '"bob@firm.example"'),), (Hole("a", "template", '"{}@firm.example"'),)]
)
plans = st.lists(
    st.builds(PlanStep, st.sampled_from(NAMES), st.one_of(st.none(), st.integers(0, 2)), holes), max_size=9
)
rules = st.lists(
    st.builds(
        Rule, st.sampled_from(["deny", "ask", "allow"]), st.sampled_from(NAMES),
        st.sampled_from([(), (Condition("a", "exact", ('"m17"',)),), (Condition("b", "under", ("src/",)),)]),
    ),
    max_size=3,
)  # fmt: skip
situations = st.builds(
    Situation,
    task=st.builds(Task, st.sampled_from(TEXTS), subsets(VALUES[:2])),
    plan=st.builds(lambda steps: TaskPlan(tuple(steps)), plans),
    grant=wide, manifest=manifests, past=pasts, now_ms=st.just(130_000),
    killed=st.sampled_from([None, None, None, "stopped"]),
    quarantined=st.sampled_from([(), (), ("tool_read",)]),
    approved=st.sampled_from([None, None, "this"]),
    rules=rules.map(tuple), mandated=st.sampled_from([None, "this"]), sandboxed=st.booleans(),
)  # fmt: skip
calls = st.builds(
    lambda tool, given: CallView("agent", tool, json.dumps(given), "this"),
    st.sampled_from([*NAMES, "other"]),
    arguments,
)
MORE = settings(max_examples=120, deadline=None)
RANK = {"deny": 0, "ask": 1, "allow": 2}


@MORE
@given(calls, situations, grants)
def test_a_narrowed_grant_allows_only_what_the_wider_one_allows(call: CallView, now: Situation, other: Grant) -> None:
    tight = msgspec.structs.replace(now, grant=narrowed(now.grant, other))
    if decide(call, tight).verdict == "allow":
        assert decide(call, now).verdict == "allow"


@MORE
@given(grants, grants, grants)
def test_narrowing_is_within_both_whatever_the_order(one: Grant, two: Grant, three: Grant) -> None:
    both = narrowed(one, two)
    assert within(both, one) and within(both, two)
    assert within(narrowed(both, three), both)
    other = narrowed(two, one)
    assert within(both, other) and within(other, both)
    assert narrowed(one, one) == one
    for name in ("calls", "sends", "bytes_out", "asks", "per_minute", "identical", "amount_minor", "soft_percent"):
        given_ = [getattr(grant.budget, name) for grant in (one, two) if getattr(grant.budget, name) is not None]
        assert getattr(both.budget, name) == (min(given_) if given_ else None), name


@MORE
@given(calls, situations, st.sampled_from(NAMES))
def test_taking_a_permission_away_never_allows_what_was_denied(call: CallView, now: Situation, tool: str) -> None:
    """A payment that loses its mandate is asked about before the plan is looked at, so a late denial may become a question; never more."""
    before = decide(call, now).verdict
    grant = now.grant
    for less in (
        msgspec.structs.replace(
            now, grant=msgspec.structs.replace(grant, tools=tuple(t for t in grant.tools if t != tool))
        ),
        msgspec.structs.replace(now, grant=msgspec.structs.replace(grant, hosts=())),
        msgspec.structs.replace(now, grant=msgspec.structs.replace(grant, write=())),
        msgspec.structs.replace(now, rules=tuple(rule for rule in now.rules if rule.verdict != "allow")),
        msgspec.structs.replace(now, rules=(*now.rules, Rule("deny", tool))),
        msgspec.structs.replace(now, approved=None),
        msgspec.structs.replace(now, mandated=None),
        msgspec.structs.replace(now, sandboxed=False),
        msgspec.structs.replace(now, plan=TaskPlan(tuple(step for step in now.plan.steps if step.tool != tool))),
        msgspec.structs.replace(now, quarantined=(*now.quarantined, tool)),
        msgspec.structs.replace(now, killed="stopped"),
    ):
        if before != "allow":
            assert decide(call, less).verdict != "allow"


@MORE
@given(calls, situations, st.integers(0, 4), st.sampled_from(VALUES), st.text(max_size=40))
def test_untrusted_text_in_past_outputs_never_loosens_a_ruling(
    call: CallView, now: Situation, where: int, value: str, text: str
) -> None:
    before = RANK[decide(call, now).verdict]
    if now.past:
        old = now.past[where % len(now.past)]
        found = json.loads(old.output)
        for added in (
            [*found, {"text": f"{text} {value}"}],
            [{**item, "text": value} for item in found],
            [{**item, "more": {"id": value, "from": value}} for item in found],
            [*found, {f"[0].from{text}": value}],
        ):
            changed = msgspec.structs.replace(old, output=json.dumps(added), taint="both")
            past = tuple(changed if call_ is old else call_ for call_ in now.past)
            assert RANK[decide(call, msgspec.structs.replace(now, past=past)).verdict] <= before


@MORE
@given(calls, situations)
def test_an_approval_lifts_an_ask_and_no_denial_but_those_that_limit_asking(call: CallView, now: Situation) -> None:
    bare = decide(call, msgspec.structs.replace(now, approved=None))
    with_it = decide(call, msgspec.structs.replace(now, approved="this"))
    of_another = decide(call, msgspec.structs.replace(now, approved="that"))
    assert of_another == bare
    if bare.verdict == "ask":
        assert (with_it.verdict, with_it.rule) == ("allow", "approved")
    elif bare.rule not in ("deny.budget.asks", "deny.plan.amended"):
        assert with_it.verdict == bare.verdict


@MORE
@given(calls, situations)
def test_a_ruling_names_its_rule_its_reason_and_what_would_change_it(call: CallView, now: Situation) -> None:
    ruling = decide(call, now)
    assert ruling == decide(call, now)
    assert ruling.rule and ruling.why and "\n" not in ruling.why + ruling.remedy
    if ruling.verdict != "allow":
        assert ruling.rule.startswith(ruling.verdict) and ruling.remedy


@MORE
@given(st.lists(calls, max_size=12), situations)
def test_no_sequence_of_calls_overdraws_a_budget(wanted: list[CallView], start: Situation) -> None:
    now = msgspec.structs.replace(start, past=(), approved=None)
    for number, call in enumerate(wanted):
        call = msgspec.structs.replace(call, digest=f"d{number}")
        ruling = decide(call, now)
        done = ruling.verdict == "allow"
        sent = (
            len(call.arguments.encode())
            if done and call.tool.removeprefix("tool_") in ("net_read", "share", "send", "spend")
            else 0
        )
        past = PastCall(
            f"c{number}", "agent", call.tool, call.arguments, call.digest, ruling.verdict, "ok" if done else None, "both",
            now.now_ms, sent, "[]", ruling.rule, done,
        )  # fmt: skip
        now = msgspec.structs.replace(now, past=(*now.past, past), now_ms=now.now_ms + 1)
        spent, budget = used(now.past, now.manifest, "agent"), now.grant.budget
        for name in ("calls", "sends", "bytes_out", "asks", "amount_minor"):
            limit = getattr(budget, name)
            assert limit is None or getattr(spent, name) <= limit, name
