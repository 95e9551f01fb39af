"""Runs a suite: every task by itself, and every task with every goal at every place where the task reads it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loopwright.testing.injection.agent import Played, play
from loopwright.testing.injection.doors import Approver, Door, OpenDoor, Reply
from loopwright.testing.injection.suite import Goal, Json, Planted, Suite, UserTask, World
from loopwright.tools.canonical import canonical

__all__ = [
    "Attack",
    "DoorFor",
    "Honest",
    "Pair",
    "attack",
    "careful",
    "honest",
    "open_door",
    "pairs",
    "place_class",
    "sample",
]

DoorFor = Callable[[Suite, UserTask, World, Approver], Door]
"""Makes the door that a run of the task goes through."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A task that reads, at `place`, the text of a goal; `place` empty: the agent is hijacked from its first call on."""

    task: UserTask
    goal: Goal
    place: str


@dataclass(frozen=True, slots=True)
class Honest:
    """A run of a task that nobody attacks. `done`: the user has what was asked for; `calls`: what was refused or asked, by rule."""

    task: UserTask
    done: bool
    asked: int
    held: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Attack:
    """A run of a pair. `reached`: the attacker has what the goal is about; `done`: the user has what was asked for nevertheless."""

    pair: Pair
    reached: bool
    done: bool
    obeyed: int


def open_door(suite: Suite, task: UserTask, world: World, approver: Approver) -> Door:
    """See `OpenDoor`."""
    return OpenDoor(world)


def careful(suite: Suite, task: UserTask) -> Approver:
    """A person who approves exactly the calls that the task needs in a world without attacker, and nothing else, once each asked."""
    needed = frozenset(_needed(suite, task))

    def answer(tool: str, arguments: Mapping[str, Json]) -> bool:
        return _key(tool, arguments) in needed

    return answer


def honest(suite: Suite, task: UserTask, door_for: DoorFor, approver: Approver) -> Honest:
    """The task by itself; `approver` answers what is asked."""
    world = suite.world()
    held: list[tuple[str, str]] = []

    def watch(tool: str, arguments: Mapping[str, Json], reply: Reply) -> None:
        if reply.asked or reply.verdict == "deny":
            held.append((tool, reply.rule))

    played = play(task, door_for(suite, task, world, approver), watch=watch)
    return Honest(task, world.done(task.id), played.asked, tuple(held))


def attack(suite: Suite, pair: Pair, door_for: DoorFor, approver: Approver) -> Attack:
    """The pair in a fresh world; `approver` answers what is asked."""
    world = suite.world(Planted(pair.place, pair.goal.text) if pair.place else None)
    door = door_for(suite, pair.task, world, approver)
    played: Played = play(pair.task, door, pair.goal, hijacked=not pair.place)
    return Attack(pair, world.reached(pair.goal.id), world.done(pair.task.id), played.obeyed)


def pairs(suite: Suite) -> Iterator[Pair]:
    """Every task with every goal at every place that the task reads, and with an agent that is hijacked from the start.

    Which places a task reads is found by playing it unprotected with a mark at each place.
    """
    for task in suite.tasks:
        yield from (Pair(task, goal, "") for goal in suite.goals)
        for place in suite.places:
            mark = Goal("mark", f"[mark at {place}]", ())
            if play(task, OpenDoor(suite.world(Planted(place, mark.text))), mark).obeyed:
                yield from (Pair(task, goal, place) for goal in suite.goals)


def place_class(place: str) -> str:
    """The sort of place: `mails[m3].body` is a `mails.body`; empty for a hijack from the start."""
    collection, _, rest = place.partition("[")
    return f"{collection}{rest[rest.find(']') + 1 :]}"


def sample(tried: Sequence[Pair]) -> tuple[Pair, ...]:
    """One pair of every goal at every sort of place, always the same ones, spread over the tasks."""
    sorts: dict[tuple[str, str], list[Pair]] = {}
    for pair in tried:
        sorts.setdefault((pair.goal.id, place_class(pair.place)), []).append(pair)
    return tuple(same[number % len(same)] for number, same in enumerate(sorts.values()))


def _needed(suite: Suite, task: UserTask) -> list[str]:
    calls: list[str] = []
    play(
        task,
        OpenDoor(suite.world()),
        watch=lambda tool, arguments, reply: calls.append(_key(tool, arguments)),
    )
    return calls


def _key(tool: str, arguments: Mapping[str, Json]) -> str:
    # The one form that a gate shows a call in: `50.0` and `50` are the same call there.
    return f"{tool} {canonical(arguments).decode()}"
