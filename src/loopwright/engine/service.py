"""The always-on service of one repository: loop files in, firings to the journal, runs driven to their end.

Nothing here is remembered that the journal does not know: a service that is killed anywhere starts again and goes on. The order
in which that is so: the firing is written with the id of its run, then the run is begun under this id, then it is driven.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from loopwright.engine.dispatch import Drives, LocalDispatch
from loopwright.engine.expiry import Expiries
from loopwright.engine.log import Kind, Line, ServiceLog
from loopwright.engine.protocol import Clock
from loopwright.engine.standing import Standings
from loopwright.engine.triggers.loopfiles import Fault, LoopFiles
from loopwright.engine.triggers.refs import Refs
from loopwright.engine.triggers.watch import Watch
from loopwright.errors import LoopwrightError, StaleWriter
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.schedule import ticket_of
from loopwright.kernel.state import State
from loopwright.loopfile import LoopFile
from loopwright.workspace.repository import Repository

__all__ = ["Begin", "Service", "ServiceParts", "run_service"]

STILL_MS: Final = 2_000
"""A run that this service did not begin is taken up once nobody has written to it for so long: `resume` drives it itself."""
MOST_BEGINS: Final = 5

Begin = Callable[[LoopFile, ev.TriggerFired], None]
"""Writes the first event of the run that a firing names. Raises: `StaleWriter` when it was begun already, `LoopwrightError`."""


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What a service is made of; tests bring their own clock, ids and drivers."""

    journal: Journal
    repository: Repository
    loops_dir: Path
    now_ms: Clock
    new_id: Callable[[], str]
    begin: Begin
    make_driver: Callable[[str], Drives]
    log: ServiceLog
    runs_at_once: int
    report: Callable[[str], None] = lambda run_id: None
    """Writes what a run leaves for people; called when its driver is done with it, for now or for good."""


@dataclass(slots=True)
class _Attempts:
    failures: int = 0
    until_ms: int = 0


