"""Real service processes: killed at every append, told to end, told again, two at once.

An action that is in flight is a command that waits for somebody to write into a FIFO: opening it to write is how a test knows.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loopwright.journal.opening import open_journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.schedule import stream_of
from loopwright.kernel.state import State
from loopwright.sandbox.plain import PlainSandbox
from support import service_child
from support.repositories import make_repository
from support.services import ticket_text
from support.two_faults import UNSANDBOXED

SERVE = """
import sys
from pathlib import Path
from loopwright.errors import LoopwrightError
from loopwright.service import serve_command
try:
    sys.exit(serve_command(Path("."), tick_s=0.05))
except LoopwrightError as error:
    print(error)
    sys.exit(error.exit_code)
"""
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    **UNSANDBOXED,
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
}


def dying(mode: str, folder: Path, *seeds: int) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, service_child.__file__, mode, str(folder), *map(str, seeds)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def fired_once(found: dict[str, object]) -> None:
    fired, runs = found["fired"], found["runs"]
    assert isinstance(fired, list)
    assert isinstance(runs, dict)
    assert [subject for _, subject, _ in fired] == ["tickets/one.md", "2026-01-01T00:00+00:00"]
    assert set(runs) == {run_id for _, _, run_id in fired}
    assert set(map(tuple, runs.values())) == {(1, 1)}, "begun once, finished once"


def test_a_service_killed_after_any_append_fires_once_and_ends_what_it_began(tmp_path: Path) -> None:
    cases = dying("each", tmp_path)
    assert len(cases) > 15
    assert [found["died"] for found in cases] == [1] * (len(cases) - 1) + [0]
    for found in cases:
        fired_once(found)


def test_a_service_killed_again_and_again_fires_once(tmp_path: Path) -> None:
    cases = dying("random", tmp_path, 1, 2, 3, 4)
    assert all(isinstance(found["died"], int) and found["died"] >= 2 for found in cases)
    for found in cases:
        fired_once(found)


class Running:
    """A service process and what it says. Every wait is for a line, an open FIFO or the end of the process."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=root,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []

    def until(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if word in line:
                return line
        raise AssertionError(f"it ended before it said {word!r}: {self.said}")

    def ended(self) -> int:
        assert self.process.stdout is not None
        self.said += self.process.stdout.readlines()
        return self.process.wait()


@contextmanager
def service(root: Path) -> Iterator[Running]:
    running = Running(root)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A repository with one open ticket, whose loop observes through a FIFO beside the repository.

    What the killed services left running is ended afterwards, as the next driver of the run would.
    """
    os.mkfifo(tmp_path / "gate")
    front = ["name: fix", "when: [{ticket: tickets/}]", f"observe: [{{tests: 'cat {tmp_path}/gate'}}]"]
    front += ["act: [{command: 'true'}]", "evaluate: {tests: 'true'}", "stop: {iterations: 1}"]
    loop = "\n".join(["---", *front, "---", "Make it pass.", ""])
    repository = make_repository(tmp_path / "repository", {"loops/fix.md": loop, "tickets/one.md": ticket_text()})
    yield repository
    journal = open_journal(repository, None)
    runs = [head.run_id for head in journal.heads() if ":" not in head.run_id]
    journal.close()
    sandbox = PlainSandbox(tmp_path / "homes", os.environ["PATH"])
    for run_id in runs:
        sandbox.kill_orphans(run_id)


def open_gate(root: Path) -> int:
    """Waits until a command reads from the gate; the caller lets it go on by closing what comes back."""
    return os.open(root.parent / "gate", os.O_WRONLY)


def journal_of(root: Path) -> tuple[list[ev.TriggerFired], list[ev.Body], State]:
    """The firings, and the one run that came of them."""
    journal = open_journal(root, None)
    fired = [event.body for event in journal.read(stream_of("fix")) if isinstance(event.body, ev.TriggerFired)]
    (run_id,) = [head.run_id for head in journal.heads() if not head.run_id.startswith("loop:")]
    events = list(journal.read(run_id))
    journal.close()
    state = fold(events)
    assert state is not None
    return fired, [event.body for event in events], state


def test_sigterm_lets_what_is_in_flight_end_and_the_next_start_goes_on(root: Path) -> None:
    with service(root) as first:
        gate = open_gate(root)
        first.process.send_signal(signal.SIGTERM)
        first.until("draining 1 runs")
        os.close(gate)
        assert first.ended() == 0
    fired, bodies, state = journal_of(root)
    assert len(fired) == 1
    assert state.phase != "finished" and state.inflight == (), "recorded, and nothing new was started"
    assert isinstance(bodies[-1], ev.Observed)
    with service(root) as second:
        second.until(" finished fix ")
        second.process.send_signal(signal.SIGTERM)
        assert second.ended() == 0
    fired, bodies, state = journal_of(root)
    assert (len(fired), state.phase) == (1, "finished")
    assert sum(isinstance(body, ev.Observed) for body in bodies) == 1, "nothing was done twice"


def test_a_second_signal_ends_at_once_and_the_next_start_does_the_step_anew(root: Path) -> None:
    with service(root) as first:
        gate = open_gate(root)
        first.process.send_signal(signal.SIGTERM)
        first.until("draining 1 runs")
        first.process.send_signal(signal.SIGINT)
        assert first.ended() == 130
        os.close(gate)
    _, _, state = journal_of(root)
    assert len(state.inflight) == 1
    goes_on(root)


def test_kill_9_in_the_middle_of_a_step_is_taken_up_at_the_next_start_with_one_firing(root: Path) -> None:
    with service(root) as first:
        gate = open_gate(root)
        first.process.kill()
        first.process.wait()
        os.close(gate)
    goes_on(root)


def goes_on(root: Path) -> None:
    # The command of the killed service may still hold the old FIFO: the new one is another file.
    (root.parent / "gate").unlink()
    os.mkfifo(root.parent / "gate")
    with service(root) as second:
        os.close(open_gate(root))
        second.until(" finished fix ")
        second.process.send_signal(signal.SIGTERM)
        assert second.ended() == 0
    fired, bodies, state = journal_of(root)
    assert (len(fired), state.phase) == (1, "finished")
    assert sum(isinstance(body, ev.DriverStarted) for body in bodies) == 2
    unknown = [body for body in bodies if isinstance(body, ev.ActionFailed) and body.status == "unknown"]
    assert len(unknown) == 1


def test_a_second_service_is_refused_and_told_which_process_has_the_repository(root: Path) -> None:
    with service(root) as first:
        first.until("serving")
        with service(root) as second:
            assert second.ended() == 3
            (line,) = second.said
            assert f"already on as process {first.process.pid} on" in line
