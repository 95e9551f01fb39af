"""How many edits a second does repair try, beside a cold `python -m pytest -x` for each?

Run: `.venv/bin/python bench/repair_screen.py [--edits 200] [--cold 10] [--jobs 1]`. Both try the same edits on examples/pricing with
the same failing test; the forked screening's own start-up is counted. Prints one JSON object.
"""

import argparse
import asyncio
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from loopwright.act.repair.edits import Edit
from loopwright.act.repair.localise import localise
from loopwright.act.repair.operators import OPERATORS
from loopwright.act.repair.order import in_order, sites
from loopwright.act.repair.runner import Runner
from loopwright.act.repair.screen import Screening, screen
from loopwright.act.repair.source import Source
from loopwright.act.repair.spectra import Spectra, Tracing, trace
from loopwright.sandbox.plain import PlainSandbox
from loopwright.suite.command import python_env
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.repository import Repository

EXAMPLE = Path(__file__).parent.parent / "examples" / "pricing"
TEST = "tests/test_ticket_001.py::test_shipping_is_paid_when_a_voucher_takes_the_order_below_the_limit"


def cpu_s() -> float:
    """CPU time of this process and of all its ended children: steadier than the clock on a busy machine."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


@dataclass(frozen=True)
class Rate:
    per_s: float
    cpu_ms: float

    @classmethod
    def since(cls, began: float, cpu: float, edits: int) -> "Rate":
        return cls(round(edits / (time.perf_counter() - began), 1), round(1000 * (cpu_s() - cpu) / edits, 1))


def workspace(root: Path) -> tuple[GitWorkspace, str]:
    """The example as a repository of its own, and its tree."""
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = root / path.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for args in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "base")):
        subprocess.run(["git", *identity, *args], cwd=root, check=True)
    repository = Repository.find(root)
    return GitWorkspace(repository, root / ".loopwright"), repository.tree_of(repository.head)


def cold(edits: list[tuple[int, Edit]], checkout: Path, sources: dict[str, Source]) -> Rate:
    env = {**python_env(str(checkout), has_src=True), "PATH": "/usr/bin:/bin"}
    began, cpu = time.perf_counter(), cpu_s()
    for _, edit in edits:
        file = checkout / edit.path
        file.write_bytes(edit.apply(sources[edit.path].data))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", TEST]
        subprocess.run(command, cwd=checkout, env=env, capture_output=True, timeout=60, check=False)
        file.write_bytes(sources[edit.path].data)
    return Rate.since(began, cpu, len(edits))


async def forked(
    edits: list[tuple[int, Edit]],
    jobs: tuple[Candidate, ...],
    sources: dict[str, Source],
    spectra: Spectra,
    sandbox: PlainSandbox,
) -> Rate:
    screening = Screening(
        runner=Runner((sys.executable,), ("-q",), {}),
        wanted=(TEST,),
        modules=spectra.modules,
        files=(*sources, "tests/test_ticket_001.py", "tests/conftest.py"),
        jobs=jobs,
        sandbox=sandbox,
        action_id="bench/1",
        seconds_left=lambda: 600.0,
        lookahead=len(edits),
        patience=len(edits),
        early=not sources.keys().isdisjoint(spectra.configured),
    )
    began, cpu = time.perf_counter(), cpu_s()
    found, _ = await screen(screening, iter(edits), {p: s.data for p, s in sources.items()}, lambda _: None)
    return Rate.since(began, cpu, len(found))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--cold", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        sandbox = PlainSandbox(Path(root, "homes"), "/usr/bin:/bin")
        trusted, tree = workspace(Path(root, "repository"))
        traced = trusted.checkout(tree, "trace")
        runner = Runner((sys.executable,), ("-q",), {})
        began = time.perf_counter()
        spectra = await trace(Tracing((TEST,), (), 60), runner, traced, sandbox, "bench/1")
        trace_s = time.perf_counter() - began
        assert spectra is not None
        sources = {
            path: Source(path, (EXAMPLE / path).read_bytes()) for path in spectra.imported if path.startswith("src/")
        }
        suspicions = localise(spectra, [TEST], lambda path: path in sources)
        order = enumerate(in_order(sites(sources, suspicions), OPERATORS))
        edits = list(itertools.islice(order, wish.edits))
        jobs = tuple(trusted.checkout(tree, f"job{n}") for n in range(wish.jobs))
        warm_rate = await forked(edits, jobs, sources, spectra, sandbox)
        cold_rate = cold(edits[: wish.cold], traced.path, sources)
    print(
        json.dumps(
            {
                "edits": len(edits),
                "jobs": wish.jobs,
                "trace_s": round(trace_s, 2),
                "forked_per_s": warm_rate.per_s,
                "cold_per_s": cold_rate.per_s,
                "forked_cpu_ms": warm_rate.cpu_ms,
                "cold_cpu_ms": cold_rate.cpu_ms,
                "cpu_ratio": round(cold_rate.cpu_ms / warm_rate.cpu_ms, 1),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
