"""What the engine hands to every beat: where to run, where to write, where to keep, and how to say what is going on."""

from collections.abc import Callable
from dataclasses import dataclass

from loopwright.journal.protocol import BlobStore
from loopwright.sandbox.protocol import Sandbox
from loopwright.workspace.protocol import Workspace

__all__ = ["Workshop"]


@dataclass(frozen=True, slots=True)
class Workshop:
    """`action_id` is the action being performed; `now_ms` the clock; `progress` shows a line to who watches, and nothing depends on it."""

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
