"""The service as a whole, tick by tick, over a real repository and the real driver; no time passes but the clock's."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from loopwright.errors import WorkspaceError
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.loopfile import LoopFile
from loopwright.testing.memory import MemoryJournal
from loopwright.testing.noop import noop_start
from support.repositories import git
from support.services import HOUR_MS, MINUTE_MS, Served, loop_text, started_by, ticket_text

HOURLY = '[{cron: "0 * * * *"}]'


def test_a_schedule_fires_when_it_is_due_and_its_run_is_driven_to_its_end(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when=HOURLY)})

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 10)
        assert served.fired() == [], "not due yet"
        await served.ticks(service, 1)
        (fired,) = served.fired()
        assert fired.subject == "2026-01-01T00:00+00:00"
        assert served.runs() == [fired.run_id]
        state = fold(served.journal.read(fired.run_id))
        assert state is not None and state.phase == "finished"

    asyncio.run(scenario())


def test_nothing_to_do_costs_no_run_and_no_growing_journal(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when='[{cron: "* * * * *"}]')})

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 2, MINUTE_MS)
        assert len(served.runs()) == 1
        size = len(served.stream())
        await served.ticks(service, 300, MINUTE_MS)
        assert len(served.runs()) == 1
        assert len(served.stream()) == size + 1, "one event says that nothing has changed"
        (tmp_path / "a.txt").write_text("b\n")
        await served.ticks(service, 2, MINUTE_MS)
        assert len(served.runs()) == 1, "uncommitted: a run's base is HEAD"
        git(tmp_path, "commit", "-qam", "change")
        await served.ticks(service, 2, MINUTE_MS)
        assert len(served.runs()) == 2

    asyncio.run(scenario())


def test_firings_missed_while_the_service_was_down_are_counted_and_caught_up_once(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when=HOURLY)})

    async def scenario() -> None:
        first = served.start()
        await served.ticks(first)
        await served.stop(first)
        served.clock.advance(12 * HOUR_MS + 30_000)
        second = served.start()
        await served.ticks(second, 3)
        (fired,) = served.fired()
        assert fired.subject == "2026-01-01T12:00+00:00"
        missed = [skip for skip in served.skipped() if skip.reason == "missed"]
        assert [skip.detail.split(":")[0] for skip in missed] == ["12 firings between 2026-01-01T00"]

    asyncio.run(scenario())


def test_what_was_looked_at_before_a_clean_end_is_not_called_missed_after_it(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when='[{cron: "* * * * *"}]')})

    async def scenario() -> None:
        first = served.start()
        await served.ticks(first, 100, MINUTE_MS)
        await served.stop(first)
        second = served.start()
        await served.ticks(second, 10, MINUTE_MS)
        assert [skip.detail for skip in served.skipped() if skip.reason == "missed"] == []

    asyncio.run(scenario())


def test_tickets_fire_when_new_or_changed_and_the_run_knows_its_ticket(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{ticket: tickets/}]")})

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 2)
        served.write("tickets/one.md", ticket_text())
        served.write("tickets/two.md", ticket_text(status="closed"))
        await served.ticks(service, 5)
        (fired,) = served.fired()
        state = fold(served.journal.read(fired.run_id))
        assert state is not None and state.ticket == "tickets/one.md"
        served.write("tickets/one.md", ticket_text("It is still broken"))
        served.write("tickets/two.md", ticket_text(status="open"))
        await served.ticks(service, 5)
        assert [one.subject for one in served.fired()] == ["tickets/one.md"] * 2 + ["tickets/two.md"]

    asyncio.run(scenario())


def test_new_commits_on_the_branch_fire_once_and_those_before_the_service_do_not(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{git: main}, {git: other}]")})

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 3)
        assert served.fired() == []
        assert [line for line in served.log.of("fault") if "no branch 'other'" in line] != []
        for text in ("b", "c"):
            (tmp_path / "a.txt").write_text(text)
            git(tmp_path, "commit", "-qam", text)
        await served.ticks(service, 3)
        assert [fired.subject for fired in served.fired()] == [git(tmp_path, "rev-parse", "HEAD")]
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", "says nothing new")
        await served.ticks(service, 3)
        assert len(served.fired()) == 1
        assert served.skipped()[-1].reason == "unchanged"

    asyncio.run(scenario())


def test_a_paused_run_has_no_task_blocks_its_ticket_only_and_goes_on_when_resumed(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{ticket: tickets/}]", iterations=3)})

    async def scenario() -> None:
        service = served.start()
        served.write("tickets/one.md", ticket_text())
        service.tick()
        service.tick()
        (fired,) = served.fired()
        append(served, fired.run_id, ev.PauseRequested("ann", "lunch"))
        await served.ticks(service, 3)
        assert service.dispatch.running == () and service.standings.counts() == (0, 1)
        assert any("paused: lunch" in line for line in served.log.of("waiting"))
        served.write("tickets/one.md", ticket_text("more of it"))
        served.write("tickets/two.md", ticket_text())
        await served.ticks(service, 5)
        assert [one.subject for one in served.fired()] == ["tickets/one.md", "tickets/two.md"]
        made = len(served.drivers_made)
        await served.ticks(service, 100)
        assert len(served.drivers_made) == made, "a waiting run is not tried"
        append(served, fired.run_id, ev.RunResumed("ann"))
        await served.ticks(service, 5)
        state = fold(served.journal.read(fired.run_id))
        assert state is not None and state.phase == "finished"
        assert [one.subject for one in served.fired()][2:] == ["tickets/one.md"], "the held-back text fires now"

    asyncio.run(scenario())


def test_a_run_that_its_owner_resumes_by_hand_is_left_to_him_while_he_writes(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{ticket: tickets/}]", iterations=3)})

    async def scenario() -> None:
        service = served.start()
        served.write("tickets/one.md", ticket_text())
        service.tick()
        service.tick()
        (fired,) = served.fired()
        append(served, fired.run_id, ev.PauseRequested("ann", "lunch"))
        await served.ticks(service)
        append(served, fired.run_id, ev.RunResumed("ann"))
        made = len(served.drivers_made)
        with served.journal.lease(fired.run_id):
            service.tick()
            await service.dispatch.idle()
            assert len(served.drivers_made) == made, "he may just be about to"
            await served.ticks(service, 60)
        tried = len(served.drivers_made) - made
        assert 1 <= tried <= 8, "asked again, later and later"
        await served.ticks(service, 60)
        state = fold(served.journal.read(fired.run_id))
        assert state is not None and state.phase == "finished"
        assert served.log.of("failed") == []

    asyncio.run(scenario())


def test_unfinished_runs_are_taken_up_at_start_whoever_began_them(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when=HOURLY)})

    async def scenario() -> None:
        first = served.start()
        await served.ticks(first)
        served.clock.advance(HOUR_MS)
        first.tick()  # fires and begins; the process dies before the driver's first step
        (fired,) = served.fired()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        served.clock.advance(10_000)
        second = served.start()
        await served.ticks(second)
        state = fold(served.journal.read(fired.run_id))
        assert state is not None and state.phase == "finished"
        assert len(served.fired()) == 1

    asyncio.run(scenario())


def test_a_removed_loop_fires_no_more_and_a_broken_one_goes_on_as_it_was(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when=HOURLY), "b.md": loop_text("b", HOURLY)})

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service)
        (tmp_path / "loops/fix.md").write_text("---\nname: fix\nwhen: [{corn: x}]\n---\nx\n")
        (tmp_path / "loops/b.md").unlink()
        served.clock.advance(HOUR_MS)
        await served.ticks(service, 3)
        assert (len(served.fired("fix")), len(served.fired("b"))) == (1, 0)
        assert [line for line in served.log.of("fault") if "fix.md:3" in line and "cron" in line] != []

    asyncio.run(scenario())


def test_a_damaged_run_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when=HOURLY)})
    served.journal.append("broken", [ev.RunResumed("nobody")], expect_seq=0)

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 20)
        assert len(served.fired()) == 1
        faults = [line for line in served.log.of("fault") if "left alone" in line]
        assert len(faults) == 1

    asyncio.run(scenario())


def append(served: Served, run_id: str, body: ev.Body) -> None:
    head = served.journal.head(run_id)
    assert head is not None
    served.journal.append(run_id, [body], expect_seq=head.seq, at_ms=served.clock())


def test_a_tick_over_waiting_runs_reads_no_stream_and_holds_no_task(tmp_path: Path) -> None:
    reads: list[str] = []

    class Counted(MemoryJournal):
        def read(self, run_id: str, after: int = 0) -> Iterator[ev.Event]:
            reads.append(run_id)
            return super().read(run_id, after)

    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{git: main}]")})
    served.journal = Counted(served.clock)
    paused: list[ev.Body] = [noop_start(1), ev.PauseRequested("ann", "x"), ev.RunPaused("x")]
    for number in range(50):
        served.journal.append(f"w{number}", paused, expect_seq=0)

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 2)
        reads.clear()
        await served.ticks(service, 5)
        assert reads == []
        assert service.standings.counts() == (0, 50)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        append(served, "w7", ev.StopRequested("ann", "enough"))
        await served.ticks(service, 5)
        assert set(reads) == {"w7"}
        assert service.standings.counts() == (0, 49)

    asyncio.run(scenario())


def test_a_run_that_cannot_be_begun_is_given_up_in_the_journal_and_does_not_fire_again(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{ticket: tickets/}]")})
    tried: list[str] = []

    def begin(loop_file: LoopFile, fired: ev.TriggerFired) -> None:
        tried.append(fired.run_id)
        raise WorkspaceError("no room")

    served.refusal = begin
    served.write("tickets/one.md", ticket_text())

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 30, 60_000)
        assert len(served.fired()) == 1
        assert tried == [served.fired()[0].run_id] * 5
        last = served.skipped()[-1]
        assert (last.reason, last.subject) == ("error", "tickets/one.md") and "no room" in last.detail
        served.refusal = None
        served.write("tickets/one.md", ticket_text("anew"))
        await served.ticks(service, 5)
        assert len(served.fired()) == 2 and len(served.runs()) == 1

    asyncio.run(scenario())


def test_a_run_that_was_begun_meanwhile_is_not_begun_again_and_no_failure(tmp_path: Path) -> None:
    """Another machine's service on the same journal may be a moment ahead."""
    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{ticket: tickets/}]")})

    def begun_elsewhere(loop_file: LoopFile, fired: ev.TriggerFired) -> None:
        served.journal.append(fired.run_id, [started_by(loop_file, fired)], expect_seq=0)

    served.refusal = begun_elsewhere
    served.write("tickets/one.md", ticket_text())

    async def scenario() -> None:
        service = served.start()
        await served.ticks(service, 5)
        assert served.log.of("failed") == []
        assert served.runs() == [fired.run_id for fired in served.fired()]
        assert len(served.log.of("finished")) == 1

    asyncio.run(scenario())


def test_a_service_that_another_one_outran_looks_again_and_neither_fires_twice_nor_never(tmp_path: Path) -> None:
    served = Served.make(tmp_path, {"fix.md": loop_text(when="[{ticket: tickets/}]")})

    async def scenario() -> None:
        one, other = served.start(), served.start()
        for moment in range(8):
            if moment == 2:
                served.write("tickets/one.md", ticket_text())
            one.tick()
            other.tick()
            await one.dispatch.idle()
            await other.dispatch.idle()
            served.clock.advance(1000)
        assert [fired.subject for fired in served.fired()] == ["tickets/one.md"]
        assert len(served.runs()) == 1
        served.write("tickets/two.md", ticket_text())
        await served.ticks(other, 3)
        assert [fired.subject for fired in served.fired()] == ["tickets/one.md", "tickets/two.md"]
        assert served.log.of("failed") == []

    asyncio.run(scenario())
