"""What the plain sandbox adds to a bare asyncio spawn: medians of interleaved runs, one JSON object on standard output.

python bench/spawn.py [ROUNDS]
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import ExecSpec, Limits

PROGRAM = "/bin/true"


async def bare() -> None:
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


async def measure(rounds: int, home: Path) -> dict[str, float]:
    sandbox = PlainSandbox(home, "/usr/bin:/bin")
    spec = ExecSpec((PROGRAM,), home, 60.0, "bench/1", limits=Limits(cpu_s=60, memory_bytes=4 << 30))
    bare_ms: list[float] = []
    plain_ms: list[float] = []
    for turn in range(rounds + 5):
        one, two = await timed_ms(bare), await timed_ms(lambda: sandbox.run(spec))
        if turn >= 5:  # the first ones warm caches
            bare_ms.append(one)
            plain_ms.append(two)
    base, ours = statistics.median(bare_ms), statistics.median(plain_ms)
    return {
        "rounds": rounds,
        "bare_asyncio_ms": round(base, 2),
        "plain_sandbox_ms": round(ours, 2),
        "added_ms": round(ours - base, 2),
        "ratio": round(ours / base, 2),
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(rounds, Path(folder)))))


if __name__ == "__main__":
    main()
