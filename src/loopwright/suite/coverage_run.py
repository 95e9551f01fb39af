"""Runs a test command once more and sees which lines of a few files run. Nothing needs to be installed where the tests are at home."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loopwright.kernel.loop import TestsSource
from loopwright.suite.command import Command, parse, python_env
from loopwright.suite.reading import UnreadableFile, answer_folder, read_untrusted
from loopwright.suite.run import OpenCheckout
from loopwright.suite.there import exists
from loopwright.workspace.command import command_in
from loopwright.workspace.workshop import Workshop

__all__ = ["Lines", "lines_run"]

_NOTE = re.compile(r"([0-9]{1,6}):([0-9]{1,8})")
_NOTE_BYTES = 8 << 20
_MOST_PROCESSES = 10_000


@dataclass(frozen=True, slots=True)
class Lines:
    """`by_file` has the lines that ran, for each path that was asked for. `seen`: no Python of the command said anything (`nothing`),
    another tracer took the place of ours on the way (`part`), or all was seen. `ended`: as the command did."""

    by_file: Mapping[str, frozenset[int]]
    seen: Literal["all", "part", "nothing"]
    ended: Literal["exited", "timeout", "not_found", "output_limit"]
    wall_ms: int


async def lines_run(source: TestsSource, paths: Sequence[str], checkout: OpenCheckout, shop: Workshop) -> Lines:
    """One complete run of the command, in a fresh copy, that watches the lines of `paths`; a second one where pytest-cov had the
    tracer's place.

    What the tests write is not believed further than that: code under test that wants to could forge the notes.

    Raises: `UsageError`, `SandboxError`, `WorkspaceError`.
    """
    command = parse(source.run)
    extra = ("--maxfail=0",) if command.runner == "pytest" else ()
    lines = await _run(command, extra, source, paths, checkout, shop)
    if lines.seen == "part" and command.runner == "pytest":
        again = await _run(command, (*extra, "--no-cov"), source, paths, checkout, shop)
        if again.seen == "all" and any(again.by_file.values()):
            return again
    return lines


async def _run(
    command: Command,
    extra: Sequence[str],
    source: TestsSource,
    paths: Sequence[str],
    checkout: OpenCheckout,
    shop: Workshop,
) -> Lines:
    with checkout() as candidate, answer_folder("tracer") as tracer, answer_folder("lines") as into:
        child = Path(__file__).with_name("coverage_child.py").read_text("utf-8")
        (tracer / "sitecustomize.py").write_text(child, "utf-8")
        os.chmod(tracer, 0o755)  # noqa: S103  who runs the tests may be another user
        env = {**python_env(str(candidate.path), has_src=exists(candidate, "src")), **command.env}
        files = [str(candidate.path / path) for path in paths]
        settings = {"files": files, "root": str(candidate.path), "into": str(into)}
        result = await shop.sandbox.run(
            command_in(
                candidate,
                (*command.argv, *extra),
                timeout_s=shop.timeout_s if source.timeout_s is None else source.timeout_s,
                action_id=f"{shop.run_id}/{shop.action_id}",
                env={
                    **env,
                    "PYTHONPATH": f"{tracer}:{env['PYTHONPATH']}",
                    "LOOPWRIGHT_LINES": json.dumps(settings),
                },
                writable=(into,),
                readable=(tracer,),
            )
        )
        notes = _notes(into)
    ran: list[set[int]] = [set() for _ in paths]
    for note in notes:
        if (found := _NOTE.fullmatch(note)) and int(found[1]) < len(ran):
            ran[int(found[1])].add(int(found[2]))
    return Lines(
        by_file={path: frozenset(lines) for path, lines in zip(paths, ran, strict=True)},
        seen="nothing" if "begun" not in notes else "part" if "lost" in notes else "all",
        ended=result.status,
        wall_ms=result.wall_ms,
    )


def _notes(folder: Path) -> frozenset[str]:
    found: set[str] = set()
    for name in sorted(os.listdir(folder))[:_MOST_PROCESSES]:
        try:
            data = read_untrusted(folder / name, _NOTE_BYTES)
        except UnreadableFile:
            continue
        found.update((data or b"").decode("ascii", "replace").split("\n"))
    return frozenset(found)
