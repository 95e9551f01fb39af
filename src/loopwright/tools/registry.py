"""The tools of a run by their one spelling, with the labels that the user's policy gives them. What is not here is not callable."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from loopwright.errors import UsageError
from loopwright.policy.labels import labelled
from loopwright.policy.names import fold
from loopwright.policy.policy import ToolLabels
from loopwright.policy.values import ToolSpec
from loopwright.tools.protocol import Tool, Toolbox

__all__ = ["Registered", "Registry"]


@dataclass(frozen=True, slots=True)
class Registered:
    """`spec` is the tool's own under the user's labels, its name folded: the only one that anything is decided by."""

    tool: Tool
    spec: ToolSpec


class Registry:
    """Immutable but for what its toolboxes report as quarantined, which is asked at every call."""

    def __init__(
        self, tools: Iterable[Tool] = (), boxes: Sequence[Toolbox] = (), labels: Iterable[ToolLabels] = ()
    ) -> None:
        """Raises: `UsageError` for two tools whose names look the same: which one is meant could not be told."""
        self._boxes = tuple(boxes)
        found: dict[str, Tool] = {}
        for tool in (*tools, *(tool for box in self._boxes for tool in box.tools)):
            name = fold(tool.spec.name)
            if name in found:
                raise UsageError(
                    f"tool {tool.spec.name!a}: expected a name of its own, found one that reads like {found[name].spec.name!a}; "
                    "rename one of them, or leave its server out"
                )
            found[name] = tool
        specs = tuple(msgspec.structs.replace(tool.spec, name=name) for name, tool in found.items())
        given = labelled(specs, tuple(labels))
        self._tools = {spec.name: Registered(tool, spec) for spec, tool in zip(given, found.values(), strict=True)}

    @property
    def manifest(self) -> tuple[ToolSpec, ...]:
        """What the policy sees."""
        return tuple(found.spec for found in self._tools.values())

    @property
    def quarantined(self) -> tuple[str, ...]:
        """Folded names of tools that must not be called now, since what provides them changed."""
        return tuple(fold(name) for box in self._boxes for name in box.quarantined)

    def get(self, name: str) -> Registered | None:
        """The tool that `name` means however it is spelled; `None` for one that is not here, or a name that none can have."""
        try:
            return self._tools.get(fold(name))
        except UsageError:
            return None

    async def close(self) -> None:
        """Close every toolbox, also after one failed."""
        errors: list[Exception] = []
        for box in self._boxes:
            try:
                await box.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
