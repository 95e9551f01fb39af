"""What a warm verdict costs beside a cold one, and whether it is the same: `python bench/verify.py`. Exit 1: bar missed.

Speed, on a generated project of 600 tests in 30 modules: edits of one function each, screened warm (bodies swapped; and, for edits of
defaults, forked before the collection), and judged by `python -m pytest -x -q` in a fresh process, and by pytest-testmon. The four take
turns, block after block, so a busy machine slows them alike; CPU time counts, of all processes, ours included, start and end too.

Soundness, on the project of `tests/support/nasty.py`: N candidates (2,000), a third of them for a head that has two failing tests, warm
verdict against the verdict of a cold run in a fresh copy, in two jobs. `unknown` is no verdict: the cold run decides then, and how often
that was is said.
"""

import argparse
import ast
import asyncio
import dataclasses
import itertools
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from loopwright.kernel.loop import TestsSource
from loopwright.suite.command import python_env
from loopwright.suite.warm.warm import WarmSuite
from loopwright.workspace.workshop import Workshop
from support.mutants import Mutant, mutants
from support.nasty import NASTY, RED
from support.warmth import Pair, changes_of, report_of, side_by_side
from support.workshops import make_shop, pytest_source

MODULES, FUNCTIONS = 30, 20
BLOCKS = 5
SWAPS, FORKS, COLD, TESTMON = 60, 6, 3, 3
"""How many candidates of each kind a block has."""
COMMAND = (sys.executable, "-m", "pytest", "-x", "-q")


def project() -> dict[str, str]:
    """600 tests of 600 little functions."""
    files = {"src/pkg/__init__.py": ""}
    for m in range(MODULES):
        functions = [
            f"def f{i}(x, by={i + 2}):\n    if x > {i}:\n        x = x - {i}\n    total = x * by + {m}\n    return total - {i}\n"
            for i in range(FUNCTIONS)
        ]
        tests = [
            f"def test_f{i}():\n    assert m{m}.f{i}({i + 3}) == {3 * (i + 2) + m - i}\n    assert m{m}.f{i}(0) == {m - i}\n"
            for i in range(FUNCTIONS)
        ]
        files[f"src/pkg/m{m}.py"] = "\n\n".join(functions)
        files[f"tests/test_m{m}.py"] = f"from pkg import m{m}\n\n\n" + "\n\n".join(tests)
    return files


def edits(files: dict[str, str], seed: int, *, bodies: bool) -> list[Mutant]:
    """Without end in principle; a constant or an operator of one function changed, in its body or in its defaults."""
    chance = random.Random(seed)
    found: list[Mutant] = []
    while len(found) < BLOCKS * max(SWAPS, COLD, TESTMON):
        path = f"src/pkg/m{chance.randrange(MODULES)}.py"
        text = files[path]
        function = chance.choice([n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)])
        lines = text.splitlines(keepends=True)
        if bodies:
            at = chance.randrange(function.lineno, function.lineno + 4)
            old, new = chance.choice(
                ((" + ", " - "), (" - ", " + "), (" * ", " + "), (" > ", " >= "), (" > ", " < "), ("x = x", "x = 1"))
            )
        else:
            at, old, new = function.lineno - 1, "by=", "by=1 + "
        if old in lines[at]:
            lines[at] = lines[at].replace(old, new, 1)
            found.append(Mutant(f"{path}:{function.name}", {path: "".join(lines)}))
    return found


def cpu_s(*, own: bool = True) -> float:
    """Of all ended children, and of this process."""
    used = [resource.getrusage(resource.RUSAGE_CHILDREN)] + ([resource.getrusage(resource.RUSAGE_SELF)] if own else [])
    return sum(u.ru_utime + u.ru_stime for u in used)


@dataclass
class Cost:
    """Of one way, over all its blocks."""

    candidates: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.candidates

    def row(self, name: str) -> str:
        says = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return f"{name:<34}{self.candidates:>6}{self.cpu_ms:>10.1f}{self.candidates / self.wall_s:>10.1f}   {says}"


class Warm:
    """One warm suite over all blocks: its processes end, and their CPU time is known, when it closes."""

    def __init__(self, suite: WarmSuite, shop: Workshop) -> None:
        self._shop = shop
        self.suite = suite
        self.cost = Cost()

    async def block(self, candidates: Sequence[Mutant]) -> None:
        began, cpu = time.perf_counter(), cpu_s()
        for candidate in candidates:
            seen = await self.suite.screen(changes_of(candidate, self._shop), cold=False)
            self.cost.statuses[f"{seen.status} by {seen.mode}"] += 1
        self.cost.candidates += len(candidates)
        self.cost.wall_s += time.perf_counter() - began
        self.cost.cpu_s += cpu_s() - cpu

    async def close(self) -> None:
        cpu = cpu_s()
        await self.suite.close()
        self.cost.cpu_s += cpu_s() - cpu


