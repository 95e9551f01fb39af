"""Edits touch their own bytes and nothing else, are made once, and come in an order that does not depend on chance."""

import ast
import functools
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.act.repair.edits import Edit, Sieve, Site
from loopwright.act.repair.localise import Suspicion, localise
from loopwright.act.repair.operators import OPERATORS
from loopwright.act.repair.order import in_order, sites
from loopwright.act.repair.source import Source, own_lines, statements
from loopwright.act.repair.spectra import Spectra, TestTrace

PROGRAM = '''\
"""Ein Märchen."""
import math

LIMIT = 10


class Cart:
    def __init__(self, items=()):
        self.items = list(items)
        self.größe = 0

    def total(self, rate, extra):
        summe = 0
        for n, item in enumerate(self.items):
            if item.price >= LIMIT and not item.free:
                summe += item.price * rate - extra
            elif n:
                return max(summe, self.größe)  # „größe“
        name = f"{summe} {'ü'}"
        self.items.append(name.strip()[1:-1])
        return summe // 2
'''


@functools.cache
def edits_of(data: bytes) -> tuple[Source, list[Edit]]:
    source = Source("cart.py", data)
    lines = [Suspicion("cart.py", n, 1.0, 1, 0) for n in range(1, data.count(b"\n") + data.count(b"\r") + 2)]
    return source, list(in_order(sites({"cart.py": source}, lines), OPERATORS))


VARIANTS = {
    "plain": PROGRAM.encode(),
    "CRLF": PROGRAM.replace("\n", "\r\n").encode(),
    "byte order mark": b"\xef\xbb\xbf" + PROGRAM.encode(),
    "tabs": PROGRAM.replace("    ", "\t").encode(),
    "form feeds": PROGRAM.replace("\n\n\nclass", "\n\x0c\n\nclass").encode(),
    "no end of line at the end": PROGRAM.rstrip().encode(),
    "CRLF and byte order mark": b"\xef\xbb\xbf" + PROGRAM.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_edit_parses_differs_in_meaning_and_keeps_every_other_byte(name: str) -> None:
    data = VARIANTS[name]
    source, edits = edits_of(data)
    before = ast.dump(source.tree)
    seen = {before}
    assert len(edits) > 300
    for edit in edits:
        after = edit.apply(data)
        assert after.startswith(data[: edit.start])
        assert after.endswith(data[edit.end :])
        meaning = ast.dump(ast.parse(after.removeprefix(b"\xef\xbb\xbf").decode()))
        assert meaning not in seen, edit
        seen.add(meaning)
        assert data.count(b"\r\n") == 0 or b"\n" not in edit.replacement.replace(b"\r\n", b"")


def test_the_same_program_has_the_same_edits_however_its_lines_end() -> None:
    """Positions are bytes of UTF-8, behind umlauts and behind a byte order mark too."""
    plain = {
        (e.operator, e.line, ast.dump(ast.parse(e.apply(VARIANTS["plain"])))) for e in edits_of(VARIANTS["plain"])[1]
    }
    for name in ("CRLF", "byte order mark", "tabs"):
        data = VARIANTS[name]
        found = {
            (e.operator, e.line, ast.dump(ast.parse(e.apply(data).removeprefix(b"\xef\xbb\xbf").decode())))
            for e in edits_of(data)[1]
        }
        assert found == plain, name


def test_the_order_is_the_same_every_time_and_falls_in_weight() -> None:
    first, second = edits_of(VARIANTS["plain"])[1], edits_of.__wrapped__(VARIANTS["plain"])[1]
    assert first == second
    assert all(a.weight >= b.weight for a, b in itertools.pairwise(first))


def test_edits_are_made_only_when_their_turn_comes() -> None:
    """A file of thousands of lines has hundreds of thousands of edits: those of unsuspicious lines are not made in advance."""
    asked: list[int] = []

    class Asked:
        name = "asked"
        prior = 0.5

        def rewrites(self, site: Site):  # type: ignore[no-untyped-def]
            asked.append(site.statement.lineno)
            return OPERATORS[1].rewrites(site)

    source = Source("n.py", b"a = 1\nb = 2\nc = 3\n")
    lines = [Suspicion("n.py", 1, 0.9, 1, 0), Suspicion("n.py", 2, 0.2, 1, 0), Suspicion("n.py", 3, 0.1, 1, 0)]
    order = in_order(sites({"n.py": source}, lines), [Asked()])
    assert next(order).line == 1
    assert asked == [1]


def test_a_line_belongs_to_the_innermost_statement() -> None:
    tree = ast.parse("def f(x):\n    if (x and\n            x > 1):\n        return 1\n    return 2\n")
    assert [(type(s).__name__, list(own_lines(s))) for s in statements(tree)] == [
        ("FunctionDef", [1]),
        ("If", [2, 3]),
        ("Return", [4]),
        ("Return", [5]),
    ]


@pytest.mark.parametrize("data", [b"x = (\n", b"# coding: latin-1\nx = 1\n", "x = 'ü'".encode("latin-1"), b"x = '\0'"])
def test_what_is_not_python_in_utf8_is_refused(data: bytes) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        Source("x.py", data)


@given(st.text(alphabet="abü\t x=1\n\r\x0c#'\"", max_size=40))
def test_spans_agree_with_python_for_any_text(text: str) -> None:
    try:
        source = Source("x.py", text.encode())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name):
            assert source.text(node).decode() == node.id


