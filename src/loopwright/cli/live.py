"""Live progress of a run: a status line on a terminal, plain lines in a pipe. Both are fed by durable events alone."""

import sys
from typing import Protocol, Self

from loopwright.kernel import events as ev
from loopwright.views.describe import describe

__all__ = ["Watcher", "watcher"]

_QUIET = (ev.ActionIntended, ev.DriverStarted)
"""Shown only as what is going on at present, not as a line of their own."""


class Watcher(Protocol):
    def event(self, event: ev.Event) -> None: ...

    def progress(self, line: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def watcher(*, silent: bool) -> Watcher:
    """For `--json`: silent. On a terminal: a live line. Else: plain lines on stderr."""
    if silent:
        return _Silent()
    return _Live() if sys.stderr.isatty() else _Plain()


class _Silent:
    def event(self, event: ev.Event) -> None:
        pass

    def progress(self, line: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class _Plain(_Silent):
    def event(self, event: ev.Event) -> None:
        if not isinstance(event.body, _QUIET):
            sys.stderr.write(f"{event.seq:>4}  {describe(event)}\n")
            sys.stderr.flush()


class _Live(_Silent):
    def __init__(self) -> None:
        from rich.console import Console
        from rich.status import Status

        self._console = Console(stderr=True, highlight=False)
        self._status = Status("starting", console=self._console, spinner="dots")

    def event(self, event: ev.Event) -> None:
        from rich.markup import escape

        line = escape(describe(event))
        if isinstance(event.body, _QUIET):
            self._status.update(line)
            return
        self._console.print(f"[dim]{event.seq:>4}[/dim]  {_styled(event.body, line)}")

    def progress(self, line: str) -> None:
        from rich.markup import escape

        self._status.update(escape(line))

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._status.stop()


def _styled(body: ev.Body, line: str) -> str:
    match body:
        case ev.Kept():
            return f"[green]{line}[/green]"
        case ev.ActionFailed():
            return f"[yellow]{line}[/yellow]"
        case ev.RunFinished(exit_code=code):
            return f"[bold {'green' if code == 0 else 'red'}]{line}[/]"
        case _:
            return line
