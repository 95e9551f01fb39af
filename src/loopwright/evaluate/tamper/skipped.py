"""Tests that were run and now are not, or whose failure no longer counts: skip, xfail, importorskip, reruns."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from loopwright.evaluate.tamper.code import Code, dotted, walk
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject

__all__ = ["skipped_tests"]

_SKIPS = frozenset(
    {
        "pytest.skip", "pytest.xfail", "pytest.importorskip", "pytest.exit", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail",
        "pytest.mark.flaky", "pytest.mark.filterwarnings", "unittest.skip", "unittest.skipIf", "unittest.skipUnless",
        "unittest.expectedFailure", "unittest.SkipTest", "unittest.case.SkipTest", "nose.SkipTest", "self.skipTest", "self.fail.skip",
        "unittest.case.skip",
    }
)  # fmt: skip
_SKIPPING = re.compile(r"skip|xfail|expected_?failure", re.IGNORECASE)
"""In a decorator of whatever origin: `@__import__("unittest").skip(…)`, `@skip_on_ci`."""
_QUIET = frozenset({"pytest.mark.filterwarnings"})


def skipped_tests(subject: Subject, scene: Scene) -> Iterable[Finding]:
    """A new test may be skipped: only what ran before counts."""
    if not subject.python or subject.kind not in ("test", "config") or subject.before is None or subject.after is None:
        return
    for old, new in subject.changed:
        had = Counter(name for name, _ in _skips(old.code, [old.node]))
        for name, line in _skips(new.code, [new.node]):
            if had[name]:
                had[name] -= 1
                continue
            yield _finding(subject, f"{new.qualname}", name, line)
        yield from _marks(subject, old.node, new.node, new.qualname)
    had = Counter(name for name, _ in _skips(subject.before, _outside(subject.touched.gone)))
    for name, line in _skips(subject.after, _outside(subject.touched.new)):
        if had[name]:
            had[name] -= 1
            continue
        yield _finding(subject, "the whole file or class", name, line)


def _finding(subject: Subject, what: str, name: str, line: int) -> Finding:
    if name in _QUIET:
        return subject.found(
            "tests.warnings_ignored", line, f"{what}: {name} is new; the warning was there for a reason", "smell"
        )
    says = f"{what} gets {name}, so a failure no longer counts; take it out and make it pass"
    return subject.found("tests.skipped", line, says, "likely")


def _marks(subject: Subject, old: ast.AST, new: ast.AST, qualname: str) -> Iterator[Finding]:
    """Other decorators that an existing test gets: a mark may be deselected, a wrapper may swallow the failure."""
    if not qualname.rpartition(".")[2].startswith("test"):
        return
    had = {ast.unparse(d) for d in getattr(old, "decorator_list", ())}
    for decorator in getattr(new, "decorator_list", ()):
        text = ast.unparse(decorator)
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = dotted(call, {})
        if text in had or name in _SKIPS or "parametrize" in name or "patch" in name:
            continue
        if _SKIPPING.search(text):
            says = f"{qualname} gets {text[:60]}, so a failure no longer counts; take it out and make it pass"
            yield subject.found("tests.skipped", decorator.lineno, says)
        else:
            yield subject.found(
                "tests.decorated", decorator.lineno, f"{qualname} gets the decorator {text[:60]}", "smell"
            )


def _outside(nodes: tuple[ast.stmt, ...]) -> list[ast.stmt]:
    return [n for n in nodes if not isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def _skips(code: Code, nodes: list[ast.stmt]) -> Iterator[tuple[str, int]]:
    for node in walk(nodes):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = dotted(node, code.aliases)
            if name in _SKIPS:
                yield name, node.lineno
