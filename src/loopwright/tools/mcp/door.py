"""Unix sockets that only the sandbox's own user may connect to, and how to know that it was him."""

import os
import socket
import struct
from asyncio import StreamWriter
from pathlib import Path

__all__ = ["hand_over", "peer_uid"]


def hand_over(path: Path, uid: int) -> None:
    """Make the socket at `path` connectable by `uid`. Who is not root cannot give it away: then `peer_uid` alone decides."""
    if uid == os.getuid():
        os.chmod(path, 0o600)
    elif os.getuid() == 0:
        os.chown(path, uid, -1)
        os.chmod(path, 0o600)
    else:
        os.chmod(path, 0o666)  # noqa: S103 - who connects is asked for his uid


def peer_uid(writer: StreamWriter) -> int:
    """Who is at the other end, as the kernel says."""
    peer = writer.get_extra_info("socket")
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)