class Cold:
    """`COMMAND` with `extra` in a copy of the project, each time from the same state of its data files."""

    def __init__(self, root: Path, files: dict[str, str], *extra: str, env: dict[str, str] | None = None) -> None:
        self._root = root
        self._files = files
        self._extra = extra
        self._env = {**python_env(str(root), has_src=True), "PATH": "/usr/bin:/bin", "HOME": str(root), **(env or {})}
        self._kept = root / "kept"
        self.cost = Cost()
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)

    def prepare(self) -> None:
        """testmon: what the head's tests depend on."""
        assert self._run() == 0
        self._kept.mkdir()
        for file in self._root.glob(".testmondata*"):
            shutil.copy(file, self._kept)

    def block(self, candidates: Sequence[Mutant]) -> None:
        for candidate in candidates:
            for path, text in candidate.files.items():
                assert text is not None
                (self._root / path).write_text(text)
            began, cpu = time.perf_counter(), cpu_s(own=False)
            returncode = self._run()
            self.cost.wall_s += time.perf_counter() - began
            self.cost.cpu_s += cpu_s(own=False) - cpu
            self.cost.candidates += 1
            self.cost.statuses[{0: "pass", 5: "pass", 1: "fail", 2: "fail"}.get(returncode, f"exit {returncode}")] += 1
            for path in candidate.files:
                (self._root / path).write_text(self._files[path])
            if self._kept.is_dir():
                for file in self._root.glob(".testmondata*"):
                    file.unlink()
                for file in self._kept.iterdir():
                    shutil.copy(file, self._root)

    def _run(self) -> int:
        # testmon needs the options of the cache.
        command = (*COMMAND, *(self._extra or ("-p", "no:cacheprovider")))
        return subprocess.run(command, cwd=self._root, env=self._env, capture_output=True, check=False).returncode


async def speed(root: Path) -> list[tuple[str, bool]]:
    files = project()
    shop, tree = make_shop(root / "warm", files, timeout_s=120)
    source = TestsSource(f"{sys.executable} -m pytest -q")
    head = await report_of(tree, source, shop)
    assert head.status == "green", head.output_tail
    bodies, defaults = edits(files, 1, bodies=True), edits(files, 2, bodies=False)
    swaps, forks = Warm(WarmSuite(source, tree, head, shop), shop), Warm(WarmSuite(source, tree, head, shop), shop)
    cold = Cold(root / "cold", files)
    bare = Cold(root / "bare", files, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    testmon = Cold(root / "testmon", files, "--testmon")
    testmon.prepare()
    for block in range(BLOCKS):
        await swaps.block(bodies[block * SWAPS : (block + 1) * SWAPS])
        cold.block(bodies[block * SWAPS : block * SWAPS + COLD])
        await forks.block(defaults[block * FORKS : (block + 1) * FORKS])
        testmon.block(bodies[block * SWAPS : block * SWAPS + TESTMON])
        bare.block(bodies[block * SWAPS : block * SWAPS + COLD])
    for warm in (swaps, forks):
        await warm.close()
    print(f"{'way':<34}{'n':>6}{'CPU ms':>10}{'per s':>10}   verdicts (600 tests in 30 modules)")
    print(swaps.cost.row("warm, bodies swapped"))
    print(forks.cost.row("warm, forked before collection"))
    print(cold.cost.row("cold: python -m pytest -x -q"))
    print(bare.cost.row("cold, no plugins loaded"))
    print(testmon.cost.row("pytest-testmon"))
    ratios = {
        name: cost.cpu_ms / swaps.cost.cpu_ms
        for name, cost in (
            ("cold", cold.cost),
            ("cold without plugins", bare.cost),
            ("testmon", testmon.cost),
            ("forked", forks.cost),
        )
    }
    print(
        "warm, bodies swapped, is cheaper than " + ", ".join(f"{name} {ratio:.1f}x" for name, ratio in ratios.items())
    )
    print(
        f"forked before collection: {cold.cost.cpu_ms / forks.cost.cpu_ms:.1f}x, its start over {forks.cost.candidates} only"
    )
    return [
        (f"warm takes {ratios['cold']:.1f} times less CPU a candidate than cold pytest; bar 15", ratios["cold"] >= 15)
    ]


async def soundness(root: Path, candidates: int, seed: int) -> list[tuple[str, bool]]:
    pairs: list[Pair] = []
    for name, files, share in (("green", NASTY, candidates - candidates // 3), ("red", RED, candidates // 3)):
        shop, tree = make_shop(root / name, files)
        began = time.perf_counter()
        there = len(pairs)

        def note(pair: Pair) -> None:
            pairs.append(pair)
            if pair.differs:
                print(f"  DIFFERS  {told(pair)}", flush=True)
            if len(pairs) % 100 == 0:
                print(f"{len(pairs)} judged, {sum(p.differs for p in pairs)} differ", file=sys.stderr, flush=True)

        await side_by_side(
            itertools.islice(mutants(seed), share),
            tree,
            pytest_source(timeout_s=20),
            dataclasses.replace(shop, jobs=2),
            note,
        )
        new = pairs[there:]
        ways = Counter(f"{p.warm.status} by {p.warm.mode}" for p in new)
        print(f"{name} head, {len(new)} candidates judged both ways in {time.perf_counter() - began:.0f} s:")
        print(f"  warm {dict(sorted(ways.items()))}, cold {dict(sorted(Counter(p.cold for p in new).items()))}")
        for pair in (p for p in new if p.warm.status == "unknown"):
            print(f"  unknown  {told(pair)}")
    differ = sum(p.differs for p in pairs)
    sentence = f"{differ} of {len(pairs)} verdicts differ from the cold run; bar 0"
    return [(sentence, not differ and len(pairs) == candidates)]


def told(pair: Pair) -> str:
    return f"{pair.mutant.name} in {', '.join(pair.mutant.files)}: warm {pair.warm}, cold {pair.cold}"


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["speed", "soundness"])
    wish = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found: list[tuple[str, bool]] = []
    with tempfile.TemporaryDirectory() as root:
        if wish.only != "soundness":
            found += await speed(Path(root, "speed"))
        if wish.only != "speed":
            found += await soundness(Path(root, "soundness"), wish.candidates, wish.seed)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for sentence, met in found:
        print(f"{'ok  ' if met else 'MISS'}  {sentence}")
    return int(not all(met for _, met in found))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
