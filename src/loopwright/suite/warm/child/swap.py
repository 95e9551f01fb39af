"""Puts changed function bodies into an already imported project, where that is the same as importing it changed.

It is, when the functions are plain ones (`bodies`), none of them was called while the project was imported and its tests were collected
(a table, a registry, a default may hold the result), none of them is suspended somewhere, and nothing in the checkout looks at code
or source itself. Function objects keep their identity, so `from x import f`, partials, wrappers and bound methods see the change.
"""

import gc
import importlib.machinery
import re
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

from .bodies import NotOnlyBodies, changed_bodies, same_code
from .calls import Key, key_of
from .common import Checkout

__all__ = ["Loaded", "Swap"]

Swap = list[tuple[FunctionType, CodeType]]

# Words by which code or its source gets read; a copy of a body, or what was made of its source, would stay as it was.
_CODE_WORDS = re.compile(
    rb"\b(__code__|co_code|co_consts|co_names|f_code|gi_code|cr_code|getsource|getsourcelines|findsource|getblock|getcomments"
    rb"|get_instructions|Bytecode|CodeType|FunctionType|settrace|setprofile|sys\.monitoring)\b"
)
# Words by which line numbers get read: a swapped body carries its own, the functions behind it keep those of the head.
_LINE_WORDS = re.compile(
    rb"\b(co_firstlineno|co_lines|f_lineno|tb_lineno|lineno|linecache|currentframe|_getframe|extract_stack|extract_tb|format_exc"
    rb"|format_exception|format_tb|format_stack|print_exc|walk_stack|walk_tb|TracebackException|stack|getframeinfo)\b"
)


class Loaded:
    """The checkout's functions as they stand after collection. `refusal` is why none of them can be swapped, `None` when some may."""

    def __init__(self, checkout: Checkout, called: set[Key]) -> None:
        self._checkout = checkout
        self._called = called
        self._functions: dict[Key, list[FunctionType]] = {}
        self._names: dict[str, str] = {}
        rewritten: set[str] = set()
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            path = checkout.relative(file) if isinstance(file, str) else ""
            if path:
                assert isinstance(file, str)
                self._names[path] = file
                if not _from_source(module):
                    rewritten.add(path)
        self._rewritten = rewritten
        for thing in gc.get_objects():
            if type(thing) is FunctionType and checkout.relative(thing.__code__.co_filename):
                self._functions.setdefault(key_of(thing.__code__), []).append(thing)
        sources = [_read(file) for file in self._names.values()]
        self.refusal = next((f"{found} in the checkout looks at code" for found in _words(_CODE_WORDS, sources)), None)
        self._looks_at_lines = next(_words(_LINE_WORDS, sources), None)

    def files(self) -> dict[str, str]:
        """The checkout's imported files, by path, with the name under which each was loaded."""
        return dict(self._names)

    def plan(self, path: str, old: bytes, new: bytes) -> Swap:
        """What to swap for this change of a file. Raises: `NotOnlyBodies` with the reason."""
        if self.refusal:
            raise NotOnlyBodies(self.refusal)
        name = self._names.get(path)
        if name is None:
            raise NotOnlyBodies(f"{path!r} is not imported by the collection")
        if path in self._rewritten:
            raise NotOnlyBodies(f"{path!r} was rewritten when it was imported")
        swap: Swap = []
        bodies = changed_bodies(old, new, name)
        if bodies.moved and self._looks_at_lines:
            raise NotOnlyBodies(f"it moves lines, and {self._looks_at_lines} in the checkout looks at them")
        for before, after in bodies.pairs:
            key = key_of(before)
            if key in self._called:
                raise NotOnlyBodies(f"{before.co_name!r} was called during import or collection")
            functions = self._functions.get(key, [])
            if not functions:
                raise NotOnlyBodies(f"no function {before.co_name!r} is there after the import")
            for function in functions:
                if not same_code(function.__code__, before):
                    raise NotOnlyBodies(f"{before.co_name!r} is not what its source says")
                swap.append((function, after))
        return swap


def _from_source(module: ModuleType) -> bool:
    """By Python's own loader, not by one that changes the code (pytest's assertions, type checkers)."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return type(loader) is importlib.machinery.SourceFileLoader


def _words(words: "re.Pattern[bytes]", sources: list[bytes]) -> Iterator[str]:
    for source in sources:
        found = words.search(source)
        if found:
            yield repr(found[0].decode())


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError:
        return b""
