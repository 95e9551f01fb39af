"""The launcher: started once per sandbox object, it starts `bwrap` on request and sees to it that what it started ends.

It ends with us: its socket closes, or the process that started it is gone. What it started ends with it (`--die-with-parent`).
Each request brings a channel of its own. While that is open the sandbox may live; a `K` on it, or its end, kills the sandbox; the one
message that comes back says how it ended, and comes only after no process of it is left.
"""

import contextlib
import json
import os
import select
import signal
import socket
import time

from loopwright.sandbox.stage0 import enter
from loopwright.sandbox.stage0.etc import make_etc
from loopwright.sandbox.stage0.kernel import CLONE_NEWNS, CLONE_NEWUSER, StepFailed, make_slave, mount, unshare
from loopwright.sandbox.stage0.watch import Watch

__all__ = ["main"]

_MESSAGE_BYTES = 1 << 17
_SAID_BYTES = 4096
_GIVE_UP_S = 5.0


Etc = tuple[list[str], dict[str, str]]
"""As `etc.make_etc` takes it."""


class _Sandbox:
    """One `bwrap`: its outer process, which is our child, and the first process inside, which is its child."""

    def __init__(self, channel: socket.socket, outer: int, info: int, errors: int, said: int, roots: list[str]) -> None:
        self.channel = channel
        self.outer = outer
        self.outer_handle = os.pidfd_open(outer)
        self.first = 0
        self.first_handle = -1
        self.info = info
        self.info_text = b""
        self.errors = errors
        self.said = said
        self.watch = Watch(roots)
        self.killed: str | None = None
        self.kill_by_s = 0.0

    def fileno_all(self) -> list[int]:
        return [fd for fd in (self.channel.fileno(), self.outer_handle, self.info) if fd >= 0]


def main(
    requests: socket.socket,
    staging: str,
    static: list[enter.Step],
    drop_to: int | None,
    etc: Etc,
    code: int,
    filter_: int,
) -> None:
    """`code` and `filter_` are memory files: the server that runs inside, and the system call filter."""
    parent = os.getppid()
    parent_handle = os.pidfd_open(parent)
    try:
        _prepare(staging, static, drop_to, etc)
    except StepFailed as failed:
        requests.send(json.dumps({"step": failed.step, "errno": failed.number, "subject": failed.subject}).encode())
        return
    requests.send(b"{}")
    sandboxes: list[_Sandbox] = []
    poller = select.poll()
    poller.register(requests, select.POLLIN)
    poller.register(parent_handle, select.POLLIN)
    while True:
        for fd, _ in poller.poll(_patience_ms(sandboxes)):
            if fd == parent_handle:
                return
            if fd == requests.fileno():
                started = _accept(requests, staging, drop_to, code, filter_)
                if started is None:
                    return
                for each in started.fileno_all():
                    poller.register(each, select.POLLIN)
                sandboxes.append(started)
                continue
            for sandbox in sandboxes:
                if fd in sandbox.fileno_all():
                    _serve(sandbox, fd, poller)
                    break
        now_s = time.monotonic()
        for sandbox in list(sandboxes):
            over = sandbox.watch.over(sandbox.first, now_s)
            if over is not None:
                _kill(sandbox, over)
            if sandbox.kill_by_s and now_s >= sandbox.kill_by_s:
                _signal(sandbox.outer_handle)
            if sandbox.outer == 0:
                sandboxes.remove(sandbox)


def _prepare(staging: str, static: list[enter.Step], drop_to: int | None, etc: Etc) -> None:
    if drop_to is None:
        uid, gid = os.getuid(), os.getgid()
        unshare(CLONE_NEWUSER | CLONE_NEWNS, "unshare user namespace")
        try:
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
        except OSError as error:
            raise StepFailed("map user", error.errno or 0, str(uid)) from error
    else:
        unshare(CLONE_NEWNS, "unshare mount namespace")
    make_slave()
    mount("tmpfs", staging, "tmpfs", "mode=0755,size=32M")
    make_etc(f"{staging}/etc", *etc)
    for step in static:
        enter.place(step, staging, by_root=drop_to is not None)


