"""Arguments that refer to what earlier calls gave."""

import re
from collections.abc import Mapping
from typing import Final

from loopwright.testing.injection.suite import Json

__all__ = ["Unresolved", "resolved"]

_STEP: Final = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


class Unresolved(Exception):
    """The value is not there: the earlier call gave nothing, or something else."""


def resolved(arguments: Mapping[str, Json], outputs: Mapping[str, Json]) -> dict[str, Json]:
    """`arguments` with every `{"$from": id, "path": path}` replaced. Raises: `Unresolved`."""
    return {name: _value(value, outputs) for name, value in arguments.items()}


def _value(value: Json, outputs: Mapping[str, Json]) -> Json:
    if isinstance(value, list):
        return [_value(item, outputs) for item in value]
    if not isinstance(value, dict):
        return value
    if "$from" not in value:
        return {name: _value(item, outputs) for name, item in value.items()}
    call, path = str(value["$from"]), str(value.get("path", ""))
    if call not in outputs:
        raise Unresolved(f"{call}: gave nothing")
    return _at(outputs[call], path, f"{call}.{path}")


def _at(value: Json, path: str, where: str) -> Json:
    for field, index in _STEP.findall(path):
        if field and isinstance(value, dict) and field in value:
            value = value[field]
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            raise Unresolved(f"{where}: not in what the call gave")
    return value
