"""Measures how often a judge is wrong, on changes of which it is known what they are.

The judge is asked exactly as in a run, with one difference: the files of the tests are hidden. In a run a proposal comes to the judge
only after its tests passed; were they there, a judge that only runs them again would catch every seeded defect and look perfect, and
would be of no use at all.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from loopwright.errors import ActionError, UsageError
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.review.ask import Heard, ask
from loopwright.evaluate.review.judges import VERSION, Calibration, ShownCase, judge_digest
from loopwright.evaluate.review.rates import Rates
from loopwright.evaluate.review.seeding import Seeded, Tests, change_of, measure_tests, seed_changes
from loopwright.kernel.loop import Loop, Review
from loopwright.kernel.values import Observation, Proposal, Spend
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["MOST_DEFECTS", "calibrate", "rates_of"]

MOST_DEFECTS = 500


async def calibrate(
    loop: Loop, review: Review, tree: str, shop: Workshop, *, defects: int = 20, seed: int = 0
) -> Calibration:
    """What `review` said of up to `defects` defects and as many harmless changes, seeded into `tree` and shown in a shuffled order.

    The same tree, seed and number give the same changes in the same order. Nothing is written to the repository.
    Raises: `UsageError` for code without a place to seed into, `ActionError` for a judge that gave no answer at all,
    `SandboxError`.
    """
    if review.run is None:
        raise UsageError(
            "review calibrate: evaluate.review names a model; only a command can be calibrated yet: use `run`"
        )
    if not 1 <= defects <= MOST_DEFECTS:
        raise UsageError(f"review calibrate: --defects expects 1 to {MOST_DEFECTS}, found {defects}")
    tests = await measure_tests(loop, tree, shop)
    shown = await seed_changes(loop, tree, tests, shop, number=defects, seed=seed)
    heard = await _hear(loop, review, review.run, tree, tests, shown, shop)
    cases = tuple(
        ShownCase(
            kind=case.seed.kind,
            path=case.seed.path,
            line=case.seed.line,
            defect=case.defect,
            proved=case.proved,
            said=None if said.answer is None else said.answer.verdict,
            problem=said.problem,
        )
        for case, said in zip(shown, heard, strict=True)
    )
    if all(case.said is None for case in cases):
        raise ActionError(
            f"review calibrate: the judge {review.run!r} never answered: it {cases[0].problem}",
            signature="review calibrate: no answer",
        )
    return Calibration(
        version=VERSION,
        judge=review.run,
        digest=judge_digest(review, lambda path: shop.workspace.read(tree, path)),
        tree=tree,
        seed=seed,
        calibrated_at_ms=shop.now_ms(),
        rates=rates_of(cases),
        spend=_total(heard),
        cases=cases,
    )


def rates_of(cases: Sequence[ShownCase]) -> Rates:
    """A defect that is not objected to is missed, whatever else was said of it; only an objection is a false alarm."""
    bad = [case for case in cases if case.defect]
    good = [case for case in cases if not case.defect]
    return Rates(
        defects=len(bad),
        missed=sum(case.said != "object" for case in bad),
        harmless=len(good),
        alarms=sum(case.said == "object" for case in good),
        unsure=sum(case.said == "unsure" for case in cases),
        unanswered=sum(case.said is None for case in cases),
        proved=sum(case.proved for case in bad),
    )


async def _hear(
    loop: Loop,
    review: Review,
    command: str,
    tree: str,
    tests: Tests | None,
    shown: Sequence[Seeded],
    shop: Workshop,
) -> list[Heard]:
    timeout_s = shop.timeout_s if review.timeout_s is None else min(review.timeout_s, shop.timeout_s)
    seen = () if tests is None else (_observation(tests, shop),)
    hidden = _hidden(tests, tree, shop)
    slots = asyncio.Semaphore(max(1, shop.jobs))
    done = 0

    async def one(number: int, case: Seeded) -> Heard:
        nonlocal done
        change = change_of(case.seed, shop)
        # Nothing in it says which kind of case it is.
        proposal = Proposal(f"p{number}", "command", "a change", "", (change,), f"p{number}", family="none")
        async with slots:
            heard = await ask(
                command, JudgeRequest(tree, tree, loop, proposal, seen), shop, timeout_s=timeout_s, hidden=hidden
            )
        done += 1
        shop.progress(f"{done} of {len(shown)} changes judged")
        return heard

    return await asyncio.gather(*(one(number, case) for number, case in enumerate(shown, 1)))


def _hidden(tests: Tests | None, tree: str, shop: Workshop) -> tuple[str, ...]:
    if tests is None:
        return ()
    named = frozenset(tests.files)
    return tuple(p for p in shop.workspace.paths(tree) if p in named or matches(p, ("test_*.py", "*_test.py")))


def _observation(tests: Tests, shop: Workshop) -> Observation:
    """What the judge would be shown of the head in a run."""
    report = tests.report
    return Observation(
        id="calibrate",
        source=f"tests: {tests.source.run}",
        taken_at_ms=shop.now_ms(),
        content=shop.blobs.put(msgspec.json.encode(report), "application/json"),
        trust="untrusted",
        summary=f"{len(report.ids('passed'))} of {len(report.cases)} tests pass" if report.cases else report.status,
        goal_met=report.status == "green",
    )


def _total(heard: Sequence[Heard]) -> Spend:
    total = Spend()
    for one in heard:
        total = total.plus(one.spend)
    return total