@dataclass(slots=True)
class Service:
    """One look at everything is `tick`; between two of them the drivers work as tasks of the same event loop."""

    parts: ServiceParts
    dispatch: LocalDispatch = field(init=False)
    standings: Standings = field(init=False)
    _expiries: Expiries = field(init=False)
    _files: LoopFiles = field(init=False)
    _refs: Refs = field(init=False)
    _watches: dict[str, Watch] = field(default_factory=dict)
    _begins: dict[str, _Attempts] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = self.parts
        self.dispatch = LocalDispatch(
            parts.make_driver,
            runs_at_once=parts.runs_at_once,
            now_ms=parts.now_ms,
            log=parts.log,
            ended=self._ended,
        )
        self.standings = Standings(parts.journal, self.dispatch.is_driving, self._unreadable)
        self._expiries = Expiries(parts.journal, parts.now_ms)
        self._files = LoopFiles(parts.loops_dir, self._faulty)
        self._refs = Refs(parts.repository)

    def tick(self) -> None:
        """Look at the journal, the loop files and the triggers; begin and drive what is due. Never raises: it says what is wrong."""
        if not self._guarded("journal", self.standings.look):
            return
        self._guarded("expired questions", lambda: self._expiries.close(self.standings.unfinished))
        self._take_up_loop_files()
        for name, watch in self._watches.items():
            self._guarded(f"loop {name}", partial(self._tick, watch))
        for run_id in self.standings.ready(self.parts.now_ms(), STILL_MS):
            self.dispatch.submit(run_id)

    async def close(self, drain_s: float, hurry: asyncio.Event) -> None:
        """Drain the drivers and write down what was only counted."""
        self._say("service", f"draining {len(self.dispatch.running)} runs, at most {drain_s:g} s")
        cancelled = await self.dispatch.drain(drain_s, hurry)
        for run_id in cancelled:
            self._say("waiting", "cancelled in the middle of a step; the next start goes on with it", run=run_id)
        for name, watch in self._watches.items():
            self._guarded(f"loop {name}", partial(watch.settle, self.parts.now_ms()))

    def _tick(self, watch: Watch) -> None:
        active = self.standings.active(watch.loop_file.loop.name)
        for fired in watch.firings():
            if not self.standings.has(fired.run_id):
                # A crash between the firing and its run, or a run that could not be begun yet.
                active[ticket_of(fired)] = fired.run_id
                self._begin(watch, fired)
        for fired in watch.tick(active, self.parts.now_ms()):
            self._begin(watch, fired)

    def _ended(self, run_id: str, state: State) -> None:
        self.standings.store(run_id, state)
        if state.phase == "finished" or state.paused is not None or state.asks:
            self._guarded(f"report of run {run_id}", partial(self.parts.report, run_id))

    def _begin(self, watch: Watch, fired: ev.TriggerFired) -> None:
        now_ms = self.parts.now_ms()
        attempts = self._begins.setdefault(fired.run_id, _Attempts())
        if now_ms < attempts.until_ms:
            return
        try:
            self.parts.begin(watch.loop_file, fired)
        except StaleWriter:
            pass  # begun before; the next look at the journal finds it
        except LoopwrightError as error:
            attempts.failures += 1
            attempts.until_ms = now_ms + 1000 * 4**attempts.failures
            loop = watch.loop_file.loop.name
            self._say("failed", f"cannot be begun: {error}", loop, fired.run_id)
            if attempts.failures >= MOST_BEGINS:
                watch.give_up(fired, f"its run could not be begun: {error}", now_ms)
                del self._begins[fired.run_id]
            return
        self._begins.pop(fired.run_id, None)
        self.dispatch.submit(fired.run_id)

    def _take_up_loop_files(self) -> None:
        if not self._files.poll():
            return
        in_force = self._files.in_force
        for name in self._watches.keys() - in_force.keys():
            watch = self._watches.pop(name)
            self._guarded(f"loop {name}", partial(watch.settle, self.parts.now_ms()))
            self._say("loop", "its file is gone: it fires no more, its runs go on", name)
        for name, loop_file in in_force.items():
            known = self._watches.get(name)
            if known is None:
                parts = self.parts
                self._watches[name] = Watch(
                    loop_file,
                    journal=parts.journal,
                    root=parts.repository.root,
                    refs=self._refs,
                    now_ms=parts.now_ms,
                    new_id=parts.new_id,
                    log=parts.log,
                )
                self._say("loop", f"{loop_file.source} is on", name)
            elif known.loop_file is not loop_file:
                if known.loop_file.digest != loop_file.digest:
                    self._say("loop", f"{loop_file.source} has changed", name)
                known.loop_file = loop_file

    def _guarded(self, subject: str, work: Callable[[], None]) -> bool:
        """Do it, or say once what is wrong; whatever it is, it must not end the service."""
        try:
            work()
        except LoopwrightError as error:
            fault = str(error)
        except Exception as error:
            fault = f"unexpected {type(error).__name__}: {error}"
        else:
            self._faults.pop(subject, None)
            return True
        if self._faults.get(subject) != fault:
            self._faults[subject] = fault
            self._say("fault", f"{subject}: {fault}; it is tried again")
        return False

    def _faulty(self, fault: Fault) -> None:
        for line in fault.message.splitlines():
            self._say("fault", line)

    def _unreadable(self, run_id: str, error: LoopwrightError) -> None:
        self._say("fault", f"{error}; this run is left alone", run=run_id)

    def _say(self, kind: Kind, what: str, loop: str = "", run: str = "") -> None:
        self.parts.log.say(Line(self.parts.now_ms(), kind, what, loop, run))


async def run_service(
    service: Service, *, tick_s: float, drain_s: float, stop: asyncio.Event, hurry: asyncio.Event
) -> None:
    """Tick every `tick_s` seconds until `stop`, then drain for at most `drain_s` seconds or until `hurry`."""
    while not stop.is_set():
        service.tick()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), tick_s)
    await service.close(drain_s, hurry)
