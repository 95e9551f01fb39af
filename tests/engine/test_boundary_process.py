"""The boundary as a user meets it at the command line: a policy that cannot be used, a run that waits, nobody there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.boundary import Place, close_sites, place
from support.command_line import Ended, git, loopwright

POLICY = """\
[grant]
tools = ["http.send"]
effects = ["send"]
hosts = ["127.0.0.1"]
"""
PERMIT = 'permit: {network: ["127.0.0.1"]}'
PROGRAM = """
sent = door.call("http.send", "they wait for it", url="https://127.0.0.1/note", method="POST", body="hello")
Path("said.txt").write_text(sent["status"] + " " + sent["rule"])
value(42 if sent["status"] == "denied" else 0)
"""


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    yield
    close_sites()


def started(at: Place, *more: str) -> Ended:
    return loopwright("run", "loops/ask.md", "-C", at.root, "--json", *more, cwd=at.root.parent)


def said(at: Place, run: object) -> str:
    return git(at.root, "show", f"loopwright/ask/{run}:said.txt")


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_policy_file_with_a_typo_ends_before_anything_begins(tmp_path: Path, more: tuple[str, ...]) -> None:
    at = place(tmp_path, PROGRAM, policy=POLICY.replace("hosts", "host"), permit=PERMIT)
    ended = started(at, *more)
    assert ended.code == 2, ended
    told = str(ended.json()["error"])
    assert told.startswith("loops/policy.toml:4: grant.host: unknown key")
    assert told.endswith("did you mean `hosts`?")
    assert loopwright("ls", "--json", "-C", at.root, cwd=tmp_path).json()["runs"] == []


def test_a_host_that_nobody_granted_is_said_before_the_run(tmp_path: Path) -> None:
    permit = "permit: {network: [api.example.com], secrets: [API]}"
    ended = started(place(tmp_path, PROGRAM, policy=POLICY, permit=permit), "--dry-run")
    assert ended.code == 0, ended
    told = ended.json()["notes"]
    assert told == [
        "permit.network: 'api.example.com' is not granted by loops/policy.toml",
        "permit.secrets: 'API' is not granted by loops/policy.toml",
    ]


def test_a_run_whose_program_asked_waits_with_exit_code_3_and_goes_on_after_a_no(tmp_path: Path) -> None:
    at = place(tmp_path, PROGRAM, policy=POLICY, permit=PERMIT)
    ended = started(at)
    found = ended.json()
    assert (ended.code, found["stop_reason"], found["usd"]) == (3, "waiting", "0.000000"), ended
    run = found["run"]
    log = loopwright("log", str(run), "-C", at.root, cwd=tmp_path).out
    assert "call c1: command asks for http.send" in log and "a person must say by ask.plan.not_in_plan" in log

    ended = loopwright("deny", f"{run}:q1", "--why", "not today", "-C", at.root, "--json", cwd=tmp_path)
    assert (ended.code, ended.json()["stop_reason"]) == (0, "goal"), ended
    assert said(at, run) == "denied person.denied"
    assert loopwright("audit", "verify", str(run), "-C", at.root, cwd=tmp_path).code == 0


def test_with_unattended_what_would_be_asked_is_refused(tmp_path: Path) -> None:
    at = place(tmp_path, PROGRAM, policy=POLICY, permit=PERMIT)
    ended = started(at, "--unattended")
    found = ended.json()
    assert (ended.code, found["stop_reason"]) == (0, "goal"), ended
    assert said(at, found["run"]) == "denied unattended"
