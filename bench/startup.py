"""What it costs to start: `loopwright --help` and `import loopwright` beside an interpreter that does nothing.

The three are run in turn, round after round, so that a busy machine slows all of them alike; medians are compared. The bars are
ratios, and for `--help` also the quarter of a second after which a person notices that he waits.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    argv: tuple[str, ...]
    bar: float | None = None
    """The largest ratio to the first case that is acceptable; `None` = only shown."""
    bar_ms: float | None = None


CASES = (
    Case("python -c pass", (sys.executable, "-c", "pass")),
    Case("import loopwright", (sys.executable, "-c", "import loopwright"), bar=2.0),
    Case("loopwright --help", (str(Path(sys.executable).with_name("loopwright")), "--help"), bar=20.0, bar_ms=250.0),
)


def once_ms(argv: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {case.name: [] for case in CASES}
    for number in range(rounds + 1):
        for case in CASES:
            spent = once_ms(case.argv)
            # The first round fills the page cache and writes bytecode.
            if number:
                times[case.name].append(spent)
    base = statistics.median(times[CASES[0].name])
    failed = False
    print(f"{'':<20}{'median ms':>10}{'ratio':>8}{'bar':>8}")
    for case in CASES:
        median = statistics.median(times[case.name])
        ratio = median / base
        missed = (case.bar is not None and ratio > case.bar) or (case.bar_ms is not None and median > case.bar_ms)
        failed |= missed
        bar = "" if case.bar is None else f"≤ {case.bar:g}"
        bar_ms = "" if case.bar_ms is None else f"< {case.bar_ms:g} ms"
        print(f"{case.name:<20}{median:>10.1f}{ratio:>8.2f}{bar:>8}{bar_ms:>12}{'  MISSED' if missed else ''}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
