"""Drive a run in the foreground: live progress, Ctrl-C pauses, the report is written, the exit code says how it ended."""

import asyncio
import signal
from pathlib import Path

import msgspec
import typer

from loopwright.cli.console import emit, note, say
from loopwright.cli.live import watcher
from loopwright.engine.audit import checkpoint_or_say
from loopwright.engine.report import write_run_report
from loopwright.engine.runs import driver_for, load, notes, request
from loopwright.engine.site import Site
from loopwright.kernel import events as ev
from loopwright.kernel.state import State
from loopwright.kernel.values import Value
from loopwright.tools.approvals.absent import expire_or_deny
from loopwright.views.text import one_line

__all__ = ["RunResult", "drive_to_end"]

PAUSED = 3
INTERRUPTED = 130


class RunResult(Value, frozen=True):
    """What `--json` prints of a run. `usd` is exact, as text; `report` and `commit` are `None` when there is none."""

    run: str
    stop_reason: str
    exit_code: int
    summary: str
    branch: str | None
    commit: str | None
    iterations: int
    kept: int
    usd: str
    tokens: int
    report: str | None
    sandbox: str


def drive_to_end(site: Site, run_id: str, *, as_json: bool, unattended: bool = False) -> None:
    """Returns only by `typer.Exit` with the run's exit code. With `unattended` a question is answered as the loop declares, since
    nobody is there to do it; one that expired is closed, since nobody can approve it any more. Raises: `RunBusy`, `StaleWriter`,
    `JournalError`."""
    expire_or_deny(site.journal, run_id, now_ms=site.now_ms, attended=True)
    state, interrupted = asyncio.run(_drive(site, run_id, as_json=as_json, attended=not unattended))
    while unattended and state.asks and not interrupted and state.loop.unattended == "deny":
        for ask in state.asks:
            why = "nobody is there, and the loop says: unattended: deny"
            request(site, run_id, ev.Answered(ask.ask_id, "deny", "unattended", why))
        state, interrupted = asyncio.run(_drive(site, run_id, as_json=as_json, attended=not unattended))
    report = write_run_report(site, run_id)
    checkpoint_or_say(site, note)
    result = _result(site, run_id, state, report, interrupted=interrupted)
    if as_json:
        emit(result)
    else:
        _tell(state, result)
    raise typer.Exit(result.exit_code)


async def _drive(site: Site, run_id: str, *, as_json: bool, attended: bool) -> tuple[State, bool]:
    interrupts = 0
    with watcher(silent=as_json) as watching:
        watching.remember(load(site, run_id).proposals)
        driver = driver_for(site, run_id, watching.event, watching.progress, attended=attended)

        def interrupt() -> None:
            nonlocal interrupts
            interrupts += 1
            if interrupts > 1:
                # A second Ctrl-C: at once. The journal has every step; what is in flight is an orphan that `resume` reconciles.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                signal.raise_signal(signal.SIGINT)
            note("pausing: what is in flight is ended and will be done anew (Ctrl-C again: at once)")
            driver.pause("interrupted from the keyboard", "person")

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        try:
            return await driver.drive(), interrupts > 0
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _result(site: Site, run_id: str, state: State, report: Path | None, *, interrupted: bool) -> RunResult:
    reason, code, summary = "paused", PAUSED, state.paused or ""
    if state.finished is not None:
        reason, code, summary = state.finished.reason, state.finished.exit_code, state.finished.summary
        if reason == "nothing_to_do" and any("not part of this run" in text for text in notes(site, run_id)):
            # The uncommitted work is what the person was thinking of: a green HEAD does not answer for it.
            reason, code = "uncommitted", 2
            summary += "; but there are uncommitted changes that are not in it: commit them, or add --snapshot"
    elif state.asks:
        reason, summary = "waiting", one_line(state.asks[0].question)
    elif interrupted:
        reason, code = "interrupted", INTERRUPTED
    return RunResult(
        run=run_id,
        stop_reason=reason,
        exit_code=code,
        summary=summary,
        branch=state.branch if state.kept and state.loop.deliver in ("branch", "pull-request") else None,
        commit=state.head_commit if state.kept else None,
        iterations=state.iteration,
        kept=state.kept,
        usd=f"{state.spent.usd_micros / 1_000_000:.6f}",
        tokens=state.spent.tokens,
        report=None if report is None else str(report),
        sandbox=site.sandbox.description,
    )


def _tell(state: State, result: RunResult) -> None:
    run, code = result.run, result.exit_code
    if code == 2:
        note(result.summary)
        return
    mark = "done" if code == 0 else ("paused" if code in (PAUSED, INTERRUPTED) and state.finished is None else "ended")
    say(f"{mark}: {result.summary} ({result.stop_reason})")
    if result.branch is not None:
        say(f"  branch  {result.branch}    git merge --no-ff {result.branch}")
    if state.finished is None and state.asks:
        for ask in state.asks:
            say(f"  asks    {ask.ask_id}: {one_line(ask.question)}")
            say(f"          loopwright approve {run}:{ask.ask_id}   or   loopwright deny {run}:{ask.ask_id}")
    elif state.finished is None:
        say(f"  resume  loopwright resume {run}")
    if result.report is not None:
        say(f"  report  {result.report}")
    spent = msgspec.structs.asdict(state.spent)
    cost = f"${result.usd.rstrip('0').rstrip('.') or '0'}" + (f", {spent['tokens']} tokens" if spent["tokens"] else "")
    say(f"  cost    {cost}    {result.sandbox}")
