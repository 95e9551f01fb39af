"""What `python -m unittest -v` prints → test cases. Pure.

The output is text for people, mixed with what the tests print themselves, so it is only believed where the number of tests that
it names is the number that it says it ran; else the exit code has to do.
"""

import re
from typing import Literal

from loopwright.suite.report import TestCase

__all__ = ["parse_unittest", "tests_run"]

_RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
_CASE = re.compile(
    r"^(\w+) \(([\w.]+)\)(?:\n[^\n]+?)? \.\.\. (ok|FAIL|ERROR|skipped [^\n]*|expected failure|unexpected success)$",
    re.MULTILINE,
)
_BLOCK = re.compile(
    r"^={70}\n(FAIL|ERROR): (\w+) \(([\w.]+)\)[^\n]*\n.*?-{70}\n(.*?)(?=^={70}$|^-{70}$)", re.MULTILINE | re.DOTALL
)
_STATUS: dict[str, Literal["passed", "failed", "error", "skipped"]] = {
    "ok": "passed",
    "FAIL": "failed",
    "ERROR": "error",
    "expected failure": "skipped",
    "unexpected success": "failed",
}
_DETAIL_CHARS = 8_000


def tests_run(output: str) -> int | None:
    """The number of tests that the last summary line names; `None` when there is none."""
    found = _RAN.findall(output)
    return int(found[-1]) if found else None


def parse_unittest(output: str) -> tuple[TestCase, ...]:
    """One case a test, named as unittest names it, `test_x (pkg.TestY.test_x)`; nothing when the output does not add up."""
    why: dict[str, str] = {}
    for _, name, where, text in _BLOCK.findall(output):
        why.setdefault(_id(name, where), text.strip("\n"))
    cases: dict[str, TestCase] = {}
    for name, where, result in _CASE.findall(output):
        case_id = _id(name, where)
        status = _STATUS.get(result, "skipped")
        detail = why.get(case_id, "")
        lines = [line for line in detail.splitlines() if line.strip()]
        message = lines[-1].strip() if lines else ""
        if "unittest.loader._FailedTest" in where:
            message = f"cannot be collected: {message}"
        cases[case_id] = TestCase(case_id, status, 0, message, detail[-_DETAIL_CHARS:])
    return tuple(cases.values()) if len(cases) == tests_run(output) else ()


def _id(name: str, where: str) -> str:
    """Python 3.11 and later repeat the method's name in the brackets; one form is used for all."""
    return f"{name} ({where})" if where.endswith(f".{name}") else f"{name} ({where}.{name})"
