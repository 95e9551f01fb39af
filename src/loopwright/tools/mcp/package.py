"""What provides a server, as one hash over the files that would run, each read and hashed now.

A wheel's RECORD says what was installed, not what lies there today, and nothing of what was added beside it (a `.pth`, a
`sitecustomize.py`); so every file of the environment counts, and a file that differs from its RECORD is named. Compiled files in
`__pycache__` do not count since the bridge makes Python ignore them. The interpreter and the system's libraries are not part of it.
"""

import base64
import csv
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.kernel.values import Value
from loopwright.tools.canonical import canonical, digest_of

__all__ = ["Package", "package_of", "resolved"]

_FETCHERS = frozenset({"npx", "uvx", "pipx", "bunx", "pnpx", "docker", "podman"})
# What an installer writes for itself: pip's and uv's differ for one and the same package.
_OF_INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
_ROWS_BYTES = 64 << 20


class Package(Value, frozen=True):
    """`sha256` is over what would run. `name` and `version` are of the distribution that owns the program, empty when none does."""

    sha256: str
    files: int
    name: str = ""
    version: str = ""


def resolved(command: tuple[str, ...], path: str) -> tuple[str, ...]:
    """`command` with its program as an absolute path, found in `path` where it has no `/`.

    Raises: `UsageError` when it is not there, and for programs that fetch what they run: no two starts of one are the same program.
    """
    program = command[0] if command else ""
    if os.path.basename(program) in _FETCHERS:
        raise UsageError(
            f"MCP server command {program!r} fetches what it runs; expected an installed program: install it into an environment of "
            "its own and give the path of its script"
        )
    found = program if "/" in program else shutil.which(program, path=path)
    if not found or not os.path.isabs(found) or not os.access(found, os.X_OK) or not os.path.isfile(found):
        raise UsageError(
            f"MCP server command {program!r}: expected an absolute path or a name on PATH, found no such program"
        )
    return (found, *command[1:])


def package_of(argv: tuple[str, ...]) -> Package:
    """What `argv` (program absolute) would run: its environment when it stands in a virtual one, and every argument that is a file.

    Raises: `UsageError` for what cannot be pinned: a file changed since it was installed, an environment that reaches outside itself.
    """
    program = Path(argv[0])
    prefix = program.parent.parent
    rows: dict[str, str] = {}
    owner = ("", "")
    if (prefix / "pyvenv.cfg").is_file():
        _closed(prefix)
        for site in sorted(prefix.glob("lib/python3*/site-packages")):
            found = _site_rows(site)
            owner = _verified(site, found, program.name) or owner
            rows |= {f"site/{path}": sha256 for path, sha256 in found.items()}
        # Scripts hold the environment's own path, which is another on another machine.
        script = b"" if _is_interpreter(program) else program.read_bytes()
        rows["program"] = digest_of(script.replace(os.fsencode(prefix), b"{prefix}"))
    else:
        rows["program"] = _file_digest(program)
    for index, argument in enumerate(argv[1:], 1):
        if argument.endswith((".py", ".js", ".mjs", ".cjs", ".sh", ".pyz")) and os.path.isfile(argument):
            rows[f"argument/{index}"] = _file_digest(Path(argument))
    sha256 = digest_of(canonical(dict(rows), limit_bytes=_ROWS_BYTES, what="files"))
    return Package(sha256, len(rows), *owner)


def _closed(prefix: Path) -> None:
    settings = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").lower().replace(" ", "")
    if "include-system-site-packages=true" in settings:
        raise UsageError(
            f"environment {str(prefix)!r} uses the system's packages too; expected a closed one: make it anew without"
        )


def _site_rows(site: Path) -> dict[str, str]:
    rows: dict[str, str] = {}
    for path in _walk(site):
        relative = path.relative_to(site).as_posix()
        mode = path.lstat().st_mode
        if path.parent.name.endswith(".dist-info") and path.name in _OF_INSTALLERS:
            continue
        if stat.S_ISLNK(mode):
            rows[relative] = "link " + os.readlink(path)
            if not path.resolve().is_relative_to(site.resolve()):
                raise UsageError(
                    f"{str(path)!r} leads out of its environment; expected a file of the package: install it anew"
                )
        elif stat.S_ISREG(mode):
            rows[relative] = _file_digest(path)
        else:
            raise UsageError(f"{str(path)!r} is no regular file; expected a package's own: install it anew")
        if path.suffix == ".pth" and path.parent == site:
            _inside(path)
    return rows


def _walk(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        linked = [name for name in folders if os.path.islink(os.path.join(base, name))]
        folders[:] = [name for name in folders if name not in linked]
        yield from (Path(base, name) for name in (*sorted(files), *linked))


def _inside(pth: Path) -> None:
    for line in pth.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")) and os.path.isabs(line.strip()):
            raise UsageError(
                f"{str(pth)!r} adds {line.strip()!r}, which is not pinned with the environment; expected packages that are installed, "
                "not linked: install without -e"
            )


def _verified(site: Path, rows: dict[str, str], program: str) -> tuple[str, str] | None:
    """Checks every file against the RECORD that names it; returns name and version of the distribution that owns `program`."""
    owner = None
    for record in sorted(site.glob("*.dist-info/RECORD")):
        with record.open(newline="", encoding="utf-8") as lines:
            listed = [(row[0], row[1]) for row in csv.reader(lines) if len(row) >= 2]
        for path, said in listed:
            if said.startswith("sha256=") and path in rows and rows[path] != _hex(said[7:]):
                raise UsageError(
                    f"{str(site / path)!r} is not the file that was installed; expected the hash in its RECORD: install it anew"
                )
            if path.startswith("..") and path.endswith(f"/bin/{program}"):
                name, _, version = record.parent.name.removesuffix(".dist-info").rpartition("-")
                owner = (name.replace("_", "-").lower(), version)
    return owner


def _hex(encoded: str) -> str:
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex()


def _is_interpreter(program: Path) -> bool:
    return program.is_symlink() and program.name.startswith("python")


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
