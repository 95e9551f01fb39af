"""What a run of a suite amounts to. Pure, and suspicious: success needs an exit code and a report that agree."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Observation
from loopwright.sandbox.protocol import ExecResult
from loopwright.suite.command import Runner
from loopwright.suite.report import SuiteReport, TestCase

__all__ = [
    "CANNOT_COLLECT",
    "Status",
    "decode_suite",
    "describe",
    "failing",
    "last_line",
    "merge",
    "stable",
    "status_of",
    "uncollected",
]

Status = Literal["green", "red", "empty", "broken", "timeout", "not_found"]

CANNOT_COLLECT = "cannot be collected: "
_TIMEOUT_EXIT = 124  # coreutils' `timeout`
_RANK = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}
_PYTEST_NOISE = re.compile(r"^[=!_-]{3,}.*[=!_-]{3,}$|^\d+ (passed|failed|errors?)\b.* in [\d.]+s")


def status_of(
    result: ExecResult, runner: Runner, cases: Sequence[TestCase] | None, *, ran: int | None = None
) -> Status:
    """`cases` is `None` when the command owed a report and left none that can be read; then nothing that it exits with is a success.

    `ran` is the number of tests that ran, where it is known without cases.
    """
    if result.status == "not_found":
        return "not_found"
    if result.status == "timeout" or result.returncode == _TIMEOUT_EXIT:
        return "timeout"
    if result.status != "exited" or result.returncode < 0:
        return "broken"
    if runner == "pytest" and cases is None and result.returncode == 5:
        return "empty"
    if runner == "unittest" and ran is None:
        return "broken"  # it always ends with the number of tests it ran, unless something ended it
    if cases is None or (runner == "pytest" and result.returncode not in {0, 1, 5}):
        return "broken"
    bad = [c for c in cases if c.status in {"failed", "error"}]
    if ran == 0 or (cases and all(c.status == "skipped" for c in cases)):
        return "empty"
    if runner == "pytest" and (not cases or result.returncode == 5):
        return "empty"
    if bad and all(c.message.startswith(CANNOT_COLLECT) for c in cases):
        return "broken"
    return "red" if bad or result.returncode != 0 else "green"


def merge(cases: Iterable[TestCase]) -> tuple[TestCase, ...]:
    """Each id once, with the worst that was said of it: a test that passes and fails in its teardown has not passed."""
    worst: dict[str, TestCase] = {}
    for case in cases:
        known = worst.get(case.id)
        if known is None or _RANK[case.status] > _RANK[known.status]:
            worst[case.id] = case
    return tuple(worst.values())


def failing(report: SuiteReport) -> tuple[TestCase, ...]:
    """What failed and was not seen to be flaky."""
    return tuple(c for c in report.cases if c.status in {"failed", "error"} and c.id not in report.flaky)


def uncollected(report: SuiteReport) -> tuple[TestCase, ...]:
    """Files (and classes) whose tests could not even be found."""
    return tuple(c for c in report.cases if c.status == "error" and c.message.startswith(CANNOT_COLLECT))


def decode_suite(observation: Observation, blobs: BlobStore) -> SuiteReport | None:
    """The report that a tests observation carries; `None` when it carries something else. Raises: `BlobMissing`, `BlobCorrupt`."""
    if observation.content.media_type != "application/json":
        return None
    try:
        return msgspec.json.decode(blobs.get(observation.content), type=SuiteReport)
    except msgspec.DecodeError:
        return None


def describe(ids: Sequence[str], most: int = 3) -> str:
    """A few names and how many more."""
    shown = ", ".join(ids[:most])
    return f"{shown} and {len(ids) - most} more" if len(ids) > most else shown


def last_line(text: str) -> str:
    """The last line that says something: not a rule, not pytest's count."""
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not _PYTEST_NOISE.match(line)]
    # pytest explains a failing conftest.py with `E   SyntaxError: …`, above a list of hints
    explained = [line.removeprefix("E ").strip() for line in telling if line.startswith("E ")]
    return (explained or telling or [""])[-1][:300]


def stable(text: str) -> str:
    """`text` without what differs from run to run: addresses and durations. Names with digits in them stay."""
    return re.sub(r"\b\d+\.\d+ ?s\b", "…s", re.sub(r"0x[0-9a-fA-F]+", "0x…", text))
