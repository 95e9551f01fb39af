"""A loop file, read: the loop, its text and its digest, or every problem with its line."""

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec
import rfc8785

from loopwright.errors import LoopFileError
from loopwright.kernel.loop import Loop, RepairRung
from loopwright.loopfile._front import Front, Listing, split
from loopwright.loopfile._keys import LOOP, loop_of
from loopwright.loopfile._report import Refused, Report, nearest

__all__ = ["LoopFile", "parse", "read", "with_loop"]

_MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LoopFile:
    """`source` names it in messages; `text` is what was read, with `\\n` line ends and no byte order mark.

    `digest` is the SHA-256 (hex) of the RFC 8785 JSON of the loop: comments, layout and the order of keys do not change it.
    """

    loop: Loop
    source: str
    text: str
    digest: str


def read(path: Path) -> LoopFile:
    """The loop in the file at `path`, UTF-8, at most 256 KiB.

    Raises: `LoopFileError`; its message has one line a problem, `file:line: key path: what is wrong`, in the file's order.
    """
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise LoopFileError(f"{path} is a folder; expected a loop file{_hint(_loops_in(path))}")
        if not stat.S_ISREG(kind):
            # Reading a pipe or a device would wait for somebody to write.
            raise LoopFileError(f"{path} is no regular file; expected a loop file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise LoopFileError(f"no such loop file: {path}{_hint(_near(path))}") from None
    except (OSError, ValueError) as error:
        raise LoopFileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > _MAX_BYTES:
        raise LoopFileError(f"{path}: is larger than {_MAX_BYTES // 1024} KiB; expected a goal of a few pages")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LoopFileError(f"{path}:{line}: is not UTF-8, found the byte 0x{data[error.start]:02x}") from None
    return parse(text, source=str(path))


def parse(text: str, *, source: str) -> LoopFile:
    """The loop that `text` says; `source` stands before the line number of every problem.

    Raises: `LoopFileError`, as `read`.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    report = Report(source)
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise LoopFileError(f"{source}:{text.count(chr(10), 0, error.start) + 1}: is not Unicode text") from None
    if size > _MAX_BYTES:
        raise LoopFileError(f"{source}: is larger than {_MAX_BYTES // 1024} KiB; expected a goal of a few pages")
    loop = _loop(text, report)
    report.raise_any()
    assert loop is not None
    return LoopFile(loop, source, text, digest_of(loop))


def with_loop(file: LoopFile, loop: Loop) -> LoopFile:
    """The same file with another loop in its place (what the command line changed), and that loop's digest."""
    return LoopFile(loop, file.source, file.text, digest_of(loop))


def digest_of(loop: Loop) -> str:
    return hashlib.sha256(rfc8785.dumps(msgspec.to_builtins(loop))).hexdigest()


def _loop(text: str, report: Report) -> Loop | None:
    """`None` when the report has problems."""
    try:
        front = split(text, report)
        if not front.goal:
            say = "the goal below the front matter is empty; say there in plain words what to reach"
            report.add(front.goal_line, "", say)
        loop = loop_of(LOOP.read(front.root, "", report), front.goal)
    except Refused:
        return None
    _check_rungs(loop, front, report)
    _check_evaluate(loop, front, report)
    return loop


def _check_rungs(loop: Loop, front: Front, report: Report) -> None:
    act = next(entry.value for entry in front.root.entries if entry.key == "act")
    assert isinstance(act, Listing)
    for number, (rung, node) in enumerate(zip(loop.act, act.items, strict=True)):
        if isinstance(rung, RepairRung) and loop.evaluate.tests is None:
            report.add(node.line, f"act[{number}].repair", "repairs what tests show; expected 'evaluate.tests'")


def _check_evaluate(loop: Loop, front: Front, report: Report) -> None:
    evaluate = loop.evaluate
    line = next(entry.line for entry in front.root.entries if entry.key == "evaluate")
    if evaluate.holdout is not None and evaluate.tests is None and evaluate.guard is None:
        report.add(line, "evaluate.holdout", "holds tests out; expected 'evaluate.tests' or 'evaluate.guard' beside it")
    metric = evaluate.metric
    if metric is not None:
        names = [metric.name, *(bound.name for bound in metric.bounds)]
        if len(set(names)) < len(names):
            report.add(
                line, "evaluate.metric.bounds", "names a number twice, or the metric itself; expected other numbers"
            )


def _loops_in(folder: Path) -> str | None:
    try:
        return next((str(path) for path in sorted(folder.glob("*.md"))), None)
    except OSError:
        return None


def _near(path: Path) -> str | None:
    """The loop file beside a path that is not there that was probably meant, the ending left out included."""
    try:
        names = sorted(file.name for file in path.parent.glob("*.md"))
    except OSError:
        return None
    near = nearest(path.name, names) or nearest(f"{path.name}.md", names)
    return str(path.parent / near) if near else None


def _hint(meant: str | None) -> str:
    return f"; did you mean {meant!r}?" if meant else ""
