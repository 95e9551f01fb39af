"""Try edits against the failing tests, on all jobs at once, in forked processes inside the sandbox.

What comes out does not depend on timing: the first edit that fixes everything is the one with the lowest index, whichever job was
faster. Time only decides how far the search gets.
"""

import asyncio
import base64
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from loopwright.act.repair.edits import Edit
from loopwright.act.repair.runner import Runner
from loopwright.act.repair.spectra import records
from loopwright.sandbox.protocol import Sandbox
from loopwright.suite.reading import answer_folder
from loopwright.suite.warm.child.start import PROGRAM, message
from loopwright.suite.warm.runner import child_env
from loopwright.workspace.command import command_in
from loopwright.workspace.protocol import Candidate

__all__ = ["Rewindable", "Screened", "Screening", "Unusable", "screen"]

# The first fix comes after 85 edits at the median, so the first batches are small; later ones share the start-up over more edits.
_FIRST_BATCH, _LARGEST_BATCH = 16, 256
_SLICE_S = 8.0
_START_S = 40.0
_STOP_FILE = "stop"


class Unusable(Exception):
    """The forked screening cannot be used for this suite; the message says why."""


class Rewindable:
    """An order of edits that can be begun again: another kind of screening takes over when this one cannot be used."""

    def __init__(self, rows: Iterator[tuple[int, Edit]]) -> None:
        self._rows = rows
        self._given: list[tuple[int, Edit]] = []
        self._at = 0

    def __iter__(self) -> Iterator[tuple[int, Edit]]:
        return self

    def __next__(self) -> tuple[int, Edit]:
        if self._at == len(self._given):
            self._given.append(next(self._rows))
        self._at += 1
        return self._given[self._at - 1]

    def rewind(self) -> None:
        self._at = 0


@dataclass(frozen=True, slots=True)
class Screened:
    """`passed` are the wanted tests that pass with this edit; `died`: it hung, exited or crashed before pytest came to its end.

    `complete`: all wanted tests pass, those aside that pass alone even without an edit.
    """

    index: int
    edit: Edit
    passed: frozenset[str]
    died: bool = False
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Screening:
    """What to screen with. `modules` and `files` are imported and compiled beforehand. `jobs` are disposable candidates, one each;
    while this goes on they are written to from inside only, for a sandbox may have them mounted.

    `early`: fork before pytest reads its configuration, because that imports what is to be edited; it costs more for each edit.
    `hangs`: the bug itself never ends, so the unchanged project is not waited for.
    `last` is the highest index of interest from the start; `None` = all are.
    """

    runner: Runner
    wanted: tuple[str, ...]
    modules: tuple[str, ...]
    files: tuple[str, ...]
    jobs: tuple[Candidate, ...]
    sandbox: Sandbox
    action_id: str
    seconds_left: Callable[[], float]
    lookahead: int
    patience: int
    early: bool = False
    hangs: bool = False
    last: int | None = None


class _Line(msgspec.Struct):
    """One record of `child/screen.py`."""

    index: int | None = None
    passed: tuple[str, ...] = ()
    died: bool = False
    baseline: tuple[str, ...] | None = None
    end: str | None = None


@dataclass(slots=True)
class _Search:
    """What all jobs share. `last` is the highest index that is still of interest."""

    edits: Iterator[tuple[int, Edit]]
    again: list[tuple[int, Edit]] = field(default_factory=list)
    done: dict[int, Screened] = field(default_factory=dict)
    last: int = sys.maxsize
    early: bool = False
    batch: int = _FIRST_BATCH
    used_up: bool = False
    alone_passing: frozenset[str] = frozenset()


async def screen(
    screening: Screening,
    edits: Iterator[tuple[int, Edit]],
    contents: Mapping[str, bytes],
    progress: Callable[[str], None],
) -> tuple[list[Screened], bool]:
    """What was screened, without gaps, in the order of `edits`, and whether that was all of them.

    It ends `lookahead` edits after the first that makes all wanted tests pass; once one makes some of them pass, after `patience`
    more or as many as were tried before; or when time is up.

    Raises: `Unusable`, `SandboxError`.
    """
    search = _Search(edits, last=sys.maxsize if screening.last is None else screening.last, early=screening.early)
    with answer_folder("screen") as board:
        board.chmod(0o755)  # whoever the sandbox runs as reads it
        try:
            async with asyncio.TaskGroup() as group:
                for candidate in screening.jobs:
                    group.create_task(_Job(screening, search, candidate, board, contents).run(progress))
        except ExceptionGroup as errors:
            # Not `except*`: what is raised there comes out in a group again, in some versions of Python.
            raise errors.exceptions[0] from None
    # What a job did not get to is missing in between; the next call begins at the gap.
    gap = min((index for index, _ in search.again), default=sys.maxsize)
    found = [search.done[index] for index in sorted(search.done) if index < gap and index <= search.last]
    return found, search.used_up and not search.again and search.last == sys.maxsize


