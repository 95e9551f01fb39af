"""The first process inside a sandbox: runs one command after the other, each from a fork, and ends all that a command left behind.

It is run from its source by the interpreter inside, without the rest of the package, and imports C modules only: this start is most of
what a sandbox costs. What a command can do to it: nothing. It cannot be signalled (the kernel protects a first process from its own
namespace), looked into (it is not dumpable) or limited (the system call filter), and keeps no state from one command to the next.

A request is one message: three descriptors (standard input, output, error) and a marshalled tuple `(argv, env, cwd, limits)`, in a
fourth descriptor when it is long. The answer is `<how> <number> <clean>`, see `_answer`.
"""

import _ctypes
import _socket
import marshal
import os
import resource
import select
import signal
import sys

_SERVER_FD, _CODE_FD = 3, 6
_PR_SET_DUMPABLE = 4
_PRIVATE = ("/tmp", "/dev/shm")  # noqa: S108  inside: file systems of this sandbox alone
_FOLDERS = ("/tmp/sandbox-home", "/tmp/sandbox-tmp")  # noqa: S108
_MESSAGE_BYTES = 1 << 18
_DEPTH = 100
_REAP_MS = 200
_IGNORED = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)


_Request = tuple[list[bytes], dict[bytes, bytes], bytes, tuple[int | None, int, int, int]]
"""Program and arguments, environment, working directory, limits (seconds of processor, bytes of a file, processes, descriptors)."""


class _Dirty(Exception):
    """Something of the command could not be taken away; this sandbox must not be used again."""


def serve() -> None:
    _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl"), (_PR_SET_DUMPABLE, 0, 0, 0, 0))  # type: ignore[arg-type]
    os.close(_CODE_FD)
    for ignored in _IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    server = _socket.socket(fileno=_SERVER_FD)
    server_fd = _SERVER_FD
    os.set_inheritable(server_fd, False)
    for folder in _FOLDERS:
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
    as_made = _folders()
    processors = os.sched_getaffinity(0)
    while True:
        request, stdio = _receive(server)
        if request is None:
            return
        how, number = _run(request, stdio, processors)
        try:  # noqa: SIM105  another import would cost a start
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _reap_all()
        try:
            _clean(as_made)
            clean = 1
        except (OSError, _Dirty):
            clean = 0
        server.send(b"%s %d %d" % (how, number, clean))


def _receive(server: _socket.socket) -> tuple[_Request | None, list[int]]:
    data, ancillary, _, _ = server.recvmsg(_MESSAGE_BYTES, _socket.CMSG_SPACE(16), _socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for _, _, packed in ancillary:
        fds += [int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
    if not data:
        return None, fds
    if len(fds) > 3:
        fd = fds.pop()
        size = os.fstat(fd).st_size
        data = b""
        while len(data) < size:
            data += os.pread(fd, size - len(data), len(data))
        os.close(fd)
    request: _Request = marshal.loads(data)  # noqa: S302  from outside, where we were started from
    return request, fds


def _run(request: _Request, stdio: list[int], processors: set[int]) -> tuple[bytes, int]:
    """How it ended: `exit` and its code, `signal` and its number, `exec` or `chdir` and the errno of what went wrong."""
    error, error_inside = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(request, stdio, processors, error_inside)
    os.close(error_inside)
    for fd in stdio:
        os.close(fd)
    handle = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    status = None
    while status is None:
        poller.poll(_REAP_MS)
        # Also who was left to us: a dead process counts against the command's limit until somebody asks for it.
        while True:
            ended, its = os.waitpid(-1, os.WNOHANG)
            if ended == pid:
                status = its
            if ended in (0, pid):
                break
    os.close(handle)
    failed = os.read(error, 100)
    os.close(error)
    if failed:
        step, _, number = failed.partition(b" ")
        return step, int(number)
    if os.WIFSIGNALED(status):
        return b"signal", os.WTERMSIG(status)
    return b"exit", os.WEXITSTATUS(status)


def _become(request: _Request, stdio: list[int], processors: set[int], error: int) -> None:
    step = b"chdir"
    try:
        argv, env, cwd, (cpu_s, file_bytes, processes, open_files) = request
        os.setsid()
        for number, fd in enumerate(stdio):
            os.dup2(fd, number)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_DFL)
        os.sched_setaffinity(0, processors)
        os.chdir(cwd)
        step = b"limit"
        limits = [
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, cpu_s),
            (resource.RLIMIT_FSIZE, file_bytes),
            (resource.RLIMIT_NPROC, processes),
            (resource.RLIMIT_NOFILE, open_files),
        ]
        for which, value in limits:
            if value is not None:
                hard = resource.getrlimit(which)[1]
                value = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(which, (value, value))
        step = b"exec"
        _exec(argv, env)
    except OSError as failed:
        os.write(error, b"%s %d" % (step, failed.errno or 0))
    finally:
        os._exit(127)


def _exec(argv: list[bytes], env: dict[bytes, bytes]) -> None:
    program = argv[0]
    places = [program]
    if b"/" not in program:
        places = [os.path.join(folder, program) for folder in env.get(b"PATH", b"").split(b":") if folder]
    last = OSError(2, "not found")
    for place in places:
        try:
            os.execve(place, argv, env)  # noqa: S606
        except OSError as failed:
            if failed.errno == 8:  # a script that does not say of what kind
                os.execve("/bin/sh", [b"sh", place, *argv[1:]], env)  # noqa: S606
            if failed.errno not in (2, 20) and last.errno != 13:
                last = failed
            if failed.errno not in (2, 13, 20):
                break
    raise last


def _reap_all() -> None:
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _folders() -> dict[str, int]:
    """Every folder of the private file systems and its mode; below them only the places of mounts can be there yet."""
    found: dict[str, int] = {}

    def look(folder: str, device: int) -> None:
        found[folder] = os.lstat(folder).st_mode & 0o7777
        with os.scandir(folder) as entries:
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False) and info.st_dev == device:
                    look(entry.path, device)

    for private in _PRIVATE:
        look(private, os.lstat(private).st_dev)
    return found


def _clean(as_made: dict[str, int]) -> None:
    for private in _PRIVATE:
        _empty(private, os.lstat(private).st_dev, as_made, _DEPTH)
    for folder in _FOLDERS:
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
    for folder, mode in as_made.items():
        info = os.lstat(folder)
        if info.st_mode != (0o040000 | mode) or os.listxattr(folder, follow_symlinks=False):
            raise _Dirty
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}", "rb", buffering=0) as file:
            if file.read(4096).count(b"\n") > 1:
                raise _Dirty


def _empty(folder: str, device: int, as_made: dict[str, int], depth: int) -> None:
    """What is mounted somewhere below is on another device and not ours to touch."""
    if depth == 0:
        raise _Dirty
    wanted = as_made.get(folder, 0o700)
    if os.lstat(folder).st_mode & 0o7777 != wanted:
        os.chmod(folder, wanted)
    for name in os.listdir(folder):
        path = folder + "/" + name
        info = os.lstat(path)
        if info.st_dev != device:
            continue
        if info.st_mode & 0o170000 == 0o040000:
            _empty(path, device, as_made, depth - 1)
            if path not in as_made:
                os.rmdir(path)
        else:
            os.unlink(path)


if __name__ == "__main__":
    serve()
