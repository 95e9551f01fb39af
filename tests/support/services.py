"""A service of a real repository with real loop files and the real driver; only what a run performs is nothing."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from loopwright.engine.dispatch import Drives
from loopwright.engine.drive import Driver
from loopwright.engine.log import Line
from loopwright.engine.protocol import Performer
from loopwright.engine.service import Service, ServiceParts
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.schedule import stream_of, ticket_of
from loopwright.loopfile import LoopFile
from loopwright.testing.clock import FakeClock
from loopwright.testing.memory import MemoryJournal
from loopwright.testing.noop import NoopPerformer
from loopwright.workspace.repository import Repository
from support.repositories import make_repository

__all__ = ["HOUR_MS", "MINUTE_MS", "Lines", "Served", "loop_text", "started_by", "ticket_text"]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def loop_text(name: str = "fix", when: str = "[]", iterations: int = 1) -> str:
    front = [f"name: {name}", "observe: [{tests: 'true'}]", "act: [{command: 'true'}]", "evaluate: {tests: 'true'}"]
    front += [f"stop: {{iterations: {iterations}}}"] + ([f"when: {when}"] if when != "[]" else [])
    return "\n".join(["---", *front, "---", "Make it pass.", ""])


def ticket_text(title: str = "It is broken", status: str | None = None) -> str:
    lines = [f"title: {title}"] + ([f"status: {status}"] if status else [])
    return "\n".join(["---", *lines, "---", "Please look.", ""])


def started_by(loop_file: LoopFile, fired: ev.TriggerFired) -> ev.RunStarted:
    return ev.RunStarted(
        loop=loop_file.loop,
        loop_digest=loop_file.digest,
        base_commit="0" * 40,
        base_tree="0" * 40,
        branch=f"loopwright/{loop_file.loop.name}/{fired.run_id}",
        jobs=1,
        trigger=fired.trigger,
        ticket=ticket_of(fired),
        notes=(),
        seed=0,
        version="0",
    )


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.all: list[Line] = []

    def say(self, line: Line) -> None:
        self.all.append(line)

    def of(self, kind: str) -> list[str]:
        return [line.what for line in self.all if line.kind == kind]


@dataclass
class Served:
    """A repository under a service that can be stopped and started again; `clock` is the only time there is."""

    root: Path
    journal: Journal = field(default_factory=MemoryJournal)
    clock: FakeClock = field(default_factory=lambda: FakeClock(1_767_225_590_000))  # ten seconds before 2026
    log: Lines = field(default_factory=Lines)
    performer: Callable[[str], Performer] = lambda run_id: NoopPerformer()
    runs_at_once: int = 2
    ids: Callable[[], str] = field(default_factory=lambda: map("r{:03}".format, itertools.count(1)).__next__)
    refusal: Callable[[LoopFile, ev.TriggerFired], None] | None = None
    drivers_made: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, root: Path, loops: dict[str, str]) -> "Served":
        make_repository(root, {f"loops/{name}": text for name, text in loops.items()} | {"a.txt": "a\n"})
        return cls(root)

    def start(self) -> Service:
        """A service as a new process would have it: it knows nothing but the journal and the files."""
        return Service(
            ServiceParts(
                journal=self.journal,
                repository=Repository.find(self.root),
                loops_dir=self.root / "loops",
                now_ms=self.clock,
                new_id=self.ids,
                begin=self.begin,
                make_driver=self.make_driver,
                log=self.log,
                runs_at_once=self.runs_at_once,
            )
        )

    def begin(self, loop_file: LoopFile, fired: ev.TriggerFired) -> None:
        if self.refusal is not None:
            self.refusal(loop_file, fired)
        self.journal.append(fired.run_id, [started_by(loop_file, fired)], expect_seq=0, at_ms=self.clock())

    def make_driver(self, run_id: str) -> Drives:
        self.drivers_made.append(run_id)
        return Driver(
            self.journal, run_id, self.performer(run_id), driver_id=f"d{len(self.drivers_made)}", now_ms=self.clock
        )

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def fired(self, loop: str = "fix") -> list[ev.TriggerFired]:
        return [body for body in self.stream(loop) if isinstance(body, ev.TriggerFired)]

    def skipped(self, loop: str = "fix") -> list[ev.TriggerSkipped]:
        return [body for body in self.stream(loop) if isinstance(body, ev.TriggerSkipped)]

    def stream(self, loop: str = "fix") -> list[ev.Body]:
        return [event.body for event in self.journal.read(stream_of(loop))]

    def runs(self) -> list[str]:
        return [head.run_id for head in self.journal.heads() if not head.run_id.startswith("loop:")]

    async def ticks(self, service: Service, times: int = 1, after_ms: int = 1000) -> None:
        """Tick, let every run come to its end, and let time go on."""
        for _ in range(times):
            service.tick()
            await service.dispatch.idle()
            self.clock.advance(after_ms)

    async def stop(self, service: Service, drain_s: float = 60.0) -> None:
        await service.close(drain_s, asyncio.Event())
