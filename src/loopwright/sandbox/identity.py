"""Who a sandboxed command is on this machine: never root."""

import os
import pwd
from collections.abc import Mapping

from loopwright.errors import SandboxError

__all__ = ["UID_VARIABLE", "sandbox_uid"]

UID_VARIABLE = "LOOPWRIGHT_SANDBOX_UID"
_FIRST, _LAST = 61000, 61183
"""Debian and systemd leave 60578-61183 unassigned; nobody logs in with such a number."""


def sandbox_uid(env: Mapping[str, str]) -> int:
    """Our own number, unless we are root: then the one that `LOOPWRIGHT_SANDBOX_UID` asks for, else the first of 61000 to 61183 that
    has no account. As root, `bwrap` would let the inside write `/proc/sys`, and no limit on processes would hold.

    Raises: `SandboxError` for a number that is no unprivileged user without an account.
    """
    own = os.getuid()
    if own != 0:
        return own
    wanted = env.get(UID_VARIABLE)
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) < 2**31:
            raise SandboxError(
                f"{UID_VARIABLE} is {wanted!r}; expected the number of an unprivileged user, such as {_FIRST}"
            )
        if _account(int(wanted)):
            raise SandboxError(
                f"{UID_VARIABLE} is {wanted}, which is the account {_account(int(wanted))!r} with files of its own; "
                f"expected a number without an account, such as {_FIRST}"
            )
        return int(wanted)
    for uid in range(_FIRST, _LAST + 1):
        if not _account(uid):
            return uid
    raise SandboxError(
        f"every user number from {_FIRST} to {_LAST} has an account; expected one without: set {UID_VARIABLE} to such a number"
    )


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
