"""Tests that no longer reach the code they test: it is patched, or the test file brings its own."""

import ast
from collections.abc import Iterable, Iterator

from loopwright.evaluate.tamper.code import Code, dotted, walk
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject
from loopwright.evaluate.tamper.suites import TestFunction

__all__ = ["faked_code"]

_PATCHES = (
    "mock.patch",
    "patch",
    "patch.object",
    "mock.patch.object",
    "mocker.patch",
    "mocker.patch.object",
    "monkeypatch.setattr",
    "monkeypatch.setitem",
)


def faked_code(subject: Subject, scene: Scene) -> Iterable[Finding]:
    if not subject.python or subject.kind not in ("test", "config") or subject.after is None:
        return
    if subject.name == "conftest.py":
        yield from _conftest(subject)
        return
    for old, new in subject.changed:
        if not new.collected:
            continue
        tested = {part.rpartition(".")[2] for check in old.checks for part in check.about}
        had = set(_patched(old))
        for target, line in dict(_patched_lines(new)).items():
            if target not in had and target in tested:
                says = f"{new.qualname} replaces {target!r}, which it is there to test; test the real one"
                yield subject.found("tests.mocked", line, says)
    if subject.before is not None:
        yield from _redefined(subject, subject.before, subject.after)


def _conftest(subject: Subject) -> Iterator[Finding]:
    for name, new in subject.new_functions.items():
        old = subject.old_functions.get(name)
        if old is not None and old.text == new.text:
            continue
        had = set() if old is None else set(_patched(old))
        for target, line in _patched_lines(new):
            if target not in had:
                says = f"{name} replaces {target!r} for the tests; test the real one"
                yield subject.found("tests.mocked", line, says)


def _patched(test: TestFunction) -> Iterator[str]:
    return (target for target, _ in _patched_lines(test))


def _patched_lines(test: TestFunction) -> Iterator[tuple[str, int]]:
    for node in walk([test.node]):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func, test.code.aliases).removeprefix("unittest.")
        if name not in _PATCHES or not node.args:
            continue
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value.rpartition(".")[2], node.lineno
        elif len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            yield str(node.args[1].value), node.lineno


def _redefined(subject: Subject, before: Code, after: Code) -> Iterator[Finding]:
    """What was imported to be tested and is now defined in the test file itself."""
    imported = set(before.aliases) - set(after.aliases)
    for node in after.tree.body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        for name in names:
            own = name in before.aliases and name in after.aliases and node.lineno > 1
            if name in imported or (own and node in subject.touched.new):
                says = f"{name!r} was imported from the code under test and is now made here; import it again"
                yield subject.found("tests.redefined", node.lineno, says, "sure")
