"""`mcp.lock`: what a person accepted of each server, as JSON that reads well in a review. The user commits it."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.kernel.values import Value
from loopwright.policy.values import Json
from loopwright.tools.canonical import parse
from loopwright.tools.mcp.package import Package
from loopwright.tools.mcp.surface import Surface, surface_digest

__all__ = ["LOCK_NAME", "Pin", "read_pins", "write_pins"]

LOCK_NAME = "mcp.lock"
_VERSION = 1


class Pin(Value, frozen=True):
    """A server as it was accepted: what provided it and what it said of itself."""

    server: str
    package: Package
    surface: Surface

    @property
    def tools_sha256(self) -> str:
        return surface_digest(self.surface)


def read_pins(path: Path) -> tuple[Pin, ...]:
    """The pins of a lock file, ordered by server; none when there is no file.

    Raises: `UsageError` when it is not ours to read, or was edited so that hash and objects disagree.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        found = parse(data, what=f"lock file {str(path)!r}")
        entries = _object(_object(found)["servers"])
        if _object(found)["version"] != _VERSION:
            raise KeyError("version")
        return tuple(_pin(name, _object(entry)) for name, entry in sorted(entries.items()))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"lock file {str(path)!r} cannot be used: {error}; expected what `loopwright mcp pin` wrote: restore it from git"
        ) from None


def write_pins(path: Path, pins: Iterable[Pin]) -> None:
    """Replace the whole file in one step."""
    servers: dict[str, Json] = {pin.server: _entry(pin) for pin in pins}
    text = json.dumps({"version": _VERSION, "servers": servers}, indent=2, sort_keys=True) + "\n"
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _entry(pin: Pin) -> Json:
    return {
        "package": {"name": pin.package.name, "version": pin.package.version, "files": pin.package.files},
        "package_sha256": pin.package.sha256,
        "tools_sha256": pin.tools_sha256,
        "surface": {
            "opening": parse(pin.surface.opening),
            "tools": [parse(text) for text in pin.surface.tools],
            "prompts": [parse(text) for text in pin.surface.prompts],
        },
    }


def _pin(name: str, entry: dict[str, Json]) -> Pin:
    package, surface = _object(entry["package"]), _object(entry["surface"])
    files = package["files"]
    if not isinstance(files, int):
        raise TypeError("'files' is no number")
    pin = Pin(
        name,
        Package(_string(entry["package_sha256"]), files, _string(package["name"]), _string(package["version"])),
        Surface.of(surface["opening"], _list(surface["tools"]), _list(surface["prompts"])),
    )
    if pin.tools_sha256 != entry["tools_sha256"]:
        raise ValueError(f"the objects of server {name!r} do not have the hash that stands beside them")
    return pin


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("an object is missing")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _string(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is missing")
    return value
