"""What a sandboxed command sees of this machine, as sources to stage and as arguments of `bwrap`."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import SandboxError
from loopwright.sandbox.protocol import ExecSpec

__all__ = ["ETC", "HOME", "TMPDIR", "Mount", "View", "bwrap_arguments", "etc_files", "view_of"]

HOME, TMPDIR = "/tmp/sandbox-home", "/tmp/sandbox-tmp"  # noqa: S108  inside

_TMP_BYTES = 256 << 20
_SHM_BYTES = 64 << 20
_SYSTEM_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ETC = (
    "alternatives",
    "ca-certificates",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
"""What is copied of this machine's `/etc`: nothing that says who uses it."""
_TAKEN = ("/", "/usr", "/etc", "/proc", "/dev", "/dev/shm", "/tmp", "/sys")  # noqa: S108


@dataclass(frozen=True, slots=True)
class Mount:
    """`source` at `target`; an overlay has its layers too, and its `source` is the upper one."""

    target: str
    source: str
    writable: bool
    layers: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """`key` is equal for commands that may run in the same sandbox, one after the other; ordered so that parents come first."""

    mounts: tuple[Mount, ...]
    key: tuple[object, ...]

    @property
    def uppers(self) -> tuple[str, ...]:
        return tuple(mount.source for mount in self.mounts if mount.layers is not None)

    @property
    def writable(self) -> tuple[str, ...]:
        """The places on this side that the command can fill."""
        return tuple(mount.source for mount in self.mounts if mount.writable)


def view_of(spec: ExecSpec) -> View:
    """Raises: `SandboxError` for a source that is not there, for one that a command may have turned into a link, and for targets that
    would take the place of the system's own."""
    found: dict[str, Mount] = {}
    # `cwd` last: everything else that stands at its place says more about it.
    for folder in spec.readable:
        _add(found, Mount(str(folder), str(folder), writable=False))
    for folder in spec.writable:
        _add(found, Mount(str(folder), str(folder), writable=True))
    for bind in spec.binds:
        _add(found, Mount(str(bind.target), str(bind.source), bind.writable))
    for overlay in spec.overlays:
        _add(
            found,
            Mount(
                str(overlay.target),
                str(overlay.upper),
                writable=True,
                layers=(str(overlay.lower), str(overlay.upper), str(overlay.work)),
            ),
        )
    if not any(spec.cwd.is_relative_to(target) for target in found):
        _add(found, Mount(str(spec.cwd), str(spec.cwd), writable=False))
    mounts = tuple(sorted(found.values(), key=lambda mount: (mount.target.count("/"), mount.target)))
    for mount in mounts:
        _refuse_planted_links(mount, mounts)
    return View(mounts, tuple((*_identity(mount), mount.target, mount.writable) for mount in mounts))


def bwrap_arguments(
    view: View, staged: Sequence[str], static: Sequence[tuple[str, str]], etc_folder: str, uid: int
) -> Iterator[str]:
    """All of them but the program's name, the descriptors and the command. `staged` is where the source of each mount is to be found,
    `static` are such sources with their targets that every command sees read-only. Order matters: later mounts cover earlier ones."""
    yield from (
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--unshare-net",
    )
    yield from ("--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL")
    yield from (
        "--uid",
        str(uid),
        "--gid",
        str(uid),
        "--hostname",
        "sandbox",
        "--clearenv",
        "--ro-bind",
        "/usr",
        "/usr",
    )
    for name in _SYSTEM_LINKS:
        if os.path.islink(f"/{name}"):
            yield from ("--symlink", os.readlink(f"/{name}"), f"/{name}")
        elif os.path.isdir(f"/{name}"):
            yield from ("--ro-bind", f"/{name}", f"/{name}")
    yield from ("--ro-bind", etc_folder, "/etc")
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from ("--size", str(_TMP_BYTES), "--tmpfs", "/tmp", "--size", str(_SHM_BYTES), "--tmpfs", "/dev/shm")  # noqa: S108
    for source, target in static:
        yield from ("--ro-bind", source, target)
    for mount, source in zip(view.mounts, staged, strict=True):
        yield from ("--bind" if mount.writable else "--ro-bind", source, mount.target)
    yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/")


def etc_files(uid: int) -> dict[str, str]:
    """The files of `/etc` that are not this machine's: the user `sandbox`, and `localhost`."""
    return {
        "passwd": f"root:x:0:0:root:/:/usr/sbin/nologin\nsandbox:x:{uid}:{uid}:sandbox:{HOME}:/bin/sh\n",
        "group": f"root:x:0:\nsandbox:x:{uid}:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def _add(found: dict[str, Mount], mount: Mount) -> None:
    target = os.path.normpath(mount.target)
    if not os.path.isabs(mount.target) or target in _TAKEN:
        raise SandboxError(
            f"sandbox: {mount.target!r} cannot be shown to a command; expected an absolute path that is not one of {', '.join(_TAKEN)}"
        )
    found[target] = Mount(target, mount.source, mount.writable, mount.layers)


def _identity(mount: Mount) -> Iterator[int]:
    """The folder itself, not its name: one that was made anew is another, and what is mounted is the old one."""
    for path in mount.layers or (mount.source,):
        try:
            info = os.stat(path)
        except OSError as error:
            raise SandboxError(
                f"sandbox: {path!r} cannot be shown to a command: {error.strerror}; expected a folder or file that is there"
            ) from error
        yield from (info.st_dev, info.st_ino)


def _refuse_planted_links(mount: Mount, mounts: Sequence[Mount]) -> None:
    """Below what a command may write, an earlier one may have put a link in the place of a folder: a mount would follow it."""
    for outer in mounts:
        if outer is mount or not outer.writable:
            continue
        for path, root in ((mount.source, outer.source), (mount.target, outer.target)):
            if not Path(path).is_relative_to(root) or path == root:
                continue
            layers = (outer.layers[1], outer.layers[0]) if outer.layers is not None else (outer.source,)
            for layer in layers:
                place = Path(layer)
                for part in Path(path).relative_to(root).parts:
                    place /= part
                    if _is_link(place):
                        raise SandboxError(
                            f"sandbox: {path!r} leads through the link {str(place)!r}, which a command may have put there; "
                            "expected plain folders: remove it"
                        )


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False
