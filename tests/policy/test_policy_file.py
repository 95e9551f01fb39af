"""The policy file: what it says is what comes out, and every fault is named with its line, what was found and what was meant."""

import pytest

from loopwright.errors import UsageError
from loopwright.policy.decide import decide
from loopwright.policy.file import parse_policy, policy_digest
from loopwright.policy.labels import labelled, relabelled
from loopwright.policy.policy import (
    McpServer,
    Payee,
    PayRules,
    Policy,
    RoleLabel,
    SecretSource,
    SecretSpec,
    SkillGrant,
    ToolLabels,
)
from loopwright.policy.values import (
    Argument,
    CallBudget,
    CallView,
    Condition,
    Grant,
    Hole,
    PlanStep,
    Rule,
    SecretUse,
    Situation,
    Task,
    TaskPlan,
    ToolSpec,
)

HASH = "ab" * 32
FULL = f"""
unattended = "pause"

[grant]
tools = ["send_mail", "search"]
effects = ["read", "send"]
hosts = ["api.example.com"]
write = ["src/"]

[budget]
calls = 12
sends = "unlimited"
amount_minor = 5000

[tools.search]
effect = "net_read"
untrusted_output = true
roles = {{ query = "target" }}

[[rule]]
verdict = "deny"
tool = "send_mail"
why = "not to the press"
when = [{{ argument = "to", one_of = ["press@news.example"] }}]

[[rule]]
verdict = "allow"
tool = "write_file"
[[rule.when]]
argument = "path"
under = ["src/"]

[secrets.API]
source = "env:API_TOKEN"
host = "api.example.com"

[secrets.TRAP]
source = "file:/run/trap"
canary = true

[secrets.RING]
source = "keyring:mail/me"
host = "api.example.com"
header = "X-Key"

[mcp.git]
command = ["mcp-server-git", "--repository", "."]
package = "mcp-server-git"
version = "1.0"
package_sha256 = "{HASH}"
hosts = []
labels = {{ git_log = "read", git_commit = {{ effect = "write_own", defines = true }} }}

[skills.pdf]
path = "skills/pdf"
tools = ["search"]
secrets = ["API"]

[pay]
currency = "EUR"
cap_minor = 1000
total_minor = 2000
keys = ["{HASH}"]
payees = [{{ account = "NL02DUIN0123456789", name = "F", cap_minor = 500 }}]

[identities]
own = ["me@home.example"]

[[plan]]
tool = "send_mail"
count = 2
pinned = {{ to = "bob@firm.example" }}
template = {{ body = "Dear {{}}, thanks." }}
open = ["subject"]

[[plan]]
tool = "search"
count = "any"
"""


def test_a_whole_file_is_what_it_says() -> None:
    policy = parse_policy(FULL)
    assert policy == Policy(
        grant=Grant(
            ("send_mail", "search"), ("read", "send"), ("api.example.com",),
            (SecretUse("API", "api.example.com", "Authorization"), SecretUse("RING", "api.example.com", "X-Key")),
            ("src/",), CallBudget(calls=12, sends=None, amount_minor=5000),
        ),
        tools=(ToolLabels("search", "net_read", (RoleLabel("query", "target"),), untrusted_output=True),),
        rules=(
            Rule("deny", "send_mail", (Condition("to", "one_of", ('"press@news.example"',)),), "not to the press"),
            Rule("allow", "write_file", (Condition("path", "under", ("src/",)),)),
        ),
        secrets=(
            SecretSpec("API", SecretSource("env", ("API_TOKEN",)), "api.example.com"),
            SecretSpec("TRAP", SecretSource("file", ("/run/trap",)), canary=True),
            SecretSpec("RING", SecretSource("keyring", ("mail", "me")), "api.example.com", "X-Key", "{}"),
        ),
        mcp=(
            McpServer(
                "git", ("mcp-server-git", "--repository", "."), "mcp-server-git", "1.0", HASH,
                labels=(ToolLabels("git_log", "read"), ToolLabels("git_commit", "write_own", defines=True)),
            ),
        ),
        skills=(SkillGrant("pdf", "skills/pdf", tools=("search",), secrets=("API",)),),
        pay=PayRules("sandbox", "EUR", (Payee("NL02DUIN0123456789", "F", 500),), 1000, 2000, (HASH,)),
        own=("me@home.example",),
        plan=(
            PlanStep("send_mail", 2, (
                Hole("to", "pinned", '"bob@firm.example"'), Hole("body", "template", '"Dear {}, thanks."'), Hole("subject", "open"),
            )),
            PlanStep("search", None),
        ),
        unattended="pause",
    )  # fmt: skip


def test_an_empty_file_denies_everything() -> None:
    policy = parse_policy("")
    spec = ToolSpec("look", "read", ())
    now = Situation(Task("look"), TaskPlan((PlanStep("look"),)), policy.grant, (spec,), (), 0)
    assert decide(CallView("agent", "look", "{}", "d"), now).rule == "deny.not_granted"


def test_the_digest_is_of_what_a_file_says_and_not_of_how() -> None:
    assert policy_digest(parse_policy(FULL)) == policy_digest(
        parse_policy(FULL.replace("\ncalls = 12", "\n# a remark\n\ncalls   =  12"))
    )
    assert policy_digest(parse_policy(FULL)) != policy_digest(parse_policy(FULL.replace("calls = 12", "calls = 13")))


