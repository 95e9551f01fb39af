"""The loops at a glance."""

import asyncio
from pathlib import Path

from loopwright.engine.triggers.overview import loop_rows
from support.services import MINUTE_MS, Served, loop_text


def test_rows_tell_triggers_next_moment_last_run_and_problems(tmp_path: Path) -> None:
    loops = {
        "fix.md": loop_text(when='[{cron: "* * * * *"}, {ticket: tickets}, {git: main}]'),
        "hand.md": loop_text("hand"),
        "odd.md": "---\nname: odd\nwhat: 1\n---\nx\n",
    }
    served = Served.make(tmp_path, loops)
    first = loop_rows(served.journal, tmp_path / "loops", served.clock())
    assert [(row.name, row.last_run) for row in first] == [("fix", None), ("hand", None), ("odd", None)]

    async def scenario() -> None:
        await served.ticks(served.start(), 2, MINUTE_MS)

    asyncio.run(scenario())
    fix, hand, odd = loop_rows(served.journal, tmp_path / "loops", served.clock())
    assert fix.triggers == ("cron * * * * * UTC", "ticket tickets/", "git main")
    assert fix.next_due_at_ms is not None
    assert 0 < fix.next_due_at_ms - served.clock() <= MINUTE_MS
    assert fix.last_run is not None
    assert (fix.last_run.run_id, fix.last_run.reason) == (served.fired()[0].run_id, "iterations")
    assert (hand.triggers, hand.next_due_at_ms, hand.problems) == ((), None, ())
    assert any("odd.md:3" in problem for problem in odd.problems)
