"""A world in memory that performs a suite's operations. Nothing leaves the process: what would is kept in an outbox."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Final

from loopwright.testing.injection.conditions import Condition, Has, Lacks, Leaked, Seen, Sent, fits, leaked
from loopwright.testing.injection.operations import Add, Append, Delete, Fetch, Find, Get, Pay, Send, Update
from loopwright.testing.injection.suite import Json, Planted, ToolFailed
from loopwright.testing.injection.values import SuiteData, ToolData

__all__ = ["MemoryWorld", "places_of"]

_INSIDE: Final = frozenset({"read", "write_own"})
"""Effects of calls that nobody else notices; every other call lies in the outbox."""

Record = dict[str, Json]


class MemoryWorld:
    """A `World` over a suite's data: its own copy of every record, with `planted` at its place."""

    def __init__(self, data: SuiteData, planted: Planted | None = None) -> None:
        self._data = data
        self._tools: dict[str, ToolData] = {tool.name: tool for tool in data.tools}
        # One level is enough: operations set fields anew and change no value in place.
        self._records: dict[str, list[Record]] = {
            name: [dict(record) for record in collection.records] for name, collection in data.collections.items()
        }
        self._outbox: list[tuple[str, dict[str, Json]]] = []
        self._seen: list[str] = []
        if planted is not None:
            self._plant(planted)

    def perform(self, tool: str, arguments: Mapping[str, Json]) -> Json:
        declared = self._tools.get(tool)
        if declared is None:
            raise ToolFailed(f"tool {tool!r}: expected one of {sorted(self._tools)}")
        if declared.effect not in _INSIDE:
            self._outbox.append((tool, dict(arguments)))
        answer = copy.deepcopy(self._operate(declared, arguments))
        self._seen.extend(_texts(answer))
        return answer

    def done(self, task_id: str) -> bool:
        return self._all(next(task.done for task in self._data.tasks if task.id == task_id))

    def reached(self, goal_id: str) -> bool:
        return self._all(next(goal.reached for goal in self._data.goals if goal.id == goal_id))

    def _all(self, conditions: tuple[Condition, ...]) -> bool:
        return all(self._holds(condition) for condition in conditions)

    def _holds(self, condition: Condition) -> bool:
        match condition:
            case Sent(tool, where, at_least):
                return sum(name == tool and fits(arguments, where) for name, arguments in self._outbox) >= at_least
            case Has(collection, where, at_least):
                return sum(fits(record, where) for record in self._records[collection]) >= at_least
            case Lacks(collection, where):
                return not any(fits(record, where) for record in self._records[collection])
            case Seen(texts):
                return all(any(text in seen for seen in self._seen) for text in texts)
            case Leaked(value, to):
                return leaked(value, to, self._outbox)

    def _plant(self, planted: Planted) -> None:
        collection, _, rest = planted.place.partition("[")
        key, _, field = rest.partition("].")
        record = self._one(collection, key)
        record[field] = f"{record[field]}\n\n{planted.text}"

    # --- operations -------------------------------------------------------------------------------------------------------
    def _operate(self, tool: ToolData, arguments: Mapping[str, Json]) -> Json:
        match tool.operation:
            case Find() as find:
                found = [
                    _shown(record, find.show)
                    for record in self._records[find.collection]
                    if _found(record, find, arguments)
                ]
                items: list[Json] = [*found]
                return {"items": items}
            case Get(collection, by, show):
                return _shown(self._named(collection, by, arguments), show)
            case Fetch(collection, by):
                key = self._data.collections[collection].key
                page = next((record for record in self._records[collection] if record[key] == arguments.get(by)), None)
                return {"status": 404} if page is None else {"status": 200, **page}
            case Append(collection, prefix, values):
                return self._append(collection, prefix, values, arguments)
            case Update(collection, by, values):
                self._named(collection, by, arguments).update(_filled(values, arguments))
                return {"updated": arguments[by] if by else collection}
            case Add(collection, by, field, value):
                _extend(self._named(collection, by, arguments), field, arguments[value])
                return {"updated": arguments[by]}
            case Delete(collection, by):
                record = self._named(collection, by, arguments)
                self._records[collection].remove(record)
                return {"deleted": arguments[by]}
            case Pay() as pay:
                account = self._one(pay.collection, pay.account)
                amount, balance = arguments[pay.amount], account["balance"]
                if (
                    not isinstance(amount, int | float)
                    or not isinstance(balance, int | float)
                    or not 0 < amount <= balance
                ):
                    raise ToolFailed(f"amount {amount!r}: expected more than 0 and at most the balance {balance!r}")
                account["balance"] = round(balance - amount, 2)
                return self._append(pay.history, pay.prefix, pay.set, arguments)
            case Send():
                return {"sent": len(self._outbox)}

    def _append(self, collection: str, prefix: str, values: Mapping[str, Json], arguments: Mapping[str, Json]) -> Json:
        key = self._data.collections[collection].key
        filled = _filled(values, arguments)
        record: Record = {key: f"{prefix}{len(self._records[collection]) + 1}", **filled}
        self._records[collection].append(record)
        return record

    def _named(self, collection: str, by: str, arguments: Mapping[str, Json]) -> Record:
        return self._one(collection, arguments.get(by)) if by else self._records[collection][0]

    def _one(self, collection: str, key: Json) -> Record:
        field = self._data.collections[collection].key
        for record in self._records[collection]:
            if record[field] == key:
                return record
        raise ToolFailed(f"{collection} {key!r}: nothing by that {field}")


def places_of(data: SuiteData) -> Iterator[str]:
    """Every field of every record in which somebody else's text can stand, as `inbox[m02].body`."""
    for name, collection in data.collections.items():
        free = [field for field, label in collection.fields.items() if label.trust == "free" and label.kind == "text"]
        for record in collection.records:
            yield from (
                f"{name}[{record[collection.key]}].{field}" for field in free if isinstance(record.get(field), str)
            )


def _found(record: Record, find: Find, arguments: Mapping[str, Json]) -> bool:
    for field, argument in find.equal.items():
        if argument in arguments and record.get(field) != arguments[argument]:
            return False
    for field, argument in find.prefix.items():
        if argument in arguments and not str(record.get(field)).startswith(str(arguments[argument])):
            return False
    words = str(arguments.get(find.query, "")).casefold().split() if find.query else []
    text = " ".join(str(record.get(field, "")) for field in find.within).casefold()
    return all(word in text for word in words)


def _shown(record: Record, show: tuple[str, ...]) -> Record:
    return {field: record[field] for field in show if field in record} if show else record


def _filled(values: Mapping[str, Json], arguments: Mapping[str, Json]) -> Record:
    filled: Record = {}
    for field, value in values.items():
        if not (isinstance(value, str) and re.fullmatch(r"\$\w+", value)):
            filled[field] = value
        elif value[1:] in arguments:
            filled[field] = arguments[value[1:]]
    return filled


def _extend(record: Record, field: str, value: Json) -> None:
    old = record.get(field)
    if isinstance(old, list):
        record[field] = [*old, *value] if isinstance(value, list) else [*old, value]
    else:
        record[field] = f"{old or ''}\n{value}"


def _texts(value: Json) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [str(value)]
