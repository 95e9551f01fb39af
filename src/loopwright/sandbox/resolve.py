"""From the command a person wrote to the argv that is run: no shell where none is needed, and the repository's own Python."""

import os
import shlex
import shutil
from pathlib import Path

from loopwright.errors import UsageError

__all__ = ["resolve_program", "split_command"]

_PYTHONS = ("python", "python3")
_ENVIRONMENTS = (".venv", "venv")


def split_command(command: str) -> tuple[str, ...]:
    """The argv of `command`, split as a shell would; `("sh", "-c", command)` when only a shell can run it.

    A shell is needed for an unquoted operator (`&&`, `|`, `;`, `>`), a substitution or variable, `*` or `?`, or a leading
    `NAME=value`. Brackets alone
    stay plain: they are part of a parametrised test's name.

    Raises: `UsageError` for an empty command and for unbalanced quotes.
    """
    if "\0" in command:
        raise UsageError(f"command {command!r} holds a NUL character; write it without")
    try:
        argv = tuple(shlex.split(command))
    except ValueError as error:
        why = str(error)[:1].lower() + str(error)[1:]
        raise UsageError(f"command {command!r} cannot be split into words: {why}; balance its quotes") from None
    if not argv:
        raise UsageError(
            f"command {command!r} is empty; expected a program and its arguments, like 'python -m pytest -q'"
        )
    if _needs_shell(command):
        return ("sh", "-c", command)
    return argv


def resolve_program(
    argv: tuple[str, ...], root: Path, env_path: str, virtual_env: str | None, own_python: str
) -> tuple[str, ...]:
    """`argv` with its program as an absolute path; unchanged when it is found nowhere (running it then says `not_found`).

    `python`, `python3` and programs that environments install, such as `pytest`, come from the repository's own `.venv` or `venv`,
    then from `virtual_env` (`None` = there is none), then from `env_path`. A plain `python` that is missing everywhere is `python3`,
    else `own_python`. A program with a `/`, or one that lies in `root`, is relative to the copy that is run, not to `root`: the
    copy's version of a script is the one in question. Only a virtual environment is not copied and stays where it is.
    """
    if not argv:
        return argv
    name, rest = argv[0], argv[1:]
    if "/" in name:
        in_environment = _is_program(root / name) and (root / name).parent.with_name("pyvenv.cfg").is_file()
        return (os.path.abspath(root / name), *rest) if in_environment else argv
    folders = [root / environment / "bin" for environment in _ENVIRONMENTS]
    if virtual_env:
        folders.append(Path(virtual_env) / "bin")
    names = (name, "python3") if name == "python" else (name,)
    for candidate in names:
        found = _first(folders, candidate) or shutil.which(candidate, path=env_path)
        if found:
            return (os.path.abspath(found), *rest)
    if name in _PYTHONS:
        return (own_python, *rest)
    return (f"./{name}", *rest) if _is_program(root / name) else argv


def _first(folders: list[Path], name: str) -> str | None:
    """Symbolic links stay links: a virtual environment's `python` is one, and resolved it would lose its environment."""
    return next((str(folder / name) for folder in folders if _is_program(folder / name)), None)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _needs_shell(command: str) -> bool:
    quote = ""
    at = 0
    word_start = True
    while at < len(command):
        char = command[at]
        if quote == "'":
            quote = "" if char == "'" else quote
        elif char == "\\":
            at += 1
        elif char in "$`":
            return True
        elif quote == '"':
            quote = "" if char == '"' else quote
        elif char in "'\"":
            quote = char
        elif char in "&|;<>()*?\n" or (word_start and char in "~#!"):
            return True
        word_start = not quote and char in " \t"
        at += 1
    first = command.split(maxsplit=1)[0]
    name, equals, _ = first.partition("=")
    return bool(equals) and name.isidentifier()
