"""JUnit XML of any dialect → what it says of each test. Pure; the bytes were written by the code under test and are not trusted."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loopwright.errors import LoopwrightError

__all__ = ["JunitCase", "JunitError", "parse_junit"]

MAX_CASES = 200_000
_DETAIL_CHARS = 8_000
_MESSAGE_CHARS = 500
_RANK = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}


class JunitError(LoopwrightError):
    """The report cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class JunitCase:
    """One `testcase` as it stands there. `file` is "" in dialects without it. `message` is one line, `detail` the text."""

    classname: str
    name: str
    file: str
    status: Literal["passed", "failed", "error", "skipped"]
    duration_ms: int
    message: str
    detail: str


def parse_junit(data: bytes) -> tuple[JunitCase, ...]:
    """All test cases in the order of the report; `testsuites` and `testsuite` may be nested. A test reported twice stands there twice.

    Raises: `JunitError` for everything else than a well-formed report, a document type included: entities can make a small file fill
    the memory, and no test runner needs them.
    """
    if b"\x00" in data[:4] or data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise JunitError("the test report is not UTF-8; expected JUnit XML in UTF-8")
    if _has_document_type(data):
        raise JunitError("the test report declares a document type, which is refused; expected plain JUnit XML")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314  no document type gets here, so there are no entities to expand
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise JunitError(f"the test report is not well-formed XML: {error}") from error
    if root.tag not in {"testsuites", "testsuite"}:
        raise JunitError(f"the test report starts with <{root.tag[:40]}>; expected <testsuites> or <testsuite>")
    cases = tuple(_case(element) for element in _testcases(root))
    if len(cases) > MAX_CASES:
        raise JunitError(f"the test report has {len(cases)} cases; expected at most {MAX_CASES}")
    return cases


def _has_document_type(data: bytes) -> bool:
    """It can only stand before the first element; further down the same letters are the text of some test about HTML."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while True:
        while data[at : at + 1].isspace():
            at += 1
        opening = data[at : at + 4]
        closing = b"?>" if opening[:2] == b"<?" else b"-->" if opening == b"<!--" else None
        if closing is None:
            return opening[:2] == b"<!"
        end = data.find(closing, at + len(closing))
        if end < 0:
            return False
        at = end + len(closing)


def _testcases(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    # `iter` walks without recursion: a report nested a million deep is slow to write and harmless to read.
    return root.iter("testcase")


def _case(element: ElementTree.Element) -> JunitCase:
    status: Literal["passed", "failed", "error", "skipped"] = "passed"
    message, detail = "", ""
    for child in element:
        found: Literal["failed", "error", "skipped"]
        if child.tag == "failure":
            found = "failed"
        elif child.tag == "error":
            found = "error"
        elif child.tag == "skipped":
            found = "skipped"
        else:
            continue
        if _RANK[found] > _RANK[status]:
            status = found
            detail = (child.text or "").strip("\n")
            message = _one_line(child.get("message") or "", detail)
    return JunitCase(
        element.get("classname") or "",
        element.get("name") or "",
        element.get("file") or "",
        status,
        _milliseconds(element.get("time")),
        message,
        detail[-_DETAIL_CHARS:],
    )


def _one_line(message: str, detail: str) -> str:
    """The exception's line: the first of the `message` attribute, or of the text its last."""
    for line in message.splitlines():
        if line.strip() and line.strip() != "collection failure":
            return line.strip()[:_MESSAGE_CHARS]
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    last = (lines[-1] if lines else message.strip()).removeprefix("E  ").strip()[:_MESSAGE_CHARS]
    return f"cannot be collected: {last}" if message.strip() == "collection failure" else last


def _milliseconds(seconds: str | None) -> int:
    """Some dialects write `1,234.5`; what is no duration is 0."""
    try:
        value = float((seconds or "0").replace(",", ""))
    except ValueError:
        return 0
    return round(value * 1000) if 0 <= value < 1e9 else 0
