"""What a test command is and how it is asked for a report. Pure: argument lists in, argument lists out.

An argument list is never given to a shell, and only pytest's and unittest's are changed at all.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from loopwright.sandbox.resolve import split_command

__all__ = ["Command", "Runner", "parse", "pytest_argv", "python_env", "recognise", "unittest_argv"]

Runner = Literal["pytest", "unittest", "other"]


@dataclass(frozen=True, slots=True)
class Command:
    """A test command as it is run: `env` are the assignments that stood before it."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    runner: Runner


MAX_IDS_BYTES = 96 * 1024
"""Linux takes 128 KiB for one argument and 2 MiB for all of them, the environment included; longer selections run everything."""

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=([\w./:,@%+=-]*)\s+", re.ASCII)
_PYTHON = re.compile(r"(python|pypy)(\d+(\.\d+)*)?(\.exe)?")
_PYTHON_TAKES_VALUE = frozenset({"-W", "-X", "--check-hash-based-pycs"})
_RUN_WRAPPERS = frozenset({"uv", "poetry", "pdm", "pipenv", "rye", "hatch", "coverage"})

# Options of pytest and its common plugins whose value is an argument of its own: it must not be taken for a path.
_TAKES_VALUE = frozenset(
    """
    -k -m -c -n -p -o -r -W --config-file --rootdir --confcutdir --basetemp --ignore --ignore-glob --deselect --maxfail
    --junitxml --junit-xml --junitprefix --junit-prefix --log-file --log-level --log-cli-level --import-mode --tb
    --capture --color --durations --durations-min --override-ini --numprocesses --dist --timeout --cov --cov-config
    --cov-report --cov-fail-under --reruns --reruns-delay --count --seed --html --verbosity --show-capture --pdbcls
    --doctest-glob --doctest-report --code-highlight --assert --pythonwarnings --maxprocesses --tx --rsyncdir
    --hypothesis-profile --hypothesis-seed --asyncio-mode --randomly-seed --benchmark-save --benchmark-compare
    """.split()  # noqa: SIM905  eight lines rather than sixty
)
_CACHE_OPTIONS = frozenset(
    """
    --lf --last-failed --ff --failed-first --nf --new-first --cache-show --cache-clear --sw --stepwise --stepwise-skip
    --sw-skip --stepwise-reset --sw-reset --lfnf --last-failed-no-failures
    """.split()  # noqa: SIM905
)


def parse(command: str) -> Command:
    """The command of a loop file, ready to run. `A=b pytest` needs no shell: the assignment becomes environment.

    Raises: `UsageError` for an empty command and unbalanced quotes.
    """
    argv = split_command(command)
    env: dict[str, str] = {}
    if argv[:2] == ("sh", "-c"):
        rest = command.strip()
        while found := _ASSIGNMENT.match(rest):
            env[found[1]] = found[2]
            rest = rest[found.end() :]
        plain = split_command(rest) if env and rest else argv
        argv, env = (argv, {}) if plain[:2] == ("sh", "-c") else (plain, env)
    return Command(argv, env, recognise(argv))


def recognise(argv: Sequence[str]) -> Runner:
    """Who runs the tests. Through `env`, `uv run`, `poetry run` and their like; what a script or a make target calls is `other`."""
    at = _program_at(argv)
    if at >= len(argv):
        return "other"
    name = _base(argv[at])
    if name in {"pytest", "py.test"}:
        return "pytest"
    module = _python_module(argv[at + 1 :]) if _PYTHON.fullmatch(name) else None
    if at > 0 and argv[at] == "-m":
        module = _python_module(argv[at:])  # `coverage run -m pytest`
    if module in {"pytest", "py.test"}:
        return "pytest"
    return "unittest" if module == "unittest" else "other"


