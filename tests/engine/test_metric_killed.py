"""A metric loop that is killed in the middle of a measurement: a real process, a real SIGKILL, and a world that counts every call.

The command of the metric writes each of its calls into a log outside the repository, and stops for ever in those that the test names:
so the kill falls into a measurement for certain, and what was left hanging is seen to be gone.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from loopwright.kernel import events as ev
from loopwright.kernel.values import Measure
from support.command_line import MAIN, Ended, git, loopwright, repository
from support.evaluating import branch, history, of_kind, untouched
from support.two_faults import UNSANDBOXED

MODEL = "X = 2  # tune: X in [0, 30] int\nY = 1  # tune: Y in [0, 9] int\n"
SCORE = """\
import os
from pathlib import Path
import model
place = Path({place!r})
with open(place / "calls.log", "a") as log:
    log.write(f"{{os.getpid()}} {{model.X}} {{model.Y}}\\n")
call = len((place / "calls.log").read_text().splitlines())
if str(call) in (place / "stuck").read_text().split():
    os.open(place / "never", os.O_RDONLY)  # a pipe that nobody ever writes into
print(f"METRIC loss={{(model.X - 17) ** 2 + 3 * (model.Y - 6) ** 2}}")
"""
ITERATIONS = 8


def project(place: Path, stuck: Sequence[int] = ()) -> Path:
    """A repository at `place/repo` whose metric stops for ever in the calls that `stuck` numbers, from 1 on."""
    place.mkdir(parents=True)
    os.mkfifo(place / "never")
    (place / "calls.log").touch()
    (place / "stuck").write_text(" ".join(map(str, stuck)))
    files = {"model.py": MODEL, "score.py": SCORE.format(place=str(place)), ".gitignore": "__pycache__/\n"}
    return repository(place / "repo", files)


def calls(where: Path) -> list[str]:
    return (where.parent / "calls.log").read_text().splitlines()


def improve(iterations: int = ITERATIONS) -> tuple[str, ...]:
    argv = ("improve", "--run", "python score.py", "--metric", "loss", "--goal", "min", "--edit", "model.py")
    return (*argv, "--max-iterations", str(iterations), "--json")


def verb(where: Path, *argv: str) -> Ended:
    return loopwright(*argv, cwd=where, env=UNSANDBOXED)


def killed_in_call(where: Path, number: int, argv: Sequence[str]) -> int:
    """Runs the command until it hangs in call `number` of the metric, kills it, and returns the process id of that call."""
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": f"{where}-home",
        **UNSANDBOXED,
    }
    process = subprocess.Popen(
        [*MAIN, *argv],
        cwd=where,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while len(calls(where)) < number:
            assert process.poll() is None, f"it ended before call {number}"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return int(calls(where)[number - 1].split()[0])


def measured(events: Sequence[ev.Event]) -> list[tuple[str, str, float | None]]:
    """Each measurement in its order: what it was for, of which tree, and what it said."""
    works = {b.action.id: b.action.work for b in of_kind(events, ev.ActionIntended)}
    found: list[tuple[str, str, float | None]] = []
    for body in of_kind(events, ev.Measured):
        work = works[body.action_id]
        assert isinstance(work, Measure)
        found.append((work.purpose, work.tree, body.sample.value))
    return found


def alive(pid: int) -> bool:
    """Whether the process still runs; one that ended and that nobody waited for does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def model_of(where: Path) -> str:
    return git(where, "show", f"{branch(where)}:model.py")


def offered(events: Sequence[ev.Event]) -> list[tuple[str, str]]:
    """Each proposal with the head that it was made for."""
    head = ""
    found: list[tuple[str, str]] = []
    for event in events:
        match event.body:
            case ev.RunStarted(base_tree=tree) | ev.Kept(tree=tree):
                head = tree
            case ev.Proposed(proposals=proposals):
                found += [(head, p.digest) for p in proposals]
            case _:
                pass
    return found


