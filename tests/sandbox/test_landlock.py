"""The reduced rung: what it holds, and that what it does not hold is exactly what its module says."""

import asyncio
import os
from pathlib import Path

import pytest

from loopwright.errors import SandboxError
from loopwright.sandbox.escapes.catalogue import catalogue
from loopwright.sandbox.escapes.trial import try_probes
from loopwright.sandbox.landlock import LandlockSandbox, landlock_abi
from loopwright.sandbox.protocol import Bind, ExecResult, ExecSpec

PYTHON = "/usr/bin/python3"
NOT_HELD = {
    "change_mode_outside",
    "change_times_outside",
    "set_attribute_outside",
    "watch_outside",
    "attach_shared_memory",
    "pin_another_process",
    "use_too_much_memory_in_several_processes",
}


@pytest.fixture
def sandbox(tmp_path: Path) -> LandlockSandbox:
    if os.getuid() == 0:
        for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
            folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "candidate").mkdir()
    return LandlockSandbox(tmp_path / "homes", "/usr/bin:/bin", (), uid=61_051 if os.getuid() == 0 else os.getuid())


def _run(sandbox: LandlockSandbox, place: Path, *argv: str, stdin: bytes = b"") -> ExecResult:
    candidate = place / "candidate"
    spec = ExecSpec(argv, candidate, 30, f"{place.name}-{os.getpid()}/a1", stdin=stdin, writable=(candidate,))
    return asyncio.run(sandbox.run(spec))


def test_a_command_works_in_its_folder_and_reports_as_in_any_sandbox(sandbox: LandlockSandbox, tmp_path: Path) -> None:
    done = _run(sandbox, tmp_path, "sh", "-c", "cat > made.txt; id -u; exit 4", stdin=b"text")
    assert (done.status, done.returncode, done.stdout.decode().strip()) == ("exited", 4, str(sandbox.uid))
    assert (tmp_path / "candidate/made.txt").read_text(encoding="utf-8") == "text"
    assert _run(sandbox, tmp_path, "sh", "-c", "kill -9 $$").returncode == -9
    assert _run(sandbox, tmp_path, "sh", "-c", "kill -11 $$").returncode == -11
    assert _run(sandbox, tmp_path, "no-such-program").status == "not_found"


def test_what_it_cannot_show_elsewhere_is_refused(sandbox: LandlockSandbox, tmp_path: Path) -> None:
    spec = ExecSpec(("true",), tmp_path, 5, "r/a1", binds=(Bind(tmp_path, Path("/elsewhere")),))
    with pytest.raises(SandboxError, match="shows everything at its own place"):
        asyncio.run(sandbox.run(spec))


def test_it_says_that_it_is_reduced_and_by_which_version(sandbox: LandlockSandbox) -> None:
    assert sandbox.description.startswith(f"reduced sandbox: Landlock version {landlock_abi()} and seccomp")


@pytest.mark.parametrize(
    ("group", "least"),
    [
        ("files", (38, 30)),
        ("processes", (16, 12)),
        pytest.param("kernel", (18, 6), marks=pytest.mark.slow),
        pytest.param("network", (12, 9), marks=pytest.mark.slow),
        pytest.param("resources", (6, 4), marks=pytest.mark.slow),
    ],
)
def test_it_lets_through_only_what_it_says_that_it_does(
    sandbox: LandlockSandbox, group: str, least: tuple[int, int]
) -> None:
    """`least`: so many are held as root, and as an ordinary user, who gets less far without a sandbox too."""
    probes = [probe for probe in catalogue() if probe.group == group]
    trials = asyncio.run(try_probes(sandbox, probes, python=PYTHON))
    escaped = {trial.name for trial in trials if trial.verdict == "escaped"}
    assert escaped <= NOT_HELD, sorted(escaped - NOT_HELD)
    assert sum(trial.verdict == "held" for trial in trials) >= least[os.getuid() != 0]
