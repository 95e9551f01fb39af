"""What bubblewrap keeps in and out, and that a sandbox that waits carries nothing from one command to the next."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.errors import SandboxError
from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.bwrap import find_bwrap
from loopwright.sandbox.handover import hand_over
from loopwright.sandbox.identity import UID_VARIABLE, sandbox_uid
from loopwright.sandbox.protocol import Bind, ExecResult, ExecSpec, Limits, Overlay

PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = os.path.realpath(sys.executable)
UID = sandbox_uid({})


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[BubblewrapSandbox]:
    backend = BubblewrapSandbox(tmp_path / "homes", PATH, uid=UID)
    yield backend
    backend.close()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    found = Overlay(*(tmp_path / name for name in ("tree", "lower", "upper", "overlay-work")))
    for folder in (found.target, found.lower, found.upper, found.work):
        folder.mkdir()
    (found.lower / "kept").write_text("below")
    (found.lower / "gone").write_text("below")
    hand_over([found.lower], UID)
    return found


def spec_of(here: Path, *argv: str, **more: object) -> ExecSpec:
    fields = {"argv": argv, "cwd": here, "timeout_s": 60.0, "action_id": f"{here.parent.name}/a1", "writable": (here,)}
    return ExecSpec(**(fields | more))  # type: ignore[arg-type]


def run(sandbox: BubblewrapSandbox, spec: ExecSpec) -> ExecResult:
    return asyncio.run(sandbox.run(spec))


def shell(sandbox: BubblewrapSandbox, here: Path, command: str, **more: object) -> ExecResult:
    return run(sandbox, spec_of(here, "sh", "-c", command, **more))


def in_overlay(sandbox: BubblewrapSandbox, overlay: Overlay, command: str, **more: object) -> ExecResult:
    return run(sandbox, spec_of(overlay.target, "sh", "-c", command, overlays=(overlay,), writable=(), **more))


def test_it_says_what_it_is(sandbox: BubblewrapSandbox) -> None:
    assert sandbox.isolated
    assert sandbox.overlays
    assert sandbox.description.endswith(f"(user, pid, net, ipc, uts, cgroup namespaces; seccomp; uid {UID})")
    assert (sandbox.uid, UID == 0) == (UID, False)


def test_only_what_the_call_names_is_to_be_seen(sandbox: BubblewrapSandbox, here: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    shown = tmp_path / "shown"
    shown.write_text("shown")
    done = shell(sandbox, here, f"cat {shown}; cat {secret}; ls -A {tmp_path} / /root /home", readable=(shown,))
    assert done.stdout.startswith(b"shown")
    assert b"s3cr3t" not in done.stdout
    assert b"secret" not in done.stdout
    assert b"homes" not in done.stdout


def test_nothing_but_the_writable_can_be_written(sandbox: BubblewrapSandbox, here: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    for place in (str(shown), "/", "/usr", "/etc", "/dev", "/proc/sys/kernel", "/root"):
        done = shell(sandbox, here, f"touch {place}/x", readable=(shown,))
        assert done.returncode != 0, place
    assert shell(sandbox, here, "touch x", writable=()).returncode != 0
    assert os.listdir(shown) == []


def test_a_bind_shows_a_folder_elsewhere(sandbox: BubblewrapSandbox, here: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "x").write_text("x")
    done = shell(sandbox, here, "cat /mnt/there/x; touch /mnt/there/y", binds=(Bind(source, Path("/mnt/there")),))
    assert (done.stdout, done.returncode == 0) == (b"x", False)
    shell(sandbox, here, "touch /mnt/there/y", binds=(Bind(source, Path("/mnt/there"), writable=True),))
    assert (source / "y").exists()


def test_a_program_outside_the_view_is_not_found_and_its_folder_named(
    sandbox: BubblewrapSandbox, here: Path, tmp_path: Path
) -> None:
    tool = tmp_path / "opt" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    done = run(sandbox, spec_of(here, str(tool)))
    assert done.status == "not_found"
    assert os.fsencode(str(tool.parent)) in done.stderr
    assert run(sandbox, spec_of(here, str(tool), readable=(tool.parent,))).stdout == b"ran\n"


def test_who_the_command_is_and_what_it_may(sandbox: BubblewrapSandbox, here: Path) -> None:
    done = shell(
        sandbox,
        here,
        "id -u; id -un; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/1/environ",
    )
    zero = b"0" * 16
    assert done.stdout.split() == [
        str(UID).encode(), b"sandbox", b"CapEff:", zero, b"CapBnd:", zero, b"NoNewPrivs:", b"1", b"Seccomp:", b"2",
    ]  # fmt: skip
    assert b"Permission denied" in done.stderr


REFUSED_CALLS = """
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "") if libc.syscall(number, *args) == -1 else "went through"
import platform
x86 = platform.machine() == "x86_64"
print(json.dumps({
    "unshare": call(272 if x86 else 97, 0x10000000),
    "ptrace": call(101 if x86 else 117, 0, 0, 0, 0),
    "mount": call(165 if x86 else 40, b"none", b"/tmp", b"tmpfs", 0, 0),
    "keyctl": call(250 if x86 else 219, 0, 0, 0, 0),
    "io_uring": call(425, 1, 0),
    "clone3": call(435, 0, 0),
    "vsock": call(41 if x86 else 198, 40, 1, 0),
    "prlimit of the first": call(302 if x86 else 261, 1, 7, 0, 0),
    "kill the first": (libc.kill(1, 9), "")[1],
}))
"""


def test_the_filter_is_active_inside(sandbox: BubblewrapSandbox, here: Path) -> None:
    done = run(sandbox, spec_of(here, PYTHON, "-c", REFUSED_CALLS))
    assert json.loads(done.stdout) == {
        "unshare": "EPERM", "ptrace": "EPERM", "mount": "EPERM", "keyctl": "EPERM", "io_uring": "EPERM", "clone3": "ENOSYS",
        "vsock": "EAFNOSUPPORT", "prlimit of the first": "EPERM", "kill the first": "",
    }  # fmt: skip


NETWORK = """
import socket, sys
own = socket.create_server(("127.0.0.1", 0))
socket.create_connection(own.getsockname()).close()
print("own")
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
    print("host")