def run_of(where: Path) -> str:
    """The id of the one run."""
    rows = verb(where, "ls", "--json").json()["runs"]
    assert isinstance(rows, list)
    (row,) = rows
    return str(row["run"])


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same loop, never interrupted."""
    where = project(tmp_path_factory.mktemp("calm") / "place")
    done = verb(where, *improve())
    assert (done.code, done.json()["stop_reason"]) == (4, "iterations"), done
    assert len(calls(where)) == len(measured(history(where, run_of(where))))
    return where


def killed_and_resumed(place: Path, stuck: Sequence[int], calm: Path) -> Path:
    """Killed in each of the calls `stuck`, then resumed to its end; and found to be what it would have been."""
    where = project(place, stuck)
    hung = [killed_in_call(where, stuck[0], improve())]
    hung += [killed_in_call(where, number, ("resume", "last", "--json")) for number in stuck[1:]]
    done = verb(where, "resume", "last", "--json")
    assert (done.code, done.json()["stop_reason"]) == (4, "iterations"), done
    assert not [pid for pid in hung if alive(pid)], "what a dead driver left running is ended by the next one"

    run = run_of(where)
    events = history(where, run)
    reference = history(calm, run_of(calm))
    # The trees differ in the path of the log; what was measured, for what and in which order does not.
    assert [(m[0], m[2]) for m in measured(events)] == [(m[0], m[2]) for m in measured(reference)]
    assert len(calls(where)) == len(measured(events)) + len(stuck), "only what was in flight was begun again"
    ids = [b.action_id for b in of_kind(events, ev.Measured)]
    assert len(set(ids)) == len(ids)
    lost = [b for b in of_kind(events, ev.ActionFailed) if b.status == "unknown"]
    assert len(lost) == len(stuck)
    assert model_of(where) == model_of(calm)
    assert verb(where, "audit", "verify").code == 0
    proof = verb(where, "replay", run)
    assert (proof.code, "every decision is the one that follows" in proof.out) == (0, True), proof
    assert untouched(where)
    return where


def test_a_run_killed_in_measurements_goes_on_as_if_nothing_had_happened(tmp_path: Path, calm: Path) -> None:
    """In the calibration, in a trial and once more in the one that was begun again: nothing is lost and nothing measured twice."""
    killed_and_resumed(tmp_path / "place", (3, 6, 7), calm)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_does_so_in_whichever_measurement_it_is_killed(tmp_path: Path, calm: Path) -> None:
    total = len(calls(calm))
    assert total >= 12
    for number in range(1, total + 1):
        killed_and_resumed(tmp_path / f"call{number}", (number,), calm)


def test_a_fork_goes_on_from_what_is_known(tmp_path: Path) -> None:
    """From the middle of the run, with the measurements up to there: what was tried for a head is not offered for it again."""
    where = project(tmp_path / "place")
    assert verb(where, *improve()).code == 4
    run = run_of(where)
    events = history(where, run)
    weighed = [event.seq for event in events if isinstance(event.body, ev.Weighed)]
    at = weighed[len(weighed) // 2]
    before = len(calls(where))
    done = verb(where, "fork", run, "--at", str(at), "--max-iterations", str(ITERATIONS + 4), "--json")
    assert done.code in (4, 5), done
    fork = str(done.json()["run"])
    assert fork != run
    forked = history(where, fork)
    assert [e.body for e in forked[:at]] == [e.body for e in events[:at]]
    assert forked[at].body.__struct_config__.tag == "run_forked"
    both = offered(forked)
    assert len(both) > len(offered(forked[:at])) + 4
    assert len(set(both)) == len(both), "an edit that was tried already is offered again"
    first = next(event.body for event in forked[at:] if isinstance(event.body, ev.Proposed))
    assert f"{len(offered(forked[:at]))} earlier trials" in first.summary, "the search knows what became of them"
    fresh = [event for event in forked[at:] if isinstance(event.body, ev.Measured)]
    assert len(calls(where)) - before == len(fresh), "what the parent measured is not measured again"
    assert not [b for b in measured(forked)[len(measured(forked[:at])) :] if b[0] == "calibrate"]
    for which in (run, fork):
        assert verb(where, "replay", which).code == 0
        assert verb(where, "audit", "verify", which).code == 0
    assert history(where, run) == events, "the parent is not touched"
    assert json.loads(verb(where, "status", fork, "--json").out)["run_id"] == fork
