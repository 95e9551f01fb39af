"""Small programs with one realistic bug each, repaired from the failing tests alone and judged by a cold run of the whole suite."""

import asyncio
from pathlib import Path

import pytest

from support.repairs import UNITTEST, Bench
from support.workshops import PYTEST

SHOP = """\
class Basket:
    def __init__(self):
        self.items = []
        self.discount = 0

    def add(self, name, price, quantity=1):
        self.items.append((name, price, quantity))

    def subtotal(self):
        return sum(price * quantity for _, price, quantity in self.items)

    def total(self):
        return self.subtotal() - self.subtotal() * self.discount // 100
"""

PROGRAMS: dict[str, tuple[str, dict[str, str]]] = {
    "comparison": (
        "grades.py",
        {
            "grades.py": "def passed(points, needed=50):\n    return points > needed\n",
            "tests/test_grades.py": (
                "from grades import passed\n\n\n"
                "def test_border():\n    assert passed(50)\n\n\n"
                "def test_below():\n    assert not passed(49)\n\n\n"
                "def test_above():\n    assert passed(51)\n"
            ),
        },
    ),
    "off by one, parametrised": (
        "windows.py",
        {
            "windows.py": (
                "def windows(items, size):\n    return [items[i : i + size] for i in range(len(items) - size)]\n"
            ),
            "tests/test_windows.py": (
                "import pytest\nfrom windows import windows\n\n\n"
                "@pytest.mark.parametrize(('items', 'size', 'found'), [\n"
                "    ('abc', 2, ['ab', 'bc']), ('abc', 3, ['abc']), ('ab', 3, []), ('a::b', 3, ['a::', '::b']),\n])\n"
                "def test_windows(items, size, found):\n    assert windows(items, size) == found\n"
            ),
        },
    ),
    "wrong variable": (
        "stock.py",
        {
            "stock.py": (
                "def moved(stock, source, target, amount):\n"
                "    left = dict(stock)\n"
                "    left[source] -= amount\n"
                "    left[source] = left.get(target, 0) + amount\n"
                "    return left\n"
            ),
            "tests/test_stock.py": (
                "from stock import moved\n\n\n"
                "def test_moves():\n    assert moved({'a': 5, 'b': 1}, 'a', 'b', 2) == {'a': 3, 'b': 3}\n\n\n"
                "def test_new_place():\n    assert moved({'a': 5}, 'a', 'c', 1) == {'a': 4, 'c': 1}\n\n\n"
                "def test_same_place():\n    assert moved({'a': 5}, 'a', 'a', 1) == {'a': 5}\n"
            ),
        },
    ),
    "argument order in a src layout": (
        "src/report/table.py",
        {
            "src/report/__init__.py": "from report.table import row\n\n__all__ = ['row']\n",
            "src/report/pad.py": "def pad(text, width):\n    return str(text).ljust(width)[:width]\n",
            "src/report/table.py": (
                "from report.pad import pad\n\n\n"
                "def row(cells, width):\n    return '|'.join(pad(width, cell) for cell in cells)\n"
            ),
            "tests/test_table.py": (
                "from report import row\nfrom report.pad import pad\n\n\n"
                "def test_row():\n    assert row(['a', 'bcd'], 3) == 'a  |bcd'\n\n\n"
                "def test_pad():\n    assert pad('ab', 4) == 'ab  '\n"
            ),
        },
    ),
    "boolean operator in a package": (
        "access/rules.py",
        {
            "access/__init__.py": "",
            "access/people.py": "ADMINS = {'ann'}\n\n\ndef is_admin(name):\n    return name in ADMINS\n",
            "access/rules.py": (
                "from .people import is_admin\n\n\n"
                "def may_edit(user, owner, locked):\n"
                "    if locked or not is_admin(user):\n        return False\n"
                "    return user == owner or is_admin(user)\n"
            ),
            "tests/test_rules.py": (
                "from access.rules import may_edit\n\n\n"
                "def test_owner():\n    assert may_edit('bob', 'bob', False)\n\n\n"
                "def test_admin_opens_locked():\n    assert may_edit('ann', 'bob', True)\n\n\n"
                "def test_stranger():\n    assert not may_edit('eve', 'bob', False)\n\n\n"
                "def test_locked():\n    assert not may_edit('bob', 'bob', True)\n"
            ),
        },
    ),
    "method of a class, with a fixture": (
        "shop.py",
        {
            "shop.py": SHOP.replace("price * quantity for", "price + quantity for"),
            "tests/conftest.py": (
                "import pytest\nfrom shop import Basket\n\n\n"
                "@pytest.fixture\ndef basket():\n    made = Basket()\n    made.add('tea', 300, 2)\n    return made\n"
            ),
            "tests/test_shop.py": (
                "def test_subtotal(basket):\n    assert basket.subtotal() == 600\n\n\n"
                "def test_discount(basket):\n    basket.discount = 10\n    assert basket.total() == 540\n\n\n"
                "def test_add(basket):\n    basket.add('milk', 100)\n    assert basket.items[-1] == ('milk', 100, 1)\n"
            ),
        },
    ),
    "unittest.TestCase under pytest": (
        "clock.py",
        {
            "clock.py": (
                "def minutes(text):\n    hours, rest = text.split(':')\n    return int(hours) * 60 - int(rest)\n"
            ),
            "tests/test_clock.py": (
                "import unittest\n\nfrom clock import minutes\n\n\n"
                "class ClockTest(unittest.TestCase):\n"
                "    def test_half_past(self):\n        self.assertEqual(minutes('1:30'), 90)\n\n"
                "    def test_full(self):\n        self.assertEqual(minutes('2:00'), 120)\n"
            ),
        },
    ),
    "constant at module level": (
        "vat.py",
        {
            "vat.py": (
                "RATES = {'food': 7, 'other': 7}\n\n\n"
                "def gross(net, kind='other'):\n    return net + net * RATES[kind] // 100\n\n\n"
                "def label(kind):\n    return f'{kind} 19%'\n\n\nSTANDARD = 19\n"
            ),
            "tests/test_vat.py": (
                "from vat import gross\n\n\n"
                "def test_other():\n    assert gross(1000) == 1190\n\n\n"
                "def test_food():\n    assert gross(1000, 'food') == 1070\n"
            ),
        },
    ),
    "sibling call": (
        "ranges.py",
        {
            "ranges.py": (
                "def overlap(a, b):\n"
                "    start = min(a[0], b[0])\n    end = min(a[1], b[1])\n"
                "    return max(0, end - start)\n"
            ),
            "tests/test_ranges.py": (
                "from ranges import overlap\n\n\n"
                "def test_overlap():\n    assert overlap((1, 5), (3, 9)) == 2\n\n\n"
                "def test_apart():\n    assert overlap((1, 2), (4, 5)) == 0\n\n\n"
                "def test_inside():\n    assert overlap((1, 9), (2, 3)) == 1\n"
            ),
        },
    ),
    "return value": (
        "text.py",
        {
            "text.py": (
                "def longest(words):\n"
                "    best = ''\n    for word in words:\n"
                "        if len(word) > len(best):\n            best = word\n"
                "    return word\n"
            ),
            "tests/test_text.py": (
                "from text import longest\n\n\n"
                "def test_middle():\n    assert longest(['a', 'abc', 'ab']) == 'abc'\n\n\n"
                "def test_last():\n    assert longest(['a', 'ab']) == 'ab'\n"
            ),
        },
    ),
    "missing guard": (
        "mean.py",
        {
            "mean.py": (
                "def mean(numbers, default):\n"
                "    if numbers == 0:\n        return default\n"
                "    return sum(numbers) / len(numbers)\n"
            ),
            "tests/test_mean.py": (
                "from mean import mean\n\n\n"
                "def test_empty():\n    assert mean([], 7) == 7\n\n\n"
                "def test_some():\n    assert mean([1, 2, 3], 7) == 2\n\n\n"
                "def test_zero():\n    assert mean([0], 7) == 0\n"
            ),
        },
    ),
    "attribute": (
        "invoice.py",
        {
            "invoice.py": (
                "from dataclasses import dataclass\n\n\n"
                "@dataclass\nclass Line:\n    net: int\n    tax: int\n\n\n"
                "def gross(lines):\n    return sum(line.net + line.net for line in lines)\n"
            ),
            "tests/test_invoice.py": (
                "from invoice import Line, gross\n\n\n"
                "def test_gross():\n    assert gross([Line(100, 19), Line(50, 3)]) == 172\n\n\n"
                "def test_none():\n    assert gross([]) == 0\n"
            ),
        },
    ),
    "assignment operator": (
        "count.py",
        {
            "count.py": (
                "def counts(words):\n"
                "    found = {}\n    for word in words:\n"
                "        found.setdefault(word, 0)\n        found[word] = 1\n    return found\n"
            ),
            "tests/test_count.py": (
                "from count import counts\n\n\n"
                "def test_twice():\n    assert counts(['a', 'b', 'a']) == {'a': 2, 'b': 1}\n\n\n"
                "def test_once():\n    assert counts(['a']) == {'a': 1}\n"
            ),
        },
    ),
    "endless loop": (
        "digits.py",
        {
            "digits.py": (
                "def digits(number):\n"
                "    found = 0\n    while number >= 0:\n"
                "        found += 1\n        number //= 10\n    return found\n"
            ),
            "tests/test_digits.py": (
                "from digits import digits\n\n\n"
                "def test_three():\n    assert digits(123) == 3\n\n\n"
                "def test_one():\n    assert digits(7) == 1\n"
            ),
        },
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_bug_is_repaired_and_the_whole_suite_passes_cold(name: str, tmp_path: Path) -> None:
    path, files = PROGRAMS[name]
    timeout = " --timeout=1 -p pytest_timeout" if name == "endless loop" else ""
    bench = Bench.of(tmp_path, files, run=PYTEST + timeout)
    proposal, results = asyncio.run(bench.repair())
    assert [change.path for change in proposal.changes] == [path]
    assert "forked" in results[-1].summary, results[-1].summary


def test_the_rung_repairs_a_suite_of_unittest_by_whole_runs_of_its_command(tmp_path: Path) -> None:
    _, files = PROGRAMS["unittest.TestCase under pytest"]
    bench = Bench.of(tmp_path, {**files, "tests/__init__.py": ""}, run=UNITTEST)
    proposal, results = asyncio.run(bench.repair())
    assert proposal.changes[0].path == "clock.py"
    assert "by whole runs of the command" in results[-1].summary


def test_two_jobs_find_the_same_edit_as_one(tmp_path: Path) -> None:
    """Which job is faster must not decide what is proposed: a run that is replayed would go another way."""
    _, files = PROGRAMS["sibling call"]
    found = []
    for jobs in (1, 2):
        bench = Bench.of(tmp_path / str(jobs), files, jobs=jobs)
        report = asyncio.run(bench.observe())
        result = asyncio.run(bench.propose(report, batch=3))
        found.append([p.digest for p in result.proposals])
    assert found[0]
    assert found[0] == found[1]