class _Job:
    """One candidate at work. `board` is the folder in which all jobs read the highest index that is still of interest."""

    def __init__(
        self, screening: Screening, search: _Search, candidate: Candidate, board: Path, contents: Mapping[str, bytes]
    ) -> None:
        self._screening = screening
        self._search = search
        self._candidate = candidate
        self._board = board
        self._contents = contents
        self._edited: frozenset[str] = frozenset()

    async def run(self, progress: Callable[[str], None]) -> None:
        screening, search = self._screening, self._search
        while batch := _next(screening, search):
            early = search.early
            lines = await self._try(batch, early=early)
            if not early and any(line.end == "loaded" for line in lines):
                search.early = True
                search.again += batch
                continue
            _take(screening, search, batch, lines)
            progress(f"tried {len(search.done)} edits")
            if search.last < sys.maxsize:
                _post(self._board, search.last)

    async def _try(self, batch: Sequence[tuple[int, Edit]], *, early: bool) -> list[_Line]:
        screening = self._screening
        nonce = secrets.token_hex(12)
        seconds = min(_SLICE_S, screening.seconds_left())
        settings = {
            "nonce": nonce,
            "args": screening.runner.args,
            "wanted": screening.wanted,
            "modules": screening.modules,
            "files": screening.files,
            "early": early,
            "hangs": screening.hangs,
            "seconds": seconds,
            "lookahead": screening.lookahead,
            "stop": str(self._board / _STOP_FILE),
            # Killed in the middle of an edit, or by what the edited program did, the run before left it in the candidate.
            "restore": [(path, _encoded(self._contents[path])) for path in sorted(self._edited)],
            "candidates": [
                (index, edit.path, _encoded(edit.apply(self._contents[edit.path]))) for index, edit in batch
            ],
        }
        spec = command_in(
            self._candidate,
            (*screening.runner.python, "-c", PROGRAM),
            timeout_s=seconds + _START_S,
            action_id=screening.action_id,
            env=self._env,
            stdin=message("screen", settings),
            readable=(self._board,),
        )
        result = await screening.sandbox.run(spec)
        lines = [msgspec.json.decode(line, type=_Line) for line in records(result.stdout, nonce)]
        if not lines:
            tail = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [
                f"{result.status} {result.returncode}"
            ]
            raise Unusable(f"the test command's interpreter could not run our screening program ({tail[0][:200]})")
        self._edited = frozenset(edit.path for _, edit in batch)
        return lines

    @cached_property
    def _env(self) -> dict[str, str]:
        return child_env(self._candidate, self._screening.runner)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _post(board: Path, last: int) -> None:
    """In one step: half a number would end the search too early."""
    draft = board / "draft"
    draft.write_text(str(last), encoding="ascii")
    draft.chmod(0o644)
    draft.replace(board / _STOP_FILE)


def _next(screening: Screening, search: _Search) -> list[tuple[int, Edit]]:
    if screening.seconds_left() <= 0:
        return []
    batch = [row for row in sorted(search.again, key=lambda row: row[0]) if row[0] <= search.last][: search.batch]
    search.again = [row for row in search.again if row not in batch]
    while len(batch) < search.batch and not search.used_up:
        row = next(search.edits, None)
        if row is None:
            search.used_up = True
        elif row[0] > search.last:
            search.again.append(row)
            break
        else:
            batch.append(row)
    return batch


def _take(screening: Screening, search: _Search, batch: list[tuple[int, Edit]], lines: list[_Line]) -> None:
    end = next((line.end for line in lines if line.end is not None), None)
    search.batch = min(_LARGEST_BATCH, search.batch * 2)
    if end == "loaded":
        raise Unusable("what is to be repaired is imported before pytest begins")
    if end == "passes":
        raise Unusable("the failing tests pass when they run by themselves")
    if end == "not started":
        raise Unusable("pytest did not take its arguments")
    baseline = next((line.baseline for line in lines if line.baseline is not None), ())
    search.alone_passing |= frozenset(baseline)
    wanted = frozenset(screening.wanted) - search.alone_passing
    judged = {line.index: line for line in lines if line.index is not None}
    left: list[tuple[int, Edit]] = []
    for index, edit in batch:
        line = judged.get(index)
        if line is not None:
            passed = frozenset(line.passed)
            search.done[index] = Screened(index, edit, passed, line.died, complete=passed >= wanted)
        else:
            left.append((index, edit))
    if end is None and left:
        # The whole zygote died on this one; without this it would be tried for ever.
        index, edit = left.pop(0)
        search.done[index] = Screened(index, edit, frozenset(), died=True)
    search.again += left
    _narrow(screening, search)


def _narrow(screening: Screening, search: _Search) -> None:
    """After a find the search goes on a little, in indices and not in seconds: that much is the same on every machine."""
    for index, screened in search.done.items():
        if screened.complete:
            search.last = min(search.last, index + screening.lookahead)
        elif screened.passed:
            search.last = min(search.last, max(2 * index, index + screening.patience))
