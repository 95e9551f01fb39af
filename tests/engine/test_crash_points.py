"""Kill a real run at every append, resume it, and find that nothing was lost and nothing was done twice."""

import asyncio
import dataclasses
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loopwright import loopfile
from loopwright.engine import runs
from loopwright.engine.replay import replay_run
from loopwright.engine.site import Site, open_site
from loopwright.kernel import events as ev
from loopwright.kernel.values import KeepProposal
from loopwright.testing.crash import CrashingJournal
from support.stores import Store
from support.two_faults import UNSANDBOXED, copy_repository, make_repair_repository, make_repository

TESTS = Path(__file__).parents[1]


def site_at(repository: Path, url: str | None) -> Site:
    return open_site(
        repository, {"PATH": os.environ["PATH"], **UNSANDBOXED, **({"LOOPWRIGHT_JOURNAL": url} if url else {})}
    )


def drive(site: Site, run_id: str) -> ev.RunFinished:
    state = asyncio.run(runs.driver_for(site, run_id).drive())
    assert state.finished is not None
    return state.finished


def git(repository: Path, *argv: str) -> str:
    return subprocess.run(["git", "-C", str(repository), *argv], check=True, capture_output=True, text=True).stdout


def check_nothing_lost_or_doubled(site: Site, place: Path, run_id: str, tree: str, *, keeps: int = 2) -> None:
    """The judgement of every crash test, on what the run left behind."""
    events = list(site.journal.read(run_id))
    bodies = [event.body for event in events]
    finished = bodies[-1]
    assert isinstance(finished, ev.RunFinished)
    assert (finished.reason, finished.exit_code) == ("goal", 0)

    result = replay_run(site, run_id)
    assert result.chain.ok, result.chain.message
    assert result.proof is not None
    assert result.proof.difference is None
    assert result.head == result.rebuilt

    # No event that was acknowledged is missing or changed.
    stored = {event.seq: event.digest for event in events}
    for line in (place / "acknowledged.log").read_text().splitlines():
        seq, digest = line.split()
        assert stored[int(seq)] == digest

    # Every intent has exactly one outcome.
    intended = [b.action.id for b in bodies if isinstance(b, ev.ActionIntended)]
    ended = [b.action_id for b in bodies if hasattr(b, "action_id")]
    assert len(set(intended)) == len(intended)
    assert sorted(ended) == sorted(intended)

    # The world: no call of the proposer twice under one action, one commit a kept iteration, the kept tree.
    if (place / "propose.py").exists():
        calls = (place / "proposed.log").read_text().split()
        assert len(set(calls)) == len(calls)
    repository = site.repository.root
    kept = [b for b in bodies if isinstance(b, ev.Kept)]
    branch = f"loopwright/fix/{run_id}"
    assert git(repository, "log", "--format=%H", f"main..{branch}").split() == [b.commit for b in reversed(kept)]
    assert len(kept) == keeps
    assert git(repository, "rev-parse", f"{branch}^{{tree}}").strip() == tree
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "branch", "--show-current").strip() == "main"
    assert git(repository, "for-each-ref", "refs/loopwright/salvage") == ""

    # Nothing of an interrupted candidate is in the way of the next.
    works = [
        b.action.work for b in bodies if isinstance(b, ev.ActionIntended) and isinstance(b.action.work, KeepProposal)
    ]
    assert {work.iteration for work in works} == {b.iteration for b in kept}


