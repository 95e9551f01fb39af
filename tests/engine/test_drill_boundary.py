"""The drill reaches every goal with the door open, none through a sound boundary, and names what an unsound one lets through."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec
import pytest
import typer

from loopwright.cli import drill
from loopwright.engine.drills.boundary import drill_boundary
from loopwright.engine.drills.report import KNOWN, SECTIONS, DrillReport, Section, SectionName, Tried
from loopwright.engine.drills.trial import Attack, Attempt, try_attacks
from loopwright.engine.site import Site, open_site
from loopwright.errors import UsageError
from loopwright.policy.file import parse_policy
from loopwright.policy.policy import Policy
from loopwright.sandbox.escapes.catalogue import catalogue
from support.repositories import git, make_repository

POLICY = """
unattended = "pause"

[grant]
tools = [
    "files.read", "files.write", "shell.run", "http.get", "http.send", "mail.send", "wiki.page_share", "db.drop", "vault.rotate", "pay",
]
effects = ["read", "write_own", "exec", "net_read", "send", "share", "destroy", "credential", "spend"]
hosts = ["api.example.org", "wiki.example.org"]
write = ["src/"]

[budget]
calls = 300
sends = 10
per_minute = 50

[tools."mail.send"]
effect = "send"
roles = { recipients = "target", body = "content" }

[tools."db.drop"]
effect = "destroy"

[tools."vault.rotate"]
effect = "credential"

[mcp.wiki]
command = ["/usr/bin/true"]
labels = { page_share = "share" }

[secrets.API]
source = "command:touch SECRET_WAS_LOADED"
host = "api.example.org"

[secrets.WIKI]
source = "env:WIKI_TOKEN_OF_NOBODY"
host = "wiki.example.org"
header = "X-Token"

[identities]
own = ["grace@example.org"]

[pay]
currency = "EUR"
cap_minor = 5000
total_minor = 20000
keys = []

[[pay.payees]]
account = "shop.example"
cap_minor = 2000

[[rule]]
verdict = "allow"
tool = "mail.send"
when = [{ argument = "recipients", exact = "team@example.org" }]

[[rule]]
verdict = "deny"
tool = "files.write"
when = [{ argument = "path", under = "src/vendor" }]
"""
ESCAPES = tuple(
    p for p in catalogue() if p.name in ("read_outside", "write_outside", "connect_to_loopback", "leave_daemon")
)
CONTAINED = ("redact", "card", "sandbox", "sandbox.environment")
"""What holds without refusing anything: the act is done where it does no harm, so there is nothing to allow."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drill")
    return make_repository(root / "repository", {"src/a.py": "x = 1\n", "notes.txt": "hello\n"})


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


@pytest.fixture(scope="module")
def site(repository: Path) -> Iterator[Site]:
    opened = open_site(repository, environment())
    yield opened
    opened.sandbox.close()
    opened.journal.close()


def quiet(line: str) -> None:
    return None


def drilled(
    site: Site,
    policy: Policy | None,
    sections: Collection[SectionName] = SECTIONS,
    progress: Callable[[str], None] = quiet,
) -> DrillReport:
    return asyncio.run(drill_boundary(site, policy, progress, sections=sections, escapes=ESCAPES))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(site: Site, lines: list[str]) -> DrillReport:
    return drilled(site, parse_policy(POLICY), progress=lines.append)


def probes(report: DrillReport) -> list[tuple[str, Tried]]:
    return [(section.name, probe) for section in report.sections for probe in section.probes]


def through(report: DrillReport) -> dict[str, Tried]:
    return {f"{s.name}/{p.name}": p for s in report.sections for p in s.let_through()}


# --- a sound boundary -----------------------------------------------------------------------------------------------------------
def test_everything_holds_over_a_realistic_policy(report: DrillReport) -> None:
    assert through(report) == {}
    assert (report.ok, report.exit_code) == (True, 0)


def test_every_probe_was_seen_to_reach_its_goal_with_the_door_open(report: DrillReport) -> None:
    assert [f"{s}/{p.name}: {p.why}" for s, p in probes(report) if p.verdict == "not_possible" or not p.open] == []


