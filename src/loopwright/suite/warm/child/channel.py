"""Records, one JSON object a line, over a socket between two processes that wait for each other."""

import json
import select
import socket
import time
from typing import Any

__all__ = ["Channel"]


class Channel:
    """`receive` gives `None` when the other side has ended, sends nonsense, or says nothing in time."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""

    def send(self, record: dict[str, Any]) -> None:
        """Raises: `OSError` when the other side has ended."""
        self._socket.sendall(json.dumps(record).encode() + b"\n")

    def receive(self, within_s: float | None = None) -> dict[str, Any] | None:
        deadline = None if within_s is None else time.monotonic() + within_s
        while b"\n" not in self._buffer:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._socket], [], [], left)
            try:
                chunk = self._socket.recv(1 << 20) if ready else b""
            except OSError:
                chunk = b""
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            record = json.loads(line)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None

    def close(self) -> None:
        self._socket.close()
