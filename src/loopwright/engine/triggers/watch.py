"""One loop's triggers at work: look at the world, decide, write the firing down. Beginning its run is the caller's affair."""

from collections.abc import Callable, Mapping
from pathlib import Path

from loopwright.engine.log import Line, ServiceLog
from loopwright.engine.protocol import Clock
from loopwright.engine.triggers import cron
from loopwright.engine.triggers.refs import Refs
from loopwright.engine.triggers.tickets import TicketFolder
from loopwright.errors import StaleWriter
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.due import Branch, Facts, Fire, Folder, Look, decide
from loopwright.kernel.loop import CronTrigger, GitTrigger, TicketTrigger, Trigger
from loopwright.kernel.schedule import (
    ScheduleState,
    apply,
    firings,
    fold,
    moments_after,
    settled,
    stream_of,
    trigger_name,
)
from loopwright.loopfile import LoopFile

__all__ = ["Watch"]


class Watch:
    """The triggers of the loop in `loop_file`, which may be replaced by a newer version of the same loop.

    The loop's stream is read once; after that this is its only writer, and one that is refused reads it anew.
    """

    def __init__(
        self,
        loop_file: LoopFile,
        *,
        journal: Journal,
        root: Path,
        refs: Refs,
        now_ms: Clock,
        new_id: Callable[[], str],
        log: ServiceLog,
    ) -> None:
        self.loop_file = loop_file
        self._journal = journal
        self._root = root
        self._refs = refs
        self._now_ms = now_ms
        self._new_id = new_id
        self._log = log
        self._stream = stream_of(loop_file.loop.name)
        self._state: ScheduleState | None = None
        self._folders: dict[str, TicketFolder] = {}
        self._faults: dict[str, str] = {}

    def firings(self) -> tuple[ev.TriggerFired, ...]:
        """The firings whose run may not have been begun yet."""
        return firings(self._load())

    def tick(self, active: Mapping[str | None, str], now_ms: int) -> tuple[ev.TriggerFired, ...]:
        """What fired at this look; it is in the journal when this returns, and its runs are not begun.

        `active`: the loop's unfinished runs by ticket, firings without a run included. Raises: `JournalError`, `WorkspaceError`.
        """
        loop = self.loop_file.loop
        if not loop.when:
            return ()
        state = self._load()
        looks = tuple(found for trigger in loop.when if (found := self._look(trigger, state, now_ms)) is not None)
        if not looks:
            return ()
        facts = Facts(now_ms, self.loop_file.digest, self._refs.head(now_ms).tree, looks, active)
        self._state, decisions = decide(state, facts)
        bodies = [made.event(self._new_id()) if isinstance(made, Fire) else made for made in decisions]
        if not self._write(bodies, now_ms):
            return ()
        return tuple(body for body in bodies if isinstance(body, ev.TriggerFired))

    def give_up(self, fired: ev.TriggerFired, why: str, now_ms: int) -> None:
        """Record that the run of a firing could not be begun and will not be."""
        self._write(
            [ev.TriggerSkipped(fired.trigger, fired.subject, fired.due_at_ms, "error", why, fired.evidence)], now_ms
        )

    def settle(self, now_ms: int) -> None:
        """Write down what was only counted: the service ends, or the loop's file is gone. Raises: `JournalError`."""
        if self._state is not None:
            self._write(list(settled(self._state)), now_ms)

    def _load(self) -> ScheduleState:
        if self._state is None:
            self._state = fold(event.body for event in self._journal.read(self._stream))
        return self._state

    def _write(self, bodies: list[ev.TriggerFired | ev.TriggerSkipped], now_ms: int) -> bool:
        if not bodies:
            return True
        state = self._load()
        try:
            self._journal.append(self._stream, bodies, expect_seq=state.seq, at_ms=now_ms)
        except StaleWriter:
            # Another service works on this journal: it decided first, and we look again at what it did.
            self._state = None
            return False
        except BaseException:
            # Whether it was written is not known: the journal is asked again before anything else is decided.
            self._state = None
            raise
        for body in bodies:
            # As we meant it, not as it was written: redaction may have touched a ticket's name, which must still be recognised.
            state = apply(state, body)
            self._say(body, now_ms)
        self._state = state
        return True

    def _look(self, trigger: Trigger, state: ScheduleState, now_ms: int) -> Look | None:
        name = trigger_name(trigger)
        match trigger:
            case CronTrigger():
                return cron.look(trigger, moments_after(state, name), now_ms)
            case TicketTrigger(folder=folder):
                tickets = self._folders.get(name)
                if tickets is None:
                    tickets = self._folders[name] = TicketFolder(self._root, folder, self._fault)
                return Folder(name, tickets.look())
            case GitTrigger(branch=branch):
                point = self._refs.branch(branch, now_ms)
                if point is None:
                    self._fault_once(name, f"when: git: there is no branch {branch!r}; it fires once there is one")
                    return None
                self._faults.pop(name, None)
                return Branch(name, point.commit, point.tree)
            case _:
                return None  # a loop that has others is refused when its file is read

    def _fault(self, message: str) -> None:
        self._log.say(Line(self._now_ms(), "fault", message, self.loop_file.loop.name))

    def _fault_once(self, key: str, message: str) -> None:
        if self._faults.get(key) != message:
            self._faults[key] = message
            self._fault(message)

    def _say(self, body: ev.TriggerFired | ev.TriggerSkipped, now_ms: int) -> None:
        loop = self.loop_file.loop.name
        what = f"{body.trigger}: {body.subject}" if body.subject else body.trigger
        if isinstance(body, ev.TriggerFired):
            self._log.say(Line(now_ms, "fired", what, loop, body.run_id))
        else:
            self._log.say(Line(now_ms, "skipped", f"{what}: {body.reason}: {body.detail}", loop))
