"""A little project of what makes warm verdicts go wrong, all of it as text: values computed at import, copies of references, wrappers,
caches, closures, suspended generators, classes of all kinds, lazy imports, files, processes.
"""

from collections.abc import Mapping

__all__ = ["NASTY", "RED"]

PLAIN = '''\
"""Plain functions, and references to them in other modules."""

LIMIT = 10


def add(a, b=1):
    return a + b


def clamp(value, low=0, high=LIMIT):
    if value < low:
        return low
    if value > high:
        return high
    return value


def total(values):
    out = 0
    for value in values:
        out += value
    return out


def adder(n):
    def inner(x):
        return x + n

    return inner


def evens(limit):
    for n in range(limit):
        if n % 2 == 0:
            yield n


def outer_twice(x):
    return twice(twice(x))


def twice(x):
    return x * 2


def factorial(n):
    if n <= 1:
        return 1
    return n * factorial(n - 1)


half = lambda x: x / 2


class Account:
    rate = 3
    kinds = ["a", "b"]

    def __init__(self, balance=0):
        self.balance = balance

    def deposit(self, amount):
        if amount < 0:
            raise ValueError("negative")
        self.balance += amount
        return self.balance

    def interest(self):
        return self.balance * self.rate

    @property
    def rich(self):
        return self.balance > 100

    @staticmethod
    def parse(text):
        return int(text.strip())

    @classmethod
    def empty(cls):
        return cls(0)

    class Inner:
        def value(self):
            return 7


class Savings(Account):
    def interest(self):
        return super().interest() + 1
'''
TABLES = '''\
"""What is made when the module is imported, and stays."""

import functools

from nasty.plain import add, adder, evens, twice

REGISTRY = {}


def build(n):
    return [i * i for i in range(n)]


TABLE = build(5)
PLUS_TWO = adder(2)
PENDING = evens(7)


def scale(factor, x):
    return factor * x


TRIPLE = functools.partial(scale, 3)


def slow(x):
    return x + 100


fast = functools.lru_cache(maxsize=None)(slow)


@functools.lru_cache(maxsize=None)
def decorated(x):
    return x - 100


def register(name):
    def wrap(function):
        REGISTRY[name] = function
        return function

    return wrap


@register("double")
def double(x):
    return twice(x)


@register("inc")
def inc(x):
    return add(x)


def default_now():
    return 4


def with_default(x, extra=default_now()):
    return x + extra


def key_of(pair):
    return pair[1]


ORDERED = sorted([("a", 2), ("b", 1)], key=key_of)
HANDLERS = {"scale": scale, "slow": slow}
counter = iter(range(3))


def documented(x):
    """Gives x."""
    return x


HELP = documented.__doc__


def never_called_at_import(x):
    return [y for y in (x, x + 1) if y > 0]


class Meta(type):
    def __new__(mcs, name, bases, space):
        space["made"] = sorted(k for k in space if not k.startswith("_"))
        return super().__new__(mcs, name, bases, space)


class Made(metaclass=Meta):
    def one(self):
        return 1

    def two(self):
        return 2


class Base:
    children = []

    def __init_subclass__(cls):
        Base.children.append(cls.__name__)


class Child(Base):
    def name(self):
        return type(self).__name__.lower()
'''
SHAPES = '''\
"""Dataclasses, enums, context managers, exceptions, generics of the standard library."""

import contextlib
import dataclasses
import enum
import json
import os

HERE = os.path.dirname(__file__)
with open(os.path.join(HERE, "data.json")) as stream:
    DATA = json.load(stream)


def new_list():
    return [1]


@dataclasses.dataclass(order=True)
class Point:
    x: int = 1
    y: int = 2
    seen: list = dataclasses.field(default_factory=new_list, compare=False)

    def area(self):
        return self.x * self.y


class Color(enum.Enum):
    RED = 1
    BLUE = 2

    def next(self):
        return Color(self.value % 2 + 1)


@contextlib.contextmanager
def raised(by):
    yield by + 1


class Broken(Exception):
    def __str__(self):
        return "broken " + str(self.args[0])


def read(name):
    with open(os.path.join(HERE, name)) as file:
        return file.read()


def checked(x):
    try:
        return 10 // x
    except ZeroDivisionError:
        return -1
    finally:
        STATE["calls"] += 1


STATE = {"calls": 0}


async def later(x):
    return x + 5


def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
'''
LAZY = "VALUE = 5\n\n\ndef lazy(x):\n    return x * VALUE\n"
TESTS_PLAIN = """\
import pytest

from nasty import plain
from nasty.plain import Account, Savings, add, adder, clamp, evens, factorial, half, outer_twice, total

bound = Account(5).deposit


def test_add():
    assert add(1) == 2
    assert plain.add(2, 3) == 5


@pytest.mark.parametrize(("value", "wanted"), [(-1, 0), (5, 5), (11, 10), (10, 10)])
def test_clamp(value, wanted):
    assert clamp(value) == wanted


def test_total():
    assert total([1, 2, 3]) == 6


def test_adder():
    assert adder(2)(3) == 5


def test_evens():
    assert list(evens(5)) == [0, 2, 4]


def test_outer_twice():
    assert outer_twice(2) == 8


def test_factorial():
    assert factorial(5) == 120


def test_half():
    assert half(4) == 2


@pytest.fixture(scope="module")
def account():
    return Account(50)


def test_interest(account):
    assert account.interest() == 150


def test_rich(account):
    assert not account.rich


def test_deposit():
    assert Account(1).deposit(2) == 3
    with pytest.raises(ValueError):
        Account().deposit(-1)


def test_bound_before():
    assert bound(0) == 5


def test_savings():
    assert Savings(2).interest() == 7


def test_static_and_class():
    assert Account.parse(" 7 ") == 7
    assert Account.empty().balance == 0
    assert Account.Inner().value() == 7


def test_kinds():
    assert Account.kinds == ["a", "b"]
"""
TESTS_TABLES = """\
import subprocess
import sys

import pytest

from nasty import tables
from nasty.tables import (HANDLERS, HELP, ORDERED, PLUS_TWO, REGISTRY, TABLE, TRIPLE, Base, Child, Made, decorated, fast,
                          never_called_at_import, slow, with_default)

STALE = slow


def test_table():
    assert TABLE == [0, 1, 4, 9, 16]
    assert tables.build(3) == [0, 1, 4]


def test_closure():
    assert PLUS_TWO(1) == 3


def test_pending():
    assert next(tables.PENDING) == 0


def test_partial():
    assert TRIPLE(2) == 6


def test_caches():
    assert (fast(1), fast(1), decorated(100)) == (101, 101, 0)


def test_stale_reference():
    assert STALE(2) == 102
    assert HANDLERS["slow"] is slow


def test_registry():
    assert REGISTRY["double"](4) == 8
    assert sorted(REGISTRY) == ["double", "inc"]


def test_inc():
    assert REGISTRY["inc"](4) == 5


def test_default():
    assert with_default(1) == 5


def test_ordered():
    assert ORDERED == [("b", 1), ("a", 2)]


def test_help():
    assert HELP == "Gives x."
    assert tables.documented(3) == 3


def test_comprehension():
    assert never_called_at_import(0) == [1]


def test_metaclass():
    assert Made.made == ["one", "two"]
    assert Made().one() + Made().two() == 3


def test_subclasses():
    assert Base.children == ["Child"]
    assert Child().name() == "child"


def test_process():
    code = "from nasty.lazy import lazy; print(lazy(2))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout == "10\\n"
"""
TESTS_SHAPES = """\
import pytest

from nasty.shapes import DATA, STATE, Broken, Color, Point, checked, later, raised, read, run


def test_point():
    assert Point() < Point(2)
    assert Point(3).area() == 6
    assert Point().seen == [1]


def test_color():
    assert Color.RED.next() is Color.BLUE


def test_raised():
    with raised(1) as two:
        assert two == 2


def test_broken():
    assert str(Broken(3)) == "broken 3"


def test_data():
    assert DATA["limit"] == 3
    assert "limit" in read("data.json")


def test_checked():
    before = STATE["calls"]
    assert (checked(5), checked(0)) == (2, -1)
    assert STATE["calls"] == before + 2


def test_later():
    assert run(later(1)) == 6


def test_lazily():
    from nasty.lazy import lazy

    assert lazy(3) == 15


@pytest.mark.xfail
def test_expected_failure():
    assert Point().x == 2


def test_writes(tmp_path):
    (tmp_path / "x").write_text("y")
    assert not (tmp_path / "z").exists()
"""
NASTY: Mapping[str, str] = {
    "src/nasty/__init__.py": "",
    "src/nasty/plain.py": PLAIN,
    "src/nasty/tables.py": TABLES,
    "src/nasty/shapes.py": SHAPES,
    "src/nasty/lazy.py": LAZY,
    "src/nasty/data.json": '{"limit": 3}\n',
    "tests/test_plain.py": TESTS_PLAIN,
    "tests/test_tables.py": TESTS_TABLES,
    "tests/test_shapes.py": TESTS_SHAPES,
}
"""Every test of it passes."""
RED: Mapping[str, str] = {
    **NASTY,
    "src/nasty/plain.py": PLAIN.replace("value > high", "value > high + 1"),
    "src/nasty/shapes.py": SHAPES.replace("return 10 // x", "return 10 // x + 1"),
}
"""Two tests of it fail. A candidate for `NASTY` that has one of these two files fixes one of them, and may break others."""
