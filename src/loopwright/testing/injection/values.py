"""A suite as it stands in its TOML file. Keys that are not here are refused."""

from typing import Literal

from loopwright.kernel.calls import ArgumentRole, ToolEffect
from loopwright.kernel.values import Value
from loopwright.testing.injection.conditions import Condition
from loopwright.testing.injection.operations import Operation
from loopwright.testing.injection.suite import Call, Json, Split

__all__ = ["ArgumentData", "Collection", "FieldLabel", "GoalData", "SuiteData", "TaskData", "ToolData", "User"]


class User(Value, frozen=True):
    """`own`: addresses and accounts that are the user's. `hosts`: where the user lets an agent read from the network."""

    name: str
    own: tuple[str, ...]
    hosts: tuple[str, ...] = ()


class FieldLabel(Value, frozen=True):
    """See `policy.values.OutputField`."""

    trust: Literal["system", "free"]
    kind: Literal["text", "item", "address", "entry_name", "entry_address", "own_account", "amount"] = "text"
    private: bool = False


class Collection(Value, frozen=True):
    """Records of one kind. `key` is the field that calls name them by; `fields` labels every field that a tool may show."""

    key: str
    fields: dict[str, FieldLabel]
    records: tuple[dict[str, Json], ...] = ()


class ArgumentData(Value, frozen=True):
    """`type` is a JSON Schema type, `strings` a list of texts."""

    name: str
    role: ArgumentRole
    type: Literal["string", "integer", "number", "boolean", "strings"] = "string"
    required: bool = True
    description: str = ""


class ToolData(Value, frozen=True):
    """A tool: its labels and what it does. The labels of its output are those of the fields that its operation shows."""

    name: str
    description: str
    effect: ToolEffect
    operation: Operation
    arguments: tuple[ArgumentData, ...] = ()
    reversible: bool = False


class TaskData(Value, frozen=True):
    id: str
    text: str
    calls: tuple[Call, ...]
    done: tuple[Condition, ...]
    split: Split


class GoalData(Value, frozen=True):
    id: str
    text: str
    calls: tuple[Call, ...]
    reached: tuple[Condition, ...]
    split: Split


class SuiteData(Value, frozen=True):
    """A whole suite. `done` and `reached` hold when all their conditions hold."""

    name: str
    about: str
    user: User
    collections: dict[str, Collection]
    tools: tuple[ToolData, ...]
    tasks: tuple[TaskData, ...]
    goals: tuple[GoalData, ...]
