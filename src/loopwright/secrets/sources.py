"""Where values come from: an environment variable, the keyring, a file that only we can read, a command.

A value is fetched when it is needed and not before: a keyring may ask its owner, a command may take seconds.
"""

import contextlib
import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from typing import Final

from loopwright.journal.disguises import MIN_SECRET_CHARS
from loopwright.policy.policy import SecretSource, SecretSpec
from loopwright.secrets.errors import SecretUnavailable

__all__ = ["COMMAND_TIMEOUT_S", "MAX_VALUE_BYTES", "describe", "load"]

COMMAND_TIMEOUT_S: Final = 10.0
MAX_VALUE_BYTES: Final = 16 << 10


def describe(source: SecretSource) -> str:
    """For people, without arguments: a command's could hold what must not be shown."""
    words = source.words[:1] if source.kind == "command" else source.words
    return f"{source.kind}:{'/'.join(words)}"


def load(spec: SecretSpec, env: Mapping[str, str], *, command_timeout_s: float = COMMAND_TIMEOUT_S) -> str:
    """The value, fit for a header: one line of at least 8 printable ASCII characters. `env` is the operator's environment.

    Raises: `SecretUnavailable`, which names secret and source.
    """
    subject = f"secret {spec.name!r} from {describe(spec.source)}"
    words = spec.source.words
    expected = 2 if spec.source.kind == "keyring" else 1
    if len(words) < expected or (len(words) > expected and spec.source.kind != "command"):
        raise SecretUnavailable(
            f"{subject}: expected {expected} word(s) after the kind, found {len(words)}; correct it"
        )
    match spec.source.kind:
        case "env":
            value = _from_env(subject, words[0], env)
        case "keyring":
            value = _from_keyring(subject, words[0], words[1])
        case "file":
            value = _from_file(subject, words[0], env)
        case "command":
            value = _from_command(subject, words, env, command_timeout_s)
    return _fit(subject, value)


def _fit(subject: str, value: str) -> str:
    value = value.rstrip("\r\n")
    if len(value) < MIN_SECRET_CHARS:
        raise SecretUnavailable(
            f"{subject}: expected at least {MIN_SECRET_CHARS} characters, found {len(value)}; shorter ones cannot be redacted"
        )
    if not all(" " <= c <= "~" for c in value) or value != value.strip():
        raise SecretUnavailable(
            f"{subject}: expected one line of printable ASCII without spaces around it, found something else; "
            f"a header can carry nothing more"
        )
    return value


def _from_env(subject: str, name: str, env: Mapping[str, str]) -> str:
    value = env.get(name)
    if not value:
        raise SecretUnavailable(
            f"{subject}: expected the variable to be set, found nothing; export {name} where loopwright starts"
        )
    return value


def _from_keyring(subject: str, service: str, user: str) -> str:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise SecretUnavailable(
            f"{subject}: expected the keyring library, found none; pip install 'loopwright[keyring]'"
        ) from None
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringLocked:
        value, why = None, "it is locked; unlock it and try again"
    except keyring.errors.NoKeyringError:
        value, why = None, "there is none on this machine; start one or use another source"
    except (keyring.errors.KeyringError, RuntimeError, OSError) as error:
        value, why = None, f"it failed ({type(error).__name__}); try `keyring get` by hand"
    else:
        why = f"it has no such entry; `keyring set {service} {user}` makes one"
    if value is None:
        raise SecretUnavailable(f"{subject}: expected the keyring to give a value, but {why}")
    return value


def _from_file(subject: str, name: str, env: Mapping[str, str]) -> str:
    path = os.path.join(env["HOME"], name[2:]) if name.startswith("~/") and env.get("HOME") else name
    if not os.path.isabs(path):
        raise SecretUnavailable(f"{subject}: expected an absolute path or ~/…, found a relative one; write it out")
    try:
        # NONBLOCK: a pipe put there must not hold us.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretUnavailable(
            f"{subject}: expected a readable regular file, found: {error.strerror}; create it"
        ) from None
    try:
        found = os.fstat(fd)
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode):
            raise SecretUnavailable(
                f"{subject}: expected a regular file, found {stat.filemode(found.st_mode)[0]!r}; use a file"
            )
        if found.st_uid != os.geteuid():
            raise SecretUnavailable(
                f"{subject}: expected a file of uid {os.geteuid()}, found uid {found.st_uid}; chown it"
            )
        if mode not in (0o600, 0o400):
            raise SecretUnavailable(f"{subject}: expected mode 0600 or 0400, found {mode:04o}; chmod 600 it")
        data = _read_all(fd, MAX_VALUE_BYTES + 1)
    finally:
        os.close(fd)
    return _decoded(subject, data)


def _read_all(fd: int, limit: int) -> bytes:
    data = b""
    while len(data) < limit and (more := os.read(fd, limit - len(data))):
        data += more
    return data


def _decoded(subject: str, data: bytes) -> str:
    if len(data) > MAX_VALUE_BYTES:
        raise SecretUnavailable(
            f"{subject}: expected at most {MAX_VALUE_BYTES} bytes, found more; is it the right one?"
        )
    return data.decode("utf-8", "replace")


def _from_command(subject: str, argv: tuple[str, ...], env: Mapping[str, str], timeout_s: float) -> str:
    """The first line of its output. It gets HOME and PATH, no input, and its complaints are dropped: they may hold the value."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: env[name] for name in ("HOME", "PATH") if name in env},
            start_new_session=True,
        )
    except OSError as error:
        raise SecretUnavailable(
            f"{subject}: expected a program to start, found: {error.strerror}; install or correct it"
        ) from None
    with process:
        assert process.stdout is not None
        try:
            data = _read_until(process.stdout.fileno(), MAX_VALUE_BYTES + 1, time.monotonic() + timeout_s)
            code = process.wait(timeout_s) if data is not None and len(data) <= MAX_VALUE_BYTES else None
        except subprocess.TimeoutExpired:
            data = code = None
        finally:
            if process.returncode is None:  # not reaped: the id of its group is still its own
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    if data is None:
        raise SecretUnavailable(f"{subject}: expected an answer within {timeout_s:g} s, found none; run it by hand")
    text = _decoded(subject, data)
    if code != 0:
        raise SecretUnavailable(f"{subject}: expected exit code 0, found {code}; run it by hand")
    return text.split("\n", 1)[0]


def _read_until(fd: int, limit: int, deadline: float) -> bytes | None:
    """What comes until the end, at most `limit` bytes; `None` when the deadline (monotonic, seconds) came first."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    data = b""
    while len(data) < limit:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        more = os.read(fd, limit - len(data))
        if not more:
            break
        data += more
    return data
