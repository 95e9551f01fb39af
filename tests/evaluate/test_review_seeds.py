"""Seeded defects are other programs, seeded harmless changes are the same program, and which ones are chosen is no accident."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.evaluate.review.seeds.defects import DEFECTS, defects, made_defect
from loopwright.evaluate.review.seeds.harmless import HARMLESS, harmless, made_harmless
from loopwright.evaluate.review.seeds.same import Allowed, same_program
from loopwright.evaluate.review.seeds.source import Source, parse_source

EXAMPLE = Path(__file__).parents[2] / "examples/pricing/src/pricing"

CODE = '''\
"""A module."""

import json
import os
from collections import Counter


def price(amount, rebate=0):
    """What it costs."""
    if amount < 0:
        raise ValueError("negative")
    total = amount * 2
    label = f"{total} due"
    os.stat(label)
    return max(total - rebate, 0)


class Basket:
    def add(self, name, count):
        items = [(name, count) for name in range(count)]
        self.put(name, count)
        return items == []
'''


def source(text: str) -> Source:
    parsed = parse_source("m.py", text.encode())
    assert parsed is not None
    return parsed


def changed(text: str, kind: str) -> list[str]:
    """The lines that each seeded change of `kind` brings in."""
    code = source(text)
    seeds = [made_defect(d) for d in defects(code) if d.kind == kind]
    seeds += [made_harmless(d) for d in harmless(code) if d.kind == kind]
    old = text.splitlines()
    return [
        " | ".join(line.strip() for line in seed.content.decode().splitlines() if line not in old)
        for seed in seeds
        if seed is not None
    ]


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("comparison", ["if amount <= 0:", "return items != []"]),
        ("arithmetic", ["total = amount + 2", "return max(total + rebate, 0)"]),
        ("off by one", ["if amount < 1:", "total = amount * 3", "return max(total - rebate, 1)"]),
        ("dropped call", ["pass", "pass"]),
        ("swapped arguments", ["self.put(count, name)"]),
        ("removed guard", ["pass"]),
        ("wrong return", ["return None", "return not (items == [])"]),
        ("reordered imports", [""]),
        ("docstring", ['"""What it costs. Part of this module\'s small vocabulary."""']),
        ("type hint", [
            "def price(amount: object, rebate=0):",
            "def price(amount, rebate: object=0):",
            "def add(self, name: object, count):",
            "def add(self, name, count: object):",
        ]),
    ],
)  # fmt: skip
def test_each_kind_changes_what_it_is_called_after(kind: str, lines: list[str]) -> None:
    assert changed(CODE, kind) == lines


def test_a_local_is_renamed_everywhere_or_not_at_all() -> None:
    """`total` and `label` stand in an f-string or beside one, `name` is a parameter elsewhere: only `items` is safe."""
    assert changed(CODE, "renamed local") == [
        'current_label = f"{total} due" | os.stat(current_label)',
        "current_items = [(name, count) for name in range(count)] | return current_items == []",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "x = 1\n    return eval('x')",
        "x = 1\n    return locals()",
        "global x\n    x = 1",
        "x = 1\n    def g(x):\n        return x\n    return g(x)",
        "import x\n    x = x.y\n    return x",
        "x = 1\n    class C:\n        x = x\n    return C",
        "try:\n        x = 1\n    except ValueError as x:\n        pass",
        "x = 1\n    match x:\n        case [x]:\n            return x",
    ],
)
def test_a_name_that_may_be_seen_from_elsewhere_is_left_alone(body: str) -> None:
    assert changed(f"def f():\n    {body}\n", "renamed local") == []


def test_a_name_that_a_default_or_decorator_means_otherwise_is_left_alone() -> None:
    assert changed("x = 1\n\n\ndef f(y=x):\n    x = y\n    return x\n", "renamed local") == []
    assert changed("@x\ndef f(y):\n    x = y\n    return x\n", "renamed local") == []


def test_a_constant_goes_behind_the_imports_and_below_what_stands_on_top() -> None:
    assert changed(CODE, "extracted constant")[0] == "_PRICE_VALUE = 0 | if amount < _PRICE_VALUE:"
    seed = next(
        made_harmless(d)
        for d in harmless(source("#!/bin/x\n# (c)\ndef f():\n    return 7\n"))
        if d.kind == "extracted constant"
    )
    assert seed is not None
    assert seed.content == b"#!/bin/x\n# (c)\n_F_VALUE = 7\ndef f():\n    return _F_VALUE\n"


