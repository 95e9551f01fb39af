"""What was measured of the judges of a repository, in `.loopwright/judges/`: one file for each judge as it is now.

A judge is its command and the files of the repository that the command names: another prompt or another script is another judge, whose
rates nobody knows yet.
"""

import contextlib
import hashlib
import json
import os
import posixpath
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from loopwright.errors import LoopwrightError
from loopwright.evaluate.review.rates import Rates
from loopwright.kernel.loop import Review
from loopwright.kernel.values import Spend, Value

__all__ = ["VERSION", "Calibration", "ReadFile", "ShownCase", "judge_digest", "load_rates", "save_calibration"]

VERSION = 1
_FOLDER = "judges"
_MAX_BYTES = 16 << 20

ReadFile = Callable[[str], bytes | None]
"""A file of the repository by its path there; `None` when there is none."""


class ShownCase(Value, frozen=True):
    """One change that the judge was shown. `said` is `None` where it gave no answer; then `problem` says why. `proved`: a test of the
    repository fails on it."""

    kind: str
    path: str
    line: int
    defect: bool
    proved: bool
    said: str | None
    problem: str = ""


class Calibration(Value, frozen=True):
    """`digest` is the judge's, `tree` what the changes were seeded into, `seed` what chose them; `cases` in the order shown."""

    version: int
    judge: str
    digest: str
    tree: str
    seed: int
    calibrated_at_ms: int
    rates: Rates
    spend: Spend
    cases: tuple[ShownCase, ...]


def judge_digest(review: Review, read: ReadFile) -> str:
    """SHA-256 (hex) over the judge's command or model and the files of the repository that the command names."""
    parts: list[tuple[str, str]] = []
    try:
        words = shlex.split(review.run or "")
    except ValueError:
        words = (review.run or "").split()
    for word in words:
        path = posixpath.normpath(word)
        if path.startswith(("/", "../")) or path in {".", ".."} or "\0" in path:
            continue
        data = read(path)
        if data is not None:
            parts.append((path, hashlib.sha256(data).hexdigest()))
    said = json.dumps([VERSION, review.run, review.model, parts], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def save_calibration(runtime_dir: Path, calibration: Calibration) -> Path:
    """Where it now lies; whoever reads meanwhile gets the old or the new one, whole. Raises: `LoopwrightError`."""
    target = _place(runtime_dir, calibration.digest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=".new-", dir=target.parent)
        try:
            with open(fd, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(calibration), indent=1))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise LoopwrightError(
            f"calibration {str(target)!r} cannot be written: {error.strerror}; expected a folder of ours with room in it"
        ) from error
    return target


def load_rates(runtime_dir: Path, review: Review, read: ReadFile | None = None) -> Rates | None:
    """What a calibration measured of this very judge; `None` where there is none that this version can read.

    `read` gives the judge's files as they are asked, those of the run's base; by default as they lie in the work tree beside
    `runtime_dir`.
    """
    digest = judge_digest(review, read or _of_work_tree(runtime_dir.parent))
    try:
        with _place(runtime_dir, digest).open("rb") as file:
            found = msgspec.json.decode(file.read(_MAX_BYTES), type=Calibration)
    except (OSError, msgspec.DecodeError):
        return None
    return found.rates if (found.version, found.digest) == (VERSION, digest) else None


def _place(runtime_dir: Path, digest: str) -> Path:
    return runtime_dir / _FOLDER / f"{digest}.json"


def _of_work_tree(root: Path) -> ReadFile:
    def read(path: str) -> bytes | None:
        place = root / path
        try:
            # As git keeps it: a link is its target.
            return os.fsencode(os.readlink(place)) if place.is_symlink() else place.read_bytes()
        except (OSError, ValueError):
            return None

    return read