except OSError:
    print("no host")
"""


def test_there_is_no_network_but_a_loopback_of_its_own(sandbox: BubblewrapSandbox, here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = run(sandbox, spec_of(here, PYTHON, "-c", NETWORK, str(listener.getsockname()[1])))
    assert done.stdout.split(b"\n")[:2] == [b"own", b"no host"]


def test_more_memory_than_allowed_ends_the_whole_tree(sandbox: BubblewrapSandbox, here: Path) -> None:
    bomb = "import os, time\nfor _ in range(4): os.fork()\nx = b'x' * (32 << 20)\ntime.sleep(60)"
    done = run(sandbox, spec_of(here, PYTHON, "-c", bomb, limits=Limits(memory_bytes=200 << 20)))
    assert (done.status, done.returncode) == ("exited", -9)
    assert f"more than {200 << 20} bytes of memory".encode() in done.stderr
    assert shell(sandbox, here, "echo on").stdout == b"on\n"


def test_memory_that_several_share_is_counted_once(sandbox: BubblewrapSandbox, here: Path) -> None:
    shared = "import os, time\nx = b'x' * (64 << 20)\nif os.fork() and os.fork() and os.fork(): pass\ntime.sleep(0.3)"
    done = run(sandbox, spec_of(here, PYTHON, "-c", shared, limits=Limits(memory_bytes=200 << 20)))
    assert (done.status, done.returncode, done.stderr) == ("exited", 0, b"")


def test_more_disk_than_allowed_ends_the_whole_tree(tmp_path: Path, here: Path) -> None:
    sandbox = BubblewrapSandbox(tmp_path / "homes", PATH, uid=UID, disk_bytes=20 << 20)
    fill = "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=f$i bs=1M count=2 2>/dev/null; done"
    done = shell(sandbox, here, fill)
    assert (done.status, done.returncode) == ("exited", -9)
    assert f"more than {20 << 20} bytes of disk".encode() in done.stderr
    sandbox.close()


def test_a_fork_bomb_meets_its_limit_and_the_next_command_runs(sandbox: BubblewrapSandbox, here: Path) -> None:
    count = "import os, time\nn = 0\ntry:\n while True:\n  if os.fork() == 0: time.sleep(60)\n  n += 1\nexcept OSError: print(n)"
    done = run(sandbox, spec_of(here, PYTHON, "-c", count, limits=Limits(processes=40)))
    assert done.returncode == 0
    assert int(done.stdout) < 40
    assert shell(sandbox, here, "echo on").stdout == b"on\n"


def test_changes_of_an_overlay_land_in_its_upper_layer(sandbox: BubblewrapSandbox, overlay: Overlay) -> None:
    done = in_overlay(sandbox, overlay, "cat kept; echo new > kept; rm gone; mkdir d; touch d/x")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"below", b"")
    assert ((overlay.lower / "kept").read_text(), (overlay.lower / "gone").read_text()) == ("below", "below")
    assert (overlay.upper / "kept").read_text() == "new\n"
    assert os.lstat(overlay.upper / "gone").st_rdev == 0
    assert not (overlay.upper / "gone").is_file()
    assert os.lstat(overlay.upper / "d" / "x").st_uid == UID


def test_what_the_runtime_changes_between_commands_is_seen(sandbox: BubblewrapSandbox, overlay: Overlay) -> None:
    """A mounted overlay keeps what it once saw."""
    assert in_overlay(sandbox, overlay, "ls; cat kept; cat new").stdout == b"gone\nkept\nbelow"
    (overlay.upper / "kept").write_text("edited")
    (overlay.upper / "new").write_text("added")
    hand_over([overlay.upper], UID)
    assert in_overlay(sandbox, overlay, "ls; cat kept new").stdout == b"gone\nkept\nnew\neditedadded"
    (overlay.upper / "new").unlink()
    assert in_overlay(sandbox, overlay, "ls").stdout == b"gone\nkept\n"


def test_commands_in_one_overlay_take_turns(sandbox: BubblewrapSandbox, overlay: Overlay) -> None:
    async def main() -> list[ExecResult]:
        count = "n=$(cat n 2>/dev/null || echo 0); sleep 0.02; echo $((n+1)) > n"
        specs = [
            spec_of(
                overlay.target, "sh", "-c", count, overlays=(overlay,), writable=(), readable=(overlay.lower,) * (i % 2)
            )
            for i in range(6)
        ]
        return await asyncio.gather(*(sandbox.run(spec) for spec in specs))

    assert [done.returncode for done in asyncio.run(main())] == [0] * 6
    assert (overlay.upper / "n").read_text() == "6\n"


def first_process(sandbox: BubblewrapSandbox, here: Path) -> bytes:
    return shell(sandbox, here, "readlink /proc/self/ns/pid").stdout


def test_a_sandbox_is_used_again_for_the_same_view_and_only_for_it(sandbox: BubblewrapSandbox, here: Path) -> None:
    one = first_process(sandbox, here)
    assert first_process(sandbox, here) == one
    here.rename(here.with_name("old"))
    here.mkdir()
    assert first_process(sandbox, here) != one


@pytest.mark.parametrize(
    "plant",
    [
        "touch /dev/shm/x",
        "mkdir -p /tmp/a/b && chmod 0 /tmp/a",
        "ln -s / /tmp/l",
        "ipcmk -M 4096 >/dev/null",
        "ipcmk -Q >/dev/null",
        "chmod 777 /tmp",
        "taskset -p 1 1 >/dev/null",
    ],
)
def test_nothing_of_a_command_is_left_for_the_next(sandbox: BubblewrapSandbox, here: Path, plant: str) -> None:
    look = 'ls -lA /tmp /dev/shm "$HOME" "$TMPDIR" | cut -c1-10; stat -c %a /tmp; ipcs | grep -c 0x; taskset -p $$ | cut -d: -f2'
    clean = shell(sandbox, here, look).stdout
    assert shell(sandbox, here, plant).stderr == b""
    assert shell(sandbox, here, look).stdout == clean


def test_what_the_call_may_write_survives_the_cleaning_of_tmp(sandbox: BubblewrapSandbox, here: Path) -> None:
    """The working folder of this test lies below /tmp, which is emptied after each command."""
    shell(sandbox, here, "mkdir -p a/b && touch a/b/c x")
    shell(sandbox, here, "true")
    assert (here / "a" / "b" / "c").exists()
    assert (here / "x").exists()


def test_a_planted_link_is_not_followed(sandbox: BubblewrapSandbox, here: Path, tmp_path: Path) -> None:
    secret = tmp_path / "private"
    secret.mkdir()
    (secret / "key").write_text("s3cr3t")
    shell(sandbox, here, f"ln -s {secret} .git")
    with pytest.raises(SandboxError, match=r"link .*\.git"):
        shell(sandbox, here, "cat .git/key", readable=(here / ".git",))


@pytest.mark.parametrize("target", ["/", "/usr", "/proc", "/tmp", "/etc"])
def test_the_systems_own_places_cannot_be_covered(sandbox: BubblewrapSandbox, here: Path, target: str) -> None:
    with pytest.raises(SandboxError, match="cannot be shown"):
        shell(sandbox, here, "true", binds=(Bind(here, Path(target)),))


def test_a_sandbox_whose_launcher_was_killed_ends_and_another_is_started(
    sandbox: BubblewrapSandbox, here: Path
) -> None:
    async def main() -> None:
        task = asyncio.create_task(sandbox.run(spec_of(here, "sh", "-c", "touch started; sleep 1000")))
        while not (here / "started").exists():  # noqa: ASYNC110  another process makes it
            await asyncio.sleep(0)
        os.kill(sandbox.launcher_pid, signal.SIGKILL)
        with pytest.raises(SandboxError, match="launcher"):
            await task

    asyncio.run(main())
    assert shell(sandbox, here, "echo on").stdout == b"on\n"


def test_only_a_few_sandboxes_wait(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(tmp_path / "homes", PATH, uid=UID, idle_limit=2)
    folders = [tmp_path / f"w{number}" for number in range(3)]
    for folder in folders:
        folder.mkdir()
    names = [first_process(sandbox, folder) for folder in folders]
    assert first_process(sandbox, folders[2]) == names[2]
    assert first_process(sandbox, folders[1]) == names[1]
    sandbox.release(folders[1])
    assert first_process(sandbox, folders[1]) != names[1]
    sandbox.close()


def test_folders_are_shown_to_every_command(tmp_path: Path, here: Path) -> None:
    tools = tmp_path / "closed" / "tools"
    tools.mkdir(parents=True)
    (tools / "x").write_text("x")
    tools.parent.chmod(0o700)
    sandbox = BubblewrapSandbox(tmp_path / "homes", PATH, (tools,), uid=UID)
    done = shell(sandbox, here, f"cat {tools}/x; touch {tools}/y")
    assert (done.stdout, (tools / "y").exists()) == (b"x", False)
    sandbox.close()


def test_a_bwrap_that_is_missing_setuid_or_old_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        find_bwrap(str(tmp_path))
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho bubblewrap 0.6.1\n")
    fake.chmod(0o755)
    with pytest.raises(SandboxError, match=r"0\.8\.0 or newer"):
        find_bwrap(str(tmp_path))
    fake.chmod(0o4755)
    with pytest.raises(SandboxError, match=r"setuid.*CVE-2026-41163"):
        find_bwrap(str(tmp_path))


def test_a_user_number_that_somebody_has_is_refused() -> None:
    if os.getuid() != 0:
        assert sandbox_uid({UID_VARIABLE: "1"}) == os.getuid()
        return
    assert sandbox_uid({UID_VARIABLE: "61100"}) == 61100
    for wrong in ("0", "1", "x", "-3"):
        with pytest.raises(SandboxError, match=UID_VARIABLE):
            sandbox_uid({UID_VARIABLE: wrong})
