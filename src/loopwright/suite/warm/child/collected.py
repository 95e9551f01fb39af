"""pytest after its collection: the tests are there, and each run of them happens in a forked child.

Both kinds of warm process are this: the one with the head's project, whose children get swapped function bodies, and the one that was
forked before its collection for a single candidate.
"""

import atexit
import contextlib
import gc
import importlib
import linecache
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .calls import Calls, Key, suspended
from .common import Checkout
from .forked import Ended, Limits, Way, end_orphans, fork
from .lead import is_bare, is_plain, lead
from .runs import Head, Run, order_of
from .swap import Loaded

__all__ = ["Collected"]

_RANK = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}
_MESSAGE_CHARS = 300
_HEAD_FACTOR = 2
"""Tracing and a first run take longer."""


class Collected:
    """`serve` is called once after collection, in a process that only forks; it does not return there."""

    def __init__(
        self, head: Head, checkout: Checkout, calls: "Calls | None", serve: "Callable[[Collected], None]"
    ) -> None:
        self.head = head
        self.checkout = checkout
        self.items: list[Any] = []
        self.uncollected: list[dict[str, str]] = []
        self.loaded: Loaded | None = None
        self._calls = calls
        self._serve = serve
        self.way: Way | None = None
        self.on_fork: Callable[[], None] = lambda: None
        self.direct = False
        self._shown: Run | None = None
        self._ran = 0
        self._began_s = 0.0
        self._results: dict[str, dict[str, str]] = {}
        self._fds = _descriptors()
        self._traces: list[list[Key]] = []
        self._fixed: list[str] = []

    # --- pytest's hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: Any) -> None:
        if hasattr(config.option, "dist"):  # xdist, wherever it was asked for: all tests must run in this process
            config.option.dist, config.option.tx, config.option.numprocesses = "no", [], 0

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.uncollected.append(_case(report.nodeid, "error", _last_line(str(report.longrepr))))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> "bool | None":
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            self.items = []
        else:
            self.uncollected = []
            self.items = list(session.items)
        called: set[Key] = set()
        if self._calls is not None:
            self._calls.stop()
            called = self._calls.take() | suspended()
            self.loaded = Loaded(self.checkout, called)
            if not self._calls.trusted:
                self.loaded.refusal = "something else traced during the import"
            elif self.forkable() is not None:
                self.loaded.refusal = self.forkable()
        gc.collect()
        # What is there now never becomes garbage in a child.
        gc.freeze()
        self._serve(self)
        return True  # in a child whose tests have all run

    def pytest_runtest_logreport(self, report: Any) -> None:
        status = "passed" if report.passed else "skipped" if report.skipped else "failed"
        if status == "failed" and report.when != "call":
            status = "error"
        if report.when != "call" and status == "passed":
            return
        known = self._results.get(report.nodeid)
        if known is None or _RANK[status] > _RANK[known["status"]]:
            message = "" if status == "passed" else _message(report)
            self._results[report.nodeid] = _case(report.nodeid, status, message)

    # --- what the serving side uses

    def forkable(self) -> "str | None":
        """Why children would not find what the import has made: threads do not survive a fork, open files share their position."""
        if threading.active_count() > 1:
            return "the import starts a thread"
        if _descriptors() - self._fds:
            return "the import leaves a file or socket open"
        return None

    def warm_up(self, modules: list[str]) -> None:
        """Import what a run of the tests has imported besides the project, so that no child needs to."""
        own = self.checkout.loaded()
        for name in modules:
            if name not in sys.modules:
                with contextlib.suppress(BaseException):  # what cannot be imported by itself the tests import, or not
                    importlib.import_module(name)
        if self.loaded is not None and not self.loaded.refusal:
            brought = self.checkout.loaded() - own
            self.loaded.refusal = f"another module imports {min(brought)!r}" if brought else self.forkable()
        gc.collect()
        gc.freeze()

    def missing(self) -> list[str]:
        have = {item.nodeid for item in self.items}
        return sorted(self.head.must - have)

    def run(self, run: Run) -> "Ended | None":
        """In the parent what became of the child; in the child, `None`, when its tests have run: then it returns to pytest."""
        result = fork(Limits(self.head.candidate_s, self.head.memory_bytes))
        if isinstance(result, Ended):
            end_orphans(set())
            return result
        self.on_fork()
        self.here(run, result)
        return None

    def here(self, run: Run, way: Way) -> None:
        """Run the tests in this process, which ends by `way`."""
        head = self.head
        self.way = way
        self._began_s = time.monotonic()
        way.within(head.candidate_s * (_HEAD_FACTOR if run.all else 1))
        for function, code in run.swap:
            function.__code__ = code
        linecache.clearcache()
        importlib.invalidate_caches()
        items = order_of(self.items, head, run)
        confirms = run.stalled or run.until is not None
        reported = set() if not confirms or not is_plain(items[0].config) else {run.until, *run.first, *head.wanted}
        bare = bool(reported) and is_bare(items[0].config)
        last_wanted = max((n for n, item in enumerate(items) if item.nodeid in head.wanted), default=-1)
        for number, item in enumerate(items):
            following = items[number + 1] if number + 1 < len(items) else None
            way.test(number)
            if reported and item.nodeid not in reported:
                lead(item, following, bare=bare and item.nodeid in head.must)
                continue
            with self._watched(run):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.shouldstop or item.session.shouldfail:
                way.leave(self._record("stopped", [], number))
            case = self._results.get(item.nodeid) or _case(item.nodeid, "skipped", "")
            decides = item.nodeid == run.until if confirms else item.nodeid in head.must and not run.all
            if decides and case["status"] != "passed":
                way.leave(self._record("failed", [case], number + 1))
            if item.nodeid in head.wanted and case["status"] == "passed":
                self._fixed.append(item.nodeid)
            if confirms and (item.nodeid == run.until or (self._fixed and run.stalled)):
                way.leave(self._record("ran", [], number + 1))
            if number == last_wanted and (run.progress or run.stalled) and not self._fixed:
                cases = [self._results[test] for test in head.wanted if test in self._results]
                if any(c["status"] in ("failed", "error") for c in cases):  # skipped is neither
                    way.leave(self._record("stalled", cases, number + 1))
        self._ran = len(items)
        self._shown = run

    def finish(self, exit_code: int) -> None:
        """The end of a child that ran all its tests: what a cold run does between its last test and its exit, then the record."""
        assert self.way is not None
        way, run = self.way, self._shown
        if run is None:  # pytest.exit(), or an error of pytest's own, in the middle
            way.leave(self._record("stopped", [], 0))
            return
        way.test(1 << 30)
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
        atexit._run_exitfuncs()
        failing = [c for c in self._results.values() if c["status"] in ("failed", "error")]
        expected = 1 if failing else 0
        record = self._record("ran" if int(exit_code) == expected else "stopped", failing[:50], self._ran)
        if run.all:
            record["results"] = {test: case["status"] for test, case in self._results.items()}
            record["wall_s"] = time.monotonic() - self._began_s
        if run.traced:
            record["traces"] = self._traces
            record["modules"] = self._foreign()
        way.leave(record)

    # --- inside

    def _foreign(self) -> list[str]:
        files = [(name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())]
        return [name for name, file in files if isinstance(file, str) and not self.checkout.relative(file)]

    def _record(self, end: str, cases: list[dict[str, str]], ran: int) -> dict[str, Any]:
        return {"end": end, "cases": cases, "fixed": self._fixed, "ran": ran, "direct": self.direct}

    @contextlib.contextmanager
    def _watched(self, run: Run) -> Iterator[None]:
        if not run.traced:
            yield
            return
        calls = Calls(self.checkout)
        calls.start()
        try:
            yield
        finally:
            calls.stop()
            self._traces.append(sorted(calls.take()))


def _case(test: str, status: str, message: str) -> dict[str, str]:
    return {"id": test, "status": status, "message": message[:_MESSAGE_CHARS]}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines or [""])[-1].removeprefix("E  ").strip()


def _message(report: Any) -> str:
    """As the report of a cold run has it: the failure's own line, without its type where that is a plain assertion."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message) if crash is not None else str(report.longrepr)


def _descriptors() -> "set[tuple[str, str]]":
    """Number and target of what is open; pytest itself keeps copies of its outputs, which lead nowhere here."""
    found = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{fd}")
                if target != os.devnull:
                    found.add((fd, target))
    return found