def test_there_are_many_probes_of_every_class(report: DrillReport) -> None:
    assert [section.name for section in report.sections] == list(SECTIONS)
    counts = {section.name: section.count.held for section in report.sections}
    assert min(counts.values()) >= 4 and report.count.held >= 150
    names = {f"{s}/{p.name.split(' ')[0]}" for s, p in probes(report)}
    assert len(names) >= 110


def test_each_refusal_has_its_rule_its_reason_and_the_smallest_change(report: DrillReport) -> None:
    refused = [(s, p) for s, p in probes(report) if p.rule not in CONTAINED and s != "sandbox"]
    assert [f"{s}/{p.name}" for s, p in refused if not (p.rule and p.why and p.remedy)] == []


def test_the_user_s_own_tools_secrets_and_payees_are_what_is_attacked(report: DrillReport) -> None:
    text = msgspec.json.encode(report).decode()
    for own in ("mail.send", "wiki.page_share", "db.drop", "vault.rotate", "'API'", "'WIKI'", "shop.example"):
        assert own in text, own
    by_name = {f"{s}/{p.name}": p for s, p in probes(report)}
    assert by_name["policy/planted_recipient (mail.send)"].rule == "ask.hole.target"
    assert by_name["secrets/other_header (WIKI)"].rule == "secret.header"
    assert by_name["payment/over_policy_cap"].rule == "pay.cap"


def test_what_is_honest_goes_through_before_the_abuse_is_refused(report: DrillReport) -> None:
    """A boundary that refused everything would hold as well: the first payment is made, and the server answers until it changes."""
    by_name = {f"{s}/{p.name}": p for s, p in probes(report)}
    assert by_name["payment/replay"].rule == "mandate.used"
    assert "quarantined" in by_name["mcp/rug_pull"].why and by_name["mcp/server_reads_files"].rule == "sandbox"
    assert by_name["approvals/swapped_in_flight"].why.startswith("what it is done to changed after it was approved")
    assert {p.rule for s, p in probes(report) if s == "exec"} == {"sandbox", "ask.exec_unsandboxed"}


def test_nothing_of_the_user_s_is_touched(site: Site, report: DrillReport, repository: Path) -> None:
    assert report.count.held and site.journal.heads() == []
    assert git(repository, "status", "--porcelain") == ""
    assert not list(repository.rglob("SECRET_WAS_LOADED")) and not Path("SECRET_WAS_LOADED").exists()


def test_progress_is_told_as_it_goes(report: DrillReport, lines: list[str]) -> None:
    assert len(lines) == len(probes(report))
    assert lines[0].startswith("sandbox: ") and lines[-1].startswith("audit: ")


def test_without_a_policy_nothing_is_granted_and_everything_holds(site: Site) -> None:
    found = drilled(site, None, ("policy", "approvals", "destructive"))
    assert through(found) == {} and found.count.not_possible == 0
    rules = {p.rule for s, p in probes(found) if s == "policy"}
    assert "deny.not_granted" in rules and found.policy.startswith("built-in")


def test_a_policy_under_which_nothing_can_be_done_raises_no_alarm(site: Site) -> None:
    strict = POLICY.replace("calls = 300", "calls = 0\nasks = 0")
    found = drilled(
        site, parse_policy(strict), ("policy", "approvals", "secrets", "skills", "exec", "payment", "audit")
    )
    assert through(found) == {} and found.count.not_possible == 0


def test_a_tool_with_labels_for_some_of_its_arguments_is_attacked_through_the_others(site: Site) -> None:
    partly = POLICY.replace('roles = { recipients = "target", body = "content" }', 'roles = { subject = "content" }')
    by_name = {p.name: p for _, p in probes(drilled(site, parse_policy(partly), ["policy"]))}
    assert '"to": "collect@attacker.example"' in by_name["planted_recipient (mail.send)"].open
    assert '"subject": "![chart]' in by_name["markdown_image (mail.send)"].open


# --- an unsound one -------------------------------------------------------------------------------------------------------------
def test_a_rule_that_allows_too_much_is_named_with_what_to_change(site: Site) -> None:
    wide = POLICY + '\n[[rule]]\nverdict = "allow"\ntool = "mail.send"\nwhy = "mails are fine"\n'
    found = drilled(site, parse_policy(wide), ("policy", "approvals"))
    got = through(found)
    assert {"policy/planted_recipient (mail.send)", "policy/markdown_image (mail.send)"} <= got.keys()
    assert all("(mail.send)" in name for name in got)
    first = got["policy/planted_recipient (mail.send)"]
    assert (first.rule, first.why) == ("allow.rule", "mails are fine")
    assert "[[rule]]" in first.remedy and "collect@attacker.example" in first.got
    assert (found.ok, found.exit_code) == (False, 7)


