"""The files that a run leaves for people, written anew from the journal whenever they are asked for."""

from pathlib import Path

from loopwright.engine.runs import is_driven
from loopwright.engine.site import Site
from loopwright.keep.report import write_report
from loopwright.views.run import RunView, run_view

__all__ = ["view_of", "write_run_report"]


def view_of(site: Site, run_id: str) -> RunView:
    """A run as people see it, with whether a process drives it right now."""
    return run_view(site.journal.read(run_id), driven=is_driven(site, run_id))


def write_run_report(site: Site, run_id: str) -> Path:
    """Write report.md, results.tsv and report.html of a run; returns where report.md lies."""
    events = list(site.journal.read(run_id))
    view = run_view(events, driven=False)
    directory = site.run_dir(run_id)
    directory.mkdir(parents=True, exist_ok=True)
    write_report(view, events, site.journal.blobs, directory)
    return directory / "report.md"