FAULTS = [
    ("[grnat]\ntools = []", 1, ["grnat", "did you mean `grant`?"]),
    ("\n[grant]\ntool = ['x']", 3, ["grant.tool", "['x']", "did you mean `tools`?"]),
    ("[grant]\ntools = ['git_*']", 2, ["grant.tools", "'git_*'", "no wildcards"]),
    ("[grant]\ntools = 'x'", 2, ["a list of texts", "'x'"]),
    ("[grant]\neffects = ['red']", 2, ["'red'", "did you mean `read`?"]),
    ("[grant]\nhosts = ['https://a.example']", 2, ["without scheme", "'https://a.example'"]),
    ("[grant]\nhosts = ['*.a.example']", 2, ["'*.a.example'"]),
    ("[grant]\nwrite = ['../x']", 2, ["without `..`", "'../x'"]),
    ("[grant]\nwrite = ['/etc']", 2, ["'/etc'"]),
    ("[budget]\ncalls = -1", 2, ["budget.calls", "not negative", "-1"]),
    ("[budget]\ncalls = true", 2, ["True"]),
    ("[budget]\nsends = 'none'", 2, ['"unlimited"', "'none'"]),
    ("[budget]\nsoft_percent = 101", 2, ["0 to 100", "101"]),
    ("[tools.x]\neffect = 'sends'", 2, ["tools.x.effect", "did you mean `send`?"]),
    ("[tools.x]\nroles = { a = 'who' }", 2, ["tools.x.roles.a", "'who'"]),
    ("[[rule]]\nverdict = 'alow'\ntool = 't'", 2, ["rule[0].verdict", "did you mean `allow`?"]),
    ("[[rule]]\nverdict = 'deny'", 1, ["rule[0]", "`tool`"]),
    ("[[rule]]\nverdict='deny'\ntool='t'\n[[rule]]\nverdict='deny'\ntool='*'", 6, ["rule[1].tool", "'*'"]),
    ("[[rule]]\nverdict='deny'\ntool='t'\nwhen=[{argument='a'}]", 4, ["exact, one_of, under"]),
    ("[[rule]]\nverdict='deny'\ntool='t'\nwhen=[{argument='a', under=['/x']}]", 4, ["'/x'"]),
    ("[secrets.A]\nhost = 'a.example'", 1, ["secrets.A", "`source`"]),
    ("[secrets.A]\nsource = 'env:A'", 1, ["`host`", "canary = true"]),
    ("[secrets.A]\nsource = 'env:A'\nhost='a.example'\nformat='x'", 4, ["{}", "'x'"]),
    ("[mcp.a]\ncommand = ['x']\ntools_sha256 = 'abc'", 3, ["64 hex digits", "'abc'"]),
    ("[pay]\ncurrency = 'euro'", 2, ["three capital letters", "'euro'"]),
    ("[pay]\npayees = [{ name = 'x' }]", 2, ["pay.payees[0]", "`account`"]),
    ("[[plan]]\ntool = 't'\ncount = 'lots'", 3, ['"any"', "'lots'"]),
    ("[[plan]]\ntool = 't'\ntemplate = { a = 'no hole' }", 3, ["'no hole'"]),
    ("unattended = 'allow'", 1, ["deny, pause", "'allow'"]),
    ("a = = 1", 1, ["not valid TOML"]),
    ("x = 1\n[[grant]]\n", 2, ["grant", "a table"]),
]


@pytest.mark.parametrize(("text", "line", "parts"), FAULTS, ids=[str(i) for i in range(len(FAULTS))])
def test_a_fault_is_named_with_its_line_and_what_was_meant(text: str, line: int, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy(text, "my.toml")
    message = str(caught.value)
    named = [one for one in message.splitlines() if one.startswith(f"my.toml:{line}: ")]
    assert any(all(part in one for part in parts) for one in named), message


def test_all_faults_of_a_file_are_told_at_once_in_its_order() -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy("[grant]\ntool = 1\n[budget]\ncall = 2\n")
    assert [one.split(":")[1] for one in str(caught.value).splitlines()] == ["2", "4"]


@pytest.mark.parametrize("key", ["source", "value", "token"])
def test_a_secret_that_was_written_into_the_file_is_not_repeated(key: str) -> None:
    value = "hunter2" + "hunter2"
    with pytest.raises(UsageError) as caught:
        parse_policy(f"[secrets.A]\nhost='a.example'\n{key} = '{value}'\n")
    assert value not in str(caught.value)


def test_a_label_raises_and_only_who_vouches_for_the_tool_lowers() -> None:
    spec = ToolSpec(
        "t", "send", (Argument("to", "target"), Argument("text", "content")), untrusted_output=True, reversible=False
    )
    assert relabelled(spec, ToolLabels("t", "destroy")).effect == "destroy"
    assert relabelled(spec, ToolLabels("t", "read")).effect == "send"
    assert relabelled(spec, ToolLabels("t", "exec")).effect == "send"
    assert relabelled(spec, ToolLabels("t", "read", defines=True)).effect == "read"
    laxer = relabelled(
        spec, ToolLabels("t", roles=(RoleLabel("to", "content"),), untrusted_output=False, reversible=True)
    )
    assert laxer == spec
    assert relabelled(spec, ToolLabels("t", roles=(RoleLabel("text", "target"),))).arguments[1].role == "target"
    assert labelled((spec, ToolSpec("u", "read", ())), [ToolLabels("u", "net_read")])[1].effect == "net_read"


@pytest.mark.parametrize("name", ["api.example", "127.0.0.1:8080", "[::1]:8080", "api.example:8443"])
def test_a_host_may_name_its_port(name: str) -> None:
    assert parse_policy(f'[grant]\nhosts = ["{name}"]\n').grant.hosts == (name,)


@pytest.mark.parametrize("name", ["api.example:0", "api.example:port", "https://api.example", "api.example/x", "*"])
def test_what_is_no_exact_host_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected a host's exact name"):
        parse_policy(f'[grant]\nhosts = ["{name}"]\n')
