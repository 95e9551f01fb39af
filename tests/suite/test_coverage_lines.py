"""Which changed lines are code, and which of them ran. Pure."""

import ast
import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.suite.coverage import changed_lines, not_run

CODE = '''\
"""Module."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

LIMIT: int = 3
name: str


@staticmethod
def first(
    a,
    # a comment
    b=1,
):
    """Doc
    string."""
    global LIMIT

    if a:
        return call(
            a,
            # why
            b,
        )
    else:
        try:
            pass
        except ValueError:
            raise
        finally:
            b = 2
    match a:
        case 1:
            return 3
    for x in a: print(x)


class C:
    x: int

    async def m(self): ...
'''


def test_the_lines_of_statements_are_code_and_nothing_else() -> None:
    code = sorted(changed_lines(None, CODE).spans)
    assert code == [2, 4, 7, 11, 12, 13, 15, 16, 21, 22, 23, 25, 26, 28, 29, 31, 33, 34, 36, 37, 40, 43]


def test_only_what_was_written_counts() -> None:
    new = CODE.replace("            a,\n", "            a + 1,\n").replace("    for x in a: print(x)\n", "")
    assert list(changed_lines(CODE, new).spans) == [23]
    assert not changed_lines(CODE, CODE).spans
    assert not changed_lines(CODE, CODE.replace("# why", "# why not").replace("Doc", "A doc")).spans


def test_a_statement_of_several_lines_ran_when_one_of_them_did() -> None:
    changed = changed_lines(CODE, CODE.replace("            a,\n", "            a + 1,\n"))
    assert not_run(changed, frozenset({22})) == ()
    assert not_run(changed, frozenset({26})) == ()
    assert not_run(changed, frozenset({21, 28})) == (23,)


@pytest.mark.parametrize("text", ["def f(:\n", "\0", "(" * 500])
def test_what_is_no_python_has_no_code(text: str) -> None:
    assert not changed_lines(None, text).spans


PIECES = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "if x:\n    x = 2\nelse:\n    x = 3",
            "for i in (1, 2):\n    x += i\n    continue",
            "while x < 9:\n    x += 1\n    break",
            "try:\n    x = 4\n    raise ValueError\nexcept ValueError:\n    x = 5\nfinally:\n    pass",
            "with open('/dev/null') as f:\n    pass",
            "def f(a,\n      b=2):\n    '''doc'''\n    return (a\n            + b)\nf(1)",
            "class C:\n    '''doc'''\n    y: int = 1\n    def m(self): return 1\nC().m()",
            "match x:\n    case 1:\n        x = 6\n    case _:\n        x = 7",
            "assert x\nimport os\ndel os",
            "# a comment",
            "y = [i\n     for i in (1, 2)\n     if i]",
            "@staticmethod\ndef g(): pass",
            "lambda: 1",
        ]
    ),
    max_size=8,
)


@given(PIECES)
def test_every_line_that_the_interpreter_runs_belongs_to_code(pieces: list[str]) -> None:
    text = "\n".join(["x = 1", *pieces]) + "\n"
    spans = changed_lines(None, text).spans
    ran: set[int] = set()

    def line(frame: types.FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename == "<piece>" and event == "line":
            ran.add(frame.f_lineno)
        return line

    before = sys.gettrace()
    code = compile(text, "<piece>", "exec")
    sys.settrace(line)
    try:
        exec(code, {"__name__": "piece"})
    finally:
        sys.settrace(before)
    # handlers, cases and a docstring's assignment are steps of the statement around them
    lines = text.split("\n")
    beside = ("except", "case", "finally", "'''", "class", "'''doc'''")
    assert {n for n in ran if n not in spans and not lines[n - 1].strip().startswith(beside)} == set()
    # and what is reported as not run was not: only the branches that these pieces leave out
    for n in not_run(changed_lines(None, text), frozenset(ran)):
        assert n not in ran
    top = {s.lineno for s in ast.parse(text).body if not isinstance(s, ast.Expr)}
    assert not top & set(not_run(changed_lines(None, text), frozenset(ran)))
