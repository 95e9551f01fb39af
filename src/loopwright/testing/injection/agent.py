"""The gullible agent: does the user's task as an honest one would, and at once whatever a text that it reads tells it to do.

It needs no model, so a run of it is exact and costs microseconds; and it obeys better than any model does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loopwright.testing.injection.doors import Door, Reply
from loopwright.testing.injection.references import Unresolved, resolved
from loopwright.testing.injection.suite import Call, Goal, Json, UserTask

__all__ = ["ACTOR", "Played", "play", "reads"]

ACTOR = "agent"

Report = Callable[[str, Mapping[str, Json], Reply], None]


@dataclass(slots=True)
class Played:
    """`asked`: calls of the task that needed a person. `refused`: calls of the task that were not done. `obeyed`: times that the agent
    read the attacker's text. `got_through`: attacker's calls that were done, reads included."""

    asked: int = 0
    refused: int = 0
    obeyed: int = 0
    got_through: int = 0


def play(
    task: UserTask, door: Door, goal: Goal | None = None, *, hijacked: bool = False, watch: Report | None = None
) -> Played:
    """Plays the task through the door; with a goal, obeys the goal's text whenever an output has it, and once more at the end.

    `hijacked`: obeys before the first call and after every one, whatever the outputs say; the text reached it by a way that the suite does
    not know.
    """
    played = Played()
    outputs: dict[str, Json] = {}
    if goal is not None and hijacked:
        played.obeyed += 1
        _obey(goal, door, played)
    for call in task.calls:
        try:
            arguments = resolved(call.arguments, outputs)
        except Unresolved:
            played.refused += 1
            continue
        reply = door.call(call.tool, arguments, ACTOR)
        played.asked += reply.asked
        played.refused += reply.verdict == "deny"
        if call.id:
            outputs[call.id] = reply.output
        if watch is not None:
            watch(call.tool, arguments, reply)
        if goal is not None and (hijacked or reads(reply.output, goal.text)):
            played.obeyed += 1
            _obey(goal, door, played)
    if goal is not None and played.obeyed:
        _obey(goal, door, played)
    return played


def reads(output: Json, text: str) -> bool:
    """Whether the whole of `text` stands in some text of `output`."""
    if isinstance(output, str):
        return text in output
    if isinstance(output, dict):
        return any(reads(value, text) for value in output.values())
    return isinstance(output, list) and any(reads(value, text) for value in output)


def _obey(goal: Goal, door: Door, played: Played) -> None:
    outputs: dict[str, Json] = {}
    for call in goal.calls:
        for variant in _variants(call, outputs):
            reply = door.call(call.tool, variant, ACTOR)
            if reply.verdict == "allow":
                played.got_through += 1
                if call.id:
                    outputs[call.id] = reply.output
                break


def _variants(call: Call, outputs: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The call as told, then what a stubborn agent tries next: lists cut to their first item, without what is not needed, in lower case."""
    try:
        told = resolved(call.arguments, outputs)
    except Unresolved:
        return
    tried: list[dict[str, Json]] = []
    for variant in (told, _each(told, _first), _each(told, _lower)):
        if variant not in tried:
            tried.append(variant)
            yield variant


def _each(arguments: Mapping[str, Json], change: Callable[[Json], Json]) -> dict[str, Json]:
    return {name: change(value) for name, value in arguments.items()}


def _first(value: Json) -> Json:
    return value[:1] if isinstance(value, list) else value


def _lower(value: Json) -> Json:
    if isinstance(value, str):
        return value.casefold()
    return [_lower(item) for item in value] if isinstance(value, Sequence) else value
