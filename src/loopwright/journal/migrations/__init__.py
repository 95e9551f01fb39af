"""The numbered steps by which a journal's tables came to be. A step that was released is never edited, only followed by another."""

from dataclasses import dataclass
from importlib import resources
from typing import Literal

from loopwright.errors import JournalTooNew

__all__ = ["Migration", "load", "outstanding"]


@dataclass(frozen=True, slots=True)
class Migration:
    """`number` counts from 1 without a gap; `statements` run in order."""

    number: int
    name: str
    statements: tuple[str, ...]


def load(store: Literal["sqlite", "postgres"]) -> tuple[Migration, ...]:
    """All migrations of one kind of store, in order."""
    folder = resources.files(__package__) / store
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(_parse(f.name, f.read_text(encoding="utf-8")) for f in files)


def outstanding(migrations: tuple[Migration, ...], found: int) -> tuple[Migration, ...]:
    """The steps from version `found` (0 = an empty database) to the present one.

    Raises: `JournalTooNew` when `found` is a version that this loopwright does not know.
    """
    known = migrations[-1].number
    if found > known:
        raise JournalTooNew(
            f"journal database was written by a newer loopwright (schema {found}, this one knows {known}): upgrade loopwright"
        )
    return migrations[found:]


def _parse(file_name: str, text: str) -> Migration:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    statements = tuple(s.strip() for s in "\n".join(lines).split(";") if s.strip())
    number, _, name = file_name.removesuffix(".sql").partition("_")
    return Migration(int(number), name, statements)
