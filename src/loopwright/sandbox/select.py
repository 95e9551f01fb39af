"""Which backend runs commands here: the strongest that works, the one that was asked for, or a refusal. Never a silent step down."""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loopwright.errors import SandboxError, UsageError
from loopwright.sandbox.protocol import ExecSpec, Sandbox

__all__ = ["PREFERENCES", "Preference", "Setting", "choose", "unsandboxed"]

Preference = Literal["auto", "bubblewrap", "landlock", "container", "none"]
PREFERENCES: tuple[Preference, ...] = ("auto", "bubblewrap", "landlock", "container", "none")

_TRIAL_S = 30.0
_HOW_WITHOUT = "or run without a sandbox, which the journal and every report will say: --unsandboxed"


@dataclass(frozen=True, slots=True)
class Setting:
    """What every backend is made from. `engine` is the container engine's words, `image` what it runs; empty = none configured."""

    runtime_home: Path
    path: str
    read_only: tuple[Path, ...]
    env: Mapping[str, str]
    engine: tuple[str, ...] = ()
    image: str = ""


def choose(preference: str, setting: Setting) -> Sandbox:
    """A sandbox that has run a program, except for `none`. `auto` is bubblewrap, then the container engine if one is configured; the
    reduced rung, `landlock`, and `none` must be asked for by name.

    Raises: `SandboxError` with backend, step, errno and the fix for each rung that was tried; `UsageError` for an unknown preference.
    """
    if preference not in PREFERENCES:
        raise UsageError(f"sandbox {preference!r} is not known; expected one of {', '.join(PREFERENCES)}")
    if preference == "none":
        return unsandboxed(setting)
    rungs: dict[str, Callable[[Setting], Sandbox]] = {
        "bubblewrap": _bubblewrap,
        "landlock": _landlock,
        "container": _container,
    }
    names: Sequence[str] = [preference]
    if preference == "auto":
        names = ["bubblewrap", "container"] if setting.engine else ["bubblewrap"]
    refusals = []
    for name in names:
        try:
            return _tried(rungs[name](setting), setting)
        except SandboxError as error:
            refusals.append(str(error))
    raise SandboxError(f"no sandbox: {'; then '.join(refusals)}; {_HOW_WITHOUT}")


def unsandboxed(setting: Setting) -> Sandbox:
    """Plain processes, for an explicit request alone."""
    from loopwright.sandbox.plain import PlainSandbox

    return PlainSandbox(setting.runtime_home, setting.path)


def _bubblewrap(setting: Setting) -> Sandbox:
    from loopwright.sandbox.bubblewrap import BubblewrapSandbox
    from loopwright.sandbox.identity import sandbox_uid

    uid = sandbox_uid(setting.env)
    return BubblewrapSandbox(setting.runtime_home, setting.path, setting.read_only, uid=uid)


def _landlock(setting: Setting) -> Sandbox:
    from loopwright.sandbox.identity import sandbox_uid
    from loopwright.sandbox.landlock import LandlockSandbox

    uid = sandbox_uid(setting.env)
    return LandlockSandbox(setting.runtime_home, setting.path, setting.read_only, uid=uid)


def _container(setting: Setting) -> Sandbox:
    from loopwright.sandbox.container import ContainerSandbox
    from loopwright.sandbox.identity import sandbox_uid

    if not setting.engine or not setting.image:
        raise SandboxError(
            "container: no engine and image are configured; name both, such as docker and an image that is there"
        )
    return ContainerSandbox(
        setting.runtime_home,
        setting.path,
        setting.read_only,
        engine=setting.engine,
        image=setting.image,
        uid=sandbox_uid(setting.env),
    )


def _tried(sandbox: Sandbox, setting: Setting) -> Sandbox:
    """That a backend is installed proves nothing. Raises: `SandboxError` when nothing runs in it."""
    scratch = setting.runtime_home / "trial"
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(
            f"sandbox: no folder can be made in {str(setting.runtime_home)!r}: {error}; make it writable"
        ) from error
    spec = ExecSpec(("true",), scratch, _TRIAL_S, f"trial-{os.getpid()}/1", env={"PATH": "/usr/bin:/bin"})
    failures: list[SandboxError] = []

    def run() -> None:
        try:
            done = asyncio.run(sandbox.run(spec))
        except SandboxError as error:
            failures.append(error)
            return
        if (done.status, done.returncode) != ("exited", 0):
            said = done.stderr.decode("utf-8", "replace").strip() or "nothing"
            failures.append(
                SandboxError(
                    f"{sandbox.description}: step 'run true' failed: {done.status}, code {done.returncode}, it said: {said!r}; "
                    "run `loopwright doctor`"
                )
            )

    # A thread of its own: whoever asks may stand in an event loop.
    trial = threading.Thread(target=run)
    trial.start()
    trial.join()
    if failures:
        raise failures[0]
    return sandbox
