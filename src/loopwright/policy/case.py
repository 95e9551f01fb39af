"""A call about to be decided, read once: its tool, its arguments as leaves, and what is known of the run. All rules look at this."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec

from loopwright.kernel.calls import ToolEffect
from loopwright.policy.outputs import Leaf, Seen, holds, leaves_of, seen_in
from loopwright.policy.said import Said, said
from loopwright.policy.values import Argument, CallView, Json, Ruling, Situation, ToolSpec

__all__ = ["DONE", "SENDING", "Case", "Finding", "Part", "read_case"]

SENDING: Final[frozenset[ToolEffect]] = frozenset({"share", "send", "spend"})
"""Effects that show something to others: each such call counts as a send."""

DONE: Final = frozenset({"ok", "timeout", "unknown", None})
"""Outcomes after which the effect may have happened (`None`: in flight). An error had none, a denial never started."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says; `calls` are those that brought in the value it is about."""

    verdict: str
    rule: str
    why: str
    remedy: str
    calls: tuple[str, ...] = ()
    step_up: bool = False

    def ruling(self) -> Ruling:
        return Ruling(self.verdict, self.rule, self.why, self.remedy, step_up=self.step_up)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Part:
    """One leaf of an argument: `recipients[0]` of the argument `recipients`."""

    argument: Argument
    leaf: Leaf


@dataclass(frozen=True)
class Case:
    call: CallView
    now: Situation
    spec: ToolSpec | None
    arguments: Mapping[str, Json] | None
    """`None` when the text is no JSON object."""

    @cached_property
    def said(self) -> Said:
        return said(self.now.task)

    @cached_property
    def specs(self) -> dict[str, ToolSpec]:
        return {spec.name: spec for spec in self.now.manifest}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The leaves of all arguments, keys of nested objects included as content: they can carry data too."""
        if self.spec is None or self.arguments is None:
            return ()
        found: list[Part] = []
        for argument in self.spec.arguments:
            if argument.name in self.arguments:
                value = self.arguments[argument.name]
                found += [Part(argument, _beneath(argument.name, leaf)) for leaf in leaves_of(value)]
                found += [
                    Part(msgspec.structs.replace(argument, role="content"), Leaf(argument.name, key, ""))
                    for key in _keys(value)
                ]
        return tuple(found)

    def seen(self, text: str) -> list[Seen]:
        """Where past calls of the run brought exactly `text`, the earliest first."""
        folded = text.casefold()
        return [
            seen
            for call in self.now.past
            if call.output and holds(call.output, text)
            for seen in seen_in(call, self.specs.get(call.tool))
            if seen.leaf.text == text or seen.leaf.text.casefold() == folded
        ]

    def siblings(self, seen: Seen) -> list[Seen]:
        """The other leaves of the item that `seen` stands in; none for a value that is in no list."""
        if not seen.leaf.item:
            return []
        return [
            s for s in seen_in(seen.call, self.specs.get(seen.call.tool)) if s.leaf.item == seen.leaf.item and s != seen
        ]


def read_case(call: CallView, now: Situation) -> Case:
    try:
        arguments = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        arguments = None
    named = [spec for spec in now.manifest if spec.name == call.tool]
    return Case(call, now, named[0] if len(named) == 1 else None, arguments if isinstance(arguments, dict) else None)


def _beneath(name: str, leaf: Leaf) -> Leaf:
    joint = "" if not leaf.path or leaf.path.startswith("[") else "."
    return Leaf(f"{name}{joint}{leaf.path}", leaf.text, leaf.item)


def _keys(value: Json) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for inner in value.values() for key in _keys(inner))]
    if isinstance(value, list):
        return [key for inner in value for key in _keys(inner)]
    return []
