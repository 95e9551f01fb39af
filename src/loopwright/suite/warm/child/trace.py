"""Which lines does each test run? One run of the wanted tests, the failing ones first, one record for each.

Settings: `nonce`, `args` (pytest's options), `failing` and `passing` (node ids), `tracer`, `seconds` (no new test is begun after
that), `test_seconds` (a test that runs longer is stopped and counts as failed).
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from .common import Checkout, Out, Selection, pytest_args
from .tracers import tracer_for

__all__ = ["main"]


class _Hung(BaseException):
    """Raised in the main thread; not an `Exception`, so that a project's own `except` does not swallow it."""


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise _Hung("the test was stopped: it ran too long to be traced")


class _Spectra:
    def __init__(self, settings: dict[str, Any], out: Out, checkout: Checkout) -> None:
        self._out = out
        self._checkout = checkout
        self._seconds = float(settings["seconds"])
        self._test_seconds = float(settings["test_seconds"])
        self._began = time.monotonic()
        self._tracer = tracer_for(settings["tracer"], checkout)
        self._tracer.start()  # before pytest: a conftest imports the project while pytest is configured
        self._failed = self._stopped = False
        self._frames: list[tuple[str, int]] = []

    def pytest_configure(self) -> None:
        signal.signal(signal.SIGALRM, _hung)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        self._out.emit({"configured": sorted(self._checkout.loaded())})

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: Any) -> None:
        self._out.emit({"imported": self._tracer.take(), "tracer": self._tracer.name, "collected": len(session.items)})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        self._tracer.take()
        self._failed, self._stopped, self._frames = False, False, []
        signal.setitimer(signal.ITIMER_REAL, self._test_seconds)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            lines = self._tracer.take()
            record = {"test": item.nodeid, "failed": self._failed, "stopped": self._stopped}
            self._out.emit({**record, "lines": lines, "frames": self._frames})
            if time.monotonic() - self._began > self._seconds:
                item.session.shouldstop = "time is up"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Iterator[None]:
        if call.excinfo is not None and call.excinfo.errisinstance(_Hung):
            self._stopped = True
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            self._failed = True
            traceback = call.excinfo.tb
            while traceback is not None:
                path = self._checkout.relative(traceback.tb_frame.f_code.co_filename)
                if path:
                    self._frames.append((path, traceback.tb_lineno))
                traceback = traceback.tb_next
        return (yield)


def main(settings: dict[str, Any]) -> None:
    sys.dont_write_bytecode = True
    out, checkout = Out(settings["nonce"]), Checkout()
    selection = Selection([*settings["failing"], *settings["passing"]])
    status = pytest.main(
        pytest_args(settings["args"], ["--tb=no"]), plugins=[selection, _Spectra(settings, out, checkout)]
    )
    names = [name for name, module in list(sys.modules.items()) if not _is_own(name, module, checkout)]
    out.emit({"done": int(status), "modules": names})
    os._exit(0)


def _is_own(name: str, module: object, checkout: Checkout) -> bool:
    file = getattr(module, "__file__", None)
    return (
        name.startswith("_loopwright")
        or name == "__main__"
        or (isinstance(file, str) and bool(checkout.relative(file)))
    )
