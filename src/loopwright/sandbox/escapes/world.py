"""What stands outside for a probe to get at: files with a secret, a repository, a victim process, listeners, shared memory; and whether
it was got at. All of it is made for the occasion and taken away afterwards."""

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from loopwright.sandbox.remove import remove_tree

__all__ = ["World"]

_SECRET_VARIABLE = "LOOPWRIGHT_DRILL_SECRET"
_SHARED = 0o666
_IPC_REMOVE = 0
_SETTLE_S = 2.0


class World:
    """Open for one probe at a time. `uid` is who the sandboxed command is: what lies outside belongs to it, so that only the sandbox
    stands between, not the rights of files.

    `candidate` is the folder that the probe may write, `readable` one that it may read. `bombs` is how much the probes that use things
    up use: bytes, seconds, numbers.
    """

    def __init__(self, uid: int, bombs: Mapping[str, float]) -> None:
        self.secret = secrets.token_hex(16)
        self.mark = f"lw{secrets.token_hex(6)}"
        self._uid = uid
        self._home = Path(tempfile.mkdtemp(prefix="loopwright-drill-"))
        self.candidate = self._home / "candidate"
        self.readable = self._home / "prefix"
        self._outside = self._home / "outside"
        self._bombs = dict(bombs)
        self._stack = contextlib.ExitStack()
        self._received = threading.Event()
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def describe(self) -> str:
        """What a probe is told, as JSON."""
        return json.dumps(self._told)

    def happened(self) -> str | None:
        """What of a probe is seen from out here, `None` when nothing is."""
        if self._received.wait(0.02 if not self._received.is_set() else 0):
            return "a datagram arrived outside"
        if self._victim_ended():
            return "a process outside was ended"
        if Path("/dev/shm", f"{self.mark}-new").exists() or Path(f"/usr/local/escaped-{self.mark}").exists():
            return "a file appeared outside"
        if self._snapshot() != self._before:
            return "files outside were changed"
        left = _with_argument(self.mark)
        return f"process {left[0]} was left behind" if left else None

    def close(self) -> None:
        """Take everything away, what a probe left included."""
        for pid in _with_argument(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._stack.close()
        for place in (Path("/dev/shm", f"{self.mark}-new"), Path(f"/usr/local/escaped-{self.mark}")):
            place.unlink(missing_ok=True)
        remove_tree(self._home)

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _victim_ended(self) -> bool:
        """A signal that was sent need not have had its effect yet: whoever is about to die is waited for."""
        until = time.monotonic() + _SETTLE_S
        while self._victim.poll() is None and _is_busy(self._victim.pid) and time.monotonic() < until:
            time.sleep(0.002)
        return self._victim.poll() is not None

    # --- making it -----------------------------------------------------------------------------------------------------
    def _make(self) -> None:
        os.chmod(self._home, 0o755)  # another user must get as far as the sandbox lets him
        repository, home, tmp = self._home / "repository", self._home / "home", self._home / "tmp"
        files = {
            self._outside / "secret.txt": self.secret,
            self._outside / "target.txt": "as it was\n",
            repository / ".git/config": f"[core]\n# {self.secret}\n",
            repository / ".git/hooks/README": "",
            repository / ".git/refs/heads/main": "1" * 40 + "\n",
            repository / ".loopwright/journal.db": self.secret,
            repository / "tracked.txt": "as it was\n",
            repository / "untracked-secret.txt": self.secret,
            home / ".netrc": self.secret,
            self.readable / "lib.txt": "",
            tmp / "README": "",
            self.candidate / "README": "",
        }
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self._listen_to_datagrams()
        told = {
            "secret": self.secret,
            "mark": self.mark,
            "outside": str(self._outside),
            "secret_file": str(self._outside / "secret.txt"),
            "repository": str(repository),
            "home": str(home),
            "tmp": str(tmp),
            "prefix": str(self.readable),
            "tcp_port": self._tell(socket.AF_INET, ("127.0.0.1", 0)),
            "tcp6_port": self._tell(socket.AF_INET6, ("::1", 0)),
            "udp_port": self._udp.getsockname()[1],
            "abstract": self.mark,
            "shm_id": self._shared_memory(),
            "shm_secret": f"{self.mark}-secret",
            "shm_name": f"{self.mark}-new",
            "files": 10_000,
            **self._bombs,
        }
        self._tell(socket.AF_UNIX, "\0" + self.mark)
        self._tell(socket.AF_UNIX, str(self._outside / "s"))
        shared = Path("/dev/shm", f"{self.mark}-secret")
        shared.write_text(self.secret, encoding="utf-8")
        self._stack.callback(shared.unlink, missing_ok=True)
        for folder, _, names in os.walk(self._home):
            for place in (folder, *(os.path.join(folder, name) for name in names)):
                self._hand_over(place)
        os.chmod(self._home, 0o755)
        self._hand_over(str(shared))
        told["victim"] = self._start_victim()
        told["victim_mark"] = f"victim-{self.mark}"
        self._environment()
        self._told = told
        self._before = self._snapshot()

    def _hand_over(self, path: str) -> None:
        if os.getuid() == 0:
            os.chown(path, self._uid, self._uid, follow_symlinks=False)
        mode = os.lstat(path).st_mode
        os.chmod(path, 0o777 if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode) else 0o666)

    def _start_victim(self) -> int:
        """A process of the very user that the probe runs as, with the secret in its environment and in an open file."""
        with (self._outside / "secret.txt").open("rb") as held:
            self._victim = subprocess.Popen(
                [sys.executable, "-I", "-c", "import time; time.sleep(300)", f"victim-{self.mark}"],
                cwd=self._outside,
                env={_SECRET_VARIABLE: self.secret},
                stdin=held,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=self._uid if os.getuid() == 0 and shutil.which("true") else None,
                # Its own kind of user must be able to start it: the interpreter may lie in a home that only root enters.
                executable=_python_for_all(),
            )
        self._stack.callback(self._end_victim)
        return self._victim.pid

    def _end_victim(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._victim.kill()
        self._victim.wait()

    def _environment(self) -> None:
        os.environ[_SECRET_VARIABLE] = self.secret
        self._stack.callback(os.environ.pop, _SECRET_VARIABLE, None)
        fd = os.open(self._outside / "secret.txt", os.O_RDONLY)
        os.set_inheritable(fd, True)
        self._stack.callback(os.close, fd)

    def _tell(self, family: int, address: tuple[str, int] | str) -> int:
        """A listener that tells the secret to whoever connects; its port."""
        listener = socket.socket(family, socket.SOCK_STREAM)
        self._stack.callback(listener.close)
        try:
            listener.bind(address)
        except OSError:
            if family == socket.AF_INET6:
                return 9  # no IPv6 here: the probe fails without a sandbox as well, and says so
            raise
        listener.listen(8)
        threading.Thread(target=_serve, args=(listener, self.secret.encode()), daemon=True).start()
        self._stack.callback(_shut, listener)
        name = listener.getsockname()
        return int(name[1]) if family != socket.AF_UNIX else 0

    def _listen_to_datagrams(self) -> None:
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        local.bind(str(self._outside / "d"))
        for listener in (self._udp, local):
            self._stack.callback(listener.close)
            threading.Thread(target=self._receive, args=(listener,), daemon=True).start()
            self._stack.callback(_shut, listener)

    def _receive(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if listener.recv(200) == self.mark.encode():
                self._received.set()

    def _shared_memory(self) -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        number = int(libc.shmget(0, 4096, 0o1000 | _SHARED))
        if number < 0:
            return -1
        self._stack.callback(libc.shmctl, number, _IPC_REMOVE, None)
        at = libc.shmat(number, None, 0)
        ctypes.memmove(at, self.secret.encode() + b"\0", len(self.secret) + 1)
        libc.shmdt(ctypes.c_void_p(at))
        return number

    def _snapshot(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for folder, _, names in sorted(os.walk(self._home)):
            if Path(folder).is_relative_to(self.candidate):
                continue
            for path in sorted(os.path.join(folder, name) for name in names):
                info = os.lstat(path)
                data = Path(path).read_bytes() if stat.S_ISREG(info.st_mode) else b""
                attributes = os.listxattr(path, follow_symlinks=False)
                rows.append((path, info.st_mode, info.st_uid, info.st_mtime_ns, data, tuple(attributes)))
        return rows


def _is_busy(pid: int) -> bool:
    """Whether the process does anything else than sleep, or has a signal before it."""
    try:
        rows = dict(row.split(":", 1) for row in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in row)
    except OSError:
        return True
    pending = int(rows["SigPnd"], 16) | int(rows["ShdPnd"], 16)
    return pending != 0 or rows["State"].split()[0] in ("R", "D", "X", "Z")


def _python_for_all() -> str:
    """An interpreter that any user can start; root's own may lie in root's home."""
    return next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if os.path.exists(p)), sys.executable)


def _serve(listener: socket.socket, text: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(text)


def _shut(listener: socket.socket) -> None:
    """Wakes the thread that waits in it: closing alone would leave it there."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def _with_argument(mark: str) -> list[int]:
    wanted = mark.encode()
    found: list[int] = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if wanted in Path("/proc", name, "cmdline").read_bytes().split(b"\0"):
                found.append(int(name))
    return found
