"""What the injection suites say of the policy: `python bench/injection.py [SUITE.toml …]`. Exit 1 when a bar is missed.

Every figure is a count of simulated runs without a model, so two calls print the same but for the time.
"""

import sys
import time
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.policy.plan import draft_plan
from loopwright.testing.injection.load import parse_suite, shipped_suites
from loopwright.testing.injection.report import Figures, Part, SuiteRun, bars, figures, run_suite
from loopwright.testing.injection.suite import Suite

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
    missed = False
    for sentence, met in bars(total):
        missed |= not met
        print(f"{'ok  ' if met else 'MISS'}  {sentence}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
