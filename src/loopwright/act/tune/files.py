"""Which files the rung may turn knobs in. Pure.

Those that the rung's `edit` names; else, of the Python files that the loop may write and that are not protected, those that the
metric's command seems to use: the script or module that it names and what that imports, as far as the text of the files says.
"""

import ast
import itertools
import posixpath
import shlex
from collections.abc import Callable, Sequence

from loopwright.act.tune.text import Text
from loopwright.errors import ActionError
from loopwright.kernel.loop import Loop, TuneRung
from loopwright.workspace.patterns import matches

__all__ = ["candidates", "used_by"]

_TESTS = ("tests/", "test/", "test_*.py", "*_test.py", "conftest.py", "setup.py", "noxfile.py")
_JUDGES = ("eval*.py", "score*.py", "metric*.py", "holdout*.py", "judge*.py", "bench*.py", "prepare*.py")
"""What measures must not be turned to make the measure better: only an author who names such a file in `edit` means it."""
_STEERING = (".loopwright/", ".git*", "./loops/")


def candidates(rung: TuneRung, loop: Loop, paths: Sequence[str]) -> tuple[str, ...]:
    """The Python files that may be searched, in the order of `paths`.

    Raises: `ActionError` when `edit` names none, or only such that the loop does not let anybody change.
    """
    protected, permitted = loop.evaluate.protect, loop.permit.write
    python = [p for p in paths if p.endswith(".py")]
    allowed = [p for p in python if not matches(p, protected) and (not permitted or matches(p, permitted))]
    if not rung.edit:
        return tuple(p for p in allowed if not matches(p, (*_TESTS, *_JUDGES, *_STEERING)))
    wanted = [p for p in python if matches(p, rung.edit)]
    named = ", ".join(rung.edit)
    if not wanted:
        raise ActionError(
            f"tune: edit names {named!r}, expected a Python file of the repository, found none; correct the pattern"
        )
    free = tuple(p for p in wanted if p in set(allowed))
    if not free:
        why = "protected" if matches(wanted[0], protected) else "outside permit.write"
        raise ActionError(f"tune: edit names {wanted[0]!r}, which is {why}; name a file that the loop may change")
    return free


def used_by(command: str, paths: Sequence[str], read: Callable[[str], Text | None]) -> tuple[str, ...]:
    """Those of `paths` that the command names or that are imported from there; all of them where it names none of them.

    `read` gives a parsed file, `None` where it cannot be parsed.
    """
    known = set(paths)
    waiting = _named(command, known)
    if not waiting:
        return tuple(paths)
    used: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in used:
            continue
        used.add(path)
        text = read(path)
        if text is not None:
            waiting += [p for name in _imported(text.tree) for p in _modules(name, path, known) if p not in used]
    return tuple(p for p in paths if p in used)


def _named(command: str, known: set[str]) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    found = [posixpath.normpath(w) for w in words if posixpath.normpath(w) in known]
    for flag, module in itertools.pairwise(words):
        if flag == "-m":
            found += _modules(module, "", known) + _modules(f"{module}.__main__", "", known)
    return found


def _imported(tree: ast.Module) -> list[str]:
    """Dotted names, a leading dot for each level of a relative import."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names += [base, *(f"{base}{'' if base.endswith('.') or not base else '.'}{a.name}" for a in node.names)]
    return names


def _modules(name: str, importer: str, known: set[str]) -> list[str]:
    """The files that a dotted name may mean: beside the importer, at the root, or below `src`."""
    folder = posixpath.dirname(importer)
    level = len(name) - len(name.lstrip("."))
    roots = [folder, "", "src"]
    if level:
        for _ in range(level - 1):
            folder = posixpath.dirname(folder)
        roots = [folder]
    stem = name.lstrip(".").replace(".", "/")
    ends = (f"{stem}.py", f"{stem}/__init__.py") if stem else ("__init__.py",)
    tried = (posixpath.normpath(posixpath.join(root, end)) for root in roots for end in ends)
    return [p for p in dict.fromkeys(tried) if p in known]
