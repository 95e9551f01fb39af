"""The audit key: made once, readable by its owner alone, and never where an agent or a repository can reach it."""

import os
import stat
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loopwright.errors import JournalError, UsageError
from loopwright.journal.note import SigningKey, make_key, parse_signing_key

__all__ = ["KEY_NAME", "AuditPlaces", "audit_places", "journal_place", "load_key", "load_or_make_key"]

KEY_NAME: Final = "loopwright.audit"
AUDIT_KEY: Final = "audit key"


@dataclass(frozen=True, slots=True)
class AuditPlaces:
    """`key` is the private key's file; `checkpoints` the folder of notes; `values` and `value_keys` those of erasable values."""

    key: Path
    checkpoints: Path
    values: Path
    value_keys: Path

    def notes_of(self, origin: str) -> Path:
        """The file with the checkpoints of the journal that is called `origin`."""
        return self.checkpoints / f"{origin.rpartition('/')[2]}.notes"


def audit_places(env: Mapping[str, str]) -> AuditPlaces:
    """Where this user's audit files lie, by the XDG base directory specification. Raises: `UsageError` without a home."""
    config, state = _base(env, "XDG_CONFIG_HOME", ".config"), _base(env, "XDG_STATE_HOME", ".local/state")
    return AuditPlaces(
        key=config / "keys" / "audit.key",
        checkpoints=state / "checkpoints",
        values=state / "erasable" / "values",
        value_keys=config / "keys" / "erasable",
    )


def _base(env: Mapping[str, str], variable: str, default: str) -> Path:
    # The specification wants relative paths ignored.
    stated = env.get(variable, "")
    if stated.startswith("/"):
        return Path(stated) / "loopwright"
    home = env.get("HOME", "")
    if not home.startswith("/"):
        raise UsageError(
            f"audit files: expected HOME or {variable} with an absolute path, found neither: set one of them"
        )
    return Path(home) / default / "loopwright"


def journal_place(repo_root: Path, url: str | None) -> str:
    """Where a journal is, as `journal_origin` wants it: the real path of its folder, or its server and schema without credentials."""
    if not url:
        return str(repo_root.resolve())
    parts = urllib.parse.urlsplit(url)
    schema = dict(urllib.parse.parse_qsl(parts.query)).get("schema", "loopwright")
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}?schema={schema}"


def load_key(path: Path, *, what: str = AUDIT_KEY) -> SigningKey:
    """The private key in `path`; `what` it is called in errors.

    Raises: `UsageError` when others could read or replace it, `JournalError` when it is not there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise JournalError(f"{what} {str(path)!r}: cannot be read ({error.strerror})") from error
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise UsageError(
                f"{what} {str(path)!r}: expected a file of this user with mode 0600, found mode"
                f" {stat.S_IMODE(status.st_mode):04o} of uid {status.st_uid}: chmod 600 it, and make a new key if others had access"
            )
        text = file.read(4096)
    try:
        return parse_signing_key(text)
    except UsageError as error:
        raise UsageError(f"{what} {str(path)!r}: {error}") from None


def load_or_make_key(
    path: Path,
    *,
    outside: Sequence[Path],
    random_bytes: Callable[[int], bytes] = os.urandom,
    name: str = KEY_NAME,
    what: str = AUDIT_KEY,
) -> tuple[SigningKey, bool]:
    """The key in `path` and whether it was made just now, as `name`. It is never looked for or made inside a folder of `outside`.

    Raises: `UsageError` for a path inside one of those folders and as `load_key` does; `JournalError` when it cannot be made.
    """
    real = path.parent.resolve() / path.name
    for folder in outside:
        if real.is_relative_to(folder.resolve()):
            raise UsageError(
                f"{what} {str(path)!r}: expected a place that no run can reach, found one inside {str(folder)!r}:"
                " set XDG_CONFIG_HOME to a folder outside of it"
            )
    if path.exists():
        return load_key(path, what=what), False
    key = make_key(name, random_bytes(32))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = path.with_name(f".{path.name}.{os.getpid()}.{random_bytes(4).hex()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(key.text + "\n")
            file.flush()
            os.fsync(descriptor)
        try:
            # A link fails when somebody was faster: two processes never sign with two keys.
            os.link(made, path)
        except FileExistsError:
            return load_key(path, what=what), False
        finally:
            os.unlink(made)
    except OSError as error:
        raise JournalError(
            f"{what} {str(path)!r}: cannot be made ({error.strerror}): make its folder writable"
        ) from error
    return key, True
