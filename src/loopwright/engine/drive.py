"""The only place that sequences the beats: fold, ask the kernel what is pending, write the intents, perform, write the outcomes.

One driver at a time holds the run's lease; `expect_seq` refuses whoever lost it without knowing. Other processes speak to a run by
appending a request (pause, stop, an answer, new limits): the driver sees it at its next append, and otherwise within `poll_s`.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from loopwright import __version__
from loopwright.engine.protocol import Clock, Performer
from loopwright.errors import StaleWriter, UsageError
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import apply, fold
from loopwright.kernel.pending import advance
from loopwright.kernel.state import State

__all__ = ["Driver"]

POLL_S = 0.25

_REQUESTS = (ev.PauseRequested, ev.StopRequested, ev.RunResumed, ev.LimitsChanged, ev.Answered)
_CALLS = (ev.PolicyBound, ev.CallRequested, ev.CallDecided, ev.Asked, ev.CallIntended, ev.CallEnded)
"""Written by the gate, beside the driver, while an action of the run is in flight."""


class Driver:
    """Drives one run until it is finished, paused or waiting for a person.

    `watch` is called with every event after it is durable, in order; it must not raise.
    """

    def __init__(
        self,
        journal: Journal,
        run_id: str,
        performer: Performer,
        *,
        driver_id: str,
        now_ms: Clock,
        watch: Callable[[ev.Event], None] = lambda event: None,
        poll_s: float = POLL_S,
    ) -> None:
        self._journal = journal
        self._run_id = run_id
        self._performer = performer
        self._driver_id = driver_id
        self._now_ms = now_ms
        self._watch = watch
        self._poll_s = poll_s
        self._tasks: dict[asyncio.Task[ev.Body], ev.ActionIntended] = {}
        self._wishes: list[ev.Body] = []
        self._draining = False

    def pause(self, why: str, by: str) -> None:
        """Ask for a pause from this process (Ctrl-C); what is in flight is cancelled and will be done anew."""
        self._wishes.append(ev.PauseRequested(by, why))

    def drain(self) -> None:
        """Let what is in flight end, record it, start nothing new, and return; the run goes on at the next start."""
        self._draining = True

    async def drive(self) -> State:
        """Raises: `RunBusy` when another process drives the run, `StaleWriter` when one took it over, `JournalCorrupt`."""
        with self._journal.lease(self._run_id):
            state = fold(self._journal.read(self._run_id))
            if state is None:
                raise UsageError(
                    f"run {self._run_id!r}: expected a run in the journal, found none; `loopwright ls` shows them"
                )
            if state.phase == "finished":
                return state
            try:
                return await self._drive(await self._take_over(state))
            finally:
                # Whatever ends the driver, no process that it started outlives it.
                await self._cancel_all()
                await self._performer.close()

    async def _take_over(self, state: State) -> State:
        """Record the new driver, and how every action ended whose outcome the last driver could not write."""
        started = ev.DriverStarted(
            self._driver_id, socket.gethostname(), os.getpid(), __version__, self._performer.sandbox_description
        )
        fresh: list[ev.Body] = [started, *await self._performer.settle_calls(state)]
        for flying in state.inflight:
            fresh += await self._performer.reconcile(state, flying.action)
        return self._append(state, fresh)

    async def _drive(self, state: State) -> State:
        while True:
            if self._wishes:
                wishes, self._wishes = self._wishes, []
                state = self._append(state, wishes)
            if not self._tasks:
                return state
            if state.pause_requested is not None or state.stop_requested is not None:
                outcomes = await self._cancel_all()
            else:
                outcomes = [self._outcome(task) for task in await self._first_done()]
            state = self._append(state, outcomes) if outcomes else self._poll(state)

    async def _first_done(self) -> list[asyncio.Task[ev.Body]]:
        """What ended, once something did or it is time to look for requests; in the order in which it was begun."""
        await asyncio.sleep(0)
        done = [task for task in self._tasks if task.done()]
        if not done:
            await asyncio.wait(self._tasks, timeout=self._poll_s, return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in self._tasks if task.done()]
        return done

    def _append(self, state: State, fresh: Sequence[ev.Body]) -> State:
        """One durable step: the fresh facts, what follows from them, and the next intents, which are then started."""
        while True:
            at_ms = max(self._now_ms(), state.last_at_ms)
            ahead, bodies = advance(state, fresh, at_ms, go_on=not self._draining)
            if not bodies:
                return state
            try:
                events = self._journal.append(self._run_id, bodies, expect_seq=state.seq, at_ms=at_ms)
            except StaleWriter:
                state = self._take_in_requests(state)
                continue
            for event in events:
                self._watch(event)
            if ahead.intents != state.intents:
                for body in bodies:
                    if type(body) is ev.ActionIntended:
                        task = asyncio.create_task(self._performer.perform(ahead, body.action))
                        self._tasks[task] = body
            return ahead

    def _poll(self, state: State) -> State:
        """See whether somebody asked for something while an action is in flight."""
        head = self._journal.head(self._run_id)
        if head is None or head.seq == state.seq:
            return state
        return self._append(self._take_in_requests(state), ())

    def _take_in_requests(self, state: State) -> State:
        """Fold what others appended; anything but a request means that another driver owns the run now."""
        for event in self._journal.read(self._run_id, after=state.seq):
            if not isinstance(event.body, (*_REQUESTS, *_CALLS)):
                raise StaleWriter(
                    f"run {self._run_id!r}: event {event.seq} ({ev.kind_of(event.body)}) was written by another driver; "
                    "this one stops, and the other goes on"
                )
            state = apply(state, event.body, event.at_ms)
            self._watch(event)
        return state

    def _outcome(self, task: asyncio.Task[ev.Body]) -> ev.Body:
        intended = self._tasks.pop(task)
        if task.cancelled():
            # What it cost until here is not known: what it reserved is the only honest bound.
            message = "cancelled: the run was paused or stopped"
            return ev.ActionFailed(intended.action.id, "cancelled", message, "cancelled", intended.reserve)
        return task.result()

    async def _cancel_all(self) -> list[ev.Body]:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [self._outcome(task) for task in tasks if task in self._tasks]
