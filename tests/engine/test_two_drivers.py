"""Two drivers at once on one run: one wins, the other stops with a clear message, nothing is doubled."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright import loopfile
from loopwright.engine import runs
from loopwright.engine.drive import Driver
from loopwright.engine.site import open_site
from loopwright.errors import RunBusy, StaleWriter
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.state import State
from loopwright.kernel.values import Action, Propose
from loopwright.testing.clock import FakeClock
from loopwright.testing.noop import NoopPerformer, noop_start
from support.stores import Store
from support.two_faults import UNSANDBOXED, make_repository


class Gated(NoopPerformer):
    """Waits in its first proposal until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def perform(self, state: State, action: Action) -> ev.Body:
        if isinstance(action.work, Propose):
            self.reached.set()
            await self.go.wait()
        return await super().perform(state, action)


def driver(journal: Journal, performer: NoopPerformer, name: str, poll_s: float = 0.01) -> Driver:
    return Driver(journal, "r", performer, driver_id=name, now_ms=FakeClock(step_ms=1), poll_s=poll_s)


def test_a_second_driver_is_refused_with_who_holds_the_run(journal: Journal) -> None:
    async def both() -> State:
        performer = Gated()
        first = asyncio.create_task(driver(journal, performer, "one").drive())
        await performer.reached.wait()
        with pytest.raises(RunBusy, match=r"(?s)'?r'?.*\d+"):
            await driver(journal, NoopPerformer(), "two").drive()
        performer.go.set()
        return await first

    journal.append("r", [noop_start(3)], expect_seq=0, at_ms=1)
    state = asyncio.run(both())
    assert state.finished is not None
    assert state.iteration == 3


def test_a_driver_that_lost_its_run_stops_and_records_nothing_more(store: Store) -> None:
    """The lease is gone without its holder knowing (a network file system, a lost connection): the journal itself refuses it."""
    ours, theirs = store.open(), store.open()
    ours.append("r", [noop_start(3)], expect_seq=0, at_ms=1)

    async def both() -> None:
        performer = Gated()
        first = asyncio.create_task(driver(ours, performer, "one").drive())
        await performer.reached.wait()
        head = theirs.head("r")
        assert head is not None
        taken = ev.DriverStarted("two", "elsewhere", 1, "0.1.0", "nothing is run")
        theirs.append("r", [taken], expect_seq=head.seq, at_ms=head.last_at_ms)
        performer.go.set()
        with pytest.raises(StaleWriter, match="written by another driver; this one stops"):
            await first

    asyncio.run(both())
    last = list(theirs.read("r"))[-1].body
    assert isinstance(last, ev.DriverStarted)


def test_what_a_person_asks_for_reaches_a_run_that_is_being_driven(store: Store) -> None:
    ours, theirs = store.open(), store.open()
    ours.append("r", [noop_start(3)], expect_seq=0, at_ms=1)

    async def both() -> State:
        performer = Gated()
        first = asyncio.create_task(driver(ours, performer, "one").drive())
        await performer.reached.wait()
        head = theirs.head("r")
        assert head is not None
        theirs.append("r", [ev.PauseRequested("me", "lunch")], expect_seq=head.seq, at_ms=head.last_at_ms)
        return await first

    state = asyncio.run(both())
    assert state.paused == "lunch"
    assert state.inflight == ()
    cancelled = [e.body for e in theirs.read("r") if isinstance(e.body, ev.ActionFailed)]
    assert [body.status for body in cancelled] == ["cancelled"]


def test_a_driver_that_drains_records_what_is_in_flight_and_starts_nothing_new(journal: Journal) -> None:
    journal.append("r", [noop_start(3)], expect_seq=0, at_ms=1)

    async def drained() -> State:
        performer = Gated()
        one = driver(journal, performer, "one")
        task = asyncio.create_task(one.drive())
        await performer.reached.wait()
        one.drain()
        performer.go.set()
        return await task

    state = asyncio.run(drained())
    assert state.phase == "evaluating"
    assert state.inflight == ()
    assert state.paused is None
    again = asyncio.run(driver(journal, NoopPerformer(), "two").drive())
    assert again.finished is not None
    assert again == fold(journal.read("r"))


def test_two_processes_that_resume_one_run_end_with_one_winner(store: Store, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "place")
    env = {
        "PATH": os.environ["PATH"],
        **UNSANDBOXED,
        "HOME": str(tmp_path),
        **({"LOOPWRIGHT_JOURNAL": store.url} if store.url else {}),
    }
    site = open_site(repository, env)
    run_id = runs.start(site, loopfile.read(tmp_path / "place" / "loop.md"), runs.StartOptions(jobs=1))
    site.journal.close()
    argv = [
        sys.executable,
        "-c",
        "from loopwright.cli.main import main; main()",
        "resume",
        run_id,
        "-C",
        str(repository),
    ]
    both = [
        subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ends = [(process.communicate(timeout=120), process.returncode) for process in both]
    codes = sorted(code for _, code in ends)
    # The second finds the run busy, or already finished when the first was quick.
    assert codes[0] == 0, ends
    assert codes[1] in (2, 3), ends
    loser = next(err for (_, err), code in ends if code != 0)
    assert run_id in loser
    assert len(loser.strip().splitlines()) == 1
    calls = (tmp_path / "place" / "proposed.log").read_text().split()
    assert len(calls) == len(set(calls)) == 2


def test_ctrl_c_pauses_cleanly_and_resume_goes_on(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "place")
    slow = tmp_path / "place" / "propose.py"
    slow.write_text(f"open({str(tmp_path / 'begun')!r}, 'w').close()\nimport time\ntime.sleep(600)\n")
    argv = [sys.executable, "-c", "from loopwright.cli.main import main; main()"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **UNSANDBOXED}
    run = [*argv, "run", str(tmp_path / "place" / "loop.md"), "-C", str(repository)]
    process = subprocess.Popen(run, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "loopwright resume" in out
    site = open_site(repository, env)
    run_id = runs.resolve(site, "last")
    state = runs.load(site, run_id)
    assert state.paused is not None
    assert site.sandbox.kill_orphans(run_id) == 0, "the proposer outlived the pause"
    site.journal.close()

    make_repository(tmp_path / "other")
    slow.write_text((tmp_path / "other" / "propose.py").read_text())
    done = subprocess.run(
        [*argv, "resume", "last", "-C", str(repository)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
