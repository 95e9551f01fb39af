"""The gate's door into a sandbox: a socket over which any program can ask for tool calls. See docs/reference/tool-door.md."""

from loopwright.tools.door.server import DOOR_PATH, Door, open_door

__all__ = ["DOOR_PATH", "Door", "open_door"]
