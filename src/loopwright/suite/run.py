"""Runs a test command in a directory and says what came of it. Nothing that the tests print is believed."""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from loopwright.kernel.loop import TestsSource
from loopwright.sandbox.protocol import ExecResult, ExecSpec
from loopwright.suite.command import Command, parse, pytest_argv, python_env, unittest_argv
from loopwright.suite.ids import node_id, plain_id
from loopwright.suite.junit import JunitCase, JunitError, parse_junit
from loopwright.suite.outcome import failing, merge, status_of
from loopwright.suite.reading import UnreadableFile, read_untrusted
from loopwright.suite.report import SuiteReport, TestCase
from loopwright.suite.unittest_output import parse_unittest, tests_run
from loopwright.workspace.workshop import Workshop

__all__ = ["Checkout", "OpenCheckout", "confirm_failures", "flaky_of", "passing_again", "run_once", "run_suite"]

_REPORT_BYTES = 64 << 20
_TAIL_CHARS = 8_000


class Checkout(Protocol):
    """A disposable directory; a `Candidate` is one."""

    @property
    def path(self) -> Path: ...


OpenCheckout = Callable[[], AbstractContextManager[Checkout]]
"""Takes out one more fresh copy of what is tested."""


async def run_suite(
    source: TestsSource,
    directory: Path,
    shop: Workshop,
    *,
    only: Sequence[str] = (),
    extra_args: Sequence[str] = (),
) -> SuiteReport:
    """One complete run in `directory`, which is a disposable checkout. Every way to fail is a `status`, not an exception.

    With `only`, pytest runs just these ids; other runners, and selections that cannot be put on a command line, run everything.
    Paths of `directory` are cut out of all texts, so that two runs in two checkouts say the same.

    Raises: `UsageError` for a command that cannot be parsed, `SandboxError` when the isolation fails.
    """
    command = parse(source.run)
    # Outside the checkout: a committed or planted report must not be taken for the one of this run.
    with tempfile.TemporaryDirectory(prefix="loopwright-suite-") as own:
        report_at = Path(own, "report.xml")
        claimed = None if source.junit is None or command.runner == "pytest" else directory / source.junit
        if claimed is not None and _is_inside(claimed, directory):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                claimed.unlink()
        result = await _execute(command, source, directory, report_at, shop, only, extra_args, cache_option=True)
        if _refuses_cache_option(command, result):
            result = await _execute(command, source, directory, report_at, shop, only, extra_args, cache_option=False)
        cases, complaint = _cases(command, directory, report_at, claimed, result)
    tail = _text(result, directory)[-_TAIL_CHARS:]
    ran = tests_run(_decoded(result.stderr)) if command.runner == "unittest" else None
    return SuiteReport(
        command=command.argv,
        status=status_of(result, command.runner, cases, ran=ran),
        exit_code=result.returncode,
        wall_ms=result.wall_ms,
        cases=tuple(_without(directory, c) for c in merge(cases or ())),
        flaky=(),
        output_tail=f"{tail}\n{complaint}" if complaint else tail,
    )


async def confirm_failures(
    report: SuiteReport, source: TestsSource, checkout: OpenCheckout, shop: Workshop, *, reruns: int = 1
) -> SuiteReport:
    """`report` with those failures marked `flaky` that pass when they are repeated, `reruns` times in a row, in fresh copies.

    Without cases the whole command is repeated, and its exit code is believed only when it is always the same: a red report that
    turns green keeps its status and gets the command as its flaky id.
    """
    if report.status != "red":
        return report
    ids = [c.id for c in failing(report)]
    if not ids:
        again = [await run_once(source, checkout, shop) for _ in range(reruns)]
        flaky = (" ".join(report.command),) if again and all(r.status == "green" for r in again) else ()
        return msgspec.structs.replace(report, flaky=flaky)
    return msgspec.structs.replace(
        report, flaky=tuple(sorted(await flaky_of(ids, source, checkout, shop, reruns=reruns)))
    )


async def flaky_of(
    ids: Sequence[str], source: TestsSource, checkout: OpenCheckout, shop: Workshop, *, reruns: int
) -> frozenset[str]:
    """Those of `ids`, which failed, that now pass alone and in a complete run, `reruns` times in a row, in fresh copies.

    A test that passes alone and fails among the others is not flaky: it fails there every time, because of what another test
    leaves behind.
    """
    passing = frozenset(ids)
    for _ in range(reruns):
        if passing:
            passing &= (await run_once(source, checkout, shop, only=sorted(passing))).ids("passed")
        if passing:
            passing &= (await run_once(source, checkout, shop)).ids("passed")
    return passing


