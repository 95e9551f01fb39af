"""From what JUnit XML says of a test back to the id that its runner takes."""

import re
from collections.abc import Callable

from loopwright.suite.junit import JunitCase

__all__ = ["node_id", "plain_id"]


def plain_id(case: JunitCase) -> str:
    """`classname::name`, for reports of runners whose own ids are not known."""
    return f"{case.classname}::{case.name}" if case.classname else case.name


def node_id(case: JunitCase, exists: Callable[[str], bool]) -> str:
    """pytest's node id, `path::Class::name[parameters]`, of a case of its xunit1 report.

    pytest writes the id's parts joined with dots as `classname`, and as `file` where the function is *defined*: for a test that is
    inherited from a base class in another file that is not the file of the id. `exists` then says which path is meant.
    A file or folder that cannot be collected has its path as id.
    """
    if not case.classname and "::" in case.name:
        # A `[` in the path itself stops pytest's own conversion there: all the rest stands in the name.
        return f"{case.file}::{case.name.partition('::')[2]}" if case.file else case.name
    if not case.classname:
        return case.file or case.name
    dotted = _dotted(case.file)
    if case.file and case.classname == dotted:
        return f"{case.file}::{case.name}"
    if case.file and case.classname.startswith(f"{dotted}."):
        return "::".join([case.file, *case.classname.removeprefix(f"{dotted}.").split("."), case.name])
    parts = case.classname.split(".")
    for end in range(len(parts), 0, -1):
        path = f"{'/'.join(parts[:end])}.py"
        if exists(path):
            return "::".join([path, *parts[end:], case.name])
    return "::".join([case.file or case.classname, case.name])


def _dotted(path: str) -> str:
    """A path as pytest writes it into `classname`."""
    return re.sub(r"\.py$", "", path.replace("/", "."))
