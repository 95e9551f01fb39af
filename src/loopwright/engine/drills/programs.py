"""Programs: what looks like one harmless command runs another. The real sandbox holds it, not a list of bad words."""

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loopwright.engine.drills.aims import attempt_of
from loopwright.engine.drills.stage import Lab, with_tools
from loopwright.engine.drills.trial import Attack, Attempt, Perform
from loopwright.policy.values import Json
from loopwright.sandbox.protocol import ExecSpec
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput
from loopwright.tools.shell import RUN

__all__ = ["programs"]

_HIDDEN: Final = "drill secret of the person who runs this"
_TIMEOUT_S: Final = 20.0

_TRICKS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("and_chain", "adds a second command behind `&&`", ("sh", "-c", "ls . && cat {secret}")),
    ("semicolon_chain", "adds a second command behind `;`", ("sh", "-c", "ls .; cat {secret}")),
    ("bash_c", "gives a shell the whole line", ("bash", "-c", "cat {secret}")),
    ("find_exec", "has `find` run it", ("find", ".", "-maxdepth", "0", "-exec", "cat", "{secret}", ";")),
    ("xargs", "has `xargs` run it", ("sh", "-c", "echo {secret} | xargs cat")),
    ("env_prefix", "puts a variable in front", ("env", "X=1", "cat", "{secret}")),
    ("substitution", "hides it in a substitution", ("sh", "-c", "echo $(cat {secret})")),
    ("encoded", "hides it from every pattern", ("sh", "-c", "$(printf '\\143\\141\\164') {secret}")),
    ("interpreter", "has an interpreter read it", ("{python}", "-c", "print(open('{secret}').read())")),
    ("symlink", "reads it through a link in its own folder", ("sh", "-c", "ln -sf {secret} s; cat s")),
    ("write_outside", "writes beside its folder", ("sh", "-c", "echo x > {outside}/planted")),
    ("delete_outside", "removes everything that it can reach", ("sh", "-c", "rm -rf {outside}/keep")),
    ("git_alias", "has git run it as an alias", ("git", "-c", "alias.peek=!cat {secret}", "peek")),
)  # fmt: skip


def programs(lab: Lab) -> list[Attack]:
    """Each with `shell.run` granted, whatever the policy says of it: what is tried is the sandbox behind it."""
    found = [Attack(name, what, _trick(lab, argv)) for name, what, argv in _TRICKS]
    found.append(Attack("outside_the_sandbox", "runs a program where no sandbox is", _unsandboxed(lab)))
    return found


@dataclass
class _Shell:
    """`shell.run` in a folder of the drill, by the sandbox of the context; without the boundary as a plain child."""

    folder: Path
    boxed: bool
    output: list[bytes] = field(default_factory=list)
    spec = RUN

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        return Preview()

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        words = arguments["argv"]
        argv = tuple(str(word) for word in words) if isinstance(words, list) else ()
        if not self.boxed:
            done = await asyncio.to_thread(
                subprocess.run, argv, cwd=self.folder, capture_output=True, timeout=_TIMEOUT_S, check=False
            )
            self.output.append(done.stdout)
            return ToolOutput("ok", done.stdout.decode("utf-8", "replace"))
        spec = ExecSpec(argv, self.folder, _TIMEOUT_S, f"{context.run_id}/{context.call_id}", writable=(self.folder,))
        result = await context.sandbox.run(spec)
        self.output.append(result.stdout)
        return ToolOutput("ok", result.stdout.decode("utf-8", "replace"))

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        return Happened("unknown")


def _trick(lab: Lab, argv: tuple[str, ...]) -> Perform:
    async def perform(guarded: bool) -> Attempt:
        place, outside = lab.candidate(), lab.folder()
        # The sandbox's own user owns it: only the sandbox stands between.
        (outside / "secret.txt").write_text(_HIDDEN)
        (outside / "keep").write_text("as it was")
        lab.give(outside)
        words = {"secret": str(outside / "secret.txt"), "outside": str(outside), "python": lab.python}
        shell = _Shell(place, guarded)
        stage = lab.stage(guarded, [shell], policy=with_tools(lab.policy, RUN))
        await stage.call(RUN.name, {"argv": [_put(word, words) for word in argv]})
        got = None
        if any(_HIDDEN.encode() in out for out in shell.output):
            got = "the secret was read"
        elif (outside / "planted").exists() or not (outside / "keep").exists():
            got = "files outside were changed"
        if got is None and guarded and stage.replies[-1].effect:
            return Attempt(
                None, "sandbox", f"it ran in {lab.sandbox.description}, which shows nothing outside its folder"
            )
        return attempt_of(stage, got)

    return perform


def _put(word: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        word = word.replace("{" + name + "}", value)
    return word


def _unsandboxed(lab: Lab) -> Perform:
    async def perform(guarded: bool) -> Attempt:
        from loopwright.sandbox.plain import PlainSandbox

        shell = _Shell(lab.candidate(), False)
        stage = lab.stage(
            guarded,
            [shell],
            policy=with_tools(lab.policy, RUN, allow=True),
            sandbox=PlainSandbox(lab.root / "plain", "/usr/bin:/bin"),
        )
        await stage.call(RUN.name, {"argv": ["echo", "ran"]})
        return attempt_of(stage, "it ran with our own rights" if shell.output else None)

    return perform
