"""A run's program calls tools through the door, from its sandbox, under the repository's policy: real repository, sandbox and server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from loopwright.engine.report import write_run_report
from loopwright.engine.site import Site
from loopwright.kernel import events as ev
from loopwright.tools.approvals.answer import answer, open_asks
from loopwright.views.audit import audit
from loopwright.views.describe import describe as line
from support.boundary import Place, close_sites, place, ported, world
from support.command_line import git

GET = """
got = door.call("http.get", url="http://127.0.0.1:PORT/value")
value(got["output"]["text"] if got["status"] == "ok" else got["status"])
"""
POLICY = """\
[grant]
tools = ["http.get"]
effects = ["net_read"]
hosts = ["127.0.0.1"]
"""
NETWORK = 'permit: {network: ["127.0.0.1"]}'


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    yield
    close_sites()


def bodies(site: Site, run_id: str) -> list[ev.Body]:
    return [event.body for event in site.journal.read(run_id)]


def faults(site: Site, run_id: str) -> list[str]:
    """What an audit of the run's record finds."""
    return [found.line() for found in audit(site.journal.read(run_id), site.journal.blobs.get).findings]


def test_a_program_reads_a_granted_host_through_the_door_and_its_edit_is_kept(tmp_path: Path) -> None:
    with world() as there:
        goal = f"Get http://127.0.0.1:{there.port}/value and put the number into value.txt."
        program = GET.replace("PORT", str(there.port))
        at = place(tmp_path, program, policy=POLICY, permit=NETWORK, goal=goal, port=there.port)
        site, run_id, state = at.run()
    assert state.finished is not None
    assert (state.finished.reason, state.finished.exit_code) == ("goal", 0)
    assert [seen.line for seen in there.seen] == ["GET /value HTTP/1.1"]
    kinds = [type(body) for body in bodies(site, run_id)]
    calls = [kind for kind in kinds if kind.__name__.startswith(("Policy", "Call"))]
    assert calls == [ev.PolicyBound, ev.CallRequested, ev.CallDecided, ev.CallIntended, ev.CallEnded]
    assert faults(site, run_id) == []
    told = [line(event) for event in site.journal.read(run_id)]
    assert any("command asks for http.get" in text for text in told)
    assert any("call c1: allowed by allow.planned" in text for text in told)
    report = write_run_report(site, run_id)
    assert report is not None
    for text in (report.read_text(), report.with_suffix(".html").read_text()):
        assert "What it called" in text and "http.get" in text and "allow.planned" in text


SEND = """
sent = door.call("http.send", "I want to", url="http://127.0.0.1:PORT/note", method="POST", body="the check is done")
if sent["status"] in ("ok", "denied"):
    value(42)
    Path("said.txt").write_text(sent["status"] + " " + sent["rule"])
"""
SENDING = """\
[grant]
tools = ["http.send"]
effects = ["send"]
hosts = ["127.0.0.1"]
"""


def waiting(tmp_path: Path, port: int) -> tuple[Place, str]:
    """A run that has asked to send and waits for a person."""
    at = place(tmp_path, SEND.replace("PORT", str(port)), policy=SENDING, permit=NETWORK, port=port)
    site, run_id, state = at.run()
    assert state.finished is None
    assert [ask.about for ask in state.asks] == ["call"]
    assert state.inflight == ()
    assert state.spent.usd_micros == state.spent.tokens == 0
    assert not [body for body in bodies(site, run_id) if isinstance(body, ev.CallIntended | ev.Kept)]
    return at, run_id


def say(site: Site, run_id: str, reply: Literal["approve", "deny"]) -> None:
    (ask,) = open_asks(site.journal, run_id, site.now_ms)
    assert "the check is done" in ask.card
    answer(
        site.journal,
        run_id,
        ask.ask_id,
        reply,
        by="ada",
        why="looked",
        now_ms=site.now_ms,
        digest=ask.digest,
        nonce=ask.nonce,
    )


def said_of(at: Place, run_id: str) -> str:
    return git(at.root, "show", f"loopwright/ask/{run_id}:said.txt")


def test_a_send_that_was_approved_is_done_once_with_its_key_after_any_number_of_restarts(tmp_path: Path) -> None:
    with world() as there:
        at, run_id = waiting(tmp_path, there.port)
        before = at.site().journal.head(run_id)
        site, state = at.again(run_id)
        assert [ask.ask_id for ask in state.asks] == ["q1"]
        assert before is not None
        asked = [body for body in bodies(site, run_id) if isinstance(body, ev.Asked | ev.CallRequested)]
        assert len(asked) == 2
        assert there.seen == []

        say(site, run_id, "approve")
        site, state = at.again(run_id)
    assert state.finished is not None and state.finished.reason == "goal"
    (seen,) = there.seen
    (intended,) = (body for body in bodies(site, run_id) if isinstance(body, ev.CallIntended))
    assert (seen.line, seen.body) == ("POST /note HTTP/1.1", b"the check is done")
    assert seen.header("idempotency-key") == intended.key
    assert intended.approval == "q1"
    assert said_of(at, run_id) == "ok approved"
    assert faults(site, run_id) == []


@pytest.mark.parametrize("limits", ["iterations: 1", "iterations: 4, plateau: 1"])
def test_waiting_takes_no_iteration_and_is_no_standstill(tmp_path: Path, limits: str) -> None:
    with world() as there:
        program = SEND.replace("PORT", str(there.port))
        at = place(tmp_path, program, policy=SENDING, permit=NETWORK, port=there.port, limits=limits)
        site, run_id, state = at.run()
        assert (state.finished, state.iteration) == (None, 1)
        say(site, run_id, "approve")
        site, state = at.again(run_id)
    assert state.finished is not None
    assert (state.finished.reason, state.iteration, len(there.seen)) == ("goal", 1, 1)
    assert faults(site, run_id) == []