def _accept(requests: socket.socket, staging: str, drop_to: int | None, code: int, filter_: int) -> _Sandbox | None:
    """`None` when nobody is there any more."""
    data, fds, _, _ = socket.recv_fds(requests, _MESSAGE_BYTES, 3)
    if not data:
        return None
    if len(fds) == 3:  # too long for a message
        with open(fds.pop(), "rb") as file:
            file.seek(0)
            data = file.read()
    request = json.loads(data)
    channel, server = socket.socket(fileno=fds[0]), fds[1]
    info, info_inside = os.pipe()
    errors, errors_inside = os.pipe()
    said, said_inside = os.pipe()
    for fd in (info, errors, said):
        os.set_blocking(fd, False)
    us = os.getpid()
    outer = os.fork()
    if outer == 0:
        nothing = os.open("/dev/null", os.O_RDONLY)
        inside = {
            0: nothing,
            1: said_inside,
            2: said_inside,
            enter.SERVER_FD: server,
            enter.SECCOMP_FD: os.open(f"/proc/self/fd/{filter_}", os.O_RDONLY),
            enter.INFO_FD: info_inside,
            enter.SERVER_CODE_FD: os.open(f"/proc/self/fd/{code}", os.O_RDONLY),
        }
        enter.become_bwrap(
            argv=request["argv"],
            steps=request["steps"],
            staging=staging,
            drop_to=drop_to,
            mark=request["mark"],
            fds=inside,
            errors=errors_inside,
            parent=us,
        )
    for fd in (server, info_inside, errors_inside, said_inside):
        os.close(fd)
    return _Sandbox(channel, outer, info, errors, said, request["roots"])


def _serve(sandbox: _Sandbox, fd: int, poller: "select.poll") -> None:
    if fd == sandbox.info:
        text = _read(sandbox.info)
        sandbox.info_text += text
        if not text:  # it comes in pieces; closed, it is whole
            poller.unregister(sandbox.info)
            os.close(sandbox.info)
            sandbox.info = -1
            if sandbox.info_text:
                _found(sandbox, int(json.loads(sandbox.info_text)["child-pid"]))
    elif fd == sandbox.outer_handle:
        _ended(sandbox, poller)
    else:
        try:
            message = sandbox.channel.recv(200)
        except OSError:
            message = b""
        if message[:1] == b"W":
            _, memory, disk = message.split()
            sandbox.watch.begin(int(memory), int(disk))
        elif message[:1] == b"I":
            sandbox.watch.end()
        else:
            _kill(sandbox, "asked")
            if not message:
                poller.unregister(sandbox.channel)
                # Its number may be given to somebody else once it is closed, so it stays open to the end.


def _found(sandbox: _Sandbox, pid: int) -> None:
    """Only a child of our `bwrap` is who was meant; a number alone could be somebody else's by now."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    if _parent(pid) != sandbox.outer:
        os.close(handle)
        return
    sandbox.first, sandbox.first_handle = pid, handle
    if sandbox.killed is not None:
        _signal(handle)


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return -1


def _kill(sandbox: _Sandbox, why: str) -> None:
    """The first process inside takes all others with it, and `bwrap` ends only when the kernel has put away the last of them."""
    if sandbox.killed is None:
        sandbox.killed = why
    sandbox.watch.end()
    if sandbox.first_handle >= 0:
        _signal(sandbox.first_handle)
    sandbox.kill_by_s = time.monotonic() + _GIVE_UP_S


def _signal(handle: int) -> None:
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return


def _ended(sandbox: _Sandbox, poller: "select.poll") -> None:
    _, status = os.waitpid(sandbox.outer, 0)
    if sandbox.first_handle >= 0:
        # Killed from outside, `bwrap` ends before what is inside.
        _signal(sandbox.first_handle)
        select.select([sandbox.first_handle], [], [], _GIVE_UP_S)
    said = {
        "status": status,
        "killed": sandbox.killed,
        "said": _read(sandbox.said).decode("utf-8", "replace"),
        "stage": None,
    }
    failed = _read(sandbox.errors)
    if failed:
        said["stage"] = json.loads(failed)
    with contextlib.suppress(OSError):  # nobody may want to know any more
        sandbox.channel.send(json.dumps(said).encode())
    for fd in sandbox.fileno_all():
        try:
            poller.unregister(fd)
        except KeyError:
            continue
    sandbox.channel.close()
    for fd in (sandbox.outer_handle, sandbox.first_handle, sandbox.info, sandbox.errors, sandbox.said):
        if fd >= 0:
            os.close(fd)
    sandbox.outer = 0


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _SAID_BYTES)
    except OSError:
        return b""


def _patience_ms(sandboxes: list[_Sandbox]) -> int | None:
    """`None` = until something happens."""
    times = [s.watch.next_s for s in sandboxes if s.watch.next_s]
    times += [s.kill_by_s for s in sandboxes if s.kill_by_s]
    if not times:
        return None
    return max(0, int((min(times) - time.monotonic()) * 1000) + 1)
