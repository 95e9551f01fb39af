"""From the test command to the interpreter behind it, so that our own programs run where the tests run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.suite.command import Command, python_env
from loopwright.suite.there import exists
from loopwright.workspace.protocol import Candidate

__all__ = ["Runner", "child_env", "runner_of"]

_MODULE = {"pytest", "py.test"}
_TAKES_VALUE = {"-W", "-X", "--check-hash-based-pycs"}
# Only the sandbox knows its PATH, so there a bare `pytest` is looked up and its first line is read.
_FIRST_LINE = ("sh", "-c", 'IFS= read -r line < "$(command -v "$0")" && exec ${line#??} "$@"')


@dataclass(frozen=True, slots=True)
class Runner:
    """`python` starts the interpreter with its options (`uv run python -W error`); `args` are pytest's own arguments, paths and all."""

    python: tuple[str, ...]
    args: tuple[str, ...]
    env: Mapping[str, str]


def runner_of(command: Command) -> Runner | None:
    """`None` when the command is not pytest, or not in a way that shows which interpreter runs it."""
    found = _python_and_args(command.argv) if command.runner == "pytest" else None
    return None if found is None else Runner(*found, command.env)


def child_env(candidate: Candidate, runner: Runner) -> dict[str, str]:
    """The environment that a cold run of the command in this candidate has."""
    return {**python_env(str(candidate.path), has_src=exists(candidate, "src")), **runner.env}


_Found = tuple[tuple[str, ...], tuple[str, ...]]


def _python_and_args(argv: Sequence[str]) -> _Found | None:
    for at, word in enumerate(argv):
        if word in {"-mpytest", "-mpy.test"}:
            return tuple(argv[:at]), tuple(argv[at + 1 :])
        if word == "-m" and argv[at + 1 : at + 2] and argv[at + 1] in _MODULE:
            return _before_module(argv[:at], argv[at + 2 :])
        if word.rpartition("/")[2] in _MODULE:
            return _script(argv[:at], word, argv[at + 1 :])
    return None


def _before_module(before: Sequence[str], args: Sequence[str]) -> _Found | None:
    """`python -W error -m pytest` and, with its interpreter found beside it, `coverage run -m pytest`."""
    words = [w for n, w in enumerate(before) if not w.startswith("-") and (n == 0 or before[n - 1] not in _TAKES_VALUE)]
    if words and words[-1].rpartition("/")[2].startswith(("python", "pypy")):
        return tuple(before), tuple(args)
    at = next((n for n, w in enumerate(before) if w.rpartition("/")[2] == "coverage"), None)
    return None if at is None else _script(before[:at], before[at], args)


def _script(before: Sequence[str], script: str, args: Sequence[str]) -> _Found | None:
    """A console script names its interpreter in its first line; behind `uv run` and the like `python` is the same environment's."""
    if "/" not in script:
        return ((*before, "python") if before else (*_FIRST_LINE, script)), tuple(args)
    try:
        with Path(script).open("rb") as stream:
            first = stream.readline(400)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    return (*before, *first[2:].decode("utf-8", "replace").split()), tuple(args)
