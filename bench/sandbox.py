"""What the sandbox costs: a command in one that waits beside a plain spawn, and a candidate of a large repository made ready.

All cases are run in turn, round after round, so that a busy machine slows them alike; medians are compared. The candidate is a copy on
write of 20,000 files: its folders made, two edits written, mounted, and /bin/true run in it, in a sandbox that did not wait for it.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.handover import hand_over
from loopwright.sandbox.identity import sandbox_uid
from loopwright.sandbox.protocol import ExecResult, ExecSpec, Overlay

PROGRAM = "/bin/true"
FILES = 20_000
A_FOLDER = 100
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    measured_ms: float
    bar_ms: float
    ratio: float
    """To a plain spawn."""


async def plain() -> None:
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
    )
    await process.communicate()


async def timed_ms(call: Callable[[], Awaitable[object]]) -> float:
    started_s = time.perf_counter()
    await call()
    return (time.perf_counter() - started_s) * 1000


def make_repository(at: Path) -> None:
    for number in range(FILES):
        folder = at / f"d{number // A_FOLDER}"
        if number % A_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"f{number}.py").write_text(f"x = {number}\n")


async def in_candidate(sandbox: BubblewrapSandbox, lower: Path, home: Path) -> ExecResult:
    upper, work, tree = home / "upper", home / "work", home / "tree"
    for folder in (home, upper, work, tree):
        os.mkdir(folder)
    for number in (0, FILES - 1):
        place = upper / f"d{number // A_FOLDER}"
        place.mkdir()
        (place / f"f{number}.py").write_text("x = 'edited'\n")
    overlay = Overlay(tree, lower, upper, work)
    return await sandbox.run(ExecSpec((PROGRAM,), tree, 60.0, "bench/2", overlays=(overlay,)))


async def measure(rounds: int, scratch: Path) -> list[Bar]:
    uid = sandbox_uid(os.environ)
    sandbox = BubblewrapSandbox(scratch / "homes", "/usr/bin:/bin", uid=uid)
    lower, here = scratch / "lower", scratch / "here"
    here.mkdir()
    make_repository(lower)
    hand_over([lower], uid)
    spec = ExecSpec((PROGRAM,), here, 60.0, "bench/1", writable=(here,))
    spawned: list[float] = []
    pooled: list[float] = []
    ready: list[float] = []
    try:
        for turn in range(rounds + WARM_UP):
            home = scratch / f"c{turn}"
            times = (
                await timed_ms(plain),
                await timed_ms(lambda: sandbox.run(spec)),
                await timed_ms(lambda at=home: in_candidate(sandbox, lower, at)),  # type: ignore[misc]
            )
            sandbox.release(home)
            if turn >= WARM_UP:
                for column, spent in zip((spawned, pooled, ready), times, strict=True):
                    column.append(spent)
    finally:
        sandbox.close()
    base, warm, candidate = (statistics.median(column) for column in (spawned, pooled, ready))
    print(
        f"plain spawn {base:.2f} ms, in a sandbox that waits {warm:.2f} ms, a candidate ready {candidate:.2f} ms; {rounds} rounds"
    )
    return [
        Bar("added to a command", warm - base, 5.0, warm / base),
        Bar("candidate ready", candidate, 25.0, candidate / base),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        bars = asyncio.run(measure(rounds, Path(folder)))
    print(f"{'':<20}{'median ms':>10}{'bar ms':>8}{'ratio':>8}")
    for bar in bars:
        verdict = "ok" if bar.measured_ms <= bar.bar_ms else "MISS"
        print(f"{bar.name:<20}{bar.measured_ms:>10.2f}{bar.bar_ms:>8.0f}{bar.ratio:>8.1f}  {verdict}")
    return int(any(bar.measured_ms > bar.bar_ms for bar in bars))


if __name__ == "__main__":
    raise SystemExit(main())
