"""Which changes a judge is shown: as many defects as harmless edits, of all kinds, the same for the same tree and the same seed.

A change that no test notices may be no defect at all. So where the repository has tests, mutants are run, and those that a test fails on
come first: what they are is proved. All of it is made in the user's own code, for that is what the judge will have to read.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from loopwright.errors import UsageError
from loopwright.evaluate.review.seeds.defects import defects, made_defect
from loopwright.evaluate.review.seeds.harmless import harmless, made_harmless
from loopwright.evaluate.review.seeds.source import Draft, Seed, Source, parse_source
from loopwright.kernel.loop import Loop, TestsSource
from loopwright.kernel.values import Change
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["Seeded", "Tests", "change_of", "measure_tests", "seed_changes"]

_MOST_FILES = 60
_TRIALS_EACH = 3
"""How many mutants are run, at most, for each proved defect that is wanted."""
_LEAST_LIMIT_S = 10
_SLOWDOWN = 10
_TESTS = ("test_*.py", "*_test.py", "tests.py", "conftest.py", "tests/", "test/", "testing/")
_D = TypeVar("_D", bound=Draft)


@dataclass(frozen=True, slots=True)
class Seeded:
    """`proved`: a test of the repository fails on it."""

    seed: Seed
    defect: bool
    proved: bool


@dataclass(frozen=True, slots=True)
class Tests:
    """The loop's tests and what they said of the tree as it is."""

    __test__ = False

    source: TestsSource
    report: SuiteReport

    @property
    def usable(self) -> bool:
        """Whether they can tell a defect from none: something passes that could fail."""
        return self.report.status == "green" or bool(self.report.ids("passed"))

    @property
    def files(self) -> tuple[str, ...]:
        """The files that its tests stand in, where their ids say so; some may not exist."""
        named = {case.id.partition("::")[0] for case in self.report.cases}
        dotted = {name.replace(".", "/") for name in named if "/" not in name and not name.endswith(".py")}
        folders = itertools.chain.from_iterable(_openings(name) for name in dotted)
        return tuple(sorted({name for name in named if name.endswith(".py")} | {f"{folder}.py" for folder in folders}))


async def measure_tests(loop: Loop, tree: str, shop: Workshop) -> Tests | None:
    """The loop's tests, run once on the tree; `None` for a loop without tests. Raises: `UsageError`, `SandboxError`."""
    source = loop.evaluate.tests or loop.evaluate.guard
    if source is None:
        return None
    shop.progress(f"running {source.run}")
    with shop.workspace.checkout(tree, "calibrate") as candidate:
        report = await run_suite(source, candidate, shop)
    limit_s = shop.timeout_s if source.timeout_s is None else source.timeout_s
    usual_s = max(_LEAST_LIMIT_S, _SLOWDOWN * -(-report.wall_ms // 1000))
    return Tests(msgspec.structs.replace(source, timeout_s=min(limit_s, usual_s)), report)


async def seed_changes(
    loop: Loop, tree: str, tests: Tests | None, shop: Workshop, *, number: int, seed: int
) -> tuple[Seeded, ...]:
    """Up to `number` defects and as many harmless changes as there are defects, shuffled; fewer where the code offers fewer.

    Raises: `UsageError` for a tree without Python code to seed into.
    """
    chance = random.Random(seed)  # noqa: S311  not for secrets
    sources = _sources(loop, tree, shop, chance)
    found = await _defects(_mixed((d for s in sources for d in defects(s)), chance), tests, tree, shop, number)
    safe = _first(_mixed((d for s in sources for d in harmless(s)), chance), made_harmless, len(found))
    if not found or not safe:
        raise UsageError(
            "review calibrate: nothing to seed into; expected Python functions that the loop may write, outside its tests: "
            "look at permit.write and evaluate.protect"
        )
    chosen = [*found, *(Seeded(made, defect=False, proved=False) for made in safe)]
    chance.shuffle(chosen)
    return tuple(chosen)


def change_of(seed: Seed, shop: Workshop) -> Change:
    return Change(seed.path, "100644", shop.blobs.put(seed.content, exact=True))


def _openings(dotted: str) -> Iterator[str]:
    """A unittest id has the class and the method behind its module."""
    parts = dotted.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1))


def _sources(loop: Loop, tree: str, shop: Workshop, chance: random.Random) -> list[Source]:
    write = loop.permit.write
    paths = [
        path
        for path in shop.workspace.paths(tree)
        if path.endswith(".py")
        and not matches(path, (*_TESTS, *loop.evaluate.protect))
        and (not write or matches(path, write))
    ]
    chance.shuffle(paths)
    read = ((path, shop.workspace.read(tree, path)) for path in paths)
    # A script may be executable, and a change of its mode would show in the diff.
    parsed = (parse_source(path, data) for path, data in read if data is not None and not data.startswith(b"#!"))
    return list(itertools.islice((source for source in parsed if source is not None), _MOST_FILES))


def _mixed(drafts: Iterable[_D], chance: random.Random) -> Iterator[_D]:
    """One of each kind in turn, so that the commonest kind of place does not crowd out the others."""
    kinds: dict[str, list[_D]] = {}
    for draft in drafts:
        kinds.setdefault(draft.kind, []).append(draft)
    for group in kinds.values():
        chance.shuffle(group)
    for row in itertools.zip_longest(*(kinds[kind] for kind in sorted(kinds))):
        yield from (draft for draft in row if draft is not None)


def _first(drafts: Iterable[_D], make: Callable[[_D], Seed | None], number: int) -> list[Seed]:
    made = (make(draft) for draft in drafts)
    return list(itertools.islice((seed for seed in made if seed is not None), number))


async def _defects(
    drafts: Iterable[Draft], tests: Tests | None, tree: str, shop: Workshop, number: int
) -> list[Seeded]:
    if tests is None or not tests.usable:
        return [Seeded(s, defect=True, proved=False) for s in _first(drafts, made_defect, number)]
    waiting = _first(drafts, made_defect, _TRIALS_EACH * number)
    proved: list[Seed] = []
    survived: list[Seed] = []
    while waiting and len(proved) < number:
        # Never more at once than are still wanted: which ones are chosen must not depend on how many jobs there are.
        wave, waiting = waiting[: number - len(proved)], waiting[number - len(proved) :]
        shop.progress(f"{len(proved)} of {number} defects proved by the tests")
        for seed, killed in zip(wave, await _killed(wave, tests, tree, shop), strict=True):
            (proved if killed else survived).append(seed)
    rest = survived[: number - len(proved)]
    return [
        *(Seeded(s, defect=True, proved=True) for s in proved),
        *(Seeded(s, defect=True, proved=False) for s in rest),
    ]


async def _killed(seeds: Sequence[Seed], tests: Tests, tree: str, shop: Workshop) -> list[bool]:
    slots = asyncio.Semaphore(max(1, shop.jobs))

    async def one(seed: Seed) -> bool:
        async with slots:
            with shop.workspace.checkout(tree, "calibrate") as candidate:
                candidate.apply((change_of(seed, shop),), shop.blobs)
                report = await run_suite(tests.source, candidate, shop)
        if not tests.report.cases:
            return report.status != "green"
        return bool(tests.report.ids("passed") - report.ids("passed"))

    return await asyncio.gather(*(one(seed) for seed in seeds))
