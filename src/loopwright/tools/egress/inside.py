"""Runs in a sandbox that has no network: takes connections on its loopback and passes them to the proxy's unix socket.

    python inside.py SOCKET PORT [TOKEN_FILE] -- COMMAND [ARGUMENT...]

starts COMMAND with HTTP_PROXY and HTTPS_PROXY set, and ends with its exit code. Standard library only and no import of ours: the
sandbox may have no more than a Python.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

_CHUNK_BYTES = 64 << 10


def copy(source: socket.socket, target: socket.socket) -> None:
    """Until the end of `source`; then `target` is told, and can still answer."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def pass_on(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as proxy:
        try:
            proxy.connect(path)
        except OSError as error:
            reason = f"loopwright: the proxy is not there ({error.strerror})\n".encode()
            client.sendall(
                b"HTTP/1.1 502 Refused\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(reason), reason)
            )
            return
        up = threading.Thread(target=copy, args=(client, proxy), daemon=True)
        up.start()
        copy(proxy, client)
        # The host has said all: what the client still wants to send has nowhere to go.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RD)
        up.join()


def accept(listener: socket.socket, path: str) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=pass_on, args=(client, path), daemon=True).start()


def proxy_env(port: int, token: str) -> dict[str, str]:
    url = f"http://loopwright:{token}@127.0.0.1:{port}" if token else f"http://127.0.0.1:{port}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy")
    return {**dict.fromkeys(names, url), "NO_PROXY": "", "no_proxy": ""}


def main(argv: list[str]) -> int:
    """`PORT` 0 takes a free one. Exit code of the command; 128 + signal when one ended it; 2 for wrong arguments."""
    own, dashes, command = argv, "", []
    if "--" in argv:
        at = argv.index("--")
        own, dashes, command = argv[:at], "--", argv[at + 1 :]
    if len(own) not in (2, 3) or not dashes or not command or not own[1].isdigit():
        sys.stderr.write("inside.py: expected SOCKET PORT [TOKEN_FILE] -- COMMAND, found something else\n")
        return 2
    token = ""
    if len(own) == 3:
        with open(own[2], encoding="ascii") as file:
            token = file.read().strip()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(own[1])))
        listener.listen(64)
        port = listener.getsockname()[1]
        threading.Thread(target=accept, args=(listener, own[0]), daemon=True).start()
        process = subprocess.Popen(command, env={**os.environ, **proxy_env(port, token)})
        # The command gets the terminal's signals itself; we live as long as it does. Not earlier: it would inherit that.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
