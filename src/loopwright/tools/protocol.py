"""What a tool is: something with labels, a preview, an effect, and, for an effect on the world, a way to ask whether it happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from loopwright.kernel.calls import CallStatus
from loopwright.kernel.values import Spend
from loopwright.policy.values import Json, ToolSpec
from loopwright.sandbox.protocol import Overlay, Sandbox

__all__ = ["Happened", "Preview", "Tool", "ToolContext", "ToolOutput", "Toolbox"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a person sees before an effect, and what the call is bound to.

    `precondition` is the digest of the state of what is acted on (hashes of the files, working directory, argv, a remote version);
    `""` where there is none. `diff` is the change as text. `spend` is what the call may cost at most.
    """

    precondition: str = ""
    diff: str = ""
    spend: Spend = Spend()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Where a tool works. `key` is the call's idempotency key, given to the world where the world takes one."""

    run_id: str
    call_id: str
    key: str
    sandbox: Sandbox
    cwd: Path | None
    overlays: tuple[Overlay, ...]
    timeout_s: float
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """`value` is what the actor gets back (bounded; redacted by the gate). `sent_bytes` is what left this machine."""

    status: CallStatus
    value: Json
    message: str = ""
    spend: Spend = Spend()
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Happened:
    """What the world says of an intent without outcome. `unknown`: it cannot be asked; a person must look."""

    answer: Literal["yes", "no", "unknown"]
    output: ToolOutput | None = None
    message: str = ""


class Tool(Protocol):
    @property
    def spec(self) -> ToolSpec: ...

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        """Without any effect. Raises: `ActionError` when the call makes no sense (a file that is not there, an argument out of range)."""
        ...

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        """Do it, once. An error of the tool is an output with status `error`, not an exception.

        Raises: `SandboxError` when the isolation that it needs is not there.
        """
        ...

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        """Whether the call with `context.key` had its effect; without any effect of its own."""
        ...


class Toolbox(Protocol):
    """Several tools that live and die together, an MCP server for instance. Opened before the first call, closed after the last."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...

    @property
    def quarantined(self) -> tuple[str, ...]:
        """Names of its tools that must not be called, since what provides them changed."""
        ...

    async def close(self) -> None: ...
