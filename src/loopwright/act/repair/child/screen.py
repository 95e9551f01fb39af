"""Which candidates make failing tests pass? Screening only: whatever passes here is judged again, cold, by the engine.

Settings: `nonce`, `args`, `wanted` (failing node ids), `modules` and `files` (to warm up with), `early` (fork before pytest reads its
configuration), `seconds`, `lookahead` (how many more indices are tried after the first that fixes everything), `stop` (a file that
names the last index still of interest), `candidates`: `[index, path, content in base64]`.
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
_WALL_FACTOR, _WALL_EXTRA_S, _WALL_MIN_S = 4, 2.0, 3.0


class _Outcomes:
    """Counts a test as passed when every phase of it did."""

    def __init__(self) -> None:
        self._called: dict[str, None] = {}
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if not report.passed or hasattr(report, "wasxfail"):
            self._failed.add(report.nodeid)
        elif report.when == "call":
            self._called[report.nodeid] = None

    def record(self) -> dict[str, Any]:
        return {"passed": [test for test in self._called if test not in self._failed]}


class _Fork:
    """Judges all candidates at the last moment before pytest imports the project's code, and never comes back."""

    def __init__(self, screen: "_Screen") -> None:
        self._screen = screen

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: Any) -> None:
        def rest_of_the_session() -> dict[str, Any]:
            try:
                session.perform_collect()
                session.config.hook.pytest_runtestloop(session=session)
            except (Exception, SystemExit, KeyboardInterrupt):  # noqa: S110 - a suite that ends early has passed what it has passed
                pass
            return self._screen.outcomes.record()

        self._screen.judge_all(rest_of_the_session)


class _Screen:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._checkout = Checkout()
        self._out = Out(settings["nonce"])
        self._wanted: list[str] = settings["wanted"]
        self._selection = Selection(self._wanted)
        self._deadline = time.monotonic() + float(settings["seconds"])
        self.outcomes = _Outcomes()

    def run(self) -> None:
        warm(self._checkout, self._settings["modules"], self._settings["files"])
        if self._settings["early"]:
            self.judge_all(self._whole_session)
        self._pytest([_Fork(self)])
        self._out.emit({"end": "not started"})
        os._exit(0)

    def judge_all(self, body: Any) -> None:
        edited = {path for _, path, _ in self._settings["candidates"]}
        if edited & self._checkout.loaded():
            # A conftest has imported what is to be edited: the caller asks again, with the fork before that.
            self._out.emit({"end": "loaded"})
            os._exit(0)
        zygote = Zygote(body)
        if self._baseline(zygote):
            self._out.emit({"end": self._candidates(zygote)})
        os._exit(0)

    def _whole_session(self) -> dict[str, Any]:
        self._pytest([])
        return self.outcomes.record()

    def _pytest(self, more: list[object]) -> None:
        args = pytest_args(self._settings["args"], ["--tb=no", "--assert=plain"])
        pytest.main(args, plugins=[self._selection, self.outcomes, *more])

    def _baseline(self, zygote: Zygote) -> bool:
        """The unchanged project, for the time it takes and for tests that fail only in the whole suite."""
        began = time.monotonic()
        record = zygote.run()
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

    def _candidates(self, zygote: Zygote) -> str:
        last = sys.maxsize
        for index, path, content in self._settings["candidates"]:
            if index > min(last, self._last_of_interest()):
                return "enough"
            if time.monotonic() > self._deadline:
                return "time"
            file = os.path.join(os.getcwd(), path)
            with open(file, "rb") as stream:
                before = stream.read()
            try:
                _write(file, base64.b64decode(content))
                record = zygote.run()
            finally:
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
