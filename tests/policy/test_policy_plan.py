"""The plan that the task's own words give: what they call for is in it, what they do not is not."""

import json

import pytest

from loopwright.kernel.calls import ToolEffect
from loopwright.policy.decide import decide
from loopwright.policy.file import parse_policy
from loopwright.policy.plan import check_plan, draft_plan, plan_for
from loopwright.policy.values import (
    Argument,
    CallView,
    Grant,
    Hole,
    PlanStep,
    Rule,
    Situation,
    Task,
    TaskPlan,
    ToolSpec,
)


def tool(name: str, effect: ToolEffect, *arguments: Argument) -> ToolSpec:
    return ToolSpec(name, effect, arguments)


TO, BODY = Argument("to", "target"), Argument("body", "content")
SPECS = (
    tool("search_mail", "read"),
    tool("run_tests", "exec"),
    tool("send_mail", "send", TO, Argument("subject", "content"), BODY),
    tool("create_event", "share", Argument("title", "content"), Argument("people", "target")),
    tool("cancel_event", "destroy", Argument("id", "object")),
    tool("append_to_file", "write_own", Argument("file", "object"), BODY),
    tool("transfer_money", "spend", TO, Argument("amount", "amount")),
    tool("post_to_channel", "send", Argument("channel", "target"), BODY),
    tool("fetchPage", "net_read", Argument("url", "target")),
    tool("change_password", "credential", Argument("password", "secret")),
)
GRANT = Grant(tuple(spec.name for spec in SPECS), tuple(dict.fromkeys(spec.effect for spec in SPECS)))


def drafted(text: str, *rules: Rule, grant: Grant = GRANT) -> TaskPlan:
    return draft_plan(Task(text), SPECS, grant, rules)


def tools(plan: TaskPlan) -> list[str]:
    return [step.tool for step in plan.steps]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How many unread mails do I have?", []),
        ("Summarise what my documents say about the budget.", []),
        ("Reply to Anna's mail that I agree.", ["send_mail"]),
        ("Email bob@firm.example the figures.", ["send_mail"]),
        ("Set up a meeting with Priya on Friday.", ["create_event"]),
        ("Please cancel the dentist appointment.", ["cancel_event"]),
        ("Add milk to my shopping list.", ["append_to_file"]),
        ("Send 50 euros to Fatima.", ["transfer_money"]),
        ("Announce the release in #general.", ["post_to_channel"]),
        ("What does https://docs.example/x say about limits?", ["fetchPage"]),
        ("Change my password to Tulip-Nine.", ["change_password"]),
    ],
)
def test_the_tools_that_the_words_call_for_are_planned(text: str, expected: list[str]) -> None:
    planned = tools(drafted(text))
    assert set(expected) <= set(planned), planned
    if not expected:
        assert planned == []


@pytest.mark.parametrize(
    ("text", "never"),
    [
        (
            "Summarise my mails about the workshop.",
            {"send_mail", "transfer_money", "post_to_channel", "change_password"},
        ),
        ("Reply to Anna's mail that I agree.", {"transfer_money", "change_password", "cancel_event"}),
        ("Add milk to my shopping list.", {"send_mail", "transfer_money", "change_password", "post_to_channel"}),
    ],
)
def test_what_acts_on_others_is_left_out_unless_it_is_called_for(text: str, never: set[str]) -> None:
    assert not never & set(tools(drafted(text)))


def test_nothing_that_is_not_granted_or_that_a_rule_denies_is_planned() -> None:
    text = "Email bob@firm.example the figures."
    assert tools(drafted(text, grant=Grant(("send_mail",), ("read",)))) == []
    assert tools(drafted(text, grant=Grant(("search_mail",), ("send",)))) == []
    assert tools(drafted(text, Rule("deny", "send_mail"))) == []


def test_how_often_is_what_the_words_say() -> None:
    def count(text: str) -> int | None:
        return next(step.count for step in drafted(text).steps if step.tool == "send_mail")

    assert count("Email Bob the figures.") == 1
    assert count("Email a@x.example and b@x.example and c@x.example the figures.") == 3
    assert count("Send three mails to Bob.") == 3
    assert count("Email each of them the figures.") is None


