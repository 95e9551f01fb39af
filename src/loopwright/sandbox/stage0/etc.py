"""An `/etc` for the sandbox, as one folder of copies: a mount for each file by itself costs time at every start."""

import os
import shutil

from loopwright.sandbox.stage0.kernel import StepFailed

__all__ = ["make_etc"]


def make_etc(folder: str, names: list[str], files: dict[str, str]) -> None:
    """Copy what there is of `names` from `/etc`, links as links, and write `files` (name to text). Raises: `StepFailed`."""
    try:
        os.umask(0o022)
        os.mkdir(folder)
        for name in names:
            _copy(f"/etc/{name}", f"{folder}/{name}")
        for name, text in files.items():
            with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        raise StepFailed("make /etc", error.errno or 0, error.filename or folder) from error


def _copy(source: str, target: str) -> None:
    """What cannot be read is left out: it was not for everybody."""
    try:
        if os.path.isdir(source):
            # The folder may itself be a link; what lies in it stays as it is, for much of it leads to /usr.
            with os.scandir(source) as entries:
                os.makedirs(target, exist_ok=True)
                for entry in entries:
                    if entry.is_symlink():
                        os.symlink(os.readlink(entry.path), f"{target}/{entry.name}")
                    else:
                        _copy(entry.path, f"{target}/{entry.name}")
        elif os.path.isfile(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
            os.chmod(target, 0o755 if os.stat(source).st_mode & 0o111 else 0o644)
    except (PermissionError, FileNotFoundError):
        return
