"""Endless candidates for the project of `nasty`: small edits anywhere in it, and the ways in which candidates misbehave."""

import ast
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from support.nasty import NASTY

__all__ = ["Mutant", "mutants"]

_SOURCES = (*("src/nasty/plain.py", "src/nasty/tables.py", "src/nasty/shapes.py") * 4, "src/nasty/lazy.py")
_OPERATORS = {"+": "-", "-": "+", "*": "+", "<": "<=", ">": ">=", "==": "!=", "<=": "<", "%": "//", "//": "*", "/": "*"}
_FIRST_LINES = {
    "never ends": "while True: pass",
    "exits with success": "import os; os._exit(0)",
    "raises SystemExit": "raise SystemExit(0)",
    "ends pytest": "import pytest; pytest.exit('done', 0)",
    "skips": "import pytest; pytest.skip('no')",
    "raises": "raise RuntimeError('no')",
    "floods": "print('x' * 1000000)",
    "starts a thread": "import threading; threading.Thread(target=int).start()",
    "forks": "import os; os.waitpid(os.fork() or os._exit(0), 0)",
    "litters": "open('litter.txt', 'a').write('x')",
    "finds litter": "import os; assert not os.path.exists('litter.txt')",
    "leaks into the builtins": "import builtins; assert not hasattr(builtins, '_leak'); builtins._leak = 1",
    "yields": "if False: yield",
    "eats memory": "x = [bytearray(1 << 28) for _ in range(64)]",
    "closes all files": "import os; os.closerange(3, 200)",
    "kills its group": "import os, signal; os.killpg(0, 9)",
}
_COSTLY = frozenset({"never ends", "eats memory"})
_LAST_LINES = {
    "an effect at import": "TABLE = [0] if 'TABLE' in globals() else None",
    "fails at import": "raise ImportError('no')",
    "exits at import": "import os; os._exit(0)",
    "patches another module at import": "import nasty.plain; nasty.plain.LIMIT = 3; nasty.plain.twice = lambda x: x",
    "a harmless line": "UNUSED = 1",
}


@dataclass(frozen=True)
class Mutant:
    """`files` by path, `None` = deleted."""

    name: str
    files: Mapping[str, str | None]


def mutants(seed: int) -> Iterator[Mutant]:
    """Without end, the same for the same seed. About one in two hundred never ends or eats memory: those take seconds."""
    chance = random.Random(seed)
    kinds = [_point] * 12 + [_first_line] * 3 + [_signature] * 2 + [_structure] * 3 + [_two] * 2
    while True:
        made = chance.choice(kinds)(chance)
        if made is None or made.files.items() <= NASTY.items():
            continue
        if made.name in _COSTLY and chance.random() > 0.2:
            continue
        yield made


def _point(chance: random.Random) -> Mutant | None:
    """One operator, constant, condition or statement anywhere: in a body, a default, a class, at module level."""
    path = chance.choice(_SOURCES)
    text = NASTY[path]
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.Constant, ast.BinOp, ast.Compare, ast.stmt))]
    node = chance.choice(nodes)
    start, end = _span(text, node)
    old = text[start:end]
    if isinstance(node, ast.Constant):
        value = node.value
        new = str(value + 1) if type(value) is int else repr(value + "x") if isinstance(value, str) else "0"
    elif isinstance(node, (ast.BinOp, ast.Compare)):
        left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.left, node.comparators[0])
        between = slice(_span(text, left)[1], _span(text, right)[0])
        operator = text[between].strip(" ()")
        if operator not in _OPERATORS:
            return None
        new = (
            text[start : between.start]
            + text[between].replace(operator, _OPERATORS[operator], 1)
            + text[between.stop : end]
        )
    elif isinstance(node, ast.Return):
        new = "return None"
    elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
        if chance.random() < 0.7:
            return None
        new = "pass"
    else:
        new = "pass"
    return Mutant(f"{type(node).__name__} in {path}", {path: text[:start] + new + text[end:]}) if new != old else None


def _first_line(chance: random.Random) -> Mutant:
    name = chance.choice(list(_FIRST_LINES))
    path, text, node = _function(chance)
    start, _ = _span(text, node.body[0])
    indent = " " * node.body[0].col_offset
    return Mutant(name, {path: f"{text[:start]}{_FIRST_LINES[name]}\n{indent}{text[start:]}"})


def _signature(chance: random.Random) -> Mutant:
    path, text, node = _function(chance)
    lines = text.splitlines()
    line = lines[node.lineno - 1]
    changed = chance.choice(
        [
            line.replace("(", "(*, ", 1) if "()" not in line else line.replace("()", "(new=1)"),
            line.replace("):", ", more=2):", 1),
            line.replace("x", "z", 1),
            line.replace("def ", "async def ", 1),
            line.replace(node.name, f"{node.name}_renamed", 1),
            f"{' ' * node.col_offset}@(lambda f: f)\n{line}",
            f"{' ' * node.col_offset}@(lambda f: lambda *a, **k: f(*a, **k))\n{line}",
            f"{line}  # a comment",
        ]
    )
    lines[node.lineno - 1] = changed
    if node.decorator_list and chance.random() < 0.5:
        del lines[node.decorator_list[0].lineno - 1]
    return Mutant(f"signature of {node.name}", {path: "\n".join(lines) + "\n"})


def _structure(chance: random.Random) -> Mutant | None:
    path = chance.choice(_SOURCES)
    text = NASTY[path]
    name = chance.choice(
        [*_LAST_LINES, "syntax error", "deleted", "new file", "data", "lines move", "shadows", "conftest"]
    )
    if name in _LAST_LINES:
        return Mutant(name, {path: f"{text}\n{_LAST_LINES[name]}\n"})
    if name == "syntax error":
        return Mutant(name, {path: text.replace("return ", "retrun ", 1)})
    if name == "deleted":
        return Mutant(name, {path: None})
    if name == "data":
        return Mutant(name, {"src/nasty/data.json": f'{{"limit": {chance.randrange(5)}}}\n'})
    if name == "lines move":
        at = text.index("\n\n\n")
        return Mutant(name, {path: text[:at] + "\n\n# moved" + text[at:]})
    if name == "shadows":
        return Mutant(name, {"src/enum.py" if chance.random() < 0.1 else "src/nasty/extra.py": "X = 1\n"})
    if name == "conftest":
        skip = "import pytest\n\n\ndef pytest_collection_modifyitems(items):\n    del items[3]\n"
        return Mutant(name, {"conftest.py": skip if chance.random() < 0.5 else "X = 1\n"})
    return Mutant(name, {"tests/test_more.py": f"def test_more():\n    assert {chance.random() < 0.5}\n"})


def _two(chance: random.Random) -> Mutant | None:
    one, other = _point(chance), _point(chance)
    if one is None or other is None:
        return None
    return Mutant("two files", {**one.files, **other.files})


def _function(chance: random.Random) -> tuple[str, str, ast.FunctionDef]:
    path = chance.choice(_SOURCES)
    text = NASTY[path]
    return path, text, chance.choice([n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)])


def _span(text: str, node: ast.expr | ast.stmt) -> tuple[int, int]:
    lines = text.splitlines(keepends=True)
    assert node.end_lineno is not None and node.end_col_offset is not None
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    return start, sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