def test_a_send_that_was_denied_is_not_done_and_the_run_goes_on_without_it(tmp_path: Path) -> None:
    with world() as there:
        at, run_id = waiting(tmp_path, there.port)
        say(at.site(), run_id, "deny")
        site, state = at.again(run_id)
    assert state.finished is not None and state.finished.reason == "goal"
    assert there.seen == []
    assert said_of(at, run_id) == "denied person.denied"
    assert faults(site, run_id) == []


def test_where_nobody_is_there_what_would_be_asked_is_denied(tmp_path: Path) -> None:
    with world() as there:
        at = place(tmp_path, SEND.replace("PORT", str(there.port)), policy=SENDING, permit=NETWORK, port=there.port)
        site, run_id, state = at.run(attended=False)
    assert state.finished is not None and state.finished.reason == "goal"
    assert there.seen == []
    assert said_of(at, run_id) == "denied unattended"
    assert not [body for body in bodies(site, run_id) if isinstance(body, ev.Asked)]


@pytest.mark.parametrize(
    ("loop", "file", "waits"), [("pause", "pause", True), ("pause", "deny", False), ("deny", "pause", False)]
)
def test_nobody_there_is_waited_for_only_where_loop_and_policy_say_so(
    tmp_path: Path, loop: str, file: str, waits: bool
) -> None:
    policy = f'unattended = "{file}"\n{SENDING}'
    permit = f"{NETWORK}\nunattended: {loop}"
    at = place(tmp_path, SEND.replace("PORT", "9"), policy=policy, permit=permit, port=9)
    _, _, state = at.run(attended=False)
    assert (state.finished is None, bool(state.asks)) == (waits, waits)


TRAP = """
decoy = os.environ["DEPLOY_TOKEN"]
sent = door.call("http.get", url="http://127.0.0.1:PORT/?q=" + decoy)
value(42)
"""


def test_a_decoy_in_what_would_leave_ends_the_run_before_anything_does(tmp_path: Path) -> None:
    with world() as there:
        at = place(tmp_path, TRAP.replace("PORT", str(there.port)), policy=POLICY, permit=NETWORK, port=there.port)
        site, run_id, state = at.run()
    assert state.finished is not None
    assert (state.finished.reason, state.finished.exit_code) == ("integrity", 7)
    assert there.connections == 0
    (stop,) = (body for body in bodies(site, run_id) if isinstance(body, ev.StopRequested))
    assert (stop.by, stop.reason) == ("loopwright", "integrity")
    assert "canary 'forge'" in stop.why
    assert not [body for body in bodies(site, run_id) if isinstance(body, ev.CallIntended | ev.Kept)]
    assert faults(site, run_id) == []


def test_without_a_policy_file_there_is_no_door_and_no_decoy(tmp_path: Path) -> None:
    program = """
found = [name for name in os.environ if "DOOR" in name or "SECRET" in name or "TOKEN" in name]
value(42 if door is None and not found else found)
"""
    site, run_id, state = place(tmp_path, program, policy=None).run()
    assert state.finished is not None and state.finished.reason == "goal"
    assert not [body for body in bodies(site, run_id) if isinstance(body, ev.PolicyBound)]


def test_a_policy_that_grants_no_tool_opens_no_door(tmp_path: Path) -> None:
    site, run_id, state = place(
        tmp_path, "value(42 if door is None else 0)", policy='[identities]\nown = ["me"]\n'
    ).run()
    assert state.finished is not None and state.finished.reason == "goal"
    assert not [body for body in bodies(site, run_id) if isinstance(body, ev.PolicyBound)]


def test_a_loop_that_permits_no_network_reaches_no_host_that_the_policy_grants(tmp_path: Path) -> None:
    program = """
got = door.call("http.get", url="http://127.0.0.1:PORT/value")
value(42 if got["status"] == "denied" and got["rule"] == "deny.not_granted.host" else got)
"""
    with world() as there:
        at = place(tmp_path, program.replace("PORT", str(there.port)), policy=POLICY, port=there.port)
        _, _, state = at.run()
    assert state.finished is not None and state.finished.reason == "goal"
    assert there.connections == 0


def test_a_policy_that_is_widened_while_the_run_waits_gives_it_nothing(tmp_path: Path) -> None:
    program = """
sent = door.call("http.send", url="http://127.0.0.1:PORT/note", method="POST")
got = door.call("http.get", url="http://127.0.0.1:PORT/value")
if sent["status"] == "denied":
    value(42 if got["rule"] == "deny.not_granted" else got)
"""
    with world() as there:
        at = place(tmp_path, program.replace("PORT", str(there.port)), policy=SENDING, permit=NETWORK, port=there.port)
        site, run_id, state = at.run()
        assert state.asks
        wider = SENDING.replace('"http.send"', '"http.send", "http.get"').replace('"send"]', '"send", "net_read"]')
        (at.root / "loops/policy.toml").write_text(ported(wider, there.port))
        say_no = open_asks(site.journal, run_id, site.now_ms)[0]
        answer(site.journal, run_id, say_no.ask_id, "deny", by="ada", why="", now_ms=site.now_ms)
        site, state = at.again(run_id)
    assert state.finished is not None and state.finished.reason == "goal"
    assert there.connections == 0
    assert faults(site, run_id) == []
