"""The warm process itself: pytest and what is not the project's are imported, the project is not. It asks nothing and answers its host.

Two ways from here to a candidate's verdict. *swap*: a second process, forked from this one, has collected the head's tests; a child of
it gets the changed bodies and runs them. *fork*: a child of this process collects the candidate's own tests, as a cold pytest would.
The candidate's files are in the checkout both times.

Settings: `socket`, `nonce`, `args` (pytest's options), `must` and `wanted` (ids that pass and fail on the head), `seconds` (by id, of the
head), `candidate_s`, `memory_bytes`, `isolated`.
"""

import base64
import importlib.machinery
import marshal
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

import pytest

from .bodies import NotOnlyBodies
from .calls import Calls
from .channel import Channel
from .collected import Collected, Head, Run
from .common import Checkout, pytest_args
from .forked import Ended, Limits, Way, adopt_orphans, end_orphans, fork
from .tidy import Files, Refused
from .zygote import warm

__all__ = ["main"]

_Record = dict[str, Any]
_STARTUP = frozenset({"sitecustomize", "usercustomize"})


class _Codes:
    """Test modules with pytest's rewritten assertions, by their whole content: rewriting is the larger half of a cold start."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, bytes], Any] = {}
        try:
            from _pytest.assertion import rewrite

            original: Any = rewrite._rewrite_test
        except (ImportError, AttributeError):  # another pytest than we know: slower, and right
            return

        def rewritten(fn: Any, config: Any) -> Any:
            data = fn.read_bytes()
            found = self.known.get((str(fn), data))
            if found is None:
                found = original(fn, config)
                self.known[str(fn), data] = found
            return found

        rewrite._rewrite_test = rewritten


class _Server:
    def __init__(self, settings: _Record) -> None:
        self._checkout = Checkout()
        cpu_and_wall = {test: (s, s) for test, s in settings["seconds"].items()}
        self._head = Head(
            must=frozenset(settings["must"]),
            wanted=tuple(settings["wanted"]),
            times=cpu_and_wall,
            candidate_s=settings["candidate_s"],
            memory_bytes=settings["memory_bytes"],
        )
        self._own_args: list[str] = settings["args"]
        self._codes = _Codes()
        self._files = Files(settings["isolated"])
        self._late: tuple[int, Channel] | None = None
        self._refusal = ""
        self._no_fork: str | None = None
        self._fork_checked = False
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(settings["socket"])
        self._host = Channel(sock)
        self._host.send({"hello": settings["nonce"]})

    def run(self) -> None:
        answer = self._collect_head()
        self._host.send(answer)
        while "cold" not in answer:
            request = self._host.receive()
            if request is None:
                break
            self._host.send(self._try(request["changes"], bool(request["progress"])))
        self._lose_late()

    # --- the head

    def _collect_head(self) -> _Record:
        began = time.monotonic()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._host.close()
            os.setsid()
            self._pytest(lambda collected: self._serve_head(collected, Channel(theirs)), traced=True)
            Channel(theirs).send({"cold": "the head's tests cannot be collected"})
            os._exit(0)
        theirs.close()
        channel = Channel(ours)
        self._late = (pid, channel)
        # What the import left lying about belongs to the process that has imported; what the tests leave does not.
        answer = channel.receive()
        if answer is not None and "cold" not in answer:
            self._files.remember()
            channel.send({})
            answer = channel.receive()
            while answer is not None and "tidy" in answer:
                end_orphans({pid})
                spoilt = self._files.back()
                if spoilt:
                    answer = {"cold": f"the tests change {spoilt!r} in the checkout"}
                    break
                channel.send({})
                answer = channel.receive()
        if answer is None or "cold" in answer:
            self._lose_late()
            return answer or {"cold": "the collection of the head's tests ends its process"}
        head = self._head
        head.times = {test: (t[0], t[1]) for test, t in answer["times"].items()}
        head.impact, head.ordered = answer["impact"], answer["ordered"]
        head.collect_s = time.monotonic() - began
        self._codes.known.update(
            {
                (path, base64.b64decode(data)): marshal.loads(base64.b64decode(code))  # noqa: S302  of a fork of ours
                for path, data, code in answer["codes"]
            }
        )
        self._refusal = answer["refusal"] or ""
        if self._refusal:
            self._lose_late()
        warm(self._checkout, answer["modules"], answer["files"])
        own = {part for path in answer["files"] for part in path.partition(".")[0].split("/")}
        self._foreign = {name.partition(".")[0] for name in sys.modules} - own
        return {"refusal": self._refusal or None, "tests": len(head.times), "ordered": head.ordered}

    def _serve_head(self, collected: Collected, channel: Channel) -> None:
        """In the second process; returns in its children only."""
        collected.on_fork = channel.close
        channel.send({"tests": len(collected.items)})
        if channel.receive() is None:
            os._exit(0)

        def tidied() -> None:
            channel.send({"tidy": True})
            if channel.receive() is None:
                os._exit(0)

        forward = collected.run(Run(all=True, traced=True))
        if forward is None:
            return
        tidied()
        trouble = self._compared(forward)
        if not trouble:
            assert forward.record is not None
            collected.warm_up(
                [name for name in forward.record["modules"] if not name.startswith(("_loopwright", "__main__"))]
            )
        backward = collected.run(Run(all=True, backwards=True))
        if backward is None:
            return
        tidied()
        ordered = self._compared(backward) is not None
        if ordered and not trouble:
            # By the order, or by what was imported in between?
            again = collected.run(Run(all=True))
            if again is None:
                return
            tidied()
            trouble = self._compared(again)
        assert collected.loaded is not None
        if trouble:
            channel.send({"cold": trouble})
            os._exit(0)
        assert forward.record is not None
        traces: list[list[Any]] = forward.record["traces"]
        names = [item.nodeid for item in collected.items]
        by_key: dict[Any, set[str]] = {}
        impact: dict[str, dict[str, None]] = {}
        for test, keys in zip(names, traces):  # noqa: B905  older Pythons run this too
            for file, name, line in keys:
                by_key.setdefault((file, name, line), set()).add(test)
                impact.setdefault(self._checkout.relative(file), {})[test] = None
        times = {**forward.record["times"]}
        for test, (cpu_s, wall_s) in ((backward.record or {}).get("times") or {}).items():
            times[test] = (max(cpu_s, times[test][0]), max(wall_s, times[test][1]))
        self._head.ordered = ordered
        self._head.times = times
        channel.send(
            {
                "refusal": collected.loaded.refusal,
                "times": times,
                "impact": {path: list(tests) for path, tests in impact.items()},
                "ordered": self._head.ordered,
                "codes": [
                    (path, _encoded(data), _encoded(marshal.dumps(found)))
                    for (path, data), found in self._codes.known.items()
                    if isinstance(found, tuple)
                ],
                "modules": self._foreign_modules(),
                "files": sorted(collected.loaded.files()),
            }
        )
        while True:
            request = channel.receive()
            if request is None:
                os._exit(0)
            try:
                swap = [
                    pair
                    for path, old, new in request["plan"]
                    for pair in collected.loaded.plan(path, base64.b64decode(old), base64.b64decode(new))
                ]
            except NotOnlyBodies as why:
                channel.send({"refused": str(why)})
                continue
            channel.send({"refused": None})
            go = channel.receive()
            if go is None:
                os._exit(0)
            touched: set[str] = set()
            for function, _ in swap:
                code = function.__code__
                touched |= by_key.get((code.co_filename, code.co_name, code.co_firstlineno), set())
            run = Run(swap=swap, first=tuple(touched), progress=go["progress"])
            used = _own_cpu_ms()
            record = _settled(collected, run)
            if record is None:
                return
            record["cpu_ms"] += _own_cpu_ms() - used
            channel.send(record)

    def _compared(self, ended: Ended) -> "str | None":
        """Why a run of the unchanged head is not what the cold run of it was."""
        if ended.record is None or "results" not in ended.record:
            return "the unchanged head does not come to its end in a forked process"
        results = ended.record["results"]
        wrong = [test for test in self._head.must if results.get(test) != "passed"]
        wrong += [test for test in self._head.wanted if results.get(test) == "passed"]
        return f"on the unchanged head {min(wrong)} ends differently in a forked process" if wrong else None

    def _foreign_modules(self) -> list[str]:
        names = []
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            own = isinstance(file, str) and bool(self._checkout.relative(file))
            # pytest's plugins must be imported by pytest, which rewrites their assertions.
            loader = getattr(getattr(module, "__spec__", None), "loader", None)
            plain = loader is None or type(loader).__module__.startswith(("_frozen", "importlib", "builtins"))
            loaders = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter)
            if not own and (plain or loader in loaders) and not name.startswith(("_loopwright", "__main__")):
                names.append(name)
        return names

    # --- candidates

    def _try(self, changes: list[_Record], progress: bool) -> _Record:
        began = _own_cpu_ms()
        shadowing = self._shadowing(changes)
        if shadowing:
            return {"cold": shadowing}
        why, ready = self._planned(changes)
        if not ready and not self._fork_checked:
            self._check_fork()
        if not ready and self._no_fork:
            return {"cold": f"{why}; {self._no_fork}"}
        try:
            self._files.put(changes)
        except (Refused, OSError) as error:
            return {"cold": str(error), "spoilt": self._files.back()}
        record = self._swapped(progress) if ready else None
        if record is None:
            why = "the process with the head's tests ended" if ready else why
            record = {**self._forked(changes, progress), "mode": "fork"}
        else:
            record["mode"] = "swap"
        keep = {self._late[0]} if self._late else set()
        end_orphans(keep)
        record["why"] = why
        record["spoilt"] = self._files.back()
        record["cpu_ms"] += _own_cpu_ms() - began
        return record

    def _shadowing(self, changes: list[_Record]) -> "str | None":
        """A new file can stand before a module that is imported here already: a cold run would import the new one."""
        for change in changes:
            parts = change["path"].partition(".")[0].split("/")
            if _STARTUP & set(parts):
                return f"{change['path']!r} is imported when Python starts"
            new = change["data"] is not None and not os.path.exists(change["path"])
            hidden = [part for part in parts if new and part in self._foreign]
            if hidden:
                return f"{change['path']!r} may stand before the module {hidden[0]!r}"
        return None

    def _planned(self, changes: list[_Record]) -> tuple[str, bool]:
        """Whether bodies can be swapped (then the second process waits for the word to go), and why not."""
        if self._late is None:
            return self._refusal, False
        plan = []
        for change in changes:
            path = change["path"]
            if change["data"] is None or not path.endswith(".py") or change["link"]:
                return f"it deletes {path!r}" if change["data"] is None else f"{path!r} is not a Python source", False
            try:
                with open(os.path.join(os.getcwd(), path), "rb") as stream:
                    plan.append((path, _encoded(stream.read()), change["data"]))
            except OSError:
                return f"it adds {path!r}", False
        answer = self._asked({"plan": plan})
        if answer is None:
            return "the process with the head's tests ended", False
        return (answer["refused"], False) if answer["refused"] else ("only bodies of plain functions change", True)

    def _swapped(self, progress: bool) -> "_Record | None":
        return self._asked({"progress": progress})

    def _asked(self, request: _Record) -> "_Record | None":
        assert self._late is not None
        _, channel = self._late
        try:
            channel.send(request)
        except OSError:
            answer = None
        else:
            answer = channel.receive(3 * self._head.candidate_s + 10)
        if answer is None:
            self._lose_late()
            self._refusal = "the process with the head's tests ended"
        return answer

    def _lose_late(self) -> None:
        if self._late is not None:
            pid, channel = self._late
            self._late = None
            channel.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _check_fork(self) -> None:
        """Once: the unchanged head must end as in its cold run when it is collected in a child of this process, too."""
        self._fork_checked = True
        ended = self._one_fork(Run(all=True))
        trouble = "" if ended is None else self._compared(ended)
        if trouble:
            self._no_fork = trouble
        self._files.back()

    def _forked(self, changes: list[_Record], progress: bool) -> _Record:
        paths = [change["path"] for change in changes]
        if not all(path.endswith(".py") for path in paths):
            self._codes.known = {}  # a setting may say how assertions are rewritten
        first = {test for path in paths for test in self._head.impact.get(path, [])}
        run = Run(first=tuple(first), progress=progress)
        ended = self._one_fork(run)
        record = _told(ended)
        if record.get("direct") and record["end"] in ("failed", "died", "stopped"):
            # This project cannot be forked once it is collected, so its failure is repeated from the beginning.
            again = _told(self._one_fork(Run(only=record["cases"][0]["id"] if record["cases"] else None)))
            if again["end"] not in ("failed", "died", "stopped", "hung"):
                record["end"] = "unsure"
            record["cpu_ms"] += again["cpu_ms"]
        return record

    def _one_fork(self, run: Run) -> Ended:
        head = self._head
        collect_s = 10 * head.collect_s + 10
        seconds = collect_s + 3 * head.candidate_s
        result = fork(Limits(collect_s + head.candidate_s, seconds, head.memory_bytes))
        if isinstance(result, Ended):
            return result
        self._host.close()
        if self._late is not None:
            self._late[1].close()
        self._candidate(run, result)
        os._exit(0)

    def _candidate(self, run: Run, way: Way) -> None:
        """In a child of the first process: collect, run, and leave by `way`."""
        adopt_orphans()

        def serve(collected: Collected) -> None:
            if collected.uncollected:
                way.leave({"end": "uncollected", "cases": collected.uncollected[:20], "fixed": [], "ran": 0})
            if not run.all and (gone := collected.missing()):
                cases = [{"id": test, "status": "skipped", "message": ""} for test in gone]
                way.leave({"end": "missing", "cases": cases, "fixed": [], "ran": 0})
            if run.all or collected.forkable():
                collected.direct = True
                collected.here(run, way)
                return
            record = _settled(collected, run)
            if record is not None:
                way.leave(record)

        code = self._pytest(serve, traced=False)
        way.leave({"end": "uncollected", "cases": [], "fixed": [], "ran": 0, "exit": code})

    def _pytest(self, serve: Any, *, traced: bool) -> int:
        """In a forked process. Returns only when pytest ended before its tests were to run."""
        adopt_orphans()
        calls = None
        if traced:
            calls = Calls(self._checkout)
            calls.start()
        # One line of a failure is all that is told; the long form takes longer than most tests.
        args = [*pytest_args(self._own_args, ["--tb=line"]), *_cut(self._own_args)]
        sys.argv = [os.path.join(os.path.dirname(pytest.__file__), "__main__.py"), *args]
        collected = Collected(self._head, self._checkout, calls, serve)
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


def _settled(collected: Collected, run: Run) -> "_Record | None":
    """One run of a candidate, and a second look at what decides against it. `None` in the child."""
    ended = collected.run(run)
    if ended is None:
        return None
    record = _told(ended)
    order = collected.order(run)
    at = order[ended.at].nodeid if 0 <= ended.at < len(order) else None
    if record["end"] in ("died", "hung"):
        record["cases"] = [{"id": at, "status": "error", "message": ""}] if at else []
    if record["end"] in ("failed", "died", "stopped"):
        # Not everything that fails once fails always; what does not repeat decides nothing here.
        only = record["cases"][0]["id"] if record["cases"] else None
        again = collected.run(Run(swap=run.swap, first=run.first, progress=run.progress, only=only))
        if again is None:
            return None
        if _told(again)["end"] not in ("failed", "died", "stopped", "hung"):
            record["end"] = "unsure"
        record["cpu_ms"] += again.cpu_ms
    return record


def _told(ended: Ended) -> _Record:
    if ended.record is None:
        return {
            "end": "hung" if ended.hung else "died",
            "cases": [],
            "fixed": [],
            "ran": max(0, ended.at),
            "cpu_ms": ended.cpu_ms,
        }
    return {**ended.record, "cpu_ms": ended.cpu_ms}


def _cut(own: list[str]) -> list[str]:
    """The checkout lies below the user's own, whose conftest.py is not part of it."""
    return [] if any(a.partition("=")[0] == "--confcutdir" for a in own) else ["--confcutdir=."]


def _own_cpu_ms() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(1000 * (used.ru_utime + used.ru_stime))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def main(settings: _Record) -> None:
    sys.dont_write_bytecode = True
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    try:
        _Server(settings).run()
    finally:
        os._exit(0)