def pytest_argv(
    argv: Sequence[str],
    *,
    junit: str,
    only: Sequence[str] = (),
    extra: Sequence[str] = (),
    exists: Callable[[str], bool] = lambda _: False,
    cache_option: bool = True,
) -> tuple[str, ...]:
    """The command with a report, complete and comparable; with `only`, for these node ids instead of its own paths.

    `exists` says whether a path is in the checkout: so are path arguments told from option values. `cache_option` false leaves out
    `-p no:cacheprovider`, which pytest refuses together with an `addopts = --ff`.
    """
    ids = [_as_argument(i) for i in only] if _selectable(only) else []
    out = _without_paths(argv, exists) if ids else list(argv)
    out += [f"--junitxml={junit}", "-o", "junit_family=xunit1", "-o", "junit_logging=no"]
    # A suite that stops at its first failure cannot be compared test by test.
    out.append("--maxfail=0")
    if not any(a.partition("=")[0] == "--rootdir" for a in argv):
        out.append("--rootdir=.")  # node ids relative to the checkout, wherever the configuration lies
    if not any(a.partition("=")[0] == "--confcutdir" for a in argv):
        out.append("--confcutdir=.")  # the checkout lies below the user's own, whose conftest.py is not part of it
    if cache_option and not any(a.partition("=")[0] in _CACHE_OPTIONS for a in argv):
        out += ["-p", "no:cacheprovider"]
    return (*out, *extra, *ids)


def unittest_argv(argv: Sequence[str], extra: Sequence[str] = ()) -> tuple[str, ...]:
    """The command with `-v`, so that its output names every test."""
    at = next(i for i, a in enumerate(argv) if a in {"unittest", "-munittest"})
    rest = list(argv[at + 1 :])
    if rest[:1] == ["discover"]:
        return (*argv[: at + 2], "-v", *rest[1:], *extra)
    return (*argv[: at + 1], "-v", *rest, *extra)


def python_env(directory: str, *, has_src: bool) -> dict[str, str]:
    """What makes Python import the checkout itself and two runs comparable.

    The interpreter may have the user's own checkout installed in editable mode; `PYTHONPATH` stands before what a `.pth` file
    adds, so the candidate is what is tested. Byte code is not written: a stale one was seen to give a false pass.
    """
    return {
        "PYTHONPATH": f"{directory}/src:{directory}" if has_src else directory,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "",
        "PY_COLORS": "0",
        "NO_COLOR": "1",
    }


def _base(argument: str) -> str:
    return argument.rpartition("/")[2].removesuffix(".exe")


def _program_at(argv: Sequence[str]) -> int:
    """Where the program stands behind `env A=b` and `uv run --flag`."""
    at = 0
    if argv and _base(argv[0]) == "env":
        at = 1
        while at < len(argv) and "=" in argv[at] and not argv[at].startswith("-"):
            at += 1
    if at + 1 < len(argv) and _base(argv[at]) in _RUN_WRAPPERS and argv[at + 1] == "run":
        at += 2
        while at < len(argv) and argv[at].startswith("-") and argv[at] != "-m":
            at += 1
    return at


def _python_module(options: Sequence[str]) -> str | None:
    """The module of `python … -m MODULE`; `None` when a script or `-c` comes first."""
    skip = False
    for at, option in enumerate(options):
        if skip:
            skip = False
        elif option in _PYTHON_TAKES_VALUE:
            skip = True
        elif option == "-m":
            return options[at + 1] if at + 1 < len(options) else None
        elif option.startswith("-m") and not option.startswith("--"):
            return option[2:]
        elif not option.startswith("-") or option.startswith("-c"):
            return None
    return None


def _without_paths(argv: Sequence[str], exists: Callable[[str], bool]) -> list[str]:
    """pytest runs the union of its path arguments, so those of the command would widen a selection."""
    start = (
        next(i for i, a in enumerate(argv) if _base(a) in {"pytest", "py.test"} or a in {"-mpytest", "-mpy.test"}) + 1
    )
    out, skip, by_name = list(argv[:start]), False, "--pyargs" in argv
    for argument in argv[start:]:
        positional = not skip and not argument.startswith("-")
        skip = not skip and argument in _TAKES_VALUE
        path = argument.partition("::")[0]
        if positional and (by_name or "::" in argument or path.endswith(".py") or exists(path)):
            continue
        out.append(argument)
    return out


def _selectable(ids: Sequence[str]) -> bool:
    """pytest takes everything behind the first `[` for parameters: what lies in a folder with one cannot be named to it."""
    size_bytes = sum(len(i.encode("utf-8", "replace")) + 1 for i in ids)
    return size_bytes <= MAX_IDS_BYTES and not any("[" in i.partition("::")[0] for i in ids)


def _as_argument(node_id: str) -> str:
    """A file name may look like an option or, to argparse, like an argument file."""
    return f"./{node_id}" if node_id.startswith(("-", "@")) else node_id
