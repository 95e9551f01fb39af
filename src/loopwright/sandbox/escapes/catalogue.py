"""The probes by group, and the program that performs one inside. A new one goes into a file of `inside/` and appears by itself."""

import functools
import re
from importlib import resources
from typing import Final

from loopwright.kernel.values import Value

__all__ = ["GROUPS", "Probe", "catalogue", "program"]

GROUPS: Final = ("files", "processes", "kernel", "network", "resources")

_DEFINITION: Final = re.compile(r"^@(?:probe|leak)\ndef (\w+)\(", re.MULTILINE)
_JOINED: Final = re.compile(r"^from common import .*\n", re.MULTILINE)


class Probe(Value, frozen=True):
    """`name` says what is tried: `write_through_hard_link`."""

    group: str
    name: str


@functools.cache
def catalogue() -> tuple[Probe, ...]:
    """Every probe, in the order of the files."""
    return tuple(Probe(group, name) for group in GROUPS for name in _DEFINITION.findall(_source(group)))


@functools.cache
def program(group: str) -> str:
    """Python source for `python3 -I -c SOURCE NAME WORLD`; standard library only."""
    return f"{_source('common')}\n{_JOINED.sub('', _source(group))}\nmain()\n"


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("inside", f"{name}.py").read_text(encoding="utf-8")
