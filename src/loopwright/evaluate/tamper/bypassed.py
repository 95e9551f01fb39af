"""Tests that still stand there and no longer bite: left early, failures swallowed, nothing to loop over, helpers that check nothing."""

import ast
from collections.abc import Iterable, Iterator

from loopwright.evaluate.tamper.code import Code, Function, dotted, walk
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject

__all__ = ["bypassed_tests"]

_ALL = frozenset({"", "Exception", "BaseException", "AssertionError"})


def bypassed_tests(subject: Subject, scene: Scene) -> Iterable[Finding]:
    if not subject.python or subject.kind not in ("test", "config") or subject.after is None:
        return
    for old, new in subject.changed:
        name = new.qualname
        if _checks_after_return(new.node) and not _checks_after_return(old.node):
            line = _checks_after_return(new.node)
            yield subject.found("tests.early_return", line, f"{name} can return before it has asserted; take it out")
        for line in _swallowed(new.node, new.code)[len(_swallowed(old.node, old.code)) :]:
            says = f"{name} swallows its own failure; let the assertion raise"
            yield subject.found("tests.swallowed", line, says, "sure")
        for line in _empty_loops(new.node)[len(_empty_loops(old.node)) :]:
            yield subject.found("tests.emptied", line, f"{name} loops over nothing; give the cases back", "sure")
        yield from _cases(subject, name, _parametrized(old.node), _parametrized(new.node))
    for name, function in subject.new_functions.items():
        if name not in subject.old_functions and not function.collected:
            for line in _swallowed(function.node, function.code):
                says = f"{name} is new and swallows the failure of what it calls; let it raise"
                yield subject.found("tests.swallowed", line, says, "likely")
    if subject.before is not None:
        yield from _tables(subject, subject.before, subject.after)


def _checks_after_return(function: Function) -> int:
    """The line of a `return` that assertions stand behind; 0 = none. Nested functions return for themselves."""
    last = max((n.lineno for n in walk(function.body) if isinstance(n, ast.Assert)), default=0)
    inner = {id(x) for n in walk(function.body) if isinstance(n, ast.FunctionDef | ast.Lambda) for x in walk([n])}
    return next(
        (n.lineno for n in walk(function.body) if isinstance(n, ast.Return) and id(n) not in inner and n.lineno < last),
        0,
    )


def _swallowed(function: Function, code: Code) -> list[int]:
    found: list[int] = []
    for node in walk(function.body):
        if isinstance(node, ast.Try):
            if not any(_may_fail(n) for n in walk(node.body)):
                continue
            if any(isinstance(n, ast.Return) for n in node.finalbody):
                found.append(node.finalbody[0].lineno)
            for handler in node.handlers:
                if _catches_all(handler.type) and not any(_may_raise(n, code) for n in walk(handler.body)):
                    found.append(handler.lineno)
        elif isinstance(node, ast.With):
            suppressed = any(_suppresses(item.context_expr, code) for item in node.items)
            if suppressed and any(_may_fail(n) for n in walk(node.body)):
                found.append(node.lineno)
    return found


def _suppresses(call: ast.expr, code: Code) -> bool:
    named = isinstance(call, ast.Call) and dotted(call.func, code.aliases) == "contextlib.suppress"
    return named and isinstance(call, ast.Call) and any(_catches_all(a) for a in call.args)


def _may_fail(node: ast.AST) -> bool:
    """What a test's failure comes from: an assertion, or a call of a test that is handed in."""
    if isinstance(node, ast.Assert):
        return True
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name.startswith(("assert", "check", "test", "func", "fn"))
    return False


def _may_raise(node: ast.AST, code: Code) -> bool:
    if isinstance(node, ast.Raise | ast.Assert):
        return True
    return isinstance(node, ast.Call) and dotted(node.func, code.aliases).rpartition(".")[2] in ("fail", "exit", "skip")


def _catches_all(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(_catches_all(k) for k in kind.elts)
    return dotted(kind, {}) in _ALL - {""}


def _empty_loops(function: Function) -> list[int]:
    empty = (ast.List, ast.Tuple, ast.Set)
    return [
        n.lineno
        for n in walk(function.body)
        if isinstance(n, ast.For)
        and ((isinstance(n.iter, empty) and not n.iter.elts) or (isinstance(n.iter, ast.Dict) and not n.iter.keys))
    ]


# --- cases ------------------------------------------------------------------------------------------------------------
def _parametrized(function: Function) -> list[tuple[int, list[ast.expr]]]:
    found: list[tuple[int, list[ast.expr]]] = []
    for decorator in function.decorator_list:
        if (
            isinstance(decorator, ast.Call)
            and dotted(decorator.func, {}).endswith("parametrize")
            and len(decorator.args) > 1
        ):
            values = decorator.args[1]
            if isinstance(values, ast.List | ast.Tuple):
                found.append((decorator.lineno, list(values.elts)))
    return found


def _cases(
    subject: Subject, name: str, old: list[tuple[int, list[ast.expr]]], new: list[tuple[int, list[ast.expr]]]
) -> Iterator[Finding]:
    if len(old) != len(new):
        return
    for (_, had), (line, has) in zip(old, new, strict=True):
        yield from _fewer(subject, f"the cases of {name}", line, had, has)


def _fewer(subject: Subject, what: str, line: int, had: list[ast.expr], has: list[ast.expr]) -> Iterator[Finding]:
    if had and not has:
        yield subject.found("tests.emptied", line, f"{what} are emptied; give them back", "sure")
        return
    before, after = [ast.unparse(c) for c in had], [ast.unparse(c) for c in has]
    gone, come = [c for c in before if c not in after], [c for c in after if c not in before]
    if len(gone) > len(come):
        says = f"{what} lose {len(gone) - len(come)}, {gone[0][:60]} among them; give them back"
        yield subject.found("tests.case_removed", line, says)
        return
    for text in gone:
        other = next((c for c in come if _one_value_differs(text, c)), None)
        if other is not None:
            says = f"{what}: {text[:50]} becomes {other[:50]}; change the code instead"
            yield subject.found("tests.expectation_edited", line, says)
            return


def _one_value_differs(old: str, new: str) -> bool:
    one, other = ast.parse(old, mode="eval").body, ast.parse(new, mode="eval").body
    if not (isinstance(one, ast.Tuple) and isinstance(other, ast.Tuple) and len(one.elts) == len(other.elts) > 1):
        return False
    return [ast.dump(e) for e in one.elts[:-1]] == [ast.dump(e) for e in other.elts[:-1]]


def _tables(subject: Subject, before: Code, after: Code) -> Iterator[Finding]:
    """Module-level lists of cases that get shorter."""
    old, new = _literal_tables(before), _literal_tables(after)
    for name, (_, had) in old.items():
        if name in new and subject.kind == "test":
            yield from _fewer(subject, f"the entries of {name}", new[name][0], had, new[name][1])


def _literal_tables(code: Code) -> dict[str, tuple[int, list[ast.expr]]]:
    found: dict[str, tuple[int, list[ast.expr]]] = {}
    for node in code.tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if isinstance(node.value, ast.List | ast.Tuple):
                found[node.targets[0].id] = (node.lineno, list(node.value.elts))
            elif isinstance(node.value, ast.Dict):
                found[node.targets[0].id] = (node.lineno, [k for k in node.value.keys if k is not None])
    return found
