"""What the probe runs inside: tries what must not work and says what happened. Run from its source, by `python -I -S -c`."""

import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

_OURS = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_CTYPE",
    "TZ",
    "PYTHONDONTWRITEBYTECODE",
    "GIT_CEILING_DIRECTORIES",
    "PWD",
)
_DATAGRAMS = 3


def main(given: dict[str, Any]) -> None:
    """One JSON object on standard output: the name of each step to what went wrong, `""` where it held."""
    steps: dict[str, Callable[[], str]] = {
        "write outside": lambda: _denied(lambda: open(given["outside"], "w").close()),
        "read secret": lambda: _denied(lambda: open(given["secret"]).close()),
        "environment": _environment,
        "tcp": lambda: _denied(lambda: socket.create_connection(("127.0.0.1", given["tcp"]), 2).close()),
        "udp": lambda: _udp(given["udp"]),
        "rights": lambda: _rights(given["uid"]),
        "system calls": lambda: "" if _status("Seccomp") == "2" else "no system call filter is active",
        "write inside": lambda: _written(given["inside"]),
    }
    found = {}
    for name, step in steps.items():
        try:
            found[name] = step()
        except OSError as error:
            found[name] = f"could not be tried: {error}"
    # Out of the session, out of the tree, without an environment: what a daemon does to live on.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            os.execve("/bin/sleep", [given["daemon"], "600"], {})  # noqa: S606
        os._exit(0)
    os.wait()
    sys.stdout.write(json.dumps(found))


def _denied(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError:
        return ""
    return "it went through"


def _udp(port: int) -> str:
    """Whether anything arrived is seen on the other side."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(_DATAGRAMS):
                sender.sendto(b"probe", ("127.0.0.1", port))
    except OSError:
        return ""
    return ""


def _environment() -> str:
    try:
        with open("/proc/1/environ", "rb") as file:
            names = [entry.split(b"=")[0].decode() for entry in file.read().split(b"\0") if entry]
    except OSError:
        names = []
    names += list(os.environ)
    foreign = [name for name in names if name not in _OURS and not name.startswith("LOOPWRIGHT_")]
    return f"it shows {foreign[0]!r} and {len(foreign) - 1} more names" if foreign else ""


def _rights(uid: int) -> str:
    if os.getuid() != uid or uid == 0:
        return f"runs as user {os.getuid()}, expected {uid}"
    return "" if int(_status("CapEff"), 16) == 0 else "it has capabilities"


def _status(name: str) -> str:
    with open("/proc/self/status") as file:
        return next((line.split()[1] for line in file if line.startswith(f"{name}:")), "0")


def _written(path: str) -> str:
    try:
        with open(path, "w") as file:
            file.write("inside")
    except OSError as error:
        return f"{error}"
    return ""


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
