"""`report.md`. Everything that was written by somebody else goes through `markup`."""

from collections.abc import Iterator
from typing import Final

from loopwright.keep.facts import CALLS_SHOWN, Attempt, Facts
from loopwright.keep.markup import code, fenced, prose
from loopwright.keep.measured import measured_rows, measured_sentences
from loopwright.suite.report import SuiteReport, TestCase
from loopwright.views.describe import duration
from loopwright.views.text import short_id, usd

__all__ = ["render_markdown"]

_CASES: Final = 30
"""Tests listed by name; the count is always whole."""


def render_markdown(facts: Facts) -> str:
    """The whole report."""
    return "\n".join(_lines(facts)).rstrip("\n") + "\n"


def _lines(facts: Facts) -> Iterator[str]:
    view = facts.view
    yield f"# Run {code(view.run_id)} of loop {code(view.loop)}\n"
    yield f"**{facts.headline}**\n"
    if view.summary:
        yield f"{prose(view.summary)}\n"
    if view.sandboxed is False:
        yield f"**{facts.isolation}**\n"
    yield from _asked(facts)
    yield from _measured(facts)
    yield from _changed(facts)
    yield from _evidence(facts)
    yield from _tried(facts)
    yield from _cost(facts)
    yield from _called(facts)
    yield from _isolation(facts)
    yield "## What you can do now\n"
    for label, command in facts.commands:
        yield f"- {label}: {code(command)}"
    yield ""


def _asked(facts: Facts) -> Iterator[str]:
    view = facts.view
    yield "## What was asked\n"
    yield fenced(view.goal or "(no goal was written)")
    if view.ticket:
        yield f"- Ticket: {code(view.ticket)}"
    yield f"- Started by {prose(view.trigger) if view.trigger else 'nobody yet'}, from commit {code(short_id(view.base_commit))}"
    if view.forked_from:
        yield f"- Forked from run {code(view.forked_from)} at event {view.forked_at_seq}"
    for note in view.notes:
        yield f"- Note: {prose(note)}"
    for ask in view.asks:
        yield f"- Open question {code(ask.ask_id)}: {prose(ask.question)}"
    yield ""


def _changed(facts: Facts) -> Iterator[str]:
    yield "## What was changed, and why\n"
    if not facts.kept:
        yield "Nothing was kept, so there is no branch. Your files are as they were.\n"
        return
    yield f"The result is on branch {code(facts.view.branch)}. Your checkout and your current branch are untouched.\n"
    for place in facts.places:
        yield f"- Delivered: {code(place)}"
    yield ""
    for attempt in facts.kept:
        proposal = attempt.proposal
        yield f"### Iteration {attempt.iteration}: {prose(proposal.title)}\n"
        yield f"Commit {code(short_id(proposal.commit or ''))}, proposed by {code(proposal.rung)}.\n"
        yield f"- Kept because: {prose(proposal.why)}"
        if proposal.rationale:
            yield f"- The proposer's reason: {prose(proposal.rationale)}"
        for verdict in proposal.verdicts:
            if verdict.summary in proposal.why:
                continue  # said already
            yield f"- {code(verdict.verifier)}: {verdict.status}, {prose(verdict.summary)}"
        yield ""
        yield _diff(attempt)


def _diff(attempt: Attempt) -> str:
    if not attempt.diff:
        files = ", ".join(code(path) for path in attempt.proposal.files) or "nothing"
        return f"The diff is not stored; it changes {files}.\n"
    more = f"\n{attempt.cut_lines} more lines are left out here.\n" if attempt.cut_lines else ""
    return fenced(attempt.diff, "diff") + more


def _measured(facts: Facts) -> Iterator[str]:
    """Nothing for a loop without a metric."""
    if facts.metric is None:
        return
    yield "## What was measured\n"
    claim, *rest = measured_sentences(facts.metric)
    yield f"**{prose(claim)}**\n"
    yield from (f"- {prose(sentence)}" for sentence in rest)
    yield ""
    yield f"| state | {code(facts.metric.metric.name)} | fresh runs | held out |"
    yield "|---|---:|---:|---:|"
    for row in measured_rows(facts):
        yield f"| {_cell(row.state)} | {row.value} | {row.runs} | {row.holdout} |"
    yield ""


def _cell(text: str) -> str:
    """A title may hold what ends a cell."""
    return prose(text).replace("|", "\\|")


