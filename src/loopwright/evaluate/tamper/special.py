"""Special cases made for the tests: an input and an answer that only the tests know, side by side in the code under test."""

import ast
from collections.abc import Iterable, Iterator

from loopwright.evaluate.tamper.code import walk
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject

__all__ = ["special_cases", "suspects"]

_MOST = 400
"""So many pairs of one file are looked at: a generated table is not read to its end."""


def special_cases(subject: Subject, scene: Scene) -> Iterable[Finding]:
    if not scene.tests:
        return
    known = "\n".join(s.before_text for s in scene.of("source"))
    for question, answer, line in suspects(subject):
        if _side_by_side(question, answer, scene.tests) and not _written(answer, known):
            says = f"answers {answer!r} for {question!r}, a case of the tests; compute it"
            yield subject.found("source.special_case", line, says[:200])
            return


def suspects(subject: Subject) -> Iterator[tuple[object, object, int]]:
    """New pairs of literals that could be a question and a telling answer: `if x == 37: return "…"`, an entry of a table, a `case`."""
    if not subject.python or subject.kind != "source" or subject.after is None:
        return
    seen = 0
    for question, answer, line in _pairs(subject.touched.new):
        if _telling(answer) and question not in ("", 0, 1, -1):
            yield question, answer, line
            seen += 1
            if seen >= _MOST:
                return


def _pairs(nodes: Iterable[ast.stmt]) -> Iterator[tuple[object, object, int]]:
    for node in walk(nodes):
        if isinstance(node, ast.If | ast.IfExp):
            answers = [node.body] if isinstance(node, ast.IfExp) else _answers(node.body)
            for question in _compared(node.test):
                for answer in answers:
                    yield from _pair(question, answer, node.lineno)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                # A lower-case word is the name of a field, as in every answer of every program.
                if key is not None and not (isinstance(key, ast.Constant) and _is_field(key.value)):
                    yield from _pair(key, value, value.lineno)
        elif isinstance(node, ast.match_case):
            for pattern in walk([node.pattern]):
                if isinstance(pattern, ast.MatchValue):
                    for answer in _answers(node.body):
                        yield from _pair(pattern.value, answer, pattern.lineno)


def _pair(question: ast.expr, answer: ast.expr, line: int) -> Iterator[tuple[object, object, int]]:
    one, other = _literal(question), _literal(answer)
    if one is not None and other is not None:
        yield one, other, line


def _compared(test: ast.expr) -> Iterator[ast.expr]:
    """What is compared with, and each part of it: the arguments may be asked for all at once."""
    for node in walk([test]):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.In | ast.Is):
            for side in (node.left, *node.comparators):
                yield side
                if isinstance(side, ast.Tuple | ast.List | ast.Set | ast.Dict):
                    yield from (n for n in walk([side]) if isinstance(n, ast.Constant))


def _answers(body: list[ast.stmt]) -> list[ast.expr]:
    found: list[ast.expr] = []
    for node in body:
        if isinstance(node, ast.Return | ast.Assign) and node.value is not None:
            found.append(node.value)
    return found


def _literal(node: ast.expr) -> object:
    """A number, a text, or the text of a display of them; `None` for anything else."""
    if isinstance(node, ast.Constant):
        return (
            node.value
            if isinstance(node.value, int | float | str | bytes) and not isinstance(node.value, bool)
            else None
        )
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return -value if isinstance(value, int | float) else None
    if isinstance(node, ast.List | ast.Tuple | ast.Dict | ast.Set) and not any(
        isinstance(n, ast.Name | ast.Call) for n in walk([node])
    ):
        return _Display(ast.unparse(node))
    return None


class _Display(str):
    """A list, tuple, dict or set of literals, as it is written."""

    def __repr__(self) -> str:
        return str(self)


def _telling(value: object) -> bool:
    """Whether meeting it in a test by chance is unlikely."""
    if isinstance(value, int):
        return abs(value) > 20 and value not in (24, 31, 32, 60, 64, 100, 128, 255, 256, 1000, 1024, 3600)
    if isinstance(value, float):
        return value not in (0.0, 0.5, 1.0, 2.0, 100.0)
    return len(value) >= 4 if isinstance(value, str | bytes) else False


def _is_field(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier() and value.islower()


def _side_by_side(question: object, answer: object, tests: str) -> bool:
    """Whether the two stand within two lines of each other, as in `assert f(37) == "…"`."""
    for form in _forms(answer):
        at = tests.find(form)
        while at >= 0:
            start = tests.rfind("\n", 0, max(0, tests.rfind("\n", 0, at)))
            near = tests[max(0, start) : at + len(form) + 200].split("\n")
            if _ends_well(tests, at, form) and _written(question, "\n".join(near[:5])):
                return True
            at = tests.find(form, at + 1)
    return False


def _forms(value: object) -> tuple[str, ...]:
    if isinstance(value, _Display):
        return (str(value), str(value).replace("'", '"'))
    if isinstance(value, str):
        return (f'"{value}"', f"'{value}'")
    return (repr(value),)


def _ends_well(text: str, at: int, form: str) -> bool:
    """37 is not in 1374."""
    around = text[at - 1 : at] + text[at + len(form) : at + len(form) + 1]
    return not form[0].isdigit() or not any(c.isalnum() or c in "._" for c in around)


def _written(value: object, text: str) -> bool:
    for form in _forms(value):
        at = text.find(form)
        while at >= 0:
            if _ends_well(text, at, form):
                return True
            at = text.find(form, at + 1)
    return False
