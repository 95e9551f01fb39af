"""Becomes `sitecustomize` of a test command's interpreters: notes which lines of a few files run. Standard library only, nothing of ours.

`LOOPWRIGHT_LINES` is JSON: `files` (absolute paths), `root` (where relative names begin), `into` (the folder that takes the notes). Every
process writes a file of its own there, line by line: one that ends without cleaning up has said by then what it ran.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes longer to import than all the rest
    from types import CodeType, FrameType
    from typing import Any

__all__: list[str] = []

_NAME = "loopwright lines"


class _Notes:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._root: str = settings["root"]
        self._into: str = settings["into"]
        self._wanted = {os.path.realpath(path): number for number, path in enumerate(settings["files"])}
        self._numbers: dict[str, int] = {}
        self._seen: set[tuple[int, int]] = set()
        self._fd = -1
        self._pid = 0

    def number(self, filename: str) -> int:
        """Which of the files this is; -1 when it is none of them."""
        try:
            return self._numbers[filename]
        except KeyError:
            place = os.path.realpath(os.path.join(self._root, filename))
            self._numbers[filename] = found = self._wanted.get(place, -1)
            return found

    def ran(self, number: int, line: int) -> None:
        if (number, line) not in self._seen:
            self._seen.add((number, line))
            self.write(f"{number}:{line}")

    def write(self, text: str) -> None:
        if self._pid != os.getpid():  # the first note, also after a fork
            self._pid = os.getpid()
            place = os.path.join(self._into, f"{self._pid}-{os.urandom(4).hex()}")
            self._fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(self._fd, f"{text}\n".encode())
        except OSError:
            self._pid = 0  # the tests closed it: the next note begins another file


def _monitor(notes: _Notes) -> bool:
    """Python 3.12 and later; false when others have taken the places."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    tool = next((n for n in (4, 3) if monitoring.get_tool(n) is None), None)
    if tool is None:
        return False
    monitoring.use_tool_id(tool, _NAME)

    def started(code: CodeType, _offset: int) -> Any:
        if notes.number(code.co_filename) >= 0:
            monitoring.set_local_events(tool, code, monitoring.events.LINE)
        return monitoring.DISABLE

    def line(code: CodeType, number: int) -> Any:
        notes.ran(notes.number(code.co_filename), number)
        return monitoring.DISABLE

    monitoring.register_callback(tool, monitoring.events.PY_START, started)
    monitoring.register_callback(tool, monitoring.events.LINE, line)
    monitoring.set_events(tool, monitoring.events.PY_START)

    def lost() -> None:
        if monitoring.get_tool(tool) != _NAME:
            notes.write("lost")

    atexit.register(lost)
    return True


def _trace(notes: _Notes) -> None:
    def called(frame: FrameType, _event: str, _arg: object) -> Any:
        return line if notes.number(frame.f_code.co_filename) >= 0 else None

    def line(frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line":
            notes.ran(notes.number(frame.f_code.co_filename), frame.f_lineno)
        return line

    def lost() -> None:
        """There is one trace function a thread: another tool that took ours out of its place has made us blind."""
        if sys.gettrace() is not called:
            notes.write("lost")

    threading.settrace(called)
    sys.settrace(called)
    atexit.register(lost)


def _next_sitecustomize() -> None:
    """This module stands before the environment's own of that name, which is run as if this one were not there."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    sys.modules["sitecustomize"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


def _begin() -> None:
    notes = _Notes(json.loads(os.environ["LOOPWRIGHT_LINES"]))
    notes.write("begun")
    if not (hasattr(sys, "monitoring") and _monitor(notes)):
        _trace(notes)


if __name__ == "sitecustomize":
    _begin()
    _next_sitecustomize()
