"""A real PostgreSQL server for the tests: a fresh cluster in a temporary folder, on the loopback, ended by its process id."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["running_postgres", "schema_url"]

_MISSING = "PostgreSQL's server programs are needed by the tests and were not found: apt-get install --no-install-recommends postgresql"


@contextlib.contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of a server that lives as long as the block. Fails, never skips, where PostgreSQL is not installed."""
    programs = _programs()
    root = Path(tempfile.mkdtemp(prefix="loopwright-pg-"))
    try:
        as_server = _unprivileged(root)
        data, log = root / "data", root / "server.log"
        _checked(
            [
                *as_server,
                str(programs / "initdb"),
                "-D",
                str(data),
                "-U",
                "loopwright",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ],
            root,
        )
        port = _free_port()
        argv = [
            str(programs / "postgres"),
            "-D",
            str(data),
            "-p",
            str(port),
            "-k",
            str(root),
            "-h",
            "127.0.0.1",
            "-c",
            "max_connections=60",
        ]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [*as_server, *argv], stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=root
            )
        try:
            _wait_until_ready(server, programs, root, port, log)
            yield f"postgresql://loopwright@127.0.0.1:{port}/postgres"
        finally:
            # Immediate: nothing in it is wanted any more. The wrapper that drops root replaced itself by the server.
            server.send_signal(signal.SIGQUIT)
            server.wait(timeout=30)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def schema_url(url: str, schema: str) -> str:
    """The same server, another schema: what keeps tests apart."""
    return f"{url}?schema={schema}"


def _programs() -> Path:
    for name in ("initdb", "postgres"):
        if shutil.which(name) is None:
            break
    else:
        return Path(os.path.realpath(str(shutil.which("initdb")))).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3].split(".")[0]))
    if not installed:
        raise RuntimeError(_MISSING)
    return installed[-1].parent


def _unprivileged(root: Path) -> list[str]:
    """What to put before a command: PostgreSQL refuses to run as root, and a server must not outlive killed tests."""
    with_tests = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() != 0:
        return [*with_tests, "--"]
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(root, user.pw_uid, user.pw_gid)
            return [*with_tests, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
    raise RuntimeError(
        "PostgreSQL does not run as root and there is neither a user postgres nor nobody: run the tests as another user"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: subprocess.Popen[bytes], programs: Path, root: Path, port: int, log: Path) -> None:
    # pg_ctl watches the server's own pid file until it says "ready", or its time is over.
    data = root / "data"
    for _ in range(600):
        if server.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended at once: {log.read_text(errors='replace')[-2000:]}")
        ready = subprocess.run(
            [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-t", "1"],
            capture_output=True,
            check=False,
        )
        if ready.returncode == 0:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=0.1)
    raise RuntimeError(f"PostgreSQL in {data} was not ready in time: {log.read_text(errors='replace')[-2000:]}")


def _checked(argv: list[str], cwd: Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, cwd=cwd, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: exit {done.returncode}: {done.stderr}{done.stdout}")
