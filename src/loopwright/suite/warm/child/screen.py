"""Which candidates make failing tests pass? Screening only: whatever passes here is judged again, cold, by the engine.

Settings: `nonce`, `args`, `wanted` (failing node ids), `modules` and `files` (to warm up with), `hangs` (the unchanged project does),
`early` (fork before pytest loads any conftest), `seconds`, `lookahead` (how many more indices are tried after the first that fixes
everything), `stop` (a file that names the last index still of interest), `restore`: `[path, content in base64]` of files that a run
before may have left edited, `candidates`: `[index, path, content in base64]`.
"""

import base64
import os
import sys
import time
from typing import Any

import pytest

from .common import Checkout, Out, Selection, pytest_args
from .zygote import Zygote, warm

__all__ = ["main"]

_CPU_FACTOR, _CPU_EXTRA_S, _CPU_MIN_S = 4, 0.3, 0.6
# pytest's own exit statuses for "all passed" and "some failed"; with any other the outcomes are not complete.
_ENDED = frozenset({0, 1})
_WALL_FACTOR, _WALL_EXTRA_S, _WALL_MIN_S = 4, 2.0, 3.0


class _Outcomes:
    """Counts a test as passed when every phase of it did, and ends the child as soon as pytest has its exit status."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote
        self._called: dict[str, None] = {}
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if not report.passed or hasattr(report, "wasxfail"):
            self._failed.add(report.nodeid)
        elif report.when == "call":
            self._called[report.nodeid] = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        passed = [test for test in self._called if test not in self._failed]
        if self._zygote.is_child:
            self._zygote.leave({"passed": passed if int(exitstatus) in _ENDED else []})


class _ForkBeforeCollection:
    """The last moment before pytest imports the project's tests. `judge_all` returns only in a child, which goes on from here."""

    def __init__(self, screen: "_Screen") -> None:
        self._screen = screen

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        self._screen.judge_all()


class _ForkBeforeConftests:
    """The last moment before a conftest could import the project."""

    def __init__(self, screen: "_Screen") -> None:
        self._screen = screen

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        self._screen.judge_all()


class _Screen:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._checkout = Checkout()
        self._out = Out(settings["nonce"])
        self._wanted: list[str] = settings["wanted"]
        self._deadline = time.monotonic() + float(settings["seconds"])
        self._zygote = Zygote()

    def run(self) -> None:
        for path, content in self._settings["restore"]:
            _write(os.path.join(os.getcwd(), path), base64.b64decode(content))
        warm(self._checkout, self._settings["modules"], self._settings["files"])
        args = pytest_args(self._settings["args"], ["--tb=no", "--assert=plain"])
        fork = _ForkBeforeConftests(self) if self._settings["early"] else _ForkBeforeCollection(self)
        try:
            pytest.main(args, plugins=[Selection(self._wanted), _Outcomes(self._zygote), fork])
            if not self._zygote.is_child:
                self._out.emit({"end": "not started"})
        finally:
            # Whatever a candidate raises: a child must not get to where it would act as the parent.
            os._exit(0)

    def judge_all(self) -> None:
        edited = {path for _, path, _ in self._settings["candidates"]}
        if edited & self._checkout.loaded():
            self._out.emit({"end": "loaded"})
            os._exit(0)
        if self._baseline():
            end = self._candidates()
            if end is not None:
                self._out.emit({"end": end})
        if not self._zygote.is_child:
            os._exit(0)

    def _baseline(self) -> bool:
        """The unchanged project, for the time it takes and for tests that fail only in the whole suite."""
        zygote = self._zygote
        zygote.cpu_s, zygote.wall_s = (1.0, 3.0) if self._settings["hangs"] else (20.0, 30.0)
        began = time.monotonic()
        record = zygote.fork()
        if zygote.is_child:
            return False
        wall_s = time.monotonic() - began
        if record is not None:
            zygote.cpu_s = max(_CPU_MIN_S, _CPU_FACTOR * zygote.used_s + _CPU_EXTRA_S)
            zygote.wall_s = max(_WALL_MIN_S, _WALL_FACTOR * wall_s + _WALL_EXTRA_S)
        else:
            # The bug itself hangs or dies: its time says nothing of a repaired program.
            zygote.cpu_s, zygote.wall_s = 2.0, 4.0
        passing = [] if record is None else record["passed"]
        self._wanted = [test for test in self._wanted if test not in passing]
        self._out.emit({"baseline": passing, "hung": record is None, "cpu_s": zygote.cpu_s, "wall_s": zygote.wall_s})
        if not self._wanted:
            self._out.emit({"end": "passes"})
        return bool(self._wanted)

    def _candidates(self) -> str | None:
        """Why it ended; `None` in a child."""
        last = sys.maxsize
        for index, path, content in self._settings["candidates"]:
            if index > min(last, self._last_of_interest()):
                return "enough"
            if time.monotonic() > self._deadline:
                return "time"
            file = os.path.join(os.getcwd(), path)
            with open(file, "rb") as stream:
                before = stream.read()
            _write(file, base64.b64decode(content))
            record = self._zygote.fork()
            if self._zygote.is_child:
                return None
            _write(file, before)
            passed = [] if record is None else [test for test in self._wanted if test in record["passed"]]
            self._out.emit({"index": index, "passed": passed, "died": record is None})
            if len(passed) == len(self._wanted):
                last = min(last, index + int(self._settings["lookahead"]))
        return "all"

    def _last_of_interest(self) -> int:
        try:
            with open(self._settings["stop"], encoding="ascii") as stream:
                return int(stream.read() or sys.maxsize)
        except (OSError, ValueError):
            return sys.maxsize


def _write(file: str, data: bytes) -> None:
    with open(file, "wb") as stream:
        stream.write(data)


def main(settings: dict[str, Any]) -> None:
    sys.dont_write_bytecode = True
    _Screen(settings).run()
