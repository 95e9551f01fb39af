"""Tests that are there no more: deleted, or renamed, moved or wrapped so that no runner collects them."""

import re
from collections.abc import Iterable, Iterator

from loopwright.evaluate.tamper.code import names_stored, walk
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject, is_collected
from loopwright.evaluate.tamper.suites import TestFunction, literals

__all__ = ["gone_tests"]

_DEFINED = re.compile(r"^(?:async )?def (test\w*)\(", re.MULTILINE)
_MERGED = 0.8
"""So much of a test's literals must stand in the tests that are new or changed for it to count as merged into them."""


def gone_tests(subject: Subject, scene: Scene) -> Iterable[Finding]:
    if not subject.python or subject.kind != "test" or subject.before is None or not is_collected(subject.path):
        return
    old = [t for t in subject.old_functions.values() if t.collected]
    kept = {t.qualname for t in subject.new_functions.values() if t.collected}
    lost = [t for t in old if t.qualname not in kept and (_hidden(subject, t, kept) or not _elsewhere(t, scene))]
    if not lost:
        yield from _doubled(subject)
        return
    unsubjected = _deleted_names(scene)
    without_subject = [t for t in lost if unsubjected and not unsubjected.isdisjoint(_named(t))]
    for test in without_subject:
        says = f"{test.qualname} is deleted together with what it tests; look whether that was wanted"
        yield subject.found("tests.deleted", test.node.lineno, says, "smell")
    rest = [t for t in lost if t not in without_subject]
    if subject.deleted and rest:
        many = f"{len(rest)} tests go" if len(rest) != 1 else "one test goes"
        yield subject.found(
            "tests.file_deleted", 0, f"the test file is deleted and {many} with it; put it back", "sure"
        )
        return
    for test in rest:
        yield _one(subject, test, kept)
    yield from _doubled(subject)


def _one(subject: Subject, test: TestFunction, kept: set[str]) -> Finding:
    name = test.qualname
    now = subject.new_functions.get(name)
    if now is not None:
        return subject.found(
            "tests.uncollected", now.node.lineno, f"{name} is no longer collected: its class hides it", "sure"
        )
    again = next((t for t in subject.new_functions.values() if t.body_key == test.body_key), None)
    if again is not None:
        says = f"{name} is now {again.qualname}, which no runner collects; give it its name back"
        return subject.found("tests.uncollected", again.node.lineno, says, "sure")
    if _hidden(subject, test, kept):
        return subject.found(
            "tests.uncollected", test.node.lineno, f"{name} stands where no runner collects it; put it back", "sure"
        )
    return subject.found("tests.deleted", test.node.lineno, f"{name} is deleted; put it back", "sure")


def _hidden(subject: Subject, test: TestFunction, kept: set[str]) -> bool:
    """Whether the file still defines it, where nobody collects it: in another function, in a class that is none of tests."""
    last = test.qualname.rpartition(".")[2]
    defined = f"def {last}("
    still = subject.after_text.count(defined)
    there = still > 0 and still >= subject.before_text.count(defined)
    return there and not any(k.rpartition(".")[2] == last for k in kept)


def _elsewhere(test: TestFunction, scene: Scene) -> bool:
    """Moved, renamed to another collected name, or merged into other tests."""
    if test.body_key in scene.bodies:
        return True
    if not test.checks:
        return False
    values = literals(test.node.body)
    there = {c.key for other in scene.written for c in other.checks}
    if all(c.key in there for c in test.checks):
        return True
    # A parametrised test has the values of those that it replaces, and speaks of the same functions.
    about = frozenset().union(*(c.about for c in test.checks))
    for other in scene.written:
        alike = bool(about & frozenset().union(*(c.about for c in other.checks), frozenset()))
        if values and alike and len(values & literals([other.node])) >= _MERGED * len(values):
            return True
    return False


def _doubled(subject: Subject) -> Iterator[Finding]:
    """A second definition of the same name hides the first from every runner. By the text: the first may be in an untouched part."""
    was = {name for name, _ in _twice(subject.before_text)}
    for name, line in _twice(subject.after_text):
        if name not in was:
            says = f"{name} is defined twice, so the first one never runs; rename one"
            yield subject.found("tests.shadowed", line, says, "sure")


def _twice(text: str) -> list[tuple[str, int]]:
    seen: set[str] = set()
    found: list[tuple[str, int]] = []
    for match in _DEFINED.finditer(text):
        if match[1] in seen:
            found.append((match[1], text.count("\n", 0, match.start()) + 1))
        seen.add(match[1])
    return found


def _deleted_names(scene: Scene) -> frozenset[str]:
    """The functions and classes that the edit takes out of the source."""
    gone: set[str] = set()
    for source in scene.of("source"):
        gone |= {n.rpartition(".")[2] for n in source.old_functions} - {
            n.rpartition(".")[2] for n in source.new_functions
        }
    return frozenset(n for n in gone if not n.startswith("__"))


def _named(test: TestFunction) -> frozenset[str]:
    local = names_stored(test.node)
    found: set[str] = set()
    for check in test.checks:
        found |= {a.rpartition(".")[2] for a in check.about}
    for node in walk(test.node.body):
        name = getattr(node, "attr", None) or getattr(node, "id", None)
        if isinstance(name, str) and name not in local:
            found.add(name)
    return frozenset(found)
