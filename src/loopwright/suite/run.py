"""Runs a test command in a candidate and says what came of it. Nothing that the tests print is believed."""

import posixpath
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loopwright.errors import WorkspaceError
from loopwright.kernel.loop import TestsSource
from loopwright.sandbox.protocol import ExecResult
from loopwright.suite.command import Command, parse, pytest_argv, python_env, unittest_argv
from loopwright.suite.ids import node_id, plain_id
from loopwright.suite.junit import JunitCase, JunitError, parse_junit
from loopwright.suite.outcome import failing, merge, status_of
from loopwright.suite.reading import UnreadableFile, answer_folder, read_untrusted
from loopwright.suite.report import SuiteReport, TestCase
from loopwright.suite.there import exists
from loopwright.suite.unittest_output import parse_unittest, tests_run
from loopwright.workspace.command import command_in
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["OpenCheckout", "confirm_failures", "flaky_of", "passing_again", "run_once", "run_suite"]

_REPORT_BYTES = 64 << 20
_TAIL_CHARS = 8_000


OpenCheckout = Callable[[], AbstractContextManager[Candidate]]
"""Takes out one more fresh copy of what is tested."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One run of a command. `report_at` is where pytest is told to write; `claimed` is where another runner says that it does."""

    command: Command
    source: TestsSource
    candidate: Candidate
    shop: Workshop
    report_at: Path
    claimed: str | None
    only: Sequence[str]
    extra: Sequence[str]


async def run_suite(
    source: TestsSource,
    candidate: Candidate,
    shop: Workshop,
    *,
    only: Sequence[str] = (),
    extra_args: Sequence[str] = (),
) -> SuiteReport:
    """One complete run in `candidate`. Every way to fail is a `status`, not an exception.

    With `only`, pytest runs just these ids; other runners, and selections that cannot be put on a command line, run everything.
    Paths of the candidate are cut out of all texts, so that two runs in two copies say the same.

    Raises: `UsageError` for a command that cannot be parsed, `SandboxError` when the isolation fails.
    """
    command = parse(source.run)
    claimed = None if command.runner == "pytest" or source.junit is None else posixpath.normpath(source.junit)
    # Outside the candidate: a committed or planted report must not be taken for the one of this run.
    with answer_folder("suite") as own:
        call = _Call(command, source, candidate, shop, own / "report.xml", claimed, only, extra_args)
        _empty_claimed(call)
        result = await _execute(call, cache_option=True)
        if _refuses_cache_option(command, result):
            result = await _execute(call, cache_option=False)
        cases, complaint = _cases(call, result)
    directory = candidate.path
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
        return await run_suite(source, candidate, shop, only=only)


async def _execute(call: _Call, *, cache_option: bool) -> ExecResult:
    command, candidate, shop = call.command, call.candidate, call.shop
    if command.runner == "pytest":
        argv = pytest_argv(
            command.argv,
            junit=str(call.report_at),
            only=call.only,
            extra=call.extra,
            exists=lambda path: exists(candidate, path),
            cache_option=cache_option,
        )
    elif command.runner == "unittest":
        argv = unittest_argv(command.argv, call.extra)
    else:
        argv = (*command.argv, *call.extra)
    return await shop.sandbox.run(
        command_in(
            candidate,
            argv,
            timeout_s=shop.timeout_s if call.source.timeout_s is None else call.source.timeout_s,
            action_id=f"{shop.run_id}/{shop.action_id}",
            env={**python_env(str(candidate.path), has_src=exists(candidate, "src")), **command.env},
            writable=(call.report_at.parent,),
        )
    )


def _empty_claimed(call: _Call) -> None:
    """A report that is there before the run says nothing of it. Emptied rather than removed: its folder must stay."""
    if call.claimed is None:
        return
    try:
        if call.candidate.read(call.claimed, _REPORT_BYTES):
            call.candidate.write(call.claimed, b"")
    except WorkspaceError:
        pass  # no file of the candidate: it is not read afterwards either


def _refuses_cache_option(command: Command, result: ExecResult) -> bool:
    """`addopts = --ff` needs the plugin that we switch off; pytest then takes the option for a mistake."""
    refused = result.returncode == 4 and b"unrecognized arguments" in result.stderr + result.stdout
    return command.runner == "pytest" and refused


def _cases(call: _Call, result: ExecResult) -> tuple[tuple[TestCase, ...] | None, str]:
    """The cases (`None`: a report was owed and there is none), and what is wrong with the report, for the output's tail."""
    by_pytest = call.command.runner == "pytest"
    if call.command.runner == "unittest" and call.claimed is None:
        return parse_unittest(_decoded(result.stderr)), ""
    if not by_pytest and call.claimed is None:
        return (), ""
    if result.status != "exited":
        return None, ""
    try:
        data = read_untrusted(call.report_at, _REPORT_BYTES) if by_pytest else _claimed_report(call)
        if not data:
            return None, "the command ended without writing its test report"
        raw = parse_junit(data)
    except (JunitError, UnreadableFile, WorkspaceError) as error:
        return None, str(error)

    def name(case: JunitCase) -> str:
        return node_id(case, lambda path: exists(call.candidate, path)) if by_pytest else plain_id(case)

    return tuple(TestCase(name(c), c.status, c.duration_ms, c.message, c.detail) for c in raw), ""


def _claimed_report(call: _Call) -> bytes | None:
    assert call.claimed is not None
    return call.candidate.read(call.claimed, _REPORT_BYTES)


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
