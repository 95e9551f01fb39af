"""Runs INSIDE the sandbox, from its own file, with the standard library alone: gives a server the socket to its client as stdio.

    python -I -S bridge.py CLIENT_SOCKET EGRESS_SOCKET|- -- ARGV...

With an egress socket a child listens on a loopback port and passes every connection on to it; the server finds the port in the usual
proxy variables. There is no other way out: the sandbox has no network. Then this process becomes the server.
"""

import contextlib
import os
import select
import socket
import sys
import threading

_CHUNK_BYTES = 1 << 16


def main() -> None:
    client, egress, dashes, *argv = sys.argv[1:]
    if dashes != "--" or not argv:
        sys.exit("bridge: expected CLIENT_SOCKET EGRESS_SOCKET|- -- ARGV...")
    # A compiled file beside a source that was checked is not checked itself, and Python would run it instead.
    os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(os.environ.get("TMPDIR", "/tmp"), "pyc")  # noqa: S108 - private in the sandbox
    if egress != "-":
        port = _forward(egress)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            os.environ[name] = os.environ[name.lower()] = f"http://127.0.0.1:{port}"
    stdio = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stdio.connect(client)
    os.dup2(stdio.fileno(), 0)
    os.dup2(stdio.fileno(), 1)
    stdio.close()
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as error:
        sys.exit(f"bridge: {argv[0]}: {error}")


def _forward(egress: str) -> int:
    door = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = int(door.getsockname()[1])
    if os.fork():
        door.close()
        return port
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    parent = os.getppid()
    while os.getppid() == parent:
        if select.select([door], [], [], 5.0)[0]:
            near, _ = door.accept()
            threading.Thread(target=_join, args=(near, egress), daemon=True).start()
    os._exit(0)


def _join(near: socket.socket, egress: str) -> None:
    far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        far.connect(egress)
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        _copy(near, far)
        back.join()
    except OSError:
        pass
    finally:
        near.close()
        far.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
