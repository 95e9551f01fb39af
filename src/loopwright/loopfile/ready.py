"""The ready-made loops. They ship in the package as `_loops`; a checkout has them in its top-level `loops/`."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from loopwright.errors import LoopwrightError, UsageError
from loopwright.loopfile._report import nearest

__all__ = ["names", "text"]


def names() -> tuple[str, ...]:
    """The names that `text` knows, sorted."""
    return tuple(sorted(_loops()))


def text(name: str) -> str:
    """The loop file called `name` (`fix`, without an ending), as it is meant to be written into a user's `loops/` folder.

    Raises: `UsageError` when there is none of that name.
    """
    loops = _loops()
    if name not in loops:
        near = nearest(name, loops)
        hint = f"; did you mean {near!r}?" if near else ""
        raise UsageError(f"no ready-made loop {name!r}{hint} (known: {', '.join(sorted(loops))})")
    return loops[name].read_text(encoding="utf-8")


def _loops() -> dict[str, Traversable]:
    folder: Traversable = files("loopwright") / "_loops"
    if not folder.is_dir():
        # src/loopwright/loopfile/ready.py in a checkout
        folder = Path(__file__).resolve().parents[3] / "loops"
    if not folder.is_dir():
        raise LoopwrightError("the ready-made loops are not in this installation; install loopwright again")
    return {item.name.removesuffix(".md"): item for item in folder.iterdir() if item.name.endswith(".md")}
