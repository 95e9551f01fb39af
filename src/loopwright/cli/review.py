"""`loopwright review calibrate`: how often a loop's judges are wrong, measured on changes of which it is known what they are."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Jobs, Json, Unsandboxed, loop_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopwright.engine.site import Site
    from loopwright.evaluate.review.judges import Calibration
    from loopwright.kernel.loop import Loop, Review
    from loopwright.workspace.workshop import Workshop

__all__ = ["calibrate", "register"]

_LINE_CHARS = 78


def register(app: typer.Typer) -> None:
    review = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The judges of a loop: how good are they?")
    review.command("calibrate")(calibrate)
    review.callback()(_review)
    app.add_typer(review, name="review")


def _review() -> None:
    """The judges of a loop: how good are they?"""


def calibrate(
    file: Annotated[Path, typer.Argument(metavar="LOOP.md", help="The loop file; relative to here, else to DIR.")],
    directory: Directory = Path(),
    defects: Annotated[
        int, typer.Option("--defects", metavar="N", min=1, help="Defects shown, and as many harmless changes.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another one chooses other changes.")] = 0,
    jobs: Jobs = None,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Show each judge seeded defects and harmless changes of your own code; its error rates then stand beside its verdicts."""
    import asyncio
    import os

    from loopwright import loopfile
    from loopwright.engine.site import open_site, prove_isolation

    loop = loopfile.read(loop_path(file, directory)).loop
    reviews = _commands(loop, str(file))
    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    live = not as_json and sys.stderr.isatty()
    try:
        prove_isolation(site)
        shop = _workshop(site, loop, jobs, _progress(live=live))
        found = asyncio.run(_calibrate_all(site, loop, reviews, shop, defects=defects, seed=seed))
    finally:
        if live:
            _status("")
        site.sandbox.close()
        site.journal.close()
    if as_json:
        from loopwright.cli.console import emit

        emit({"judges": [_shown(one) for one in found], "exit_code": 0, "stop_reason": "calibrated"})
        return
    for one in found:
        _print(one)


def _commands(loop: "Loop", source: str) -> "tuple[Review, ...]":
    from loopwright.errors import UsageError

    reviews = tuple(review for review in loop.evaluate.review or () if review.run is not None)
    if not reviews:
        raise UsageError(
            f"{source}: nothing to calibrate; expected a judge that is a command: `evaluate: {{review: {{run: …}}}}`"
        )
    return reviews


async def _calibrate_all(
    site: "Site", loop: "Loop", reviews: "tuple[Review, ...]", shop: "Workshop", *, defects: int, seed: int
) -> "list[Calibration]":
    from loopwright.evaluate.review.calibrate import calibrate
    from loopwright.evaluate.review.judges import save_calibration

    tree = site.repository.tree_of(site.repository.head)
    found: list[Calibration] = []
    for review in reviews:
        found.append(await calibrate(loop, review, tree, shop, defects=defects, seed=seed))
        save_calibration(site.runtime_dir, found[-1])
    return found


def _workshop(site: "Site", loop: "Loop", jobs: int | None, progress: "Callable[[str], None]") -> "Workshop":
    import os

    from loopwright.engine.site import new_run_id
    from loopwright.workspace.git_workspace import GitWorkspace
    from loopwright.workspace.workshop import Workshop

    sandbox = site.sandbox
    return Workshop(
        run_id=f"calibrate-{new_run_id()}",
        action_id="calibrate",
        workspace=GitWorkspace(
            site.repository, site.runtime_dir, overlay=sandbox.overlays, uid=sandbox.uid, release=sandbox.release
        ),
        sandbox=sandbox,
        blobs=site.journal.blobs,
        jobs=jobs or os.cpu_count() or 1,
        timeout_s=loop.action_timeout_s,
        seed=0,
        now_ms=site.now_ms,
        progress=progress,
    )


# --- what is shown --------------------------------------------------------------------------------------------------------------
def _progress(*, live: bool) -> "Callable[[str], None]":
    """A status line on a terminal; nothing in a pipe."""
    return _status if live else lambda line: None


def _status(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line[:_LINE_CHARS]}")
    sys.stderr.flush()


def _shown(found: "Calibration") -> dict[str, object]:
    rates = found.rates
    return {
        "judge": found.judge,
        "digest": found.digest,
        "rates": rates,
        "misses": rates.misses,
        "false_alarms": rates.false_alarms,
        "youden": rates.youden,
        "says_nothing": rates.says_nothing,
        "says_little": rates.says_little,
        "spend": found.spend,
        "cases": found.cases,
    }


def _print(found: "Calibration") -> None:
    from loopwright.cli.console import say, table
    from loopwright.evaluate.review.rates import rates_in_words
    from loopwright.views.text import one_line, usd

    rates = found.rates
    say(f"judge    {one_line(found.judge, 200)}")
    say(f"shown    {rates.defects} defects ({rates.proved} proved by the tests), {rates.harmless} harmless changes")
    if found.spend.usd_micros or found.spend.tokens:
        say(f"cost     {usd(found.spend.usd_micros)}, {found.spend.tokens} tokens, as the judge says")
    say()
    table(
        [
            ("misses", f"{rates.missed} of {rates.defects}", _percent(rates.misses.low, rates.misses.high)),
            (
                "false alarms",
                f"{rates.alarms} of {rates.harmless}",
                _percent(rates.false_alarms.low, rates.false_alarms.high),
            ),
            ("not sure", f"{rates.unsure} of {len(found.cases)}", ""),
            ("no answer", f"{rates.unanswered} of {len(found.cases)}", ""),
        ],
        ("", "COUNTED", "95 % INTERVAL"),
    )
    say()
    table(_by_kind(found), ("KIND", "SHOWN", "WRONG"))
    say()
    say(f"beside its verdicts stands: {rates_in_words(rates)}")
    if rates.says_nothing:
        say("it does not tell a defect from a harmless change: its word is worth nothing here")
    elif rates.says_little:
        say("chance alone may explain what it told apart; show it more: --defects N")


def _by_kind(found: "Calibration") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for defect in (True, False):
        kinds = sorted({case.kind for case in found.cases if case.defect == defect})
        for kind in kinds:
            cases = [case for case in found.cases if (case.kind, case.defect) == (kind, defect)]
            wrong = sum((case.said == "object") != defect for case in cases)
            rows.append((f"{'defect' if defect else 'harmless'}: {kind}", str(len(cases)), str(wrong)))
    return rows


def _percent(low: float, high: float) -> str:
    return f"{low:.0%} to {high:.0%}"
