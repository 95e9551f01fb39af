"""Which backend is chosen, that it was really tried, and that a refusal says what to do."""

import asyncio
import errno
from pathlib import Path

import pytest

from loopwright.errors import SandboxError, UsageError
from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.diagnosis import Failure, explain
from loopwright.sandbox.identity import sandbox_uid
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.probe import probe
from loopwright.sandbox.select import Setting, choose

PATH = "/usr/local/bin:/usr/bin:/bin"


def setting(tmp_path: Path, engine: tuple[str, ...] = ()) -> Setting:
    return Setting(tmp_path / "homes", PATH, (), {}, engine, "no-such-image" if engine else "")


def test_bubblewrap_is_the_default(tmp_path: Path) -> None:
    sandbox = choose("auto", setting(tmp_path))
    assert isinstance(sandbox, BubblewrapSandbox)
    sandbox.close()


def test_no_sandbox_only_by_its_name(tmp_path: Path) -> None:
    sandbox = choose("none", setting(tmp_path))
    assert isinstance(sandbox, PlainSandbox)
    assert not sandbox.isolated


def test_an_engine_that_is_not_there_is_a_refusal_and_no_step_down(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="--unsandboxed") as caught:
        choose("container", setting(tmp_path, ("/no/such/engine",)))
    assert "\n" not in str(caught.value)
    with pytest.raises(SandboxError, match="no engine and image are configured"):
        choose("container", setting(tmp_path))


def test_an_unknown_name_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected one of auto, bubblewrap"):
        choose("bwrap", setting(tmp_path))


def test_it_can_be_chosen_inside_an_event_loop(tmp_path: Path) -> None:
    async def main() -> int:
        sandbox = choose("bubblewrap", setting(tmp_path))
        assert isinstance(sandbox, BubblewrapSandbox)
        report = await probe(sandbox, tmp_path)
        sandbox.close()
        return len(report.failed)

    assert asyncio.run(main()) == 0


def test_the_canaries_find_nothing_in_bubblewrap_and_leave_nothing(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(tmp_path / "homes", PATH, uid=sandbox_uid({}))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    report = asyncio.run(probe(sandbox, scratch))
    sandbox.close()
    assert (report.ok, report.level, report.failed) == (True, "full", ())
    assert {step.name for step in report.steps} == {
        "start", "write outside", "read secret", "environment", "tcp", "udp", "rights", "system calls", "write inside", "overlay",
        "daemon",
    }  # fmt: skip
    assert list(scratch.iterdir()) == []


def test_the_canaries_find_that_plain_processes_hold_nothing(tmp_path: Path) -> None:
    report = asyncio.run(probe(PlainSandbox(tmp_path / "homes", PATH), tmp_path))
    assert (report.ok, report.level) == (False, "none")
    failed = {step.name: step for step in report.failed}
    assert {"write outside", "read secret", "tcp", "udp", "system calls"} <= set(failed)
    assert all(step.detail and step.fix for step in report.failed)


def test_a_failure_names_backend_step_errno_and_the_fix() -> None:
    said = explain(Failure("unshare user namespace", errno.EPERM, ""))
    assert said.startswith("bubblewrap: step 'unshare user namespace' failed: EPERM (Operation not permitted); ")
    assert "apparmor_restrict_unprivileged_userns=0" in said
    assert "apt-get install bubblewrap" in explain(Failure("start bwrap", errno.ENOENT, "/usr/bin/bwrap"))
    blocked = Failure("bwrap", 0, "bwrap: setting up uid map: Permission denied")
    assert "apparmor" in explain(blocked)