def campaign(template: Path, root: Path, url: str | None, first: int, last: int) -> list[dict[str, object]]:
    """Run crash points `first..last`, before and after the commit each, in a process of their own."""
    argv: Sequence[str] = (
        sys.executable,
        "-m",
        "support.crash_child",
        str(template),
        str(root),
        url or "",
        str(first),
        str(last),
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), "HOME": str(root), **UNSANDBOXED}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=TESTS, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def kill_at_every_append(store: Store, tmp_path: Path, template: Path, *, keeps: int, spare: int) -> None:
    calm = tmp_path / "calm"
    repository = copy_repository(template, calm)
    site = site_at(repository, store.url)
    counting = CrashingJournal(site.journal, None, "after")
    counted = dataclasses.replace(site, journal=counting)
    run_id = runs.start(counted, loopfile.read(calm / "loop.md"), runs.StartOptions(jobs=2))
    assert drive(counted, run_id).reason == "goal"
    tree = runs.load(site, run_id).head_tree
    appends = counting.appends
    assert appends >= 8
    site.journal.close()

    points = campaign(template, tmp_path / "crashes", store.url, 1, appends)
    assert len(points) == 2 * appends
    # Two verdicts that arrive at the same moment share a commit: then the last crash point of that run is past its end.
    unharmed = [point for point in points if point["killed"] == 0]
    assert len(unharmed) <= spare, unharmed
    for point in points:
        assert point["killed"] in (-9, 0), point
        assert point["resumed"] == 0, point
        place = tmp_path / "crashes" / str(point["name"])
        site = site_at(place / "repo", store.url)
        check_nothing_lost_or_doubled(site, place, str(point["run_id"]), tree, keeps=keeps)
        site.journal.close()


def test_a_run_killed_at_any_append_ends_as_if_nothing_had_happened(store: Store, tmp_path: Path) -> None:
    template = tmp_path / "template"
    make_repository(template)
    kill_at_every_append(store, tmp_path, template, keeps=2, spare=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_repair_with_pytest_killed_at_any_append_ends_as_if_nothing_had_happened(
    store: Store, tmp_path: Path
) -> None:
    """The main job itself: search, screening, pytest. The quick one above has every beat, this one has the real parts of each."""
    template = tmp_path / "template"
    make_repair_repository(template)
    kill_at_every_append(store, tmp_path, template, keeps=1, spare=2)


@pytest.mark.parametrize("seed", [20, 26])
def test_a_run_killed_at_random_times_again_and_again_ends_as_if_nothing_had_happened(
    store: Store, tmp_path: Path, seed: int
) -> None:
    """The command line itself, killed ten times a seed (twenty in all) in the middle of a run, after a random part of a second. A run
    that ended before its kill does not count: the next one begins, until ten were hit."""
    template = tmp_path / "template"
    make_repository(template)
    rng = random.Random(seed)
    hits = 0
    for number in range(40):
        if hits == 10:
            break
        hits += kill_again_and_again(store, template, tmp_path / f"kills{number}", rng, most=10 - hits)
    assert hits == 10


def kill_again_and_again(store: Store, template: Path, place: Path, rng: random.Random, *, most: int) -> int:
    """One run, killed at most `most` times until it is finished, and judged; returns how often it was hit."""
    repository = copy_repository(template, place)
    (place / "acknowledged.log").touch()
    env = {
        "PATH": os.environ["PATH"],
        **UNSANDBOXED,
        "HOME": str(place),
        **({"LOOPWRIGHT_JOURNAL": store.url} if store.url else {}),
    }
    site = site_at(repository, store.url)
    run_id = runs.start(site, loopfile.read(place / "loop.md"), runs.StartOptions(jobs=2))
    main = "from loopwright.cli.main import main; main()"
    resume = [sys.executable, "-c", main, "resume", run_id, "-C", str(repository)]
    hits = 0
    while hits < most and runs.load(site, run_id).finished is None:
        process = subprocess.Popen(resume, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0.2, 1.6))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            hits += runs.load(site, run_id).finished is None
    while runs.load(site, run_id).finished is None:
        done = subprocess.run(resume, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in (0, 3), done.stderr
    check_nothing_lost_or_doubled(site, place, run_id, runs.load(site, run_id).head_tree)
    branch = f"loopwright/fix/{run_id}"
    assert git(repository, "diff", "--name-only", f"main..{branch}").split() == ["three.txt", "two.txt"]
    assert git(repository, "show", f"{branch}:two.txt", f"{branch}:three.txt") == "2\n3\n"
    site.journal.close()
    return hits
