"""The second process: it has the head's tests collected, proves that they can be forked, and runs candidates with changed bodies.

It and the first one take turns on a channel; where one of them ends, so does the other's use of it.
"""

import base64
import importlib.machinery
import os
import resource
import sys
from typing import Any

from .bodies import NotOnlyBodies
from .calls import Key
from .channel import Channel
from .codes import Codes
from .collected import Collected
from .common import Checkout
from .forked import Ended
from .runs import Head, Run
from .settled import settled

__all__ = ["Late", "compared", "own_cpu_ms"]

_Record = dict[str, Any]


class Late:
    """Called once with the collection; comes back only in children, whose tests have run then."""

    def __init__(self, head: Head, head_s: float, checkout: Checkout, codes: Codes, channel: Channel) -> None:
        self._head = head
        self._head_s = head_s
        self._checkout = checkout
        self._codes = codes
        self._channel = channel
        self._by_key: dict[Key, set[str]] = {}

    def __call__(self, collected: Collected) -> None:
        collected.on_fork = self._channel.close
        self._said({"tests": len(collected.items)})
        answer = self._proved(collected)
        if answer is None:
            return
        self._channel.send(answer)
        if "cold" in answer:
            os._exit(0)
        while self._candidate(collected):
            pass

    def _said(self, record: _Record) -> _Record:
        """The first process's answer."""
        self._channel.send(record)
        answer = self._channel.receive()
        if answer is None:
            os._exit(0)
        return answer

    def _proved(self, collected: Collected) -> "_Record | None":
        """The unchanged head forwards, with the calls of each test traced, and backwards: what is known of it then; `None` in a child."""
        forward = collected.run(Run(all=True, traced=True))
        if forward is None:
            return None
        self._said({"tidy": True})
        trouble = compared(forward, self._head)
        if not trouble:
            assert forward.record is not None
            names: list[str] = forward.record["modules"]
            collected.warm_up([name for name in names if not name.startswith(("_loopwright", "__main__"))])
        backward = collected.run(Run(all=True, backwards=True))
        if backward is None:
            return None
        self._said({"tidy": True})
        ordered = compared(backward, self._head) is not None
        if ordered and not trouble:
            # By the order, or by what was imported in between?
            again = collected.run(Run(all=True))
            if again is None:
                return None
            self._said({"tidy": True})
            trouble = compared(again, self._head)
        if trouble:
            return {"cold": trouble}
        self._head.ordered = ordered
        assert forward.record is not None
        serial_s = (forward if ordered or backward.record is None else backward).record["wall_s"]  # type: ignore[index]
        # What the cold run does in several processes, all of it takes longer here.
        self._head.candidate_s *= max(1.0, serial_s / max(self._head_s, 0.001))
        return self._known(collected, forward.record["traces"])

    def _known(self, collected: Collected, traces: list[list[Any]]) -> _Record:
        assert collected.loaded is not None
        impact: dict[str, dict[str, None]] = {}
        for item, keys in zip(collected.items, traces):  # noqa: B905  older Pythons run this too
            for file, name, line in keys:
                self._by_key.setdefault((file, name, line), set()).add(item.nodeid)
                impact.setdefault(self._checkout.relative(file), {})[item.nodeid] = None
        return {
            "refusal": collected.loaded.refusal,
            "tests": len(collected.items),
            "candidate_s": self._head.candidate_s,
            "impact": {path: list(tests) for path, tests in impact.items()},
            "ordered": self._head.ordered,
            "codes": self._codes.told(),
            "modules": self._foreign(),
            "files": sorted(collected.loaded.files()),
        }

    def _candidate(self, collected: Collected) -> bool:
        """Plan the next one and, told to, run it. False in a child."""
        request = self._channel.receive()
        if request is None:
            os._exit(0)
        assert collected.loaded is not None
        try:
            swap = [
                pair
                for path, old, new in request["plan"]
                for pair in collected.loaded.plan(path, base64.b64decode(old), base64.b64decode(new))
            ]
        except NotOnlyBodies as why:
            self._channel.send({"refused": str(why)})
            return True
        go = self._said({"refused": None})
        touched: set[str] = set()
        for function, _ in swap:
            code = function.__code__
            touched |= self._by_key.get((code.co_filename, code.co_name, code.co_firstlineno), set())
        used = own_cpu_ms()
        record = settled(collected, Run(swap=swap, first=tuple(touched), progress=go["progress"]))
        if record is None:
            return False
        record["cpu_ms"] += own_cpu_ms() - used
        self._channel.send(record)
        return True

    def _foreign(self) -> list[str]:
        """What can be imported without the project, by its own name."""
        names = []
        loaders = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter)
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            own = isinstance(file, str) and bool(self._checkout.relative(file))
            # pytest's plugins must be imported by pytest, which rewrites their assertions.
            loader = getattr(getattr(module, "__spec__", None), "loader", None)
            plain = loader is None or type(loader).__module__.startswith(("_frozen", "importlib", "builtins"))
            if not own and (plain or loader in loaders) and not name.startswith(("_loopwright", "__main__")):
                names.append(name)
        return names


def compared(ended: Ended, head: Head) -> "str | None":
    """Why a run of the unchanged head is not what the cold run of it was."""
    if ended.record is None or "results" not in ended.record:
        return "the unchanged head does not come to its end in a forked process"
    results = ended.record["results"]
    wrong = [test for test in head.must if results.get(test) != "passed"]
    wrong += [test for test in head.wanted if results.get(test) == "passed"]
    return f"on the unchanged head {min(wrong)} ends differently in a forked process" if wrong else None


def own_cpu_ms() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(1000 * (used.ru_utime + used.ru_stime))
