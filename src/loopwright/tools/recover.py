"""After a crash: every call with an intent and no outcome is settled before anything else is done. Never silently redone.

The world is asked by the call's idempotency key. It happened: the outcome is recorded as if nothing had been. It did not: the call is
cancelled, and the actor may ask for it again with the same key. Nobody can tell: a person looks, where doing it twice would do harm.
"""

from typing import Final

from loopwright.kernel import events as ev
from loopwright.tools.canonical import call_digest
from loopwright.tools.history import CallEntry
from loopwright.tools.protocol import Happened, ToolContext, ToolOutput
from loopwright.tools.registry import Registered, Registry
from loopwright.tools.results import Place, Settings
from loopwright.tools.runlog import RunLog
from loopwright.tools.settle import ask_world, ending_of, needs_person, write_ending

__all__ = ["recover", "settled"]

WORLD_S: Final = 30.0
WHY: Final = "the process ended between the intent and the outcome"


async def recover(log: RunLog, registry: Registry, place: Place, settings: Settings) -> tuple[ev.Body, ...]:
    """Settle every open call of the run in one commit and return what was written. Again is fine: there is nothing left to settle.

    For the start of a driver, once it holds the run's lease and before any gate of it is opened.
    """
    log.refresh()
    bodies = await settled(log, registry, place, settings)

    def build(at_ms: int) -> tuple[list[ev.Body], tuple[ev.Body, ...]]:
        # Another process may have settled some of them while the world was asked.
        open_now = {entry.call.call_id for entry in log.history.in_flight()}
        still = [body for call_id, found in bodies.items() if call_id in open_now for body in found]
        return still, tuple(still)

    return log.commit(build)


async def settled(log: RunLog, registry: Registry, place: Place, settings: Settings) -> dict[str, list[ev.Body]]:
    """How each open call ended, by call id, without writing it: for a driver that records it together with its own start."""
    return {
        entry.call.call_id: await _settle(entry, log, registry.get(entry.call.tool), place, settings)
        for entry in list(log.history.in_flight())
    }


async def _settle(
    entry: CallEntry, log: RunLog, found: Registered | None, place: Place, settings: Settings
) -> list[ev.Body]:
    assert entry.intended is not None
    # The label of then counts: a tool that was relabelled since is no reason to look less.
    lasting = needs_person(entry.call.effect, sandboxed=place.sandbox.isolated)
    output = ToolOutput("unknown", None, WHY, entry.intended.reserve)
    if lasting:
        happened = await _ask(entry, log, found, place)
        output = ending_of(happened, "cancelled", WHY, entry.intended.reserve)
    ending = write_ending(
        entry.call,
        None if found is None else found.spec,
        output,
        ask=lasting,
        blobs=log.blobs,
        redact=settings.redact,
        output_bytes=settings.output_bytes,
    )
    return ending.bodies


async def _ask(entry: CallEntry, log: RunLog, found: Registered | None, place: Place) -> Happened:
    assert entry.intended is not None
    call = entry.call
    if found is None:
        return Happened("unknown", message=f"the tool {call.tool!r} is not here any more")
    arguments = log.blobs.get(call.arguments)
    digest = call_digest(
        run_id=log.run_id,
        actor=call.actor,
        tool=call.tool,
        pin=found.spec.pin,
        arguments=arguments,
        precondition=call.precondition,
    )
    if digest != call.digest:
        # Asking about another call would get an answer about another call.
        return Happened(
            "unknown", message="what is recorded of the call is not all of it, or another server provides the tool"
        )
    context = ToolContext(
        log.run_id, call.call_id, entry.intended.key, place.sandbox, place.cwd, place.overlays, WORLD_S, log.now_ms
    )
    return await ask_world(found.tool, arguments, context, timeout_s=WORLD_S)
