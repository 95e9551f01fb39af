"""`loopwright serve`, the process: one service a repository, signals, the log. What the service does is in `engine/service.py`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loopwright.errors import RunBusy

if TYPE_CHECKING:
    import asyncio

    from loopwright.engine.log import ServiceLog
    from loopwright.engine.site import Site
    from loopwright.engine.triggers.overview import LoopRow

__all__ = ["DRAIN_S", "RUNS_AT_ONCE", "TICK_S", "loop_rows", "only_service", "serve", "serve_command"]

TICK_S: Final = 1.0
DRAIN_S: Final = 30.0
RUNS_AT_ONCE: Final = 2
INTERRUPTED: Final = 130


async def serve(
    site: "Site",
    loops_dir: Path,
    *,
    runs_at_once: int = RUNS_AT_ONCE,
    tick_s: float = TICK_S,
    drain_s: float = DRAIN_S,
    log: "ServiceLog",
    stop: "asyncio.Event",
    hurry: "asyncio.Event | None" = None,
) -> None:
    """The service of the site's repository, until `stop` is set and its runs are drained; `hurry` cuts the draining short.

    Raises: `RunBusy` naming the process when another service is on.
    """
    import asyncio

    from loopwright.engine import runs
    from loopwright.engine.audit import checkpoint_or_say
    from loopwright.engine.log import Line
    from loopwright.engine.report import write_run_report
    from loopwright.engine.service import Service, ServiceParts, run_service
    from loopwright.engine.site import new_run_id
    from loopwright.kernel import events as ev
    from loopwright.kernel.schedule import commit_of, ticket_of
    from loopwright.loopfile import LoopFile

    def begin(loop_file: LoopFile, fired: ev.TriggerFired) -> None:
        options = runs.StartOptions(
            trigger=fired.trigger, ticket=ticket_of(fired), base=commit_of(fired), run_id=fired.run_id
        )
        runs.start(site, loop_file, options)

    unsigned: set[str] = set()

    def say_unsigned(why: str) -> None:
        if why not in unsigned:
            unsigned.add(why)
            log.say(Line(site.now_ms(), "fault", why))

    def report(run_id: str) -> None:
        write_run_report(site, run_id)
        checkpoint_or_say(site, say_unsigned)

    with only_service(site.runtime_dir):
        service = Service(
            ServiceParts(
                journal=site.journal,
                repository=site.repository,
                loops_dir=loops_dir,
                now_ms=site.now_ms,
                new_id=new_run_id,
                begin=begin,
                make_driver=lambda run_id: runs.driver_for(site, run_id, attended=False),
                log=log,
                runs_at_once=runs_at_once,
                report=report,
            )
        )
        log.say(Line(site.now_ms(), "service", f"serving {loops_dir}, {runs_at_once} runs at once, pid {os.getpid()}"))
        await run_service(service, tick_s=tick_s, drain_s=drain_s, stop=stop, hurry=hurry or asyncio.Event())
        log.say(Line(site.now_ms(), "service", "ended"))


def loop_rows(site: "Site", loops_dir: Path) -> "tuple[LoopRow, ...]":
    """The loops of a folder with their triggers, next moment, last run and problems; the files that do not read come last."""
    from loopwright.engine.triggers import overview

    return overview.loop_rows(site.journal, loops_dir, site.now_ms())


@contextlib.contextmanager
def only_service(runtime_dir: Path) -> Iterator[None]:
    """Hold `serve.lock`; it falls with the process, however it ends. Raises: `RunBusy`."""
    from loopwright.journal.lock import file_lease

    runtime_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lease(runtime_dir, "serve"))
        except RunBusy:
            raise RunBusy(
                f"service of {str(runtime_dir.parent)!r}: already on as {_holder(runtime_dir)}; "
                "one is enough, stop that one first"
            ) from None
        yield


def _holder(runtime_dir: Path) -> str:
    try:
        return (runtime_dir / "serve.lock").read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"


def serve_command(
    directory: Path,
    *,
    runs_at_once: int = RUNS_AT_ONCE,
    tick_s: float = TICK_S,
    drain_s: float = DRAIN_S,
    unsandboxed: bool = False,
    json_lines: bool = False,
) -> int:
    """`loopwright serve` in `directory`: SIGTERM and SIGINT drain, a second one ends at once.

    Returns 0 after a drained end, also when what was left of it was cancelled after `drain_s`; 130 after a second signal.

    Log lines go to standard output. Raises: `UsageError`, `RunBusy`, `JournalError`, `SandboxError`.
    """
    import asyncio
    import signal
    import sys

    from loopwright.engine.log import JsonLog, PlainLog
    from loopwright.engine.site import open_site, prove_isolation

    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    prove_isolation(site)
    log: ServiceLog = JsonLog(sys.stdout) if json_lines else PlainLog(sys.stdout)

    async def until_signalled() -> int:
        stop, hurry = asyncio.Event(), asyncio.Event()
        events = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            events.add_signal_handler(number, lambda: hurry.set() if stop.is_set() else stop.set())
        await serve(
            site,
            site.repository.root / "loops",
            runs_at_once=runs_at_once,
            tick_s=tick_s,
            drain_s=drain_s,
            log=log,
            stop=stop,
            hurry=hurry,
        )
        return INTERRUPTED if hurry.is_set() else 0

    try:
        return asyncio.run(until_signalled())
    finally:
        site.sandbox.close()
        site.journal.close()
