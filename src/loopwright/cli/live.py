"""Live progress of a run: a status line on a terminal, plain lines in a pipe. Both are fed by durable events alone."""

import sys
from collections.abc import Sequence
from typing import Protocol, Self

from loopwright.cli.headlines import Headlines
from loopwright.kernel import events as ev
from loopwright.kernel.values import Proposal
from loopwright.views.describe import describe

__all__ = ["Watcher", "watcher"]

_PIPE_CHARS = 160


class Watcher(Protocol):
    def remember(self, proposals: Sequence[Proposal]) -> None:
        """What was proposed before this process began to watch."""
        ...

    def event(self, event: ev.Event) -> None: ...

    def progress(self, line: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def watcher(*, silent: bool) -> Watcher:
    """For `--json`: silent. On a terminal: lines and a status line. Else: plain lines on stderr."""
    if silent:
        return _Silent()
    return _Live() if sys.stderr.isatty() else _Plain()


class _Silent:
    def remember(self, proposals: Sequence[Proposal]) -> None:
        pass

    def event(self, event: ev.Event) -> None:
        pass

    def progress(self, line: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class _Plain(_Silent):
    def __init__(self) -> None:
        self._headlines = Headlines()

    def remember(self, proposals: Sequence[Proposal]) -> None:
        self._headlines.remember(proposals)

    def event(self, event: ev.Event) -> None:
        line = self._headlines.of(event, _PIPE_CHARS)
        if line is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


class _Live(_Silent):
    def __init__(self) -> None:
        from rich.console import Console
        from rich.status import Status

        self._console = Console(stderr=True, highlight=False)
        self._status = Status("starting", console=self._console, spinner="dots")
        self._headlines = Headlines()

    def remember(self, proposals: Sequence[Proposal]) -> None:
        self._headlines.remember(proposals)

    def event(self, event: ev.Event) -> None:
        from rich.text import Text

        if isinstance(event.body, ev.ActionIntended):
            self._status.update(Text(describe(event)[: self._console.width - 4]))
        line = self._headlines.of(event, max(40, self._console.width))
        if line is not None:
            self._console.print(Text(line, style=_style(event.body)))

    def progress(self, line: str) -> None:
        from rich.text import Text

        self._status.update(Text(line[: self._console.width - 4]))

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._status.stop()


def _style(body: ev.Body) -> str:
    match body:
        case ev.Kept():
            return "green"
        case ev.Judged(verdicts=verdicts) if all(v.status == "pass" for v in verdicts):
            return "green"
        case ev.ActionFailed():
            return "yellow"
        case ev.Judged() | ev.Planned() | ev.Measured():
            return "dim"
        case _:
            return ""
