"""What goes into the gate and what comes out of it, as frozen values."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from loopwright.policy.values import CallView, Grant, Json, Rule, Ruling, Situation, Task, TaskPlan
from loopwright.sandbox.protocol import Overlay, Sandbox

__all__ = ["CallResult", "Decide", "Place", "Rights", "Settings"]

Decide = Callable[[CallView, Situation], Ruling]
"""The policy: `policy.decide.decide`."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one actor may do, fixed before anything untrusted was read."""

    task: Task
    plan: TaskPlan
    grant: Grant
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where tools work: `timeout_s` is of one call."""

    sandbox: Sandbox
    cwd: Path | None = None
    overlays: tuple[Overlay, ...] = ()
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`unattended`: nobody will answer, so what would be asked is denied. `denials`: after so many refused calls of a run it is paused,
    and again after as many more. `grace_s`: how much longer than its own time-out a tool is waited for: it knows better how to end what
    it began."""

    unattended: bool = False
    approval_ttl_ms: int = 24 * 3_600_000
    output_bytes: int = 256 << 10
    denials: int = 200
    grace_s: float = 2.0
    killed: Callable[[], str | None] = field(default=lambda: None)
    """Why the kill switch is on, `None` while it is off; asked at every call."""
    redact: Callable[[str], str] = field(default=lambda text: text)
    """Takes known secrets out of a text: the actor never sees one, and a call whose arguments hold one is refused."""
    mandated: Callable[[CallView], bool] = field(default=lambda call: False)
    """Whether a verified payment mandate covers exactly this call."""
    trapped: Callable[[str], str | None] = field(default=lambda arguments: None)
    """Why a call that carries these arguments away ends the run, for a decoy among them; `None` when there is none."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What the actor gets. `asked`: a person was asked, as `ask_id`; the same call again is done once they approved.

    `ruling` says why, also for what was allowed. `call_id` is empty for a message that was no call at all.
    """

    status: Literal["ok", "error", "timeout", "asked", "denied", "unknown"]
    output: Json
    ruling: Ruling
    call_id: str
    ask_id: str | None = None
    message: str = ""
