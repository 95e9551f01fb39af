"""What a command printed, with a bound on memory: the head and the tail are kept, the middle is drained and dropped."""

import asyncio
import contextlib
import os
from collections.abc import Callable

__all__ = ["FLOOD_FACTOR", "Capture"]

FLOOD_FACTOR = 64
"""A command that prints more than this many times its cap is ended: it is a runaway, not a chatty test suite."""

_CHUNK_BYTES = 1 << 16


class Capture:
    """Reads the pipes of one call on the running loop. All streams together keep about `cap_bytes`.

    Everything is kept while it fits. From then on a stream that fills more than half of the cap keeps its first and its last quarter.
    `on_flood` is called once when more than `FLOOD_FACTOR` times the cap was printed.
    """

    def __init__(self, cap_bytes: int, on_flood: Callable[[], None]) -> None:
        self._cap_bytes = max(cap_bytes, 4)
        self._on_flood = on_flood
        self._streams: list[_Stream] = []
        self._seen_bytes = 0
        self._open = 0
        self._all_closed = asyncio.Event()
        self.truncated = False

    def stream(self) -> int:
        """A new stream; returns the write end of its pipe, for the child. The caller closes it once the child has it."""
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        stream = _Stream(read_fd)
        self._streams.append(stream)
        self._open += 1
        asyncio.get_running_loop().add_reader(read_fd, self._readable, stream)
        return write_fd

    async def drain(self, grace_s: float) -> None:
        """Read what is still in the pipes, to their end or for `grace_s`: who escaped and holds one open cannot hold us."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_closed.wait(), grace_s)

    def close(self) -> None:
        for stream in self._streams:
            self._close(stream)

    def text(self, index: int) -> bytes:
        """What is kept of a stream, with a line where something was left out."""
        return self._streams[index].content()

    def _readable(self, stream: "_Stream") -> None:
        try:
            data = os.read(stream.fd, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(stream)
            return
        before = self._seen_bytes
        self._seen_bytes += len(data)
        stream.add(data)
        if self._seen_bytes > self._cap_bytes:
            self.truncated = True
            for each in self._streams:
                each.trim(self._cap_bytes // 4)
        flood_bytes = self._cap_bytes * FLOOD_FACTOR
        if before <= flood_bytes < self._seen_bytes:
            self._on_flood()

    def _close(self, stream: "_Stream") -> None:
        if stream.fd < 0:
            return
        asyncio.get_running_loop().remove_reader(stream.fd)
        os.close(stream.fd)
        stream.fd = -1
        self._open -= 1
        if not self._open:
            self._all_closed.set()


class _Stream:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._head = b""
        self._tail = bytearray()
        self._left_out_bytes = 0

    def add(self, data: bytes) -> None:
        self._tail += data

    def trim(self, quarter_bytes: int) -> None:
        if not self._head:
            if len(self._tail) <= 2 * quarter_bytes:
                return
            self._head = bytes(self._tail[:quarter_bytes])
            del self._tail[:quarter_bytes]
        # Cut in blocks: cutting on every chunk would move the whole tail each time.
        excess = len(self._tail) - quarter_bytes
        if excess > min(quarter_bytes, 16 * _CHUNK_BYTES):
            self._cut(excess)
        self._quarter_bytes = quarter_bytes

    def content(self) -> bytes:
        if not self._head:
            return bytes(self._tail)
        excess = len(self._tail) - self._quarter_bytes
        if excess > 0:
            self._cut(excess)
        if not self._left_out_bytes:
            return self._head + bytes(self._tail)
        return b"%s\n[... %d bytes left out ...]\n%s" % (self._head, self._left_out_bytes, bytes(self._tail))

    def _cut(self, excess: int) -> None:
        del self._tail[:excess]
        self._left_out_bytes += excess
