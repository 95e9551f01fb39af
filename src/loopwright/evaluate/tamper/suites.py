"""The tests of a Python file: which functions a runner collects, and what each of them checks.

Checks are compared in a form that renamed locals do not change.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from loopwright.evaluate.tamper.code import Code, Function, dotted, functions, names_stored, walk
from loopwright.evaluate.tamper.shapes import MEDIUM, STRONG, WEAK, key_of, number_of, raises_of, slack_of, strength_of

__all__ = ["Check", "TestFunction", "collected_tests", "helpers", "literals"]


_TRIVIAL_CALLS = frozenset(
    {
        "len",
        "str",
        "repr",
        "sorted",
        "list",
        "set",
        "dict",
        "tuple",
        "int",
        "float",
        "abs",
        "round",
        "bool",
        "sum",
        "min",
        "max",
        "any",
        "all",
        "type",
        "isinstance",
        "zip",
        "map",
        "range",
        "next",
        "iter",
    }
)
_UNITTEST = {
    "assertEqual": STRONG, "assertEquals": STRONG, "assertIs": STRONG, "assertListEqual": STRONG, "assertDictEqual": STRONG,
    "assertTupleEqual": STRONG, "assertSetEqual": STRONG, "assertSequenceEqual": STRONG, "assertMultiLineEqual": STRONG,
    "assertCountEqual": STRONG, "assertAlmostEqual": STRONG, "assertAlmostEquals": STRONG, "assertRaises": STRONG,
    "assertRaisesRegex": STRONG, "assertWarns": STRONG, "assertWarnsRegex": STRONG, "assertIsNone": STRONG, "assertFalse": STRONG,
    "assertLogs": STRONG, "assertNoLogs": STRONG,
    "assertTrue": WEAK, "assertIsNotNone": WEAK, "assertIsInstance": WEAK,
}  # fmt: skip
_MOCKS = frozenset(
    {
        "assert_called",
        "assert_called_once",
        "assert_called_with",
        "assert_called_once_with",
        "assert_any_call",
        "assert_has_calls",
        "assert_not_called",
    }
)


@dataclass(frozen=True, slots=True)
class Check:
    """One assertion. `key` is its text without the names of locals; `about` are the functions and attributes that it speaks of, `values`
    the literals in it. `strength`: 0 cannot fail, 1 says little, 2 something, 3 what exactly. `slack`: tolerances, larger = looser."""

    key: str
    line: int
    strength: int
    about: frozenset[str]
    values: tuple[str, ...]
    slack: tuple[float, ...]
    raises: str = ""
    circular: bool = False


class TestFunction:
    """A function of a test file; `collected` says whether a runner takes it for a test."""

    __test__ = False

    def __init__(
        self, qualname: str, node: Function, owner: ast.ClassDef | None, code: Code, *, collected: bool
    ) -> None:
        self.qualname = qualname
        self.node = node
        self.owner = owner
        self.code = code
        self.collected = collected

    @cached_property
    def text(self) -> str:
        return self.code.segment(self.node)

    @cached_property
    def body_key(self) -> str:
        """The same for two functions that differ in the names of locals, in comments and docstrings only."""
        body = self.node.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        return "\n".join(key_of(s, self._local) for s in body)

    @cached_property
    def _local(self) -> frozenset[str]:
        return names_stored(self.node)

    @cached_property
    def given(self) -> dict[str, ast.expr]:
        """Locals that are bound exactly once, by an assignment, with what they are."""
        bound = Counter(n.id for n in walk(self.node.body) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        return {
            node.targets[0].id: node.value
            for node in walk(self.node.body)
            if isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
            and bound[node.targets[0].id] == 1
        }

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        return tuple(self._checks())

    def _checks(self) -> Iterator[Check]:
        for node in walk(self.node.body):
            if isinstance(node, ast.Assert):
                yield self._check(node, node.test, strength_of(node.test))
            elif isinstance(node, ast.Call):
                name = dotted(node.func, self.code.aliases)
                last = name.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
                if name in ("pytest.raises", "pytest.warns", "pytest.deprecated_call"):
                    yield self._check(node, node, STRONG, raises=raises_of(node))
                elif last.startswith("assert") and last[6:7].isupper():
                    strength = _UNITTEST.get(last, MEDIUM)
                    if last in ("assertTrue", "assertFalse") and node.args:
                        inner = strength_of(node.args[0])
                        strength = inner if last == "assertTrue" else max(inner, MEDIUM)
                    raises = raises_of(node) if last.startswith(("assertRaises", "assertWarns")) else ""
                    yield self._check(node, node, strength, raises=raises, pair=strength == STRONG)
                elif last.startswith("assert_") or last in _MOCKS:
                    yield self._check(node, node, STRONG, pair=True)
                elif name in ("pytest.fail", "self.fail"):
                    yield self._check(node, node, MEDIUM)

    def _check(
        self, node: ast.stmt | ast.expr, test: ast.expr, strength: int, *, raises: str = "", pair: bool = False
    ) -> Check:
        about: set[str] = set()
        values: list[str] = []
        slack: list[float] = []
        for part in walk([*self._resolved(test)]):
            if isinstance(part, ast.Call):
                name = dotted(part.func, self.code.aliases)
                if name not in _TRIVIAL_CALLS:
                    about.add(name or (part.func.attr if isinstance(part.func, ast.Attribute) else ""))
                for word in part.keywords:
                    slack.extend(slack_of(word))
            elif isinstance(part, ast.Attribute):
                about.add(part.attr)
            elif isinstance(part, ast.Name) and part.id not in self._local:
                about.add(part.id)
            elif isinstance(part, ast.Constant):
                values.append(repr(part.value))
            elif isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Lt | ast.LtE):
                bound = number_of(part.comparators[-1])
                if bound is not None and isinstance(part.left, ast.Call) and dotted(part.left.func, {}) == "abs":
                    slack.append(bound)
        return Check(
            "|".join([key_of(test, self._local), *(key_of(v, self._local) for v in self._constants(test))]),
            node.lineno, strength, frozenset(about - {""}), tuple(values), tuple(slack), raises, self._circular(test, pair=pair),
        )  # fmt: skip

    def _resolved(self, test: ast.expr) -> Iterator[ast.expr]:
        yield test
        for node in walk([test]):
            if isinstance(node, ast.Name) and node.id in self.given:
                yield self.given[node.id]

    def _constants(self, test: ast.expr) -> Iterator[ast.expr]:
        return (
            v for v in list(self._resolved(test))[1:] if isinstance(v, ast.Constant | ast.List | ast.Tuple | ast.Dict)
        )

    def _circular(self, test: ast.expr, *, pair: bool) -> bool:
        """Whether both sides of an equality call the same function of the code under test."""
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
            left, right = test.left, test.comparators[0]
        elif pair and isinstance(test, ast.Call) and len(test.args) >= 2:
            left, right = test.args[0], test.args[1]
        else:
            return False
        return bool(self._called(left) & self._called(right))

    def _called(self, side: ast.expr) -> frozenset[str]:
        found = {
            ast.unparse(part.func)
            for part in walk(self._resolved(side))
            if isinstance(part, ast.Call) and dotted(part.func, {}) not in _TRIVIAL_CALLS
        }
        return frozenset(found)


def collected_tests(code: Code) -> dict[str, TestFunction]:
    """By qualified name; of two with one name the runner only knows the last."""
    return {f.qualname: f for f in helpers(code) if f.collected}


def helpers(code: Code) -> Iterator[TestFunction]:
    """All functions of the file, tests or not, in order."""
    for qualname, node, owner in functions(code.tree.body):
        yield TestFunction(qualname, node, owner, code, collected=node.name.startswith("test") and _holds_tests(owner))


def literals(nodes: list[ast.stmt]) -> set[str]:
    return {repr(n.value) for n in walk(nodes) if isinstance(n, ast.Constant) and n.value is not None}


def _holds_tests(owner: ast.ClassDef | None) -> bool:
    """pytest takes a class by its name, unless it has a constructor or says no; unittest by what it inherits."""
    if owner is None:
        return True
    for node in owner.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__test__" for t in node.targets):
            return not (isinstance(node.value, ast.Constant) and node.value.value is False)
    if any(dotted(base, {}) != "object" for base in owner.bases):
        return True
    constructed = any(isinstance(n, ast.FunctionDef) and n.name in ("__init__", "__new__") for n in owner.body)
    return owner.name.startswith("Test") and not constructed
