"""A real MCP server, pinned in `loops/mcp.lock`, is called from inside a run's sandbox through the door."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.engine.boundary import LOCK_FILE, read_policy
from loopwright.kernel import events as ev
from loopwright.secrets.broker import Broker
from loopwright.tools.mcp.boxes import Surroundings, pin
from loopwright.views.audit import audit
from support.boundary import Place, close_sites, place
from support.command_line import git

SERVER = Path(__file__).parents[2] / ".servers" / "venv" / "bin" / "mcp-server-time"
POLICY = f"""\
[grant]
tools = ["time.convert_time"]
effects = ["read"]

[mcp.time]
command = ["{SERVER}", "--local-timezone", "UTC"]
package = "mcp-server-time"
labels = {{ convert_time = "read" }}
"""
PROGRAM = """
got = door.call("time.convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")
Path("said.txt").write_text(json.dumps(got))
value(42)
"""


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    yield
    close_sites()


def pinned(tmp_path: Path) -> Place:
    assert SERVER.exists(), f"{SERVER} is missing: `scripts/setup.sh test` installs it"
    at = place(tmp_path, PROGRAM, policy=POLICY)
    policy, site = read_policy(at.root), at.site()
    assert policy is not None
    own = tmp_path / "own"
    own.mkdir()
    around = Surroundings(
        sandbox=site.sandbox,
        broker=Broker((), {}, site.redactor),
        cwd=own,
        run_id="pinning",
        path=site.isolation.setting.path,
        readable=(SERVER,),
        writable=(own,),
    )
    asyncio.run(pin(policy.mcp[0], at.root / LOCK_FILE, around))
    return at


def said(at: Place) -> tuple[dict[str, object], list[ev.Body]]:
    site, run_id, state = at.run()
    assert state.finished is not None and state.finished.reason == "goal"
    assert audit(site.journal.read(run_id), site.journal.blobs.get).findings == ()
    answered = json.loads(git(at.root, "show", f"loopwright/ask/{run_id}:said.txt"))
    return answered, [event.body for event in site.journal.read(run_id)]


def test_a_pinned_server_answers_and_one_that_is_not_what_was_pinned_does_not(tmp_path: Path) -> None:
    at = pinned(tmp_path)
    answered, bodies = said(at)
    assert (answered["status"], answered["rule"]) == ("ok", "allow.read")
    assert "Asia/Tokyo" in json.dumps(answered["output"])
    (request,) = (body for body in bodies if isinstance(body, ev.CallRequested))
    assert request.call.tool == "time.convert_time"

    lock = json.loads((at.root / LOCK_FILE).read_text())
    lock["servers"]["time"]["package_sha256"] = "0" * 64
    (at.root / LOCK_FILE).write_text(json.dumps(lock))
    answered, bodies = said(at)
    assert (answered["status"], answered["rule"]) == ("denied", "deny.quarantined")
    assert not [body for body in bodies if isinstance(body, ev.CallIntended)]


def test_a_server_without_a_pin_is_not_there_to_be_called(tmp_path: Path) -> None:
    at = place(tmp_path, PROGRAM, policy=POLICY)
    answered, _ = said(at)
    assert answered["status"] == "denied"
