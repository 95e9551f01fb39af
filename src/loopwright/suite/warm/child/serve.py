"""The warm process itself: pytest and what is not the project's are imported, the project is not. It asks nothing and answers its host.

Two ways from here to a candidate's verdict. *swap*: a second process, forked from this one, has collected the head's tests; a child of
it gets the changed bodies and runs them. *fork*: a child of this process collects the candidate's own tests, as a cold pytest would.
The candidate's files are in the checkout both times.

Settings: `socket`, `nonce`, `args` (pytest's options), `must` and `wanted` (ids that pass and fail on the head), `head_s` (its cold run
took that), `candidate_s` (a cold run of a candidate is given that), `memory_bytes`, `isolated`.
"""

import base64
import os
import signal
import socket
import sys
import time
from typing import Any

from .channel import Channel
from .codes import Codes
from .collected import Collected
from .common import Checkout
from .forked import Ended, Limits, Way, end_orphans, fork
from .late import Late, compared, own_cpu_ms
from .runs import Head, Run
from .session import collect
from .settled import AGAIN, UNSURE, second, settled, told
from .tidy import Files, Refused
from .zygote import warm

__all__ = ["main"]

_Record = dict[str, Any]
_STARTUP = frozenset({"sitecustomize", "usercustomize"})


class _Server:
    def __init__(self, settings: _Record) -> None:
        self._checkout = Checkout()
        self._head = Head(
            must=frozenset(settings["must"]),
            wanted=tuple(settings["wanted"]),
            candidate_s=settings["candidate_s"],
            memory_bytes=settings["memory_bytes"],
        )
        self._head_s: float = settings["head_s"]
        self._own_args: list[str] = settings["args"]
        self._codes = Codes()
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
            channel = Channel(theirs)
            late = Late(self._head, self._head_s, self._checkout, self._codes, channel)
            collect(self._head, self._checkout, self._own_args, late, traced=True)
            channel.send({"cold": "the head's tests cannot be collected"})
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
        head.impact, head.ordered, head.candidate_s = answer["impact"], answer["ordered"], answer["candidate_s"]
        head.collect_s = time.monotonic() - began
        self._codes.learn(answer["codes"])
        self._refusal = answer["refusal"] or ""
        if self._refusal:
            self._lose_late()
        warm(self._checkout, answer["modules"], answer["files"])
        own = {part for path in answer["files"] for part in path.partition(".")[0].split("/")}
        self._foreign = {name.partition(".")[0] for name in sys.modules} - own
        known = {key: answer[key] for key in ("tests", "ordered", "candidate_s")}
        return {"refusal": self._refusal or None, **known}

    # --- candidates

    def _try(self, changes: list[_Record], progress: bool) -> _Record:
        began = own_cpu_ms()
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
        record["cpu_ms"] += own_cpu_ms() - began
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
        trouble = compared(ended, self._head)
        if trouble:
            self._no_fork = trouble
        self._files.back()

    def _forked(self, changes: list[_Record], progress: bool) -> _Record:
        paths = [change["path"] for change in changes]
        if not all(path.endswith(".py") for path in paths):
            self._codes.forget()  # a setting may say how assertions are rewritten
        first = {test for path in paths for test in self._head.impact.get(path, [])}
        run = Run(first=tuple(first), progress=progress)
        ended = self._one_fork(run)
        record = told(ended)
        if record.get("direct") and record["end"] in UNSURE:
            # This project cannot be forked once it is collected, so its failure is repeated from the beginning.
            again = told(self._one_fork(second(record, run)))
            if again["end"] not in AGAIN:
                record["end"] = "unsure"
            record["cpu_ms"] += again["cpu_ms"]
        return record

    def _one_fork(self, run: Run) -> Ended:
        head = self._head
        result = fork(Limits(head.candidate_s + head.collect_s, head.memory_bytes))
        if isinstance(result, Ended):
            return result
        self._host.close()
        if self._late is not None:
            self._late[1].close()
        self._candidate(run, result)
        os._exit(0)

    def _candidate(self, run: Run, way: Way) -> None:
        """In a child of the first process: collect, run, and leave by `way`."""

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
            way.within(3 * self._head.candidate_s + 10)
            record = settled(collected, run)
            if record is not None:
                way.leave(record)

        code = collect(self._head, self._checkout, self._own_args, serve)
        way.leave({"end": "uncollected", "cases": [], "fixed": [], "ran": 0, "exit": code})


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
