"""The way into a sandbox: mounts in namespaces of our own, rights dropped for good, and then this process is `bwrap`.

Runs in a freshly forked child of the launcher and never returns to it.
"""

import errno
import json
import os
import stat

from loopwright.sandbox.stage0.kernel import CLONE_NEWNS, StepFailed, bind, die_with_parent, mount, unshare

__all__ = ["INFO_FD", "SECCOMP_FD", "SERVER_CODE_FD", "SERVER_FD", "Step", "become_bwrap", "place"]

SERVER_FD, SECCOMP_FD, INFO_FD, SERVER_CODE_FD = 3, 4, 5, 6
"""Where `bwrap` and the server inside find what is handed to them."""

_FIRST_FREE_FD = 7

Step = list[str]
"""`["bind", source, name]` or `["overlay", lower, upper, work, name]`; `name` is below the staging folder."""


def place(step: Step, staging: str, *, by_root: bool) -> None:
    """Put one source where the user that `bwrap` runs as can reach it. Raises: `StepFailed`."""
    target = f"{staging}/{step[-1]}"
    if step[0] == "overlay":
        _folder(target)
        lower, upper, work = step[1:4]
        # No redirects: a folder that was moved shows as removed and new, which is what whoever reads `upper` understands.
        options = f"lowerdir={_escaped(lower)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
        options += ",redirect_dir=nofollow,metacopy=off" + ("" if by_root else ",userxattr")
        try:
            mount("overlay", target, "overlay", options)
        except StepFailed as failed:
            raise StepFailed(failed.step, failed.number, upper) from None
        return
    source = step[1]
    try:
        # Held by a descriptor, so that what was looked at is what is mounted.
        fd = os.open(source, os.O_PATH)
    except OSError as error:
        raise StepFailed("bind", error.errno or 0, source) from error
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            _folder(target)
        else:
            _file(target)
        try:
            bind(f"/proc/self/fd/{fd}", target)
        except StepFailed as failed:
            raise StepFailed(failed.step, failed.number, source) from None
    finally:
        os.close(fd)


def become_bwrap(
    *,
    argv: list[str],
    steps: list[Step],
    staging: str,
    drop_to: int | None,
    mark: str,
    fds: dict[int, int],
    errors: int,
    parent: int,
) -> None:
    """`drop_to` is the user to become, `None` where we are an ordinary one; `fds` maps a number in the sandbox to one of ours.

    A step that fails is written to `errors` as JSON; that it closes without a word means that `bwrap` runs.
    """
    try:
        os.setsid()
        die_with_parent(parent)
        unshare(CLONE_NEWNS, "unshare mount namespace")
        for step in steps:
            place(step, staging, by_root=drop_to is not None)
        if drop_to is not None:
            _drop(drop_to)
            die_with_parent(parent)
        errors = _arrange(fds, errors)
        os.chdir("/")
        os.umask(0o022)
        # An ordinary user's capabilities in his own namespace end with this call: his number there is not 0.
        os.execve(argv[0], argv, {"LOOPWRIGHT_ACTION": mark})  # noqa: S606
    except StepFailed as failed:
        _report(errors, failed.step, failed.number, failed.subject)
    except OSError as error:
        _report(errors, "start bwrap", error.errno or 0, argv[0])
    finally:
        os._exit(1)


def _drop(uid: int) -> None:
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise StepFailed("drop rights", error.errno or 0, str(uid)) from error
    try:
        os.setuid(0)
    except OSError:
        return
    raise StepFailed("drop rights", errno.EPERM, str(uid))


def _arrange(fds: dict[int, int], errors: int) -> int:
    """Every descriptor at its number, nothing else open; returns where `errors` went."""
    numbers = [*fds, _FIRST_FREE_FD]
    high = [os.dup(fd) for fd in (*fds.values(), errors)]
    while min(high) <= _FIRST_FREE_FD:  # none may stand where another one goes
        high = [os.dup(fd) for fd in high]
    for number, fd in zip(numbers, high, strict=True):
        os.dup2(fd, number, inheritable=number != _FIRST_FREE_FD)
    os.closerange(_FIRST_FREE_FD + 1, max(high) + 1)
    os.closerange(max(high) + 1, 4096)
    return _FIRST_FREE_FD


def _report(errors: int, step: str, number: int, subject: str) -> None:
    os.write(errors, json.dumps({"step": step, "errno": number, "subject": subject}).encode())


def _folder(path: str) -> None:
    os.makedirs(path, mode=0o755, exist_ok=True)


def _file(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _escaped(path: str) -> str:
    """For the option list of an overlay, where these three mean something."""
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")
