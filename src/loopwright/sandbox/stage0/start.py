"""The launcher's first lines: what it was given, made ready. Run by `python -I -S -c`, see `sandbox.launch`."""

import json
import marshal
import os
import socket

from loopwright.sandbox.stage0.launcher import main

__all__ = ["start"]


def start() -> None:
    """The socket is descriptor 0; the first message on it says what to prepare."""
    requests = socket.socket(fileno=os.dup(0))
    os.dup2(os.open("/dev/null", os.O_RDWR), 0)
    said = json.loads(requests.recv(1 << 17))
    with open(os.path.join(os.path.dirname(os.path.dirname(__file__)), "inside_server.py"), "rb") as file:
        code = compile(file.read(), "<server>", "exec", optimize=2)
    main(
        requests,
        said["staging"],
        said["static"],
        said["drop_to"],
        (said["etc_names"], said["etc_files"]),
        _memory_file("server", marshal.dumps(code)),
        _memory_file("seccomp", bytes.fromhex(said["filter"])),
    )


def _memory_file(name: str, data: bytes) -> int:
    fd = os.memfd_create(name)
    os.write(fd, data)
    os.fchmod(fd, 0o444)
    return fd
