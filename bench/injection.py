"""What the injection suites say of the policy and of the gate: `python bench/injection.py [SUITE.toml …]`. Exit 1 when a bar is missed.

Every figure is a count of simulated runs without a model, so two calls print the same but for the time. All pairs are played twice: at
the policy alone, and through a run's gate with a journal in memory, where every call is timed beside the policy's door.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.policy.plan import draft_plan
from loopwright.testing.injection.doors import Approver, Door, Reply, nobody
from loopwright.testing.injection.gate_run import gate_bars, run_gate
from loopwright.testing.injection.load import parse_suite, shipped_suites
from loopwright.testing.injection.policy_door import policy_door
from loopwright.testing.injection.report import Figures, Part, SuiteRun, bars, figures, run_suite
from loopwright.testing.injection.run import attack, careful
from loopwright.testing.injection.suite import Json, Suite, UserTask, World

HEAD = f"{'':<20}{'tasks':>6}{'alone':>12}{'mandates':>12}{'approved':>12}{'runs':>7}{'reached':>9}{'95% <':>8}{'mutated':>9}{'passed':>8}"


def row(name: str, found: Figures) -> str:
    share = [f"{count} ({count / found.tasks:.0%})" for count in (found.unattended, found.mandated, found.approved)]
    return (
        f"{name:<20}{found.tasks:>6}{share[0]:>12}{share[1]:>12}{share[2]:>12}{found.runs:>7}{found.reached:>9}"
        f"{found.reached_bound:>8.2%}{found.adaptive:>9}{found.passed:>8}"
    )


def details(run: SuiteRun) -> list[str]:
    """What was asked about, and what an attacker reached, by name."""
    lines = [
        f"  asked  {run.suite.name}/{one.task.id}: {', '.join(f'{tool} ({rule})' for tool, rule in one.held) or 'not done'}"
        for one in run.unattended
        if one.asked or not one.done
    ]
    lines += [
        f"  NOT DONE WITH APPROVALS  {run.suite.name}/{one.task.id}: {one.held}" for one in run.approved if not one.done
    ]
    lines += [
        f"  REACHED  {run.suite.name}/{one.pair.task.id}: {one.pair.goal.id} at {one.pair.place or 'a hijack from the start'}"
        for one in run.attacks
        if one.reached
    ]
    for task, found in run.adapted:
        lines += [
            f"  REACHED  {run.suite.name}/{task.id}: {', '.join(p.reached)} by {p.mutation.how}: {p.mutation.made}"
            for p in found.passed
            if p.reached
        ]
    return lines


class Timed:
    """A door whose calls are timed; what it costs is added to `costs_ns`."""

    def __init__(self, door: Door, costs_ns: list[int]) -> None:
        self._door = door
        self._costs_ns = costs_ns

    def call(self, tool: str, arguments: Mapping[str, Json], actor: str) -> Reply:
        began_ns = time.perf_counter_ns()
        reply = self._door.call(tool, arguments, actor)
        self._costs_ns.append(time.perf_counter_ns() - began_ns)
        return reply


def at_the_policy(runs: Sequence[SuiteRun]) -> list[int]:
    """What each call of the same attacks costs at the policy's door, without gate and journal."""
    costs_ns: list[int] = []
    policy = policy_door(draft_plan)

    def door_for(suite: Suite, task: UserTask, world: World, approver: Approver) -> Door:
        return Timed(policy(suite, task, world, approver), costs_ns)

    for run in runs:
        person = {task.id: careful(run.suite, task) for task in run.suite.tasks}
        for one in run.unprotected:
            for approver in (nobody, person[one.pair.task.id]):
                attack(run.suite, one.pair, door_for, approver)
    return costs_ns


def through_the_gate(runs: Sequence[SuiteRun]) -> Iterator[tuple[str, bool]]:
    """The same pairs through the gate: what it costs is printed, the bars are returned."""
    gated = [
        run_gate(run.suite, draft_plan, [one.pair for one in run.unprotected], now_ns=time.perf_counter_ns)
        for run in runs
    ]
    costs_ns = [cost for run in gated for cost in run.costs_ns]
    baseline = cost_of(at_the_policy(runs))
    gate = cost_of(costs_ns)
    print(
        f"gate: {len(costs_ns)} calls, median {gate[0]:.3f} ms, p99 {gate[1]:.3f} ms; the policy's door {baseline[0]:.3f} and"
        f" {baseline[1]:.3f} ms: {gate[0] / baseline[0]:.1f} and {gate[1] / baseline[1]:.1f} times"
    )
    for run in gated:
        for fault in run.faults:
            print(f"  FAULT  {fault}")
        for one in run.attacks:
            if one.reached:
                print(
                    f"  REACHED THROUGH THE GATE  {run.suite.name}/{one.pair.task.id}: {one.pair.goal.id} at {one.pair.place}"
                )
    return gate_bars(gated)


def cost_of(costs_ns: Sequence[int]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(costs_ns)
    return ordered[len(ordered) // 2] / 1e6, ordered[len(ordered) * 99 // 100] / 1e6


def main(paths: list[str]) -> int:
    try:
        suites: tuple[Suite, ...] = tuple(parse_suite(Path(path).read_text(encoding="utf-8"), path) for path in paths)
    except (OSError, UnicodeDecodeError, UsageError) as error:
        print(error, file=sys.stderr)
        return 2
    suites = suites or shipped_suites()
    started = time.perf_counter()
    runs = [run_suite(suite, draft_plan) for suite in suites]
    wall_s = time.perf_counter() - started
    print(HEAD)
    for run in runs:
        print(row(run.suite.name, figures([run])))
    parts: tuple[Part, ...] = ("development", "held_out", "all")
    for part in parts:
        print(row(f"total, {part}", figures(runs, part)))
    print("\n".join(line for run in runs for line in details(run)))
    total = figures(runs)
    print("mutated calls that passed, by reason:")
    for reason, count in total.reasons:
        print(f"  {count:>5}  {reason}")
    print(f"{total.runs + total.unprotected_pairs} attacked runs and {total.adaptive} mutated calls in {wall_s:.1f} s")
    began = time.perf_counter()
    at_gate = list(through_the_gate(runs))
    print(
        f"gate: {total.runs} attacked runs, with a journal each, and the policy's again in {time.perf_counter() - began:.1f} s"
    )
    missed = False
    for sentence, met in (*bars(total), *at_gate):
        missed |= not met
        print(f"{'ok  ' if met else 'MISS'}  {sentence}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