def _evidence(facts: Facts) -> Iterator[str]:
    tests = facts.tests
    if not facts.evidence:
        return
    yield "## Evidence\n"
    if tests.before is None and tests.after is None:
        yield "No test report was recorded.\n"
    else:
        yield "| tests | passed | failed | errors | skipped | outcome | time |"
        yield "|---|---:|---:|---:|---:|---|---:|"
        yield _counts("before", tests.before)
        yield _counts("after" if facts.kept else "at the end", tests.after)
        yield ""
    yield from _cases("Fixed", tests.fixed)
    yield from _cases("Broken", tests.broken)
    yield from _cases("Failing at the end", tests.failing)
    if tests.flaky:
        yield f"Flaky (failed and then passed on the same files): {', '.join(map(code, tests.flaky[:_CASES]))}\n"
    for label, seen in (("First seen", facts.view.baseline), ("Last seen", facts.view.observed)):
        for observation in seen:
            yield f"- {label} by {code(observation.source)}: {prose(observation.summary)}"
    yield ""


def _counts(label: str, report: SuiteReport | None) -> str:
    if report is None:
        return f"| {label} | | | | | not known | |"
    numbers = (sum(c.status == status for c in report.cases) for status in ("passed", "failed", "error", "skipped"))
    return f"| {label} | {' | '.join(map(str, numbers))} | {report.status} | {duration(report.wall_ms)} |"


def _cases(label: str, cases: tuple[TestCase, ...]) -> Iterator[str]:
    if cases:
        yield f"{label}: {len(cases)}\n"
        for case in cases[:_CASES]:
            yield f"- {code(case.id)}" + (f": {prose(case.message)}" if case.message else "")
        if len(cases) > _CASES:
            yield f"- and {len(cases) - _CASES} more"
        yield ""


def _tried(facts: Facts) -> Iterator[str]:
    yield "## What else was tried\n"
    if not facts.not_kept:
        yield "Nothing else was proposed.\n"
    for attempt in facts.not_kept:
        status = attempt.status or "not judged"
        why = prose(attempt.proposal.why) if attempt.proposal.why else "not decided yet"
        yield f"- Iteration {attempt.iteration}, {status}: {prose(attempt.proposal.title)}: {why}"
    for iteration in facts.view.iterations:
        if iteration.summary:
            yield f"- Iteration {iteration.number}, the search: {prose(iteration.summary)}"
        for failure in iteration.failures:
            about = f" ({prose(failure.subject)})" if failure.subject else ""
            yield f"- Iteration {iteration.number}, {failure.beat}{about} ended with {failure.status}: {prose(failure.message)}"
    yield ""
    if facts.plausible:
        yield "### Other proposals that passed\n"
        yield "Every verifier passed these too. If the kept one is not what you meant, look here.\n"
        for attempt in facts.plausible:
            yield f"#### {prose(attempt.proposal.title)}\n"
            yield _diff(attempt)


def _cost(facts: Facts) -> Iterator[str]:
    yield "## What it cost\n"
    yield "| | used | limit |"
    yield "|---|---:|---:|"
    for label, used, limit in facts.limits:
        yield f"| {label} | {used} | {limit} |"
    yield ""
    own, inherited = facts.cost.own, facts.cost.inherited
    if facts.view.forked_from:
        iterations = f"{inherited.iterations} iteration{'s' if inherited.iterations != 1 else ''}"
        yield (
            f"Of that, {usd(inherited.usd_micros)}, {inherited.tokens:,} tokens and {iterations} were spent by the run it was "
            f"forked from, {usd(own.usd_micros)} and {own.tokens:,} tokens by this one.\n"
        )
    for line in facts.cost.by_beat:
        extra = f", {usd(line.usd_micros)}, {line.tokens:,} tokens" if line.usd_micros or line.tokens else ""
        yield f"- {line.name}: {line.actions} action{'s' if line.actions != 1 else ''}, {duration(line.wall_ms)}{extra}"
    t = facts.trajectory
    if t.actions:
        yield f"- {t.wasted_steps} of {t.actions} actions did not lead to what was kept"
    yield ""


def _called(facts: Facts) -> Iterator[str]:
    """Nothing where nothing was asked for: most loops call no tool."""
    calls = facts.view.calls
    if not calls:
        return
    yield "## What it called\n"
    yield "| call | tool | decided | by rule | ended |"
    yield "|---|---|---|---|---|"
    for call in calls[:CALLS_SHOWN]:
        cells = (call.call_id, call.tool, call.verdict, call.rule, call.status or "not done")
        yield f"| {' | '.join(code(cell) for cell in cells)} |"
    if len(calls) > CALLS_SHOWN:
        yield f"\nAnd {len(calls) - CALLS_SHOWN} more; `loopwright log {facts.view.run_id}` has them all."
    yield f"\n`loopwright policy explain {facts.view.run_id} SEQ` says why.\n"


def _isolation(facts: Facts) -> Iterator[str]:
    yield "## How it was isolated\n"
    yield f"{facts.isolation}\n"
    for sandbox in facts.view.sandboxes:
        yield f"- {prose(sandbox)}"
    for salvaged in facts.view.salvaged:
        yield f"- Saved before it would have been overwritten: {code(salvaged)}"
    yield ""
