"""A question that nobody answers in time holds up neither its run nor the service, and costs nothing while it waits."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.policy.values import Rule
from loopwright.testing.memory import MemoryJournal
from loopwright.testing.noop import noop_start
from support.gates import SEND, FakeTool, desk
from support.services import MINUTE_MS, Served, loop_text


def test_a_run_waits_until_its_question_expires_and_goes_on_then_without_the_call(tmp_path: Path) -> None:
    reads: list[str] = []

    class Counted(MemoryJournal):
        def read(self, run_id: str, after: int = 0) -> Iterator[ev.Event]:
            reads.append(run_id)
            return super().read(run_id, after)

    served = Served.make(tmp_path, {"fix.md": loop_text()})
    served.journal = Counted(served.clock)
    served.journal.append("w1", [noop_start(1)], expect_seq=0, at_ms=served.clock())
    mail = FakeTool(SEND)
    at = desk(served.journal, mail, run_id="w1", rules=(Rule("ask", "mail.send"),), clock=served.clock)
    assert at.call("mail.send", {"to": "bob@example.org"}).status == "asked"
    (ask,) = at.asks
    assert ask.expires_at_ms is not None
    left_ms = ask.expires_at_ms - served.clock()

    def answers() -> list[tuple[str, str]]:
        bodies = [event.body for event in served.journal.read("w1")]
        return [(body.answer, body.by) for body in bodies if isinstance(body, ev.Answered)]

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 2, after_ms=1)
        reads.clear()
        await served.ticks(service, 5, after_ms=1)
        assert reads == [], "waiting costs nothing"
        served.clock.advance(left_ms - MINUTE_MS)
        await served.ticks(service, 1)
        assert answers() == []
        served.clock.advance(MINUTE_MS)
        await served.ticks(service, 10)
        assert answers() == [("deny", "loopwright (expired)")]
        state = fold(served.journal.read("w1"))
        assert state is not None and state.phase == "finished"
        assert mail.done == []
        await served.stop(service)

    asyncio.run(scenario())
