"""Which lines each test runs, measured in the target's own interpreter."""

import secrets
from dataclasses import dataclass

import msgspec

from loopwright.kernel.values import Value
from loopwright.sandbox.protocol import Limits, Sandbox
from loopwright.suite.warm.child.start import PROGRAM, message
from loopwright.suite.warm.runner import Runner, child_env
from loopwright.workspace.command import command_in
from loopwright.workspace.protocol import Candidate

__all__ = ["Spectra", "TestTrace", "Tracing", "records", "trace"]

_OUTPUT_BYTES = 256 << 20
_START_S = 30.0


class TestTrace(Value, frozen=True):
    """`lines` by file of the checkout; `frames` are the failure's traceback in the checkout, the deepest last.

    `stopped`: it ran too long.
    """

    __test__ = False

    test: str
    failed: bool
    lines: dict[str, list[int]]
    frames: tuple[tuple[str, int], ...] = ()
    stopped: bool = False


class Spectra(Value, frozen=True):
    """`imported`: lines that ran while the tests were collected. `modules`: what was imported from outside the checkout.

    `configured`: files of the checkout that are imported before pytest collects (by a conftest).
    """

    tests: tuple[TestTrace, ...]
    imported: dict[str, list[int]]
    modules: tuple[str, ...]
    configured: tuple[str, ...]
    tracer: str
    complete: bool


class _Record(msgspec.Struct):
    """One line of `child/trace.py`; which fields are there says what kind it is."""

    test: str | None = None
    failed: bool = False
    stopped: bool = False
    lines: dict[str, list[int]] = {}
    frames: tuple[tuple[str, int], ...] = ()
    imported: dict[str, list[int]] | None = None
    configured: tuple[str, ...] = ()
    tracer: str = ""
    collected: int = 0
    done: int | None = None
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tracing:
    """`seconds` for all tests; `tracer` is `auto` or the name of one of `child/tracers.py`."""

    failing: tuple[str, ...]
    passing: tuple[str, ...]
    seconds: float
    test_seconds: float = 10.0
    tracer: str = "auto"


async def trace(
    tracing: Tracing, runner: Runner, candidate: Candidate, sandbox: Sandbox, action_id: str
) -> Spectra | None:
    """Run the tests once, the failing ones first, and see which lines each runs; `None` when no failing test could be traced.

    The candidate is spoilt by it: tests may write there. When time runs out, the tests traced so far are the answer.
    """
    nonce = secrets.token_hex(12)
    settings = {
        "nonce": nonce,
        "args": runner.args,
        "failing": tracing.failing,
        "passing": tracing.passing,
        "tracer": tracing.tracer,
        "seconds": tracing.seconds,
        "test_seconds": tracing.test_seconds,
    }
    spec = command_in(
        candidate,
        (*runner.python, "-c", PROGRAM),
        timeout_s=tracing.seconds + tracing.test_seconds + _START_S,
        action_id=action_id,
        env=child_env(candidate, runner),
        stdin=message("trace", settings),
        limits=Limits(output_bytes=_OUTPUT_BYTES),
    )
    result = await sandbox.run(spec)
    found = [msgspec.json.decode(line, type=_Record) for line in records(result.stdout, nonce)]
    tests = tuple(TestTrace(r.test, r.failed, r.lines, r.frames, r.stopped) for r in found if r.test is not None)
    if not any(t.test in tracing.failing for t in tests):
        return None
    imported = next((r.imported for r in found if r.imported is not None), {})
    return Spectra(
        tests=tests,
        imported=imported,
        modules=next((r.modules for r in found if r.done is not None), ()),
        configured=next((r.configured for r in found if r.configured), ()),
        tracer=next((r.tracer for r in found if r.tracer), ""),
        complete=len(tests) == len(tracing.failing) + len(tracing.passing),
    )


def records(output: bytes, nonce: str) -> list[bytes]:
    """The lines behind the nonce; the last one too when it was cut off in the middle is left out."""
    mark = nonce.encode()
    whole = output[: output.rfind(b"\n") + 1]
    return [line[len(mark) :] for line in whole.split(b"\n") if line.startswith(mark)]
