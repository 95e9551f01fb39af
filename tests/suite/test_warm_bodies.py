"""Which edits are bodies only: one that is taken for such and is not would give a false verdict."""

import pytest

from loopwright.suite.warm.child.bodies import NotOnlyBodies, changed_bodies

BASE = '''\
import functools

LIMIT = 3


def plain(a, b=LIMIT, *, c: int = 2) -> int:
    """Adds."""
    def inner(x):
        return x + b
    return inner(a) + c


def steps(n):
    return [n]


@functools.lru_cache
def cached(x):
    return x + 1


half = lambda x: x / 2


class Thing:
    kind = "a"

    def size(self):
        return len(self.kind)

    @property
    def wide(self):
        return True

    class Part:
        def size(self):
            return 1


@functools.total_ordering
class Ordered:
    def __lt__(self, other):
        return True


class Made(metaclass=type):
    def size(self):
        return 2


if LIMIT:
    def conditional():
        return 5
'''


def changed(old: str, new: str) -> list[str]:
    text = BASE.replace(old, new)
    assert text != BASE
    return [before.co_name for before, _ in changed_bodies(BASE.encode(), text.encode(), "x.py").pairs]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("inner(a) + c", "inner(a) - c", ["plain"]),
        ("x + b", "x - b", ["plain"]),
        ("return [n]", "return [n + 1]", ["steps"]),
        ("len(self.kind)", "0", ["size"]),
        ("            return 1", "            return 9", ["size"]),
        ("return 5", "return 6", ["conditional"]),
        ("return [n]", "return [n]  # one", []),
        ("import functools\n", "import functools\n# more\n", []),
    ],
)
def test_a_changed_body_of_a_plain_function_is_found(old: str, new: str, names: list[str]) -> None:
    assert changed(old, new) == names


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("b=LIMIT", "b=LIMIT + 1"),
        ("c: int = 2", "c: int = 3"),
        ("c: int = 2", "c: str = 2"),
        ("a, b=", "b, a="),
        ("-> int", "-> str"),
        ('"""Adds."""', '"""Subtracts."""'),
        ("return [n]", "yield n"),
        ("def steps", "async def steps"),
        ("def steps", "def renamed"),
        ("def steps", "@cached\ndef steps"),
        ("return x + 1", "return x + 2"),
        ("x / 2", "x / 3"),
        ('kind = "a"', 'kind = "b"'),
        ("return True", "return False"),
        ("return 2\n", "return 3\n"),
        ("class Thing:", "class Thing(object):"),
        ("if LIMIT:", "if not LIMIT:"),
        ("import functools", "import functools, os"),
        ("def steps(n):\n    return [n]\n", ""),
        ("return [n]", "return [n"),
        ("return [n]", "return [n]\0"),
    ],
)
def test_anything_else_is_refused(old: str, new: str) -> None:
    with pytest.raises(NotOnlyBodies):
        changed(old, new)


def test_functions_that_only_stand_on_other_lines_are_said_to_have_moved() -> None:
    longer = BASE.replace("    return [n]", "    n += 0\n    return [n]")
    assert changed_bodies(BASE.encode(), longer.encode(), "x.py").moved
    same = BASE.replace("return [n]", "return [n, n]")
    assert not changed_bodies(BASE.encode(), same.encode(), "x.py").moved
