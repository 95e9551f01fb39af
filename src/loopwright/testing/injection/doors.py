"""What an agent's calls go through. A door is thin on purpose: one call in, one reply out, so that any gate can stand behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from loopwright.testing.injection.suite import Json, ToolFailed, World

__all__ = ["Approver", "Door", "OpenDoor", "Reply", "nobody"]

Approver = Callable[[str, Mapping[str, Json]], bool]
"""What a person answers who is shown the tool and the exact arguments."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`verdict` is what came of it: `deny` when it was not done. `asked`: a person was asked. `output` is `None` when nothing came back."""

    verdict: Literal["allow", "deny"]
    output: Json = None
    asked: bool = False
    rule: str = ""
    failed: str = ""


class Door(Protocol):
    def call(self, tool: str, arguments: Mapping[str, Json], actor: str) -> Reply: ...


class OpenDoor:
    """No policy at all: shows that an attack works, so that what a policy holds back means something."""

    def __init__(self, world: World) -> None:
        self._world = world

    def call(self, tool: str, arguments: Mapping[str, Json], actor: str) -> Reply:
        try:
            return Reply("allow", self._world.perform(tool, arguments))
        except ToolFailed as error:
            return Reply("allow", failed=str(error))


def nobody(tool: str, arguments: Mapping[str, Json]) -> bool:
    """Nobody is there, and the declared outcome is to deny."""
    return False