def test_the_sieve_knows_the_meaning_that_was_there_before() -> None:
    source = Source("x.py", b"x = 1\ny = (1)\n")
    statement = source.tree.body[0]
    sieve = Sieve()
    assert not sieve.passes(source, statement, Edit("x.py", 4, 5, b"(1)", "test", 1))
    assert sieve.passes(source, statement, Edit("x.py", 4, 5, b"2", "test", 1))
    assert not sieve.passes(source, statement, Edit("x.py", 4, 5, b"(2)", "test", 1))
    assert not sieve.passes(source, statement, Edit("x.py", 4, 5, b"2 +", "test", 1))


def spectra(*tests: TestTrace, imported: dict[str, list[int]] | None = None) -> Spectra:
    return Spectra(tests, imported or {}, (), (), "test", complete=True)


def test_what_only_failing_tests_run_is_most_suspicious_and_what_none_runs_is_not_listed() -> None:
    found = localise(
        spectra(
            TestTrace("bad", True, {"a.py": [1, 2, 3], "test_a.py": [9]}),
            TestTrace("good", False, {"a.py": [1, 2, 4]}),
            TestTrace("other", False, {"a.py": [1, 4]}),
        ),
        ["bad"],
        lambda path: path == "a.py",
    )
    assert [(s.path, s.line) for s in found] == [("a.py", 3), ("a.py", 2), ("a.py", 1)]
    assert (found[0].failing, found[0].passing) == (1, 0)
    assert (found[2].failing, found[2].passing) == (1, 2)
    assert all(0 < s.score <= 1 for s in found)


def test_where_the_failure_was_raised_counts_more_than_its_neighbours() -> None:
    trace = TestTrace("bad", True, {"a.py": [1, 2, 3]}, frames=(("a.py", 1), ("a.py", 3)))
    assert [s.line for s in localise(spectra(trace), ["bad"], lambda _: True)] == [3, 1, 2]


def test_constants_of_a_file_that_a_failing_test_runs_are_suspicious_too() -> None:
    """They run at import, for no test in particular."""
    traced = spectra(TestTrace("bad", True, {"a.py": [5]}), imported={"a.py": [1, 2], "b.py": [1]})
    assert [(s.path, s.line) for s in localise(traced, ["bad"], lambda _: True)] == [
        ("a.py", 5),
        ("a.py", 1),
        ("a.py", 2),
    ]
