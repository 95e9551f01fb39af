"""What the engine hands to every beat: where to run, where to write, where to keep, and how to say what is going on."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from loopwright.journal.protocol import BlobStore
from loopwright.sandbox.protocol import Bind, Sandbox
from loopwright.workspace.protocol import Workspace

__all__ = ["OpenDoor", "ToolDoor", "Workshop"]


class OpenDoor(Protocol):
    """The way from inside a sandbox to the tools of a run. `env` and `binds` go into the command's `ExecSpec`."""

    @property
    def env(self) -> Mapping[str, str]: ...

    @property
    def binds(self) -> tuple[Bind, ...]: ...

    @property
    def asks(self) -> tuple[str, ...]:
        """Asks that calls through it brought up: with any, the action ends without a result and the run waits for a person."""
        ...

    @property
    def failure(self) -> Exception | None:
        """What kept a call from being written down: the action must not be taken for done."""
        ...


class ToolDoor(Protocol):
    def open(self, actor: str, action_id: str) -> AbstractAsyncContextManager[OpenDoor | None]:
        """A door for the programs of one action; `None` when the policy grants `actor` no tool."""
        ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """`action_id` is the action being performed; `now_ms` the clock; `progress` shows a line to who watches, and nothing depends on it;
    `tools` is `None` where the site has no policy: then no tool can be called."""

    run_id: str
    action_id: str
    workspace: Workspace
    sandbox: Sandbox
    blobs: BlobStore
    jobs: int
    timeout_s: int
    seed: int
    now_ms: Callable[[], int]
    progress: Callable[[str], None]
    tools: ToolDoor | None = None
