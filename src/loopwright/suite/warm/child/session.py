"""pytest, run in a forked process with the command's own options up to the end of its collection."""

import os
import sys
from collections.abc import Callable

import pytest

from .calls import Calls
from .collected import Collected
from .common import Checkout, pytest_args
from .forked import adopt_orphans
from .runs import Head

__all__ = ["collect"]


def collect(
    head: Head, checkout: Checkout, own: list[str], serve: "Callable[[Collected], None]", *, traced: bool = False
) -> int:
    """`serve` is called after the collection. Returns only when pytest ended before its tests were to run, with its exit code."""
    adopt_orphans()
    calls = None
    if traced:
        calls = Calls(checkout)
        calls.start()
    # One line of a failure is all that is told; the long form takes longer than most tests.
    args = [*pytest_args(own, ["--tb=line"]), *_cut(own)]
    sys.argv = [os.path.join(os.path.dirname(pytest.__file__), "__main__.py"), *args]
    collected = Collected(head, checkout, calls, serve)
    code = 3
    try:
        code = int(pytest.main(args, plugins=[collected]))
        if collected.way is not None:
            collected.finish(code)
    finally:
        # Whatever a candidate raises: a child must not get to where it would act as its parent.
        if collected.way is not None:
            os._exit(1)
    return code


def _cut(own: list[str]) -> list[str]:
    """The checkout lies below the user's own, whose conftest.py is not part of it."""
    return [] if any(a.partition("=")[0] == "--confcutdir" for a in own) else ["--confcutdir=."]
