"""What can be done with a run: start, drive, ask it something, fork it, name it."""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from loopwright import __version__
from loopwright.engine.boundary import POLICY_FILE, read_policy
from loopwright.engine.drive import Driver
from loopwright.engine.perform import SitePerformer
from loopwright.engine.permit import ungranted
from loopwright.engine.site import Site, new_run_id
from loopwright.engine.standing import is_run
from loopwright.errors import NotAvailableYet, RunBusy, StaleWriter, UsageError
from loopwright.evaluate.review.family import not_independent
from loopwright.journal.protocol import Head
from loopwright.kernel import events as ev
from loopwright.kernel.fold import apply, fold
from loopwright.kernel.state import State
from loopwright.kernel.values import Budget
from loopwright.loopfile import LoopFile, not_available
from loopwright.workspace.survey import is_cache

__all__ = [
    "StartOptions",
    "drive",
    "driver_for",
    "fork",
    "is_driven",
    "load",
    "notes",
    "plan_start",
    "request",
    "resolve",
    "run_heads",
    "start",
]

REQUEST_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class StartOptions:
    """`budget` narrows the loop's; it can never widen it. `snapshot`: the base is the work tree as it is. `base`: the base is this
    commit; without either it is HEAD."""

    trigger: str = "hand"
    ticket: str | None = None
    jobs: int | None = None
    budget: Budget = Budget()
    seed: int = 0
    snapshot: bool = False
    base: str | None = None
    run_id: str | None = None


def plan_start(site: Site, loop_file: LoopFile, options: StartOptions, run_id: str) -> ev.RunStarted:
    """The first event of a run, without writing anything to the journal.

    Raises: `NotAvailableYet` naming what this version cannot perform, `UsageError`, also for a policy file that cannot be used.
    """
    missing = not_available(loop_file.loop)
    if missing:
        raise NotAvailableYet(f"{loop_file.source}: " + "; ".join(missing))
    if why := not_independent(loop_file.loop):
        raise UsageError(f"{loop_file.source}: {why}")
    repository = site.repository
    policy = read_policy(site.repository.root)
    dirty = tuple(path for path in repository.uncommitted() if not is_cache(path))
    told = (*repository.notes, *ungranted(policy, loop_file.loop, POLICY_FILE))
    if options.snapshot and dirty:
        base = repository.snapshot_commit(f"loopwright: snapshot of {len(dirty)} uncommitted changes", site.now_ms())
        commit, tree = base.commit, base.tree
        told = (
            *told,
            f"the base is a snapshot of the work tree with {_paths(dirty)} uncommitted",
        )
    else:
        commit = repository.resolve(options.base or "HEAD")
        tree = repository.tree_of(commit)
        if dirty and options.base is None:
            told = (
                *told,
                f"{_paths(dirty)} uncommitted: not part of this run, its base is {commit[:10]}",
            )
    loop = loop_file.loop
    narrowed = msgspec.structs.replace(loop, budget=loop.budget.narrowed(options.budget))
    return ev.RunStarted(
        loop=narrowed,
        loop_digest=loop_file.digest,
        base_commit=commit,
        base_tree=tree,
        branch=f"loopwright/{loop.name}/{run_id}",
        jobs=options.jobs or os.cpu_count() or 1,
        trigger=options.trigger,
        ticket=options.ticket,
        notes=told,
        seed=options.seed,
        version=__version__,
    )


def start(site: Site, loop_file: LoopFile, options: StartOptions) -> str:
    """Begin a run in the journal and return its id; nothing is performed yet. Raises as `plan_start`."""
    run_id = options.run_id or new_run_id()
    site.journal.append(run_id, [plan_start(site, loop_file, options, run_id)], expect_seq=0, at_ms=site.now_ms())
    return run_id


def driver_for(
    site: Site,
    run_id: str,
    watch: Callable[[ev.Event], None] = lambda event: None,
    progress: Callable[[str], None] = lambda line: None,
    *,
    attended: bool = True,
) -> Driver:
    """`attended`: somebody is there who can be asked. Raises: `UsageError` for a policy file that cannot be used."""
    return Driver(
        site.journal,
        run_id,
        SitePerformer(site, run_id, progress, policy=read_policy(site.repository.root), attended=attended),
        driver_id=f"{socket.gethostname()}:{os.getpid()}:{new_run_id()}",
        now_ms=site.now_ms,
        watch=watch,
    )


