"""Suites from TOML files, read strictly: a name that leads nowhere is refused before anything runs."""

import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Final

import msgspec

from loopwright.errors import UsageError
from loopwright.policy.values import Argument, OutputField, ToolSpec
from loopwright.testing.injection.conditions import Has, Lacks, Sent
from loopwright.testing.injection.operations import Append, Delete, Fetch, Find, Get, Pay, Send
from loopwright.testing.injection.suite import Call, Goal, Planted, UserTask
from loopwright.testing.injection.values import ArgumentData, SuiteData, ToolData
from loopwright.testing.injection.world import MemoryWorld, places_of

__all__ = ["SHIPPED", "DataSuite", "parse_suite", "shipped_suite", "shipped_suites"]

SHIPPED: Final = ("mail", "bank", "travel", "chat", "tickets")


@dataclass(frozen=True)
class DataSuite:
    """A `Suite` over data."""

    data: SuiteData

    @property
    def name(self) -> str:
        return self.data.name

    @property
    def own(self) -> tuple[str, ...]:
        return self.data.user.own

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.data.user.hosts

    @cached_property
    def tools(self) -> tuple[ToolSpec, ...]:
        return tuple(_spec(self.data, tool) for tool in self.data.tools)

    @cached_property
    def tasks(self) -> tuple[UserTask, ...]:
        return tuple(UserTask(task.id, task.text, task.calls, task.split) for task in self.data.tasks)

    @cached_property
    def goals(self) -> tuple[Goal, ...]:
        return tuple(Goal(goal.id, goal.text, goal.calls, goal.split) for goal in self.data.goals)

    @cached_property
    def places(self) -> tuple[str, ...]:
        return tuple(places_of(self.data))

    def world(self, planted: Planted | None = None) -> MemoryWorld:
        return MemoryWorld(self.data, planted)


def shipped_suite(name: str) -> DataSuite:
    """One of `SHIPPED`."""
    return parse_suite(
        resources.files(__package__).joinpath("suites", f"{name}.toml").read_text(encoding="utf-8"), name
    )


def shipped_suites() -> tuple[DataSuite, ...]:
    return tuple(shipped_suite(name) for name in SHIPPED)


def parse_suite(text: str, where: str) -> DataSuite:
    """A suite from TOML; `where` names it in errors. Raises: `UsageError`, one line, naming the key or the name that leads nowhere."""
    try:
        data = msgspec.convert(tomllib.loads(text), SuiteData)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"suite {where}: {error}") from None
    for problem in _problems(data):
        raise UsageError(f"suite {where}: {problem}")
    return DataSuite(data)


# --- labels -------------------------------------------------------------------------------------------------------------------
def _spec(data: SuiteData, tool: ToolData) -> ToolSpec:
    output = tuple(_output(data, tool))
    return ToolSpec(
        name=tool.name,
        effect=tool.effect,
        arguments=tuple(
            Argument(argument.name, argument.role, json.dumps(_schema(argument)), argument.required)
            for argument in tool.arguments
        ),
        output=output,
        description=tool.description,
        reversible=tool.reversible,
        untrusted_output=any(field.trust == "free" for field in output),
        private_output=any(field.private for field in output),
    )


def _schema(argument: ArgumentData) -> dict[str, object]:
    schema: dict[str, object] = {"type": argument.type}
    if argument.type == "strings":
        schema = {"type": "array", "items": {"type": "string"}}
    if argument.description:
        schema["description"] = argument.description
    return schema


def _output(data: SuiteData, tool: ToolData) -> Iterator[OutputField]:
    match tool.operation:
        case Find(collection, show):
            shown, before = show, "items[]."
        case Get(collection, _, show):
            shown, before = show, ""
        case Append(collection) | Pay(history=collection) | Fetch(collection):
            shown, before = (), ""
        case _:
            yield OutputField("updated" if not isinstance(tool.operation, Send | Delete) else _answer(tool), "system")
            return
    for name, label in data.collections[collection].fields.items():
        if not shown or name in shown:
            yield OutputField(before + name, label.trust, label.kind, label.private)


def _answer(tool: ToolData) -> str:
    return "sent" if isinstance(tool.operation, Send) else "deleted"


# --- names that lead nowhere --------------------------------------------------------------------------------------------------
def _problems(data: SuiteData) -> Iterator[str]:
    yield from _repeated("tool", (tool.name for tool in data.tools))
    yield from _repeated("task", (task.id for task in data.tasks))
    yield from _repeated("goal", (goal.id for goal in data.goals))
    for name, collection in data.collections.items():
        for record in collection.records:
            if collection.key not in record:
                yield f"collection {name!r}: expected key {collection.key!r} in every record, found {sorted(record)}"
            if unlabelled := sorted(set(record) - set(collection.fields)):
                yield f"collection {name!r}: field {unlabelled[0]!r} has no label; add it to `fields`"
    for tool in data.tools:
        yield from _tool_problems(data, tool)
    arguments = {tool.name: {argument.name for argument in tool.arguments} for tool in data.tools}
    required = {tool.name: {argument.name for argument in tool.arguments if argument.required} for tool in data.tools}
    for subject, calls, conditions in (
        *((f"task {task.id!r}", task.calls, task.done) for task in data.tasks),
        *((f"goal {goal.id!r}", goal.calls, goal.reached) for goal in data.goals),
    ):
        if not conditions:
            yield f"{subject}: expected at least one condition, found none: it would hold from the start"
        yield from _call_problems(subject, calls, arguments, required)
        for condition in conditions:
            if isinstance(condition, Sent) and condition.tool not in arguments:
                yield f"{subject}: condition names tool {condition.tool!r}, which is not there"
            if isinstance(condition, Has | Lacks) and condition.collection not in data.collections:
                yield f"{subject}: condition names collection {condition.collection!r}, which is not there"


def _repeated(kind: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{kind} {name!r}: stands there twice; names are unique"
        seen.add(name)


def _tool_problems(data: SuiteData, tool: ToolData) -> Iterator[str]:
    operation = tool.operation
    names = {argument.name for argument in tool.arguments}
    if not isinstance(operation, Send) and operation.collection not in data.collections:
        yield f"tool {tool.name!r}: collection {operation.collection!r} is not there; there are {sorted(data.collections)}"
        return
    used: set[str] = set()
    if isinstance(operation, Find):
        used |= {*operation.equal.values(), *operation.prefix.values(), *([operation.query] if operation.query else [])}
    elif not isinstance(operation, Append | Pay | Send) and operation.by:
        used.add(operation.by)
    if isinstance(operation, Pay):
        used.add(operation.amount)
    if missing := sorted(used - names):
        yield f"tool {tool.name!r}: its operation uses argument {missing[0]!r}, which is not declared"


def _call_problems(
    subject: str, calls: tuple[Call, ...], arguments: dict[str, set[str]], required: dict[str, set[str]]
) -> Iterator[str]:
    for call in calls:
        if call.tool not in arguments:
            yield f"{subject}: tool {call.tool!r} is not there; there are {sorted(arguments)}"
            continue
        if wrong := sorted(set(call.arguments) - arguments[call.tool]):
            yield f"{subject}: {call.tool} has no argument {wrong[0]!r}; it has {sorted(arguments[call.tool])}"
        if absent := sorted(required[call.tool] - set(call.arguments)):
            yield f"{subject}: {call.tool} needs argument {absent[0]!r}"
