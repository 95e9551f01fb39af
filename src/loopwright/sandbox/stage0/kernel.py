"""The system calls that Python has no function for, each raising `StepFailed` with the name of the step."""

import ctypes
import os

__all__ = ["CLONE_NEWNS", "CLONE_NEWUSER", "StepFailed", "bind", "die_with_parent", "make_slave", "mount", "unshare"]

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


class StepFailed(Exception):
    """`step` is what was tried, `number` its errno, `subject` the path or program it was about."""

    def __init__(self, step: str, number: int, subject: str = "") -> None:
        super().__init__(step, number, subject)
        self.step = step
        self.number = number
        self.subject = subject


def unshare(flags: int, step: str) -> None:
    if _libc.unshare(flags) != 0:
        raise StepFailed(step, ctypes.get_errno())


def mount(source: str, target: str, kind: str, options: str, flags: int = _MS_NOSUID | _MS_NODEV) -> None:
    _mount(source, target, kind, flags, options, f"mount {kind}")


def bind(source: str, target: str) -> None:
    """Also what is mounted below `source`."""
    _mount(source, target, None, _MS_BIND | _MS_REC, None, "bind")


def make_slave() -> None:
    """What we mount stays ours; what the machine mounts later still comes to us."""
    _mount(None, "/", None, _MS_REC | _MS_SLAVE, None, "mounts private")


def die_with_parent(parent: int) -> None:
    """Must be called again after a change of user, which the kernel answers by forgetting it."""
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None, step: str) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    if _libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]) != 0:
        raise StepFailed(step, ctypes.get_errno(), target if kind else source or "")
