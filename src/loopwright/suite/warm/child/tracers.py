"""Three ways to see which lines run, the cheapest first that this interpreter has."""

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from .common import Checkout

__all__ = ["Lines", "Tracer", "tracer_for"]

Lines = dict[str, list[int]]


class Tracer(ABC):
    """`take()` gives the lines that ran since the last call, by file of the checkout."""

    name = ""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.seen: set[tuple[str, int]] = set()

    @abstractmethod
    def start(self) -> None: ...

    def take(self) -> Lines:
        seen, self.seen = self.seen, set()
        lines: Lines = {}
        for filename, line in sorted(seen):
            path = self.checkout.relative(filename)
            if path:
                lines.setdefault(path, []).append(line)
        return lines


class Monitoring(Tracer):
    """Python 3.12 and later: a line reports once and is silent until the next test."""

    name = "sys.monitoring"

    def start(self) -> None:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        self._restart: Callable[[], None] = monitoring.restart_events
        tool = next(n for n in (4, 3, 1) if monitoring.get_tool(n) is None)
        monitoring.use_tool_id(tool, "loopwright")
        disable = monitoring.DISABLE

        def started(code: CodeType, _offset: int) -> Any:
            if self.checkout.relative(code.co_filename):
                monitoring.set_local_events(tool, code, monitoring.events.LINE)
            return disable

        def line(code: CodeType, number: int) -> Any:
            self.seen.add((code.co_filename, number))
            return disable

        monitoring.register_callback(tool, monitoring.events.PY_START, started)
        monitoring.register_callback(tool, monitoring.events.LINE, line)
        monitoring.set_events(tool, monitoring.events.PY_START)

    def take(self) -> Lines:
        lines = super().take()
        self._restart()
        return lines


class CoverageTracer(Tracer):
    """coverage.py's C tracer, where the target has it; much cheaper than a Python trace function."""

    name = "coverage"

    def start(self) -> None:
        import coverage

        self._coverage = coverage.Coverage(data_file=None, config_file=False, messages=False, include=["./*"])
        self._coverage.set_option("run:dynamic_context", None)
        # A warning inside a test would fail it where the project turns warnings into errors.
        self._coverage._warn_no_data = False
        self._taken = 0
        self._coverage.start()
        self._coverage.switch_context("0")

    def take(self) -> Lines:
        data = self._coverage.get_data()
        data.set_query_context(str(self._taken))
        for filename in data.measured_files():
            self.seen.update((filename, line) for line in data.lines(filename) or ())
        self._taken += 1
        self._coverage.switch_context(str(self._taken))
        return super().take()


class SetTrace(Tracer):
    """Works everywhere; a trace function in Python, for frames of the checkout only."""

    name = "sys.settrace"

    def start(self) -> None:
        threading.settrace(self._called)
        sys.settrace(self._called)

    def _called(self, frame: FrameType, _event: str, _arg: object) -> Any:
        return self._line if self.checkout.relative(frame.f_code.co_filename) else None

    def _line(self, frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line":
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def tracer_for(wish: str, checkout: Checkout) -> Tracer:
    """`wish` is the name of a tracer or `auto`; one that this interpreter does not have gives way to the next."""
    if wish in {"auto", Monitoring.name} and hasattr(sys, "monitoring"):
        return Monitoring(checkout)
    if wish in {"auto", CoverageTracer.name}:
        try:
            import coverage  # noqa: F401

            return CoverageTracer(checkout)
        except ImportError:
            pass
    return SetTrace(checkout)
