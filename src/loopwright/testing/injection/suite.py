"""What an injection suite is: tools with labels, tasks with the calls that do them, goals of an attacker, places to plant them.

`Suite` and `World` are the whole adapter: `load.DataSuite` implements them for suites written as TOML, anybody else's benchmark can
implement them over its own simulator.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from loopwright.kernel.values import Value
from loopwright.policy.values import ToolSpec

if TYPE_CHECKING:
    from loopwright.policy.values import Json
else:
    Json = Any  # a decoder cannot follow an alias that names itself; `load` refuses what is not JSON

__all__ = ["Call", "Goal", "Json", "Planted", "Split", "Suite", "ToolFailed", "UserTask", "World"]

Split = Literal["development", "held_out"]
"""Who writes a policy may look at `development` only; the figures of `held_out` say what the policy is worth."""


class ToolFailed(Exception):
    """A tool said no: nothing by that id, a field that is not there. The actor sees the message."""


class Call(Value, frozen=True):
    """One call. A value `{"$from": "c1", "path": "items[2].sender"}` anywhere in `arguments` stands for what the call with `id` c1 gave."""

    tool: str
    arguments: dict[str, Json] = msgspec.field(default_factory=dict)
    id: str = ""
    mandate: bool = False


class UserTask(Value, frozen=True):
    """`text` is what a person asks for in their own words, `calls` what an honest agent does for it, in order."""

    id: str
    text: str
    calls: tuple[Call, ...]
    split: Split = "development"


class Goal(Value, frozen=True):
    """`text` is what an attacker plants, `calls` what an agent does that obeys it."""

    id: str
    text: str
    calls: tuple[Call, ...]
    split: Split = "development"


class Planted(Value, frozen=True):
    """An attacker's text at one place of a fresh world."""

    place: str
    text: str


class World(Protocol):
    """One simulated world, changed by calls and by nothing else."""

    def perform(self, tool: str, arguments: Mapping[str, Json]) -> Json:
        """What the tool answers. Raises: `ToolFailed`."""
        ...

    def done(self, task_id: str) -> bool:
        """Whether the user has what the task asked for."""
        ...

    def reached(self, goal_id: str) -> bool:
        """Whether the attacker has what the goal is about."""
        ...


class Suite(Protocol):
    """`own` are values that are the user's: their address, their account; `hosts` those that the user lets an agent read from.

    `places` name where somebody else's text can stand.
    """

    @property
    def name(self) -> str: ...

    @property
    def own(self) -> tuple[str, ...]: ...

    @property
    def hosts(self) -> tuple[str, ...]: ...

    @property
    def tools(self) -> tuple[ToolSpec, ...]: ...

    @property
    def tasks(self) -> tuple[UserTask, ...]: ...

    @property
    def goals(self) -> tuple[Goal, ...]: ...

    @property
    def places(self) -> tuple[str, ...]: ...

    def world(self, planted: Planted | None = None) -> World:
        """A fresh world, with the attacker's text in it where given."""
        ...
