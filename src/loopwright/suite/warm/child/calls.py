"""Which functions of the checkout are called: while it is imported, and by which test. Function by function; lines cost more."""

import gc
import sys
import threading
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

from .common import Checkout

__all__ = ["Calls", "Key", "key_of", "suspended"]

Key = tuple[str, str, int]
"""A function by what its code says: file name as it was loaded, name, first line."""


def key_of(code: CodeType) -> Key:
    return (code.co_filename, code.co_name, code.co_firstlineno)


class Calls:
    """`trusted` is false once something else traced in between: then calls may be missing."""

    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout
        self._seen: set[CodeType] = set()
        self.trusted = True

    def start(self) -> None:
        threading.settrace(self._called)
        sys.settrace(self._called)

    def stop(self) -> None:
        if sys.gettrace() != self._called:
            self.trusted = False
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type,unused-ignore]

    def take(self) -> set[Key]:
        """What was called since the last time."""
        seen, self._seen = self._seen, set()
        return {key_of(code) for code in seen if self._checkout.relative(code.co_filename)}

    def _called(self, frame: FrameType, _event: str, _arg: Any) -> None:
        self._seen.add(frame.f_code)


def suspended() -> set[Key]:
    """Generators and coroutines that are made and not used up: their frames hold the code that they began with.

    One that was never advanced was never seen to be called.
    """
    found = set()
    for thing in gc.get_objects():
        kind = type(thing)
        if kind is GeneratorType:
            found.add(key_of(thing.gi_code))
        elif kind is CoroutineType:
            found.add(key_of(thing.cr_code))
        elif kind is AsyncGeneratorType:
            found.add(key_of(thing.ag_code))
    return found
