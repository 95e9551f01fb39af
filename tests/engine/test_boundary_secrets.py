"""A run's program uses a secret that it never holds: the value goes into one header of one host and is found nowhere else."""

import base64
import re
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.engine.report import write_run_report
from loopwright.kernel import events as ev
from loopwright.tools.approvals.answer import answer as answer_ask
from loopwright.views.audit import audit
from loopwright.views.describe import describe
from support.boundary import Place, close_sites, place, ported, world
from support.command_line import git
from support.loopback import Authority, Seen, answer

POLICY = """\
[grant]
tools = ["http.get"]
effects = ["net_read"]
hosts = ["127.0.0.1"]

[secrets.API]
source = "env:SERVICE_VALUE"
host = "127.0.0.1"

[[rule]]
verdict = "allow"
tool = "http.get"
"""
PERMIT = 'permit: {network: ["127.0.0.1"], secrets: [API]}'

PROGRAM = """
held = os.environ["LOOPWRIGHT_SECRET_API"]
assert "SERVICE_VALUE" not in os.environ
got = door.call("http.get", "with " + held, url="https://127.0.0.1:PORT/value", headers={"Authorization": "Bearer " + held})
wrong = door.call("http.get", url="https://127.0.0.1:PORT/value", headers={"X-Note": held})
Path("said.txt").write_text(json.dumps([held, got, wrong]))
print(held, got)
value(42 if got["status"] == "ok" and wrong["status"] == "denied" else 0)
"""


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    yield
    close_sites()


def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine trusts for the length of a test."""
    authority = Authority(tmp_path)
    (der,) = authority.client_tls().get_ca_certs(binary_form=True)
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(der))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


def echo(seen: Seen) -> bytes:
    """A server that says what it was told, plainly and in base64."""
    told = seen.header("authorization") or "nothing"
    word = told.removeprefix("Bearer ")
    return answer(body=f"{told} {base64.b64encode(word.encode()).decode()} {word[::-1]}".encode())


def disguises(value: str) -> list[bytes]:
    data = value.encode()
    return [
        data,
        base64.b64encode(data).rstrip(b"="),
        base64.urlsafe_b64encode(data).rstrip(b"="),
        data.hex().encode(),
        data[::-1],
    ]


def test_a_secret_reaches_its_header_and_nothing_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = f"v{uuid.uuid4().hex}"
    with world(echo, trusted(tmp_path, monkeypatch).server_tls("127.0.0.1")) as there:
        at = place(tmp_path, PROGRAM.replace("PORT", str(there.port)), policy=POLICY, permit=PERMIT, port=there.port)
        at.env["SERVICE_VALUE"] = value
        site, run_id, state = at.run()
    assert state.finished is not None and state.finished.reason == "goal"
    (seen,) = there.seen
    assert seen.header("authorization") == f"Bearer {value}"

    events = list(site.journal.read(run_id))
    report = write_run_report(site, run_id).read_bytes()
    kept = git(at.root, "show", f"loopwright/ask/{run_id}:said.txt").encode()
    log = "\n".join(describe(event) for event in events).encode()
    site.journal.close()
    for form in disguises(value):
        for written in (at.everything(), report, kept, log):
            assert form not in written
    assert b"{{secret:API}}" in kept and b"[redacted:API]" in kept
    assert audit(events, at.site().journal.blobs.get).findings == ()


def denied(at: Place) -> str:
    """The rule and message with which the only call of the run was refused."""
    site, run_id, state = at.run()
    assert state.finished is not None and state.finished.reason == "goal"
    said = git(at.root, "show", f"loopwright/ask/{run_id}:said.txt")
    assert not [e.body for e in site.journal.read(run_id) if isinstance(e.body, ev.CallIntended)]
    return said


ONE = """
got = door.call("http.get", url="https://127.0.0.1:PORT/value", headers={"Authorization": "Bearer {{secret:API}}"})
Path("said.txt").write_text(os.environ.get("LOOPWRIGHT_SECRET_API", "none held") + " " + got["message"])
value(42 if got["status"] == "denied" else 0)
"""


def test_the_token_of_the_door_is_in_nothing_that_is_written(tmp_path: Path) -> None:
    """The program prints it, and keeps it disguised in its edit so that the test knows what to look for."""
    program = """
import os
token = os.environ["LOOPWRIGHT_DOOR_TOKEN"]
print("the token is", token)
Path("said.txt").write_text(" ".join(str(ord(c) + 1) for c in token))
value(42)
"""
    with world(echo) as there:
        at = place(tmp_path, program, policy=POLICY, permit=PERMIT, port=there.port)
        site, run_id, state = at.run()
    assert state.finished is not None and state.finished.reason == "goal", state
    numbers = git(at.root, "show", f"loopwright/ask/{run_id}:said.txt").split()
    token = "".join(chr(int(number) - 1) for number in numbers)
    site.journal.close()
    assert len(token) == 32
    assert b"the token is" in at.everything()
    assert token.encode() not in at.everything()


def test_a_secret_that_the_loop_does_not_permit_is_not_there_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(echo, trusted(tmp_path, monkeypatch).server_tls("127.0.0.1")) as there:
        permit = 'permit: {network: ["127.0.0.1"]}'
        at = place(tmp_path, ONE.replace("PORT", str(there.port)), policy=POLICY, permit=permit, port=there.port)
        at.env["SERVICE_VALUE"] = uuid.uuid4().hex
        said = denied(at)
    assert said.startswith("none held") and "[secret.grant]" in said and "permit" in said
    assert there.connections == 0


LATER = """
asked = door.call("http.send", url="https://127.0.0.1:PORT/note", method="POST")
got = door.call("http.get", url="https://127.0.0.1:PORT/value", headers={"Authorization": "Bearer {{secret:API}}"})
Path("said.txt").write_text(os.environ.get("LOOPWRIGHT_SECRET_API", "none held") + " " + got["message"])
value(42 if asked["status"] == "denied" and got["status"] == "denied" else 0)
"""


def test_a_secret_that_is_added_to_the_policy_while_the_run_waits_is_not_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = POLICY.replace('"http.get"]', '"http.get", "http.send"]').replace('"net_read"]', '"net_read", "send"]')
    with world(echo, trusted(tmp_path, monkeypatch).server_tls("127.0.0.1")) as there:
        first = re.sub(r"\[secrets.API\]\n(?:\w+ = .*\n)+", "", wide)
        assert "secrets" not in first
        at = place(tmp_path, LATER.replace("PORT", str(there.port)), policy=first, permit=PERMIT, port=there.port)
        at.env["SERVICE_VALUE"] = uuid.uuid4().hex
        site, run_id, state = at.run()
        (ask,) = state.asks
        (at.root / "loops/policy.toml").write_text(ported(wide, there.port))
        answer_ask(site.journal, run_id, ask.ask_id, "deny", by="ada", why="", now_ms=site.now_ms)
        _, state = at.again(run_id)
    assert state.finished is not None and state.finished.reason == "goal"
    said = git(at.root, "show", f"loopwright/ask/{run_id}:said.txt")
    assert said.startswith("none held") and "[secret.grant]" in said
    assert there.connections == 0
