"""Which paths a change may name: inside the tree, as git would take them, and not git's own."""

from collections.abc import Iterable

from loopwright.errors import WorkspaceError

__all__ = ["checked", "checked_all"]

_MAX_BYTES = 4000


def checked(path: str) -> str:
    """`path` itself. Raises: `WorkspaceError` when it is empty, absolute, leaves the tree, or touches a `.git`."""
    why = _faulty(path)
    if why:
        raise WorkspaceError(f"path {path!r} {why}; expected a path inside the tree, with '/' between its parts")
    return path


def checked_all(paths: Iterable[str]) -> None:
    """Raises: `WorkspaceError` for a path that `checked` refuses, and for one that stands there twice."""
    seen: set[str] = set()
    for path in paths:
        if checked(path) in seen:
            raise WorkspaceError(f"path {path!r} is changed twice in one set of changes; expected each path once")
        seen.add(path)


def _faulty(path: str) -> str | None:
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if size > _MAX_BYTES:
        return f"has {size} bytes, more than {_MAX_BYTES}"
    if "\0" in path:
        return "holds a NUL character"
    if path.startswith("/"):
        return "is absolute"
    parts = path.split("/")
    if "" in parts or "." in parts:
        return "has an empty part or a '.'"
    if ".." in parts:
        return "contains '..'"
    if any(part.casefold() == ".git" for part in parts):
        return "touches a '.git'"
    return None