def drive(site: Site, run_id: str) -> State:
    """Drive a run in the foreground without anybody watching. Raises as `Driver.drive`."""
    return asyncio.run(driver_for(site, run_id).drive())


def load(site: Site, run_id: str) -> State:
    """The state of a run as the journal has it. Raises: `UsageError` for an unknown run."""
    state = fold(site.journal.read(run_id))
    if state is None:
        raise UsageError(f"run {run_id!r}: expected one of the journal, found none; `loopwright ls` shows them")
    return state


def notes(site: Site, run_id: str) -> tuple[str, ...]:
    """What was said when the run began."""
    for event in site.journal.read(run_id):
        if isinstance(event.body, ev.RunStarted):
            return event.body.notes
    return ()


def is_driven(site: Site, run_id: str) -> bool:
    """Whether a process drives the run right now."""
    try:
        with site.journal.lease(run_id):
            return False
    except RunBusy:
        return True


def request(site: Site, run_id: str, body: ev.Body) -> State:
    """Append what a person asks of a run, beside the driver that may be writing to it; returns the state after it.

    Raises: `IllegalTransition` when the run's phase does not allow it, `StaleWriter` when the run writes without a break.
    """
    for attempt in range(REQUEST_ATTEMPTS):
        state = load(site, run_id)
        at_ms = max(site.now_ms(), state.last_at_ms)
        after = apply(state, body, at_ms)
        try:
            site.journal.append(run_id, [body], expect_seq=state.seq, at_ms=at_ms)
        except StaleWriter:
            if attempt == REQUEST_ATTEMPTS - 1:
                raise
            continue
        return after
    raise AssertionError("unreachable: the last attempt returns or raises")


def fork(site: Site, run_id: str, at_seq: int, *, budget: Budget | None = None, by: str = "person") -> str:
    """A new run that continues `run_id` as it was after event `at_seq`; the parent is not touched.

    The copied prefix makes the fork self-contained: it can be replayed, verified and rebuilt without its parent.
    Raises: `UsageError` for a seq that the run does not have.
    """
    events = list(site.journal.read(run_id))
    if not events:
        raise UsageError(f"run {run_id!r}: expected one of the journal, found none; `loopwright ls` shows them")
    if not 1 <= at_seq <= events[-1].seq:
        raise UsageError(f"run {run_id}: --at expects an event between 1 and {events[-1].seq}, found {at_seq}")
    if isinstance(events[at_seq - 1].body, ev.RunFinished):
        at_seq -= 1
    prefix = events[:at_seq]
    state = fold(prefix)
    assert state is not None
    fork_id = new_run_id()
    branch = f"loopwright/{state.loop.name}/{fork_id}"
    bodies: list[ev.Body] = [event.body for event in prefix]
    times = [event.at_ms for event in prefix]
    now_ms = max(site.now_ms(), state.last_at_ms)
    bodies.append(ev.RunForked(run_id, at_seq, prefix[-1].digest, branch))
    times.append(now_ms)
    if budget is not None:
        bodies.append(ev.LimitsChanged(by, budget))
        times.append(now_ms)
    site.journal.append(fork_id, bodies, expect_seq=0, at_ms=times)
    return fork_id


def run_heads(site: Site) -> list[Head]:
    """The runs of the journal, oldest first."""
    return [head for head in site.journal.heads() if is_run(head.run_id)]


def resolve(site: Site, name: str) -> str:
    """A run's id from an id, a unique prefix of one, or `last`. Raises: `UsageError`."""
    ids = [head.run_id for head in run_heads(site)]
    if not ids:
        raise UsageError(f"run {name!r}: there are no runs yet in {site.repository.root}; `loopwright fix` begins one")
    if name == "last":
        return ids[-1]
    found = [run_id for run_id in ids if run_id.startswith(name)]
    if name in found:
        return name
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:5])
        raise UsageError(f"run {name!r}: expected a unique prefix, found {len(found)} runs ({shown}); add characters")
    raise UsageError(f"run {name!r}: no such run; `loopwright ls` shows the {len(ids)} there are")


def _paths(paths: tuple[str, ...]) -> str:
    shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    return f"{shown} {'is' if len(paths) == 1 else 'are'}"
