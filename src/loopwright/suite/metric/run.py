"""Runs a metric's command once in a candidate. Whatever goes wrong is a status of the sample; no failure has a score."""

import re
import signal
from collections.abc import Sequence

import msgspec

from loopwright.errors import ActionError
from loopwright.kernel.sample import Sample
from loopwright.sandbox.protocol import ExecResult
from loopwright.suite.command import parse, python_env
from loopwright.suite.metric.parse import parse_metric, printable
from loopwright.suite.outcome import last_line
from loopwright.suite.there import exists
from loopwright.workspace.command import command_in
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["CommandNotFound", "run_metric"]

OUTPUT_BYTES = 64 << 10
"""How much of a run's output is kept: its end, of which at most a quarter is what it wrote to its error output."""

_TIMEOUT_EXIT = 124  # coreutils' `timeout`
_LEFT_OUT = re.compile(rb"\n\[\.\.\. \d+ bytes left out \.\.\.\]\n[^\r\n]*")
_SAID_CHARS = 200


class CommandNotFound(ActionError):
    """There is no such program, so nothing was measured. The message names the program and the command."""


async def run_metric(
    run: str,
    name: str,
    others: Sequence[str],
    candidate: Candidate,
    shop: Workshop,
    *,
    timeout_s: float,
    protect: Sequence[str],
) -> Sample:
    """One run of `run` in `candidate`, whose files under `protect` are put back to their base first.

    The command ends with success and prints its numbers (`parse_metric`), or the sample says why it has none: `crash` (any other exit,
    also after the number was printed: a run that failed has no score), `timeout`, `missing`, `invalid`. Nothing else of this run may
    be running on the machine meanwhile: the caller sees to that, because what is measured may be time.

    Raises: `CommandNotFound`; `UsageError` for a command that cannot be parsed; `SandboxError` when the isolation fails;
    `WorkspaceError` when the protected files cannot be put back.
    """
    command = parse(run)
    candidate.restore(protect)
    result = await shop.sandbox.run(
        command_in(
            candidate,
            command.argv,
            timeout_s=timeout_s,
            action_id=f"{shop.run_id}/{shop.action_id}",
            env={**python_env(str(candidate.path), has_src=exists(candidate, "src")), **command.env},
        )
    )
    if result.status == "not_found":
        raise CommandNotFound(
            f"metric: command not found: {command.argv[0]!r} of {run!r}; install it or correct the command"
        )
    # What it says of its own place differs from copy to copy, and says where on this machine the copies lie.
    place = str(candidate.path).encode()
    out, err = (_shorten(stream, place) for stream in (result.stdout, result.stderr))
    whole = [_after_the_cut(stream) if result.truncated else stream for stream in (out, err)]
    said_out, said_err = (stream.decode("utf-8", "replace") for stream in whole)
    sample = _judged(result, said_out, said_err, name, others, timeout_s)
    return msgspec.structs.replace(sample, wall_ms=result.wall_ms, output=shop.blobs.put(_tail(out, err)))


def _judged(result: ExecResult, out: str, err: str, name: str, others: Sequence[str], timeout_s: float) -> Sample:
    """The result as a sample. `out` and `err` are what is known to be complete of the two outputs."""
    if result.status == "timeout" or (result.status == "exited" and result.returncode == _TIMEOUT_EXIT):
        limit = f"within {timeout_s:g} s" if result.status == "timeout" else "within its own time limit (exit code 124)"
        return Sample("timeout", message=f"did not end {limit}")
    if result.status == "output_limit":
        return Sample("crash", message="printed too much and was ended; make it quieter")
    # Standard output last: between two equal lines in the two outputs, nobody knows which one was printed later.
    read = parse_metric(f"{err}\n{out}", name, others)
    if result.returncode != 0:
        after = f" after it had printed {name} = {read.value:g}, which does not count" if read.value is not None else ""
        said = last_line(err) or last_line(out)
        return Sample(
            "crash", message=f"{_ended(result.returncode)}{after}: {printable(said, _SAID_CHARS) or 'no output'}"
        )
    if read.status == "missing" and result.truncated:
        return msgspec.structs.replace(
            read, message=f"{read.message}; the output was too long to be read in full: print the metric at its end"
        )
    return read


def _ended(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"ended by signal {-returncode}"


def _shorten(stream: bytes, place: bytes) -> bytes:
    return stream.replace(place + b"/", b"").replace(place, b".")


def _after_the_cut(stream: bytes) -> bytes:
    """Where the middle of an output was left out, the line that counts may have been in it: only what follows can be the last. The
    line at the cut is not whole."""
    return _LEFT_OUT.split(stream)[-1]


def _tail(out: bytes, err: bytes) -> bytes:
    kept_err = err[-(OUTPUT_BYTES // 4) :]
    kept_out = out[-(OUTPUT_BYTES - len(kept_err) - 1) :]
    return b"\n".join(part for part in (kept_out, kept_err) if part)
