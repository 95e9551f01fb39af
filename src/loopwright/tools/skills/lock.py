"""`skills.lock`: the tree of each skill that a person accepted, as JSON that reads well in a review. The user commits it."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from loopwright.errors import UsageError
from loopwright.kernel.values import Value
from loopwright.tools.canonical import parse
from loopwright.tools.skills.read import Declared
from loopwright.tools.skills.tree import SkillFile, SkillTree

__all__ = ["LOCK_NAME", "SkillPin", "pin_of", "read_lock", "write_lock"]

LOCK_NAME = "skills.lock"
_VERSION = 1


class SkillPin(Value, frozen=True):
    """A skill as it was accepted, with what it declared then. `accepted` are the rules whose findings a person allowed for this tree."""

    name: str
    tree_sha256: str
    files: tuple[SkillFile, ...]
    tools: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


class _Lock(Value, frozen=True):
    version: int
    skills: tuple[SkillPin, ...]


def pin_of(tree: SkillTree, declared: Declared, accepted: tuple[str, ...]) -> SkillPin:
    return SkillPin(
        declared.name,
        tree.sha256,
        tree.files,
        declared.tools,
        declared.hosts,
        declared.secrets,
        tuple(sorted(accepted)),
    )


def read_lock(path: Path) -> tuple[SkillPin, ...]:
    """The pins, ordered by name; none when there is no file.

    Raises: `UsageError` when it is not ours to read, or was edited so that a tree's hash and its files disagree.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        parse(data, what="lock")
        lock = msgspec.json.decode(data, type=_Lock)
        for pin in lock.skills:
            if SkillTree(pin.files, ()).sha256 != pin.tree_sha256:
                raise UsageError(f"the files of skill {pin.name!a} do not have the hash that stands beside them")
        if lock.version != _VERSION or len({pin.name for pin in lock.skills}) != len(lock.skills):
            raise UsageError("another version, or a skill twice")
    except (msgspec.MsgspecError, UsageError) as error:
        raise UsageError(
            f"lock file {str(path)!r} cannot be used: {error}; expected what `loopwright skills lock` wrote: restore it from git"
        ) from None
    return lock.skills


def write_lock(path: Path, pins: Iterable[SkillPin]) -> None:
    """Replace the whole file in one step."""
    lock = _Lock(_VERSION, tuple(sorted(pins, key=lambda pin: pin.name)))
    text = json.dumps(msgspec.to_builtins(lock), indent=2, sort_keys=True) + "\n"
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
