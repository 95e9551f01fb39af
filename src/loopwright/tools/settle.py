"""How a call ends whose tool did not say so: timed out, cancelled, broken, or cut off with its process.

The world is asked whether the effect happened. What the world cannot tell is put to a person where a repetition would do harm, and
is never simply done again.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from loopwright.journal.protocol import BlobStore
from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallStatus, Taint, ToolCall, ToolEffect
from loopwright.kernel.values import Spend
from loopwright.policy.taint import taint_of
from loopwright.policy.values import Json, ToolSpec
from loopwright.tools.canonical import canonical_output, copy_of
from loopwright.tools.protocol import Happened, Tool, ToolContext, ToolOutput

__all__ = [
    "UNKNOWN_ASK",
    "Ending",
    "ask_world",
    "ending_of",
    "needs_person",
    "unknown_ask_id",
    "value_of",
    "write_ending",
]

UNKNOWN_ASK: Final = "unknown"
"""What an ask is about when it cannot be told whether a call happened."""

_LASTING: Final = frozenset({"share", "send", "spend", "destroy", "credential"})
_MESSAGE_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: its event, the ask that comes with it, and what the actor may see."""

    ended: ev.CallEnded
    asked: ev.Asked | None
    value: Json

    @property
    def bodies(self) -> list[ev.Body]:
        return [self.ended] if self.asked is None else [self.ended, self.asked]


def needs_person(effect: ToolEffect, *, sandboxed: bool) -> bool:
    """Whether doing it twice, or thinking it done when it was not, would outlast the run."""
    return effect in _LASTING or (effect == "exec" and not sandboxed)


def unknown_ask_id(call_id: str) -> str:
    return f"{call_id}-unknown"


async def ask_world(tool: Tool, data: bytes, context: ToolContext, *, timeout_s: float) -> Happened:
    """What the tool's world says of the call; a world that fails or takes longer than `timeout_s` does not know."""
    try:
        async with asyncio.timeout(timeout_s):
            return await tool.happened(copy_of(data), context)
    except TimeoutError:
        return Happened("unknown", message=f"the world did not answer within {timeout_s} s")
    except Exception as error:
        return Happened("unknown", message=f"the world could not be asked: {error}")


def ending_of(happened: Happened, undone: Literal["cancelled", "timeout"], why: str, reserve: Spend) -> ToolOutput:
    """What the world's answer makes of a call that was interrupted: `undone` when it had no effect."""
    if happened.answer == "yes":
        output = happened.output or ToolOutput("ok", None, happened.message)
        return ToolOutput("ok", output.value, output.message or why, output.spend, output.sent_bytes)
    if happened.answer == "no":
        return ToolOutput(undone, None, f"{why}; it did not happen {happened.message}".rstrip())
    # What it cost is not known: what was reserved is the only honest bound.
    return ToolOutput(
        "unknown", None, f"{why}; {happened.message or 'the world cannot tell whether it happened'}", reserve
    )


def write_ending(
    call: ToolCall,
    spec: ToolSpec | None,
    output: ToolOutput,
    *,
    ask: bool,
    blobs: BlobStore,
    redact: Callable[[str], str],
    output_bytes: int,
) -> Ending:
    """The facts of an ended call. `ask`: a person must look when it is unknown. Nothing of `output` is kept unredacted."""
    status: CallStatus = output.status
    ref = None
    value: Json = None
    if output.value is not None:
        data = canonical_output(_redacted(output.value, redact), limit_bytes=output_bytes)
        ref = blobs.put(data, "application/json")
        value = value_of(blobs.get(ref))
    message = redact(output.message)[:_MESSAGE_CHARS]
    # An error's message is the tool's own words too: a server says in it what it likes.
    came = ref is not None or status in ("timeout", "unknown") or (status == "error" and message != "")
    taint: Taint = "none" if not came else "both" if spec is None else taint_of(spec)
    ended = ev.CallEnded(call.call_id, status, message, ref, output.spend, taint, output.sent_bytes)
    asked = None
    if ask and status == "unknown":
        question = (
            f"Nobody can tell whether call {call.call_id} of {call.tool} happened: {message}. Look for yourself; approve when it did"
            " NOT happen and may be done again, deny to leave it as it is."
        )
        asked = ev.Asked(unknown_ask_id(call.call_id), question, UNKNOWN_ASK)
    return Ending(ended, asked, value)


def value_of(data: bytes) -> Json:
    """The value of a stored output; redaction may have made it a text that is no JSON."""
    text = data.decode("utf-8", "replace")
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value


def _redacted(value: Json, redact: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [_redacted(item, redact) for item in value]
    if isinstance(value, dict):
        return {redact(str(key)): _redacted(item, redact) for key, item in value.items()}
    return value
