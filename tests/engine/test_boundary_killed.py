"""The driver is killed while a request of its program is on its way: a person is asked, and nothing is done again by itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from loopwright.engine import runs
from loopwright.kernel import events as ev
from loopwright.tools.approvals.answer import answer, open_asks
from loopwright.views.audit import audit
from support.boundary import close_sites, place, world
from support.loopback import Seen
from support.loopback import answer as reply_with

TESTS = Path(__file__).parents[1]

PROGRAM = """
sent = door.call("http.send", url="http://127.0.0.1:PORT/note", method="POST", body="hello")
if sent["status"] in ("ok", "denied"):
    value(42)
"""
POLICY = """\
[grant]
tools = ["http.send"]
effects = ["send"]
hosts = ["127.0.0.1"]

[[rule]]
verdict = "allow"
tool = "http.send"
"""
CHILD = """
import sys
from pathlib import Path
from support.boundary import Place
Place(Path(sys.argv[1])).run()
"""


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    yield
    close_sites()


@pytest.mark.parametrize(("reply", "requests"), [("deny", 1), ("approve", 2)])
def test_a_request_in_flight_at_the_kill_is_asked_about_and_repeated_on_a_persons_word_alone(
    tmp_path: Path, reply: Literal["approve", "deny"], requests: int
) -> None:
    child: list[subprocess.Popen[bytes]] = []

    def kill_first(seen: Seen) -> bytes | None:
        if child:
            os.kill(child.pop().pid, signal.SIGKILL)
            return None
        return reply_with()

    with world(kill_first) as there:
        permit = 'permit: {network: ["127.0.0.1"]}'
        at = place(tmp_path, PROGRAM.replace("PORT", str(there.port)), policy=POLICY, permit=permit, port=there.port)
        env = {**os.environ, "PYTHONPATH": str(TESTS)}
        with subprocess.Popen([sys.executable, "-c", CHILD, str(at.root)], env=env) as process:
            child.append(process)
            assert process.wait(60) == -signal.SIGKILL

        site = at.site()
        run_id = runs.resolve(site, "last")
        last = [event.body for event in site.journal.read(run_id)][-1]
        assert isinstance(last, ev.CallIntended)

        site, state = at.again(run_id)
        (ask,) = open_asks(site.journal, run_id, site.now_ms)
        assert ask.about == "unknown"
        assert (state.finished, len(there.seen)) == (None, 1)
        ends = [e.body for e in site.journal.read(run_id) if isinstance(e.body, ev.CallEnded)]
        assert [end.status for end in ends] == ["unknown"]

        answer(site.journal, run_id, ask.ask_id, reply, by="ada", why="looked", now_ms=site.now_ms)
        site, state = at.again(run_id)
    assert state.finished is not None and state.finished.reason == "goal"
    assert len(there.seen) == requests
    assert len({seen.header("idempotency-key") for seen in there.seen}) == 1
    assert audit(site.journal.read(run_id), site.journal.blobs.get).findings == ()
