"""Which tests proposers do not get to see, and what is left of a report for them. Pure, and the same for the same head.

A proposal that was made to satisfy the tests it was shown says little about the ones it was not shown; so a share of them judges only.
The share is drawn anew at every head that is kept, for every failure message that a proposer reads is a piece of a test.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from loopwright.journal.protocol import BlobStore
from loopwright.kernel.loop import EvaluatePolicy
from loopwright.kernel.values import Observation
from loopwright.suite.command import parse
from loopwright.suite.outcome import decode_suite, describe, failing
from loopwright.suite.report import SuiteReport
from loopwright.suite.subset import without

__all__ = ["NOTHING_HELD", "Split", "counts", "head_split", "hidden_files", "shown", "shown_observation", "split"]

LEAST_FILES = 6
"""With fewer files that hold tests, a whole file is too coarse a unit to draw a share from."""
OVERSHOOT = 1.5
"""A file that would make the held-out share more than this many times as large as was asked for stays visible."""


@dataclass(frozen=True, slots=True)
class Split:
    """`visible` and `held` are ids, and together all that the report named. `files` are held out as a whole: no test of theirs is
    visible."""

    visible: frozenset[str]
    held: frozenset[str]
    files: frozenset[str] = frozenset()

    def holds(self, test_id: str) -> bool:
        """Whether a test is held out, one included that the report did not name: a new test in a held file, other parameters of a
        function of which every known set is held."""
        if test_id in self.held:
            return True
        if test_id in self.visible or not self.held:
            return False
        if _file(test_id) in self.files:
            return True
        same = [i for i in (*self.visible, *self.held) if _function(i) == _function(test_id)]
        return bool(same) and all(i in self.held for i in same)

    def names(self, text: str) -> bool:
        """Whether `text` tells which tests are held out: the name of a held file, or of a test function that is held alone."""
        shared = {_name(i) for i in self.visible}
        words = {_name(i) for i in self.held} - shared
        words |= {f.rpartition("/")[2] for f in self.files}
        return any(re.search(rf"(?<!\w){re.escape(w)}(?!\w)", text) for w in words if w)


NOTHING_HELD = Split(frozenset(), frozenset())


def head_split(
    observations: Sequence[Observation], policy: EvaluatePolicy, *, seed: int, tree: str, blobs: BlobStore
) -> Split:
    """The split of a head, `tree`: of the report that its observation has of `policy.tests`. Nothing is held without a `holdout`, and
    where no such report was observed. Raises: `BlobMissing`, `BlobCorrupt`, `UsageError`."""
    if not policy.holdout or policy.tests is None:
        return NOTHING_HELD
    argv = parse(policy.tests.run).argv
    for observation in observations:
        report = decode_suite(observation, blobs)
        if report is not None and report.command == argv:
            return split(report, policy.holdout, f"{seed}:{tree}")
    return NOTHING_HELD


def split(report: SuiteReport, fraction: float, salt: str) -> Split:
    """`fraction` (0 to 1) of the tests of `report`, drawn from those that fail and from those that pass, by hash of id and `salt`.

    One failing test at least stays visible, and one passing test. Whole files are drawn where `LEAST_FILES` hold tests: none of
    them has a visible failing test. Nothing is held of a report that names no tests, or with a `fraction` of 0.
    """
    fails = frozenset(c.id for c in failing(report))
    rest = frozenset(c.id for c in report.cases) - fails
    wanted_fails, wanted_rest = _share(len(fails), fraction), _share(len(rest), fraction)
    if fraction > 0 and wanted_rest == 0 and len(rest) > 1:
        wanted_rest = 1  # a holdout of none would be taken for one that passes
    by_file: defaultdict[str, set[str]] = defaultdict(set)
    for test_id in fails | rest:
        by_file[_file(test_id)].add(test_id)
    files: frozenset[str] = frozenset()
    if len(by_file) >= LEAST_FILES:
        files = _draw_files(by_file, fails, wanted_fails, wanted_rest, salt)
    held = frozenset(i for f in files for i in by_file[f])
    # What whole files could not give is drawn test by test: the failing ones always, the passing ones where no file was fit.
    held |= _draw(fails - held, wanted_fails - len(held & fails), salt)
    if not files:
        held |= _draw(rest, wanted_rest, salt)
    return Split((fails | rest) - held, held, files)


def shown(report: SuiteReport, drawn: Split) -> SuiteReport:
    """What proposers see: the visible tests, their failures, and how many of the others pass and fail."""
    left = without(report, drawn.holds)
    if left is report:
        return report
    lines = [f"FAILED {c.id} - {c.message}" if c.message else f"FAILED {c.id}" for c in failing(left)]
    return msgspec.structs.replace(left, output_tail="\n".join([*lines, counts(report, drawn)]))


def counts(report: SuiteReport, drawn: Split) -> str:
    """`held out: 14 pass, 2 fail`."""
    held = [c for c in report.cases if drawn.holds(c.id)]
    passing = sum(c.status == "passed" or c.id in report.flaky for c in held)
    fails = sum(c.status in {"failed", "error"} and c.id not in report.flaky for c in held)
    return f"held out: {passing} pass, {fails} fail"


def shown_observation(observation: Observation, drawn: Split, blobs: BlobStore) -> Observation:
    """The observation as proposers may see it; itself when it carries no report or nothing in it is held out.

    `goal_met` stays what it was: it is a count of nothing. Raises: `BlobMissing`, `BlobCorrupt`.
    """
    report = decode_suite(observation, blobs)
    if report is None or (left := shown(report, drawn)) is report:
        return observation
    bad = [c.id for c in failing(left)]
    ran = sum(c.status != "skipped" for c in left.cases)
    seen = f"{len(bad)} of {ran} visible tests fail{'s' if len(bad) == 1 else ''}: {describe(bad)}"
    summary = f"{seen if bad else f'all {ran} visible tests pass'}; {counts(report, drawn)}"
    content = blobs.put(msgspec.json.encode(left), "application/json")
    return msgspec.structs.replace(observation, content=content, summary=summary)


def hidden_files(drawn: Split, paths: Iterable[str], text_of: Callable[[str], str | None]) -> tuple[str, ...]:
    """The held-out files among `paths` that a proposer's copy can do without, ordered; `text_of` reads a file of the head.

    A file that another one imports (tests that inherit from a base class in it) stays: without it visible tests could not be run.
    """
    there = frozenset(paths)
    files = drawn.files & there
    if not files:
        return ()
    folders = {f.rpartition("/")[0] for f in files}
    nearby = {p for p in there - files if p.endswith(".py") and p.rpartition("/")[0] in folders}
    nearby |= {_file(i) for i in drawn.visible} & there
    imported = _imported({p: text_of(p) or "" for p in nearby})
    return tuple(sorted(f for f in files if f.rpartition("/")[2].removesuffix(".py") not in imported))


def _imported(texts: Mapping[str, str]) -> frozenset[str]:
    """Every word that stands in an import, or behind `pytest_plugins`. Too many rather than too few."""
    found: set[str] = set()
    for text in texts.values():
        for line in re.findall(
            r"^\s*(?:from|import)\b[^\n(]*(?:\([^)]*\))?|pytest_plugins[^\]\n]*", text, re.MULTILINE
        ):
            found |= set(re.findall(r"\w+", line))
    return frozenset(found)


def _draw_files(
    by_file: Mapping[str, set[str]], fails: frozenset[str], wanted_fails: int, wanted_rest: int, salt: str
) -> frozenset[str]:
    drawn: set[str] = set()
    held_fails = held = 0
    wanted = wanted_fails + wanted_rest
    ordered = sorted(by_file, key=lambda f: _rank(salt, f))
    # Files with failing tests first: few have any, and they must not find the share already full.
    for file in sorted(ordered, key=lambda f: not by_file[f] & fails):
        failing_here, size = len(by_file[file] & fails), len(by_file[file])
        if held >= wanted or len(drawn) + 1 >= len(by_file):
            break
        if held_fails + failing_here <= wanted_fails and held + size <= OVERSHOOT * wanted:
            drawn.add(file)
            held, held_fails = held + size, held_fails + failing_here
    return frozenset(drawn)


def _draw(ids: frozenset[str], number: int, salt: str) -> frozenset[str]:
    return frozenset(sorted(ids, key=lambda i: _rank(salt, i))[: max(0, number)])


def _share(number: int, fraction: float) -> int:
    return min(round(fraction * number), max(0, number - 1))


def _rank(salt: str, name: str) -> bytes:
    return hashlib.sha256(f"{salt}\0{name}".encode("utf-8", "surrogateescape")).digest()


def _file(test_id: str) -> str:
    """What stands before the first `::`: pytest's path, other runners' class."""
    return test_id.partition("::")[0]


def _function(test_id: str) -> str:
    return test_id.partition("[")[0]


def _name(test_id: str) -> str:
    return _function(test_id).rpartition("::")[2]
