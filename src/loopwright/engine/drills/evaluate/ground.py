"""What the cases are planted into: the loop's base tree, its Python files, a test that fails there and the code that it tests."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from loopwright.kernel.loop import Loop, TestsSource
from loopwright.kernel.values import Observation
from loopwright.suite.command import Runner, parse
from loopwright.suite.outcome import failing
from loopwright.suite.report import SuiteReport
from loopwright.workspace.protocol import Workspace

__all__ = [
    "Code",
    "Ground",
    "Target",
    "code_under_test",
    "find_code",
    "find_target",
    "is_test_path",
    "python_files",
    "runner_of",
]

MOST_FILES = 600
MOST_CHARS = 300_000


@dataclass(frozen=True, slots=True)
class Target:
    """A test that fails: its id as the runner says it, and where its function stands. Lines count from 1."""

    test_id: str
    path: str
    name: str
    owner: str
    node: ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Code:
    """The code under test: a file, and the function at its top that the test calls, "" where there is none such."""

    path: str
    function: str


@dataclass(frozen=True, slots=True)
class Ground:
    """`files` are the Python files of the tree by path. `report` is `None` when the loop has no tests; `target` and `code` when they were
    not found. `loop_path` is the loop file in the repository, `None` when it lies elsewhere."""

    loop: Loop
    tree: str
    paths: tuple[str, ...]
    files: Mapping[str, str]
    loop_path: str | None
    runner: Runner = "other"
    report: SuiteReport | None = None
    observations: tuple[Observation, ...] = ()
    target: Target | None = None
    code: Code | None = None


def runner_of(source: TestsSource) -> Runner:
    return parse(source.run).runner


def python_files(workspace: Workspace, tree: str) -> dict[str, str]:
    """The text of the tree's Python files, the first six hundred; larger ones than 300,000 characters are left out."""
    found: dict[str, str] = {}
    for path in [p for p in workspace.paths(tree) if p.endswith(".py")][:MOST_FILES]:
        data = workspace.read(tree, path)
        text = "" if data is None else data.decode("utf-8", "replace")
        if len(text) <= MOST_CHARS:
            found[path] = text
    return found


def is_test_path(path: str) -> bool:
    *folders, name = path.split("/")
    by_name = name.startswith("test") or name.endswith("_test.py") or name == "conftest.py"
    return by_name or not {"tests", "test"}.isdisjoint(folders)


def find_target(report: SuiteReport, files: Mapping[str, str]) -> Target | None:
    """The first failing test whose function is found in the files."""
    for case in failing(report):
        found = _located(case.id, files)
        if found is not None:
            return found
    return None


def _located(test_id: str, files: Mapping[str, str]) -> Target | None:
    path, owner, name = _parts(test_id)
    if not name:
        return None
    places = [path] if path in files else [p for p in files if is_test_path(p) and path.replace(".", "/") in p]
    for place in places or [p for p in files if is_test_path(p)]:
        tree = parsed(files[place])
        for klass, node in _functions(tree) if tree is not None else ():
            if node.name == name and (not owner or klass == owner):
                return Target(test_id, place, name, klass, node)
    return None


def _parts(test_id: str) -> tuple[str, str, str]:
    """Path (or module), class and function of `a/test_b.py::C::test_d[x]` and of `test_d (a.test_b.C.test_d)`."""
    unittest = re.fullmatch(r"(\w+) \(([\w.]+)\)", test_id)
    if unittest is not None:
        *module, owner, name = unittest[2].split(".")
        return ".".join(module), owner, name
    path, *inner = test_id.partition("[")[0].split("::")
    return path, (inner[-2] if len(inner) > 1 else ""), (inner[-1] if inner else "")


def _functions(tree: ast.Module) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    found: list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(("", node))
        elif isinstance(node, ast.ClassDef):
            found += [(node.name, n) for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return found


def code_under_test(target: Target, files: Mapping[str, str]) -> Code | None:
    """The source that the test reaches: a function that it calls, or else a module that its file imports."""
    tree = parsed(files[target.path])
    if tree is None:
        return None
    called = [_last(n.func) for n in ast.walk(target.node) if isinstance(n, ast.Call)]
    found = find_code(called, files)
    if found is not None:
        return found
    for node in ast.walk(tree):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        modules = [module] if module else [a.name for a in node.names] if isinstance(node, ast.Import) else []
        for name in modules:
            tail = name.replace(".", "/")
            for path in files:
                if not is_test_path(path) and path.removesuffix("/__init__.py").removesuffix(".py").endswith(tail):
                    return Code(path, "")
    return None


def find_code(names: list[str], files: Mapping[str, str]) -> Code | None:
    """The first of `names` that is a function at the top of a source file."""
    for name in names:
        for path, text in files.items():
            if is_test_path(path) or f"def {name}(" not in text:
                continue
            tree = parsed(text)
            if tree is not None and any(isinstance(n, ast.FunctionDef) and n.name == name for n in tree.body):
                return Code(path, name)
    return None


def parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