def test_imports_that_may_do_something_keep_their_order() -> None:
    assert changed("import os\nimport mine\n", "reordered imports") == []
    assert changed("import os\nimport os.path\n", "reordered imports") == []
    assert changed("import os; import sys\n", "reordered imports") == []
    assert changed("import json\nimport readline\n", "reordered imports") == []


def test_what_only_tells_and_what_goes_either_way_is_no_defect() -> None:
    text = "def f(a, b):\n    print(a, b)\n    logger.info(a, b)\n    return min(a, b)\n"
    assert changed(text, "dropped call") == []
    assert changed(text, "swapped arguments") == ["logger.info(b, a)"]


@pytest.mark.parametrize(
    "data",
    [
        b"x = (",
        b"\xff = 1",
        b"x = 1\r\n",
        b"\xef\xbb\xbfx = 1",
        b"x = 1\x00",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
    ],
)
def test_what_cannot_be_edited_by_place_is_not_edited(data: bytes) -> None:
    assert parse_source("m.py", data) is None


def test_names_beyond_ascii_do_not_shift_the_places() -> None:
    text = 'def f(größe):\n    maß = "é", größe - 1\n    return maß\n'
    assert changed(text, "arithmetic") == ['maß = "é", größe + 1']
    assert "current_maß = " in changed(text, "renamed local")[0]


@pytest.mark.parametrize(
    ("after", "allowed"),
    [
        ("def f(a):\n    y = a\n    return x\n", Allowed(renamed=("y", "x"))),
        ("def f(a):\n    a = a\n    return a\n", Allowed(renamed=("a", "x"))),
        ("V = 1\ndef f(a):\n    x = V\n    return x\n", Allowed(extracted="V")),
        ("def f(a):\n    x = a\n    return x + 0\n", Allowed(docstrings=True, hints=True, imports=True)),
        ("def f(a: int):\n    x = a\n    return x\n", Allowed()),
        ("def f(a):\n    x = (\n", Allowed()),
    ],
)
def test_the_check_of_sameness_sees_what_is_not_the_same(after: str, allowed: Allowed) -> None:
    before = b"def f(a):\n    x = a\n    return x\n"
    assert not same_program(before, after.encode(), allowed)


def test_a_new_constant_that_was_asked_for_by_its_name_is_not_the_same() -> None:
    before = b"def f():\n    return getattr(m, 'V', 2), 1\n"
    assert not same_program(before, b"V = 1\n" + before.replace(b", 1", b", V"), Allowed(extracted="V"))
    assert same_program(before, b"W = 1\n" + before.replace(b", 1", b", W"), Allowed(extracted="W"))


def test_the_check_of_sameness_does_not_shout_at_comments() -> None:
    assert same_program(b"x = 1\n", b"# why\nx = (1)\n")


def every(of: str) -> list[tuple[str, bytes, bytes]]:
    """Every change of the example project, with the file before it."""
    made: list[tuple[str, bytes, bytes]] = []
    for path in sorted(EXAMPLE.glob("*.py")):
        parsed = parse_source(path.name, path.read_bytes())
        assert parsed is not None
        ours = (
            (made_defect(d) for d in defects(parsed))
            if of == "defect"
            else (made_harmless(d) for d in harmless(parsed))
        )
        seeds = list(ours)
        made += [(s.kind, parsed.data, s.content) for s in seeds if s is not None]
    return made


def test_harmless_changes_of_real_code_leave_its_instructions_as_they_were() -> None:
    """Another way to look than the one that made them: the compiler's. A new constant is another instruction, so it is left out."""
    seen = every("harmless")
    assert {kind for kind, _, _ in seen} >= {"comment", "extracted constant", "renamed local", "docstring"}
    for kind, before, after in seen:
        if kind != "extracted constant":
            assert instructions(before) == instructions(after), kind


def test_defects_of_real_code_parse_and_are_other_programs() -> None:
    seen = every("defect")
    assert {kind for kind, _, _ in seen} == set(DEFECTS)
    for _, before, after in seen:
        assert ast.dump(ast.parse(before)) != ast.dump(ast.parse(after))
    assert set(HARMLESS) & set(DEFECTS) == set()


def instructions(data: bytes) -> list[bytes]:
    codes: list[bytes] = []

    def visit(code: object, see: Callable[[object], None]) -> None:
        codes.append(getattr(code, "co_code", b""))
        for constant in getattr(code, "co_consts", ()):
            if hasattr(constant, "co_code"):
                see(constant)

    def see(code: object) -> None:
        visit(code, see)

    see(compile(data, "m", "exec", dont_inherit=True))
    return codes
