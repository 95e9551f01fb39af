"""The reports of a run, for a person who has to decide whether to merge: `report.md`, `report.html`, `results.tsv`."""

from collections.abc import Iterable
from pathlib import Path

from loopwright.journal.protocol import BlobStore
from loopwright.keep.atomic import write_atomically
from loopwright.keep.facts import gather
from loopwright.keep.results import results_tsv
from loopwright.kernel.events import Event
from loopwright.views.run import RunView

__all__ = ["write_report"]


def write_report(view: RunView, events: Iterable[Event], blobs: BlobStore, directory: Path) -> tuple[Path, ...]:
    """Write the three files into the run's `directory`, each whole or not at all; returns their paths, `report.md` first.

    `view` is that of `events`; any prefix of a run will do, so a report can be written while it is still going on.
    Raises: `WorkspaceError` when the disk says no.
    """
    from loopwright.keep.html import render_html
    from loopwright.keep.markdown import render_markdown

    facts = gather(view, events, blobs)
    return (
        write_atomically(directory / "report.md", render_markdown(facts).encode()),
        write_atomically(directory / "report.html", render_html(facts).encode()),
        write_atomically(directory / "results.tsv", results_tsv(view).encode()),
    )
