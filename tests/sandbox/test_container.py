"""The container backend over a real engine (podman and runc, without an image: its root file system is made of this machine's /usr)."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from loopwright.errors import SandboxError
from loopwright.sandbox.container import ContainerSandbox
from loopwright.sandbox.protocol import ExecResult, ExecSpec, Limits, Overlay

ENGINE = ("podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs")
UID = 61_050
_LIMITS = Limits()


def _root_fs(place: Path) -> Path:
    for name in ("usr", "etc", "proc", "dev", "tmp", "sys", "run", "var"):
        (place / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (place / name).symlink_to(f"usr/{name}")
    return place


class Bench:
    def __init__(self, place: Path, engine: tuple[str, ...] = ENGINE) -> None:
        place.chmod(0o755)
        self.candidate = place / "candidate"
        self.candidate.mkdir()
        self.place = place
        self.sandbox = ContainerSandbox(
            place / "homes",
            "/usr/bin:/bin",
            (Path("/usr"),),
            engine=engine,
            image=f"rootfs:{_root_fs(place / 'fs')}",
            uid=UID if os.getuid() == 0 else os.getuid(),
        )

    def run(self, *argv: str, timeout_s: float = 60, stdin: bytes = b"", limits: Limits = _LIMITS) -> ExecResult:
        return asyncio.run(self.sandbox.run(self.spec(*argv, timeout_s=timeout_s, stdin=stdin, limits=limits)))

    def spec(self, *argv: str, timeout_s: float = 60, stdin: bytes = b"", limits: Limits = _LIMITS) -> ExecSpec:
        return ExecSpec(
            argv=argv,
            cwd=self.candidate,
            timeout_s=timeout_s,
            action_id=f"{self.place.name}-{os.getpid()}/a1",
            stdin=stdin,
            writable=(self.candidate,),
            limits=limits,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        if os.getuid() == 0 and folder.stat().st_uid == 0 and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return Bench(tmp_path)


def test_an_engine_that_is_not_there_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"'no-such-engine' is not found; install it, or choose another backend"):
        Bench(tmp_path, ("no-such-engine",)).run("true")


def test_an_overlay_is_refused_since_an_engine_mounts_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    overlay = Overlay(bench.candidate, tmp_path, tmp_path / "upper", tmp_path / "work")
    spec = ExecSpec(("true",), bench.candidate, 5, "r/a1", overlays=(overlay,))
    with pytest.raises(SandboxError, match="mounts no overlays"):
        asyncio.run(bench.sandbox.run(spec))


if os.getuid() == 0:
    # An ordinary user's engine needs ranges of user ids that only root can hand out; that is the engine's own set-up, not ours.

    def test_output_exit_status_and_input_come_through(bench: Bench) -> None:
        done = bench.run("sh", "-c", "cat; echo oops >&2; exit 3", stdin=b"hello")
        assert (done.status, done.returncode, done.stdout, done.stderr) == ("exited", 3, b"hello", b"oops\n")

    def test_a_signal_a_missing_program_and_a_flood_are_told_apart(bench: Bench) -> None:
        assert bench.run("sh", "-c", "kill -9 $$").returncode == -9
        assert bench.run("no-such-program").status == "not_found"
        flood = bench.run("yes", limits=Limits(output_bytes=10_000))
        assert flood.status == "output_limit" and len(flood.stdout) <= 10_000

    def test_nothing_is_left_of_a_command_that_ran_out_of_time(bench: Bench) -> None:
        assert bench.run("sleep", "1000", timeout_s=2).status == "timeout"
        assert bench.sandbox.kill_orphans(f"{bench.place.name}-{os.getpid()}") == 0

    def test_what_a_killed_driver_left_is_ended_by_its_run(bench: Bench) -> None:
        async def abandoned() -> int:
            # As after a kill -9: the client is gone and nobody removed the container.
            spec = bench.spec("sleep", "1000")
            options = list(bench.sandbox._options(spec, f"left-{os.getpid()}"))
            words = (*ENGINE, "run", "--detach", *options, "--rootfs", str(bench.place / "fs"), *spec.argv)
            process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
            assert await process.wait() == 0
            return 0

        asyncio.run(abandoned())
        run_id = f"{bench.place.name}-{os.getpid()}"
        assert bench.sandbox.kill_orphans("another-run") == 0
        assert bench.sandbox.kill_orphans(run_id) == 1
        assert bench.sandbox.kill_orphans(run_id) == 0

    def test_only_what_was_given_can_be_written_and_nothing_else_be_read(bench: Bench) -> None:
        secret = bench.place / "secret.txt"
        secret.write_text("secret", encoding="utf-8")
        secret.chmod(0o666)
        assert bench.run("sh", "-c", "echo made > new.txt; id -u").stdout.decode().strip() == str(UID)
        assert (bench.candidate / "new.txt").read_text(encoding="utf-8") == "made\n"
        assert bench.run("cat", str(secret)).returncode != 0
        assert bench.run("sh", "-c", "echo x > /usr/x || echo x > /x || echo x > /etc/x").returncode != 0
        assert b"eth0" not in bench.run("cat", "/proc/net/dev").stdout

    def test_an_engine_that_cannot_run_the_image_says_what_it_said(tmp_path: Path) -> None:
        bench = Bench(tmp_path)
        shutil.rmtree(tmp_path / "fs")
        with pytest.raises(SandboxError, match=r"container engine 'podman' cannot run 'rootfs:.*; try `podman"):
            bench.run("true")