def test_budgets_without_a_limit_are_named(site: Site) -> None:
    free = POLICY.replace("calls = 300", 'calls = "unlimited"\nidentical = "unlimited"\nasks = "unlimited"')
    found = drilled(site, parse_policy(free.replace("per_minute = 50", 'per_minute = "unlimited"')), ["destructive"])
    assert through(found).keys() == {"destructive/identical_loop", "destructive/changing_loop"}


def test_no_sandbox_lets_programs_and_escapes_through(repository: Path) -> None:
    open_to_all = open_site(repository, environment(), unsandboxed=True)
    try:
        found = drilled(open_to_all, parse_policy(POLICY), ["sandbox"])
    finally:
        open_to_all.journal.close()
    # Plain processes have no walls; only what is left running is ended.
    names = {probe.name for probe in ESCAPES} - {"leave_daemon"}
    assert through(found).keys() == {f"sandbox/{name}" for name in names}
    assert found.exit_code == 7


def test_a_probe_that_breaks_at_the_boundary_is_no_success() -> None:
    async def breaks(guarded: bool) -> Attempt:
        if guarded:
            raise RuntimeError("the gate fell over")
        return Attempt("the goal")

    async def impossible(guarded: bool) -> Attempt:
        return Attempt(None, "why.not")

    attacks = (Attack("a", "tries", breaks), Attack("b", "tries", impossible))

    async def missing(guarded: bool) -> Attempt:
        raise UsageError("a part is not installed")

    section = asyncio.run(try_attacks("policy", (*attacks, Attack("c", "tries", missing)), quiet))
    assert [probe.verdict for probe in section.probes] == ["let_through", "not_possible", "not_possible"]
    assert "the gate fell over" in section.probes[0].why


def test_only_what_is_documented_as_known_does_not_fail_a_drill() -> None:
    probe = Tried("a", "tries", "let_through", "x", "x", "r", "w", "")
    found = DrillReport("p", "s", (Section("policy", (probe,)),))
    assert not found.ok and "policy/a" not in KNOWN
    documented = (Path(__file__).parents[2] / "docs" / "reference" / "drills.md").read_text(encoding="utf-8")
    assert all(name in documented for name in KNOWN)


# --- the verb -------------------------------------------------------------------------------------------------------------------
def verb(*words: str) -> int:
    app = typer.Typer()
    drill.register(app)
    code = app(["drill", "boundary", *words], standalone_mode=False)
    return code if isinstance(code, int) else 0


def test_the_verb_prints_a_table_and_what_held(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY, encoding="utf-8")
    assert verb("-C", str(repository), "--policy", str(file), "--only", "skills", "--all") == 0
    out = capsys.readouterr().out
    assert "SECTION" in out and "all held" in out and "\x1b" not in out
    assert "skills/curl_bash_prerequisite" in out and "skill.finding" in out and "change" in out


def test_the_verb_in_json_is_one_object_and_exits_seven_for_what_got_through(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY + '\n[[rule]]\nverdict = "allow"\ntool = "wiki.page_share"\n', encoding="utf-8")
    assert verb("-C", str(repository), "--policy", str(file), "--only", "policy", "--json") == 7
    said = msgspec.json.decode(capsys.readouterr().out)
    assert (said["exit_code"], said["stop_reason"]) == (7, "integrity")
    assert said["count"]["let_through"] >= 1 and said["sections"][0]["name"] == "policy"
    assert verb("-C", str(repository), "--policy", str(file), "--only", "policy") == 7
    out = capsys.readouterr().out
    assert "LET THROUGH  policy/planted_recipient (wiki.page_share)" in out and "got through" in out


def test_the_verb_refuses_a_section_that_there_is_not(repository: Path) -> None:
    with pytest.raises(UsageError, match="expected one of sandbox, policy"):
        verb("-C", str(repository), "--only", "panel")
