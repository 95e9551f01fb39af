"""Programs as a tool: an argument vector, never a line for a shell. The sandbox is the boundary, not a list of bad commands.

Whoever wants a shell asks for one (`["sh", "-c", …]`) and gets what the sandbox lets it do. Outside a sandbox the policy asks a person
for every single call, and what they approve is this vector in this folder.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from loopwright.errors import ActionError
from loopwright.policy.values import Argument, Json, OutputField, ToolSpec
from loopwright.sandbox.protocol import ExecResult, ExecSpec, Limits
from loopwright.tools.canonical import canonical, digest_of
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput
from loopwright.tools.workbench import Workbench

__all__ = ["RUN", "ShellTool"]

ARGV_ITEMS: Final = 1_000
ARGV_BYTES: Final = 100 << 10
STREAM_CHARS: Final = 50_000
OUTPUT_BYTES: Final = 1 << 20

_WORDS: Final = '{"type":"array","items":{"type":"string"},"minItems":1}'
_TEXT: Final = '{"type":"string"}'

RUN = ToolSpec(
    "shell.run",
    "exec",
    (
        Argument("argv", "content", _WORDS),
        Argument("cwd", "content", _TEXT, required=False),
        Argument("stdin", "content", _TEXT, required=False),
        Argument("timeout_s", "time", '{"type":"number"}', required=False),
    ),
    (OutputField("exit_code", "system"), OutputField("stdout", "free"), OutputField("stderr", "free")),
    "Run a program with its arguments in the work folder (`cwd` is below it). No shell reads it: ask for `sh -c` if you need one.",
)


@dataclass(frozen=True, slots=True)
class _Command:
    argv: tuple[str, ...]
    cwd: str
    stdin: bytes
    timeout_s: float


class ShellTool:
    """Runs in `bench.candidate`, one program at a time."""

    def __init__(self, bench: Workbench, limits: Limits | None = None) -> None:
        self._bench = bench
        self._limits = limits or Limits(output_bytes=OUTPUT_BYTES)

    @property
    def spec(self) -> ToolSpec:
        return RUN

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        """Raises: `ActionError` for an empty or over-long vector, a NUL in it, or a folder outside."""
        command = _command(arguments, context.timeout_s)
        what: Json = {
            "argv": list(command.argv),
            "cwd": command.cwd,
            "isolated": context.sandbox.isolated,
        }
        return Preview(
            precondition=digest_of(canonical(what)),
            notes=(f"in {command.cwd or '.'} of the work folder", f"isolation: {context.sandbox.description}"),
        )

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        """Raises: `SandboxError`."""
        command = _command(arguments, context.timeout_s)
        root = self._bench.candidate.path
        spec = ExecSpec(
            argv=_inside(command),
            # Always the root: a folder in it may be a link by now, and a backend that showed it would show where it leads.
            cwd=root,
            timeout_s=command.timeout_s,
            action_id=f"{context.run_id}/{context.call_id}",
            stdin=command.stdin,
            writable=() if self._bench.candidate.overlays else (root,),
            overlays=self._bench.candidate.overlays,
            limits=self._limits,
        )
        async with self._bench.busy:
            done = await context.sandbox.run(spec)
        return _output(done, command)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        """A program that was cut off leaves no record of how far it came."""
        return Happened("unknown", message="nobody can tell how far the program came")


def _command(arguments: Mapping[str, Json], most_s: float) -> _Command:
    argv = arguments.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        raise ActionError('shell.run: expected `argv` as a list of texts, found something else; e.g. ["ls", "-l"]')
    words = tuple(str(word) for word in argv)
    size = sum(len(word.encode("utf-8", "replace")) for word in words)
    if len(words) > ARGV_ITEMS or size > ARGV_BYTES:
        raise ActionError(
            f"shell.run: expected at most {ARGV_ITEMS} words and {ARGV_BYTES} bytes, found {len(words)} and {size}; use stdin"
        )
    if not words[0] or any("\0" in word for word in words):
        raise ActionError(
            "shell.run: expected words that a program can be given, found an empty name or a NUL; leave it out"
        )
    timeout = arguments.get("timeout_s", most_s)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        raise ActionError(f"shell.run: expected `timeout_s` as seconds above 0, found {timeout!r}; leave it out")
    stdin = arguments.get("stdin", "")
    if not isinstance(stdin, str):
        raise ActionError("shell.run: expected `stdin` as a text, found something else; leave it out")
    return _Command(words, _folder(arguments.get("cwd", "")), stdin.encode(), min(float(timeout), most_s))


def _folder(cwd: Json) -> str:
    """A folder of the candidate, `""` for its root."""
    if not isinstance(cwd, str) or "\0" in cwd or cwd.startswith("/"):
        raise ActionError(f"shell.run: expected `cwd` below the work folder, found {cwd!r}; leave it out")
    folder = posixpath.normpath(cwd) if cwd else ""
    if folder == ".." or folder.startswith("../"):
        raise ActionError(f"shell.run: expected `cwd` below the work folder, found {cwd!r}; leave it out")
    return "" if folder == "." else folder


def _inside(command: _Command) -> tuple[str, ...]:
    """The vector, begun in its folder by a shell inside the sandbox that reads none of the words."""
    if not command.cwd:
        return command.argv
    return ("/bin/sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", f"./{command.cwd}", *command.argv)


def _output(done: ExecResult, command: _Command) -> ToolOutput:
    value: Json = {
        "exit_code": done.returncode if done.status == "exited" else None,
        "stdout": _ends(done.stdout),
        "stderr": _ends(done.stderr),
        "truncated": done.truncated,
        "wall_ms": done.wall_ms,
    }
    if done.status == "not_found":
        return ToolOutput("error", value, f"program {command.argv[0]!r} was not found")
    if done.status == "timeout":
        return ToolOutput("error", value, f"it did not end within {command.timeout_s:g} s and was ended")
    if done.status == "output_limit":
        return ToolOutput("error", value, "it printed too much and was ended")
    return ToolOutput("ok", value)


def _ends(data: bytes) -> str:
    """Both ends of a stream: the first error and the last line are what is looked for."""
    text = data.decode("utf-8", "replace")
    if len(text) <= STREAM_CHARS:
        return text
    half = STREAM_CHARS // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"
