"""Shared by both programs: a private way out for records, paths of the checkout, and pytest set up for exactly the wanted tests."""

import importlib.util
import json
import os
import sys
import tempfile
from typing import Any

import pytest

__all__ = ["Checkout", "Out", "Selection", "pytest_args"]


class Out:
    """Records go out on a descriptor of their own, each line behind a nonce; what the project prints goes nowhere."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._fd = os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)

    def emit(self, record: dict[str, Any]) -> None:
        data = ("\n" + self._nonce + json.dumps(record) + "\n").encode()
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        os.close(self._fd)


class Checkout:
    """The folder that is being tested, by every name it has."""

    def __init__(self) -> None:
        self._roots = tuple(
            {p.rstrip("/") + "/" for p in (os.getcwd(), os.path.realpath(os.getcwd()), os.environ.get("PWD", "")) if p}
        )
        self._known: dict[str, str] = {}

    def relative(self, filename: str) -> str:
        """The path inside the checkout, with `/`; empty for a file outside it."""
        found = self._known.get(filename)
        if found is None:
            path = filename if filename.startswith(("/", "<")) else os.path.abspath(filename)
            found = next((path[len(root) :] for root in self._roots if path.startswith(root)), "")
            if "site-packages/" in found:
                found = ""
            self._known[filename] = found
        return found

    def loaded(self) -> set[str]:
        """The checkout's files that are imported already."""
        files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        return {self.relative(f) for f in files if isinstance(f, str)} - {""}


class Selection:
    """Runs the wanted tests, in their order, whatever paths the command names."""

    def __init__(self, wanted: list[str]) -> None:
        self.wanted = wanted

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: Any) -> None:
        files = dict.fromkeys(test.partition("::")[0] for test in self.wanted)
        config.args = [os.path.join(str(config.rootpath), f) for f in files]
        if hasattr(config.option, "dist"):  # xdist, wherever it was asked for: all tests must run in this process
            config.option.dist, config.option.tx, config.option.numprocesses = "no", [], 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        place = {test: n for n, test in enumerate(self.wanted)}
        items[:] = sorted((i for i in items if i.nodeid in place), key=lambda item: place[item.nodeid])


def pytest_args(own: list[str], extra: list[str]) -> list[str]:
    """The command's own options, with everything switched off that would stop early or write into the checkout."""
    # Not `-p no:cacheprovider`: a project with `addopts = --ff` could not be started then.
    cache = os.path.join(tempfile.gettempdir(), "pytest-cache")
    args = [*own, "--rootdir=.", "--maxfail=0", "-o", f"cache_dir={cache}", "-p", "no:randomly", "--capture=no", *extra]
    autoload = not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    if importlib.util.find_spec("pytest_cov") and (autoload or "pytest_cov" in own):
        args.append("--no-cov")
    return args