def test_values_that_the_task_fixes_are_pinned() -> None:
    mail = drafted(
        "Send a mail to bob@firm.example with the subject 'Lunch on Friday' and the body \"See you at {time}.\""
    )
    assert next(step.holes for step in mail.steps if step.tool == "send_mail") == (
        Hole("subject", "pinned", '"Lunch on Friday"'),
        Hole("body", "template", '"See you at {}."'),
    )
    money = drafted("Transfer 75.50 euros to Fatima for the 2 tickets of 2026.")
    assert next(step.holes for step in money.steps if step.tool == "transfer_money") == (
        Hole("amount", "pinned", "75.5"),
    )
    either = drafted("Transfer 75 or 80 euros to Fatima.")
    assert next(step.holes for step in either.steps if step.tool == "transfer_money") == ()


def test_a_drafted_plan_holds_against_another_body_than_the_user_wrote() -> None:
    task = Task("Send a mail to bob@firm.example with the subject 'Hi' and the text 'All well.'")
    plan = draft_plan(task, SPECS, GRANT, ())
    now = Situation(task, plan, GRANT, SPECS, (), 0)

    def verdict(body: str) -> str:
        given = {"to": "bob@firm.example", "subject": "Hi", "body": body}
        return decide(CallView("agent", "send_mail", json.dumps(given), "d"), now).rule

    assert verdict("All well.") == verdict("All well") == "allow.planned"
    assert verdict("Ruined, send money.") == "ask.hole.pinned"


def test_a_plan_that_somebody_else_wrote_is_taken_as_far_as_the_task_has_it() -> None:
    task = Task("Send 50 euros to bob@firm.example saying 'Dear friend, thanks'")
    good = TaskPlan(
        (
            PlanStep("transfer_money", 1, (Hole("to", "pinned", '"bob@firm.example"'), Hole("amount", "pinned", "50"))),
            PlanStep("send_mail", 1, (Hole("body", "template", '"Dear {}, thanks"'), Hole("to", "open"))),
        ),
        "model",
    )
    assert check_plan(good, task, SPECS, GRANT) == ()
    bad = TaskPlan(
        (
            PlanStep("transfer_money", 1, (Hole("to", "pinned", '"eve@evil.example"'), Hole("amount", "pinned", "51"))),
            PlanStep("send_mail", 1, (Hole("body", "template", '"Pay {} now"'), Hole("cc", "open"))),
            PlanStep("drop_table"),
        ),
    )
    problems = check_plan(bad, task, SPECS, GRANT)
    assert len(problems) == 5
    for part, problem in zip(("'to'", "'amount'", "'body'", "'cc'", "'drop_table'"), problems, strict=True):
        assert part in problem


def test_a_policy_files_own_plan_stands_in_for_the_drafted_one() -> None:
    task = Task("Email bob@firm.example the figures.")
    own = parse_policy("[grant]\ntools=['send_mail']\neffects=['send']\n[[plan]]\ntool='send_mail'\ncount=7\n")
    assert plan_for(own, task, SPECS) == TaskPlan((PlanStep("send_mail", 7),), "policy file")
    none = parse_policy("[grant]\ntools=['send_mail']\neffects=['send']\n")
    assert tools(plan_for(none, task, SPECS)) == ["send_mail"]


@pytest.mark.parametrize(
    "text", ["Read https://docs.example/start and sum it up.", "What does https://docs.example/start say?"]
)
def test_a_page_that_the_user_wrote_down_is_in_the_plan_whatever_the_verb(text: str) -> None:
    get = ToolSpec("http.get", "net_read", (Argument("url", "target"),))
    grant = Grant(("http.get",), ("net_read",), ("docs.example",))
    assert [step.tool for step in draft_plan(Task(text), (get,), grant, ()).steps] == ["http.get"]
    assert draft_plan(Task("Sum up the notes."), (get,), grant, ()).steps == ()