async def passing_again(
    ids: Sequence[str], source: TestsSource, checkout: OpenCheckout, shop: Workshop
) -> frozenset[str]:
    """Those of `ids` that pass in a fresh copy: run alone, or, where that fails, in a complete run.

    A test may need what an earlier one set up; that is bad style and no reason to call its success doubtful.
    """
    if not ids:
        return frozenset()
    wanted = frozenset(ids)
    alone = (await run_once(source, checkout, shop, only=ids)).ids("passed") & wanted
    if alone == wanted:
        return alone
    return alone | ((await run_once(source, checkout, shop)).ids("passed") & wanted)


async def run_once(
    source: TestsSource, checkout: OpenCheckout, shop: Workshop, *, only: Sequence[str] = ()
) -> SuiteReport:
    """`run_suite` in a fresh copy of its own."""
    with checkout() as candidate:
        return await run_suite(source, candidate.path, shop, only=only)


async def _execute(
    command: Command,
    source: TestsSource,
    directory: Path,
    report_at: Path,
    shop: Workshop,
    only: Sequence[str],
    extra: Sequence[str],
    *,
    cache_option: bool,
) -> ExecResult:
    if command.runner == "pytest":
        argv = pytest_argv(
            command.argv,
            junit=str(report_at),
            only=only,
            extra=extra,
            exists=lambda path: (directory / path).exists(),
            cache_option=cache_option,
        )
    elif command.runner == "unittest":
        argv = unittest_argv(command.argv, extra)
    else:
        argv = (*command.argv, *extra)
    env = {**python_env(str(directory), has_src=(directory / "src").is_dir()), **command.env}
    spec = ExecSpec(
        argv=argv,
        cwd=directory,
        timeout_s=shop.timeout_s if source.timeout_s is None else source.timeout_s,
        action_id=f"{shop.run_id}/{shop.action_id}",
        env=env,
        writable=(directory, report_at.parent),
    )
    return await shop.sandbox.run(spec)


def _refuses_cache_option(command: Command, result: ExecResult) -> bool:
    """`addopts = --ff` needs the plugin that we switch off; pytest then takes the option for a mistake."""
    refused = result.returncode == 4 and b"unrecognized arguments" in result.stderr + result.stdout
    return command.runner == "pytest" and refused


def _cases(
    command: Command, directory: Path, report_at: Path, claimed: Path | None, result: ExecResult
) -> tuple[tuple[TestCase, ...] | None, str]:
    """The cases (`None`: a report was owed and there is none), and what is wrong with the report, for the output's tail."""
    if command.runner == "unittest" and claimed is None:
        return parse_unittest(_decoded(result.stderr)), ""
    path = report_at if command.runner == "pytest" else claimed
    if path is None:
        return (), ""
    if result.status != "exited":
        return None, ""
    try:
        if path is claimed and not _is_inside(claimed, directory):
            raise UnreadableFile(f"{claimed.name!r} lies outside the checkout")
        data = read_untrusted(path, _REPORT_BYTES)
        if data is None:
            return None, "the command ended without writing its test report"
        raw = parse_junit(data)
    except (JunitError, UnreadableFile) as error:
        return None, str(error)

    def exists(relative: str) -> bool:
        return (directory / relative).is_file()

    def name(case: JunitCase) -> str:
        return node_id(case, exists) if command.runner == "pytest" else plain_id(case)

    return tuple(TestCase(name(c), c.status, c.duration_ms, c.message, c.detail) for c in raw), ""


def _is_inside(path: Path, directory: Path) -> bool:
    return path.parent.resolve().is_relative_to(directory.resolve())


def _text(result: ExecResult, directory: Path) -> str:
    parts = [_decoded(result.stdout).rstrip(), _decoded(result.stderr).rstrip()]
    return _shorten("\n".join(p for p in parts if p), directory)


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


def _without(directory: Path, case: TestCase) -> TestCase:
    return msgspec.structs.replace(
        case, message=_shorten(case.message, directory), detail=_shorten(case.detail, directory)
    )


def _shorten(text: str, directory: Path) -> str:
    return text.replace(f"{directory}/", "").replace(str(directory), ".")
