"""`init`: a ready-made loop file in the repository's `loops/`; nothing is asked and nothing is overwritten."""

from pathlib import Path

from loopwright.errors import UsageError
from loopwright.loopfile.ready import text
from loopwright.workspace.repository import Repository

__all__ = ["write_loop"]


def write_loop(directory: Path, name: str) -> Path:
    """Write `loops/<name>.md` and return where it lies. Raises: `UsageError` for an unknown name or a file that is there already."""
    body = text(name)
    folder = Repository.find(directory).root / "loops"
    path = folder / f"{name}.md"
    folder.mkdir(exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(body)
    except FileExistsError:
        raise UsageError(f"{path} is there already; expected no such file: edit it, or remove it first") from None
    return path
