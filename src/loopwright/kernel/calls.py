"""A tool call as the journal has it: what was asked for, bound by a digest to exactly what would be done.

Effects and roles are labels that a policy decides by; they are declared for a tool by who configures it, never by the tool's words.
"""

from typing import Literal

from loopwright.kernel.values import BlobRef, Spend, Value

__all__ = ["ArgumentRole", "CallAsk", "CallInFlight", "CallStatus", "Origin", "Taint", "ToolCall", "ToolEffect"]

ToolEffect = Literal["read", "net_read", "write_own", "share", "send", "spend", "destroy", "credential", "exec"]
"""From harmless to not: reads here, reads over the network, writes to what the run owns, shows to others, sends to others, pays,
destroys, touches credentials, runs programs."""

ArgumentRole = Literal["target", "object", "amount", "secret", "content", "time", "flag", "query"]
"""What an argument means: who receives it, what it is done to, how much, a secret's name, free text, a time, a switch, a search."""

Taint = Literal["none", "untrusted", "private", "both"]
"""What a call brought into the run: text that anybody may have written, data that must not leave, both, or neither."""

CallStatus = Literal["ok", "error", "timeout", "denied", "unknown", "cancelled"]


class Origin(Value, frozen=True):
    """Where the value at `argument` was seen first. `argument` is a path (`recipients[0]`); `where` names the place for people."""

    argument: str
    source: Literal["task", "plan", "trusted", "untrusted", "run", "unknown"]
    where: str


class ToolCall(Value, frozen=True):
    """`arguments` is the RFC 8785 form of the arguments as the actor gave them: secrets stand in it as placeholders only.

    `digest` is the SHA-256 of the canonical call: run, tool, the tool's pin, arguments, and `precondition`, the digest of the state of
    what it is done to (file hashes, working directory, argv); an approval is bound to it.
    """

    call_id: str
    action_id: str
    actor: str
    tool: str
    effect: ToolEffect
    arguments: BlobRef
    precondition: str
    digest: str


class CallAsk(Value, frozen=True):
    """What an approval of a call is bound to. `card` is what the person is shown, as text that is safe on a terminal.

    `step_up`: the answer needs the confirmation that destroying, credentials and spending ask for.
    """

    call_id: str
    digest: str
    nonce: str
    expires_at_ms: int
    step_up: bool
    card: BlobRef


class CallInFlight(Value, frozen=True):
    """A call with an intent and no outcome; `reserve` is held from the run's budget until it ends."""

    call_id: str
    reserve: Spend
