"""From the step that failed to what a person can do about it. Pure."""

import errno
import os
from dataclasses import dataclass

__all__ = ["UNKNOWN", "Failure", "explain", "remedy"]

_USER_NAMESPACES = (
    "user namespaces are blocked here: on Ubuntu 24.04 run `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` or give bwrap an "
    "AppArmor profile that has `userns`; in Docker use `--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--cap-add SYS_ADMIN`; on older Debian `sysctl -w kernel.unprivileged_userns_clone=1`; or configure a container engine as sandbox"
)
_REMEDIES = {
    "unshare user namespace": _USER_NAMESPACES,
    "map user": _USER_NAMESPACES,
    "unshare mount namespace": "we are root without CAP_SYS_ADMIN, as in a container: run as an ordinary user, or add that capability",
    "mounts private": "mounting is refused, as in a container: run as an ordinary user, or add CAP_SYS_ADMIN",
    "mount tmpfs": "mounting is refused, as in a container: run as an ordinary user, or add CAP_SYS_ADMIN",
    "mount overlay": "overlayfs needs Linux 5.11 or newer, and upper and work on one file system that is no overlay itself: put the "
    "runtime folder on a plain disk or a tmpfs",
    "drop rights": "we are root without CAP_SETUID and CAP_SETGID: run as an ordinary user, or add these capabilities",
    "start bwrap": "install it: `apt-get install bubblewrap`",
    "bind": "expected a folder or file that is there",
    "launcher": "try again; if it comes back, look for what ends processes of this user, such as a memory limit",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`errno` is 0 where the step's own words, in `subject`, say what happened."""

    step: str
    errno: int
    subject: str


UNKNOWN = Failure("launcher", 0, "")


def explain(failure: Failure) -> str:
    """One line: backend, step, errno and the fix."""
    if failure.errno:
        name = errno.errorcode.get(failure.errno, str(failure.errno))
        what = f"{name} ({os.strerror(failure.errno)})" + (f" on {failure.subject!r}" if failure.subject else "")
    else:
        what = failure.subject or "no reason given"
    return f"bubblewrap: step {failure.step!r} failed: {what}; {remedy(failure)}"


def remedy(failure: Failure) -> str:
    said = failure.subject.lower()
    if failure.step == "bwrap" and ("namespace" in said or "uid map" in said or "max_user_namespaces" in said):
        return _USER_NAMESPACES
    if failure.step == "bwrap" and "loopback" in said:
        return f"the network namespace may not be set up: {_USER_NAMESPACES}"
    return _REMEDIES.get(failure.step, "run `loopwright doctor`")
