"""The boundary of one run: its policy, the tools that the policy grants, and the door through which a rung's programs call them.

Without a policy file nothing is granted and no door is opened. What a run was granted is bound in its journal at the first action;
editing the file afterwards can only narrow it.
"""

import hmac
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from loopwright.engine.site import Site
from loopwright.errors import UsageError
from loopwright.kernel import events as ev
from loopwright.kernel.loop import Loop
from loopwright.policy.policy import Policy
from loopwright.policy.values import CallView, Grant, Json, Task, ToolSpec
from loopwright.sandbox.protocol import Bind
from loopwright.tools.protocol import Happened, Preview, Tool, Toolbox, ToolContext, ToolOutput
from loopwright.workspace.workshop import OpenDoor

if TYPE_CHECKING:
    from loopwright.secrets.canary import Decoy
    from loopwright.tools.pay.tool import PayTool
    from loopwright.tools.registry import Registry
    from loopwright.tools.results import Settings

__all__ = ["LOCK_FILE", "POLICY_FILE", "Boundary", "loop_grant", "mandates_folder", "read_policy"]

POLICY_FILE: Final = "loops/policy.toml"
"""In the user's checkout, where people review it; never taken from a candidate."""
LOCK_FILE: Final = "loops/mcp.lock"
_KEY_FILE: Final = "canary.key"
_RAIL_VARIABLE: Final = "LOOPWRIGHT_PAY_SANDBOX"


def read_policy(root: Path) -> Policy | None:
    """The policy of the repository at `root`; `None` when it has none, which grants nothing.

    Raises: `UsageError` with file, line and key for one that cannot be used.
    """
    path = root / POLICY_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"policy file {POLICY_FILE!r} cannot be read: {error}; expected UTF-8 text") from error
    from loopwright.policy.file import parse_policy

    return parse_policy(text, POLICY_FILE)


def loop_grant(policy: Policy, loop: Loop) -> Grant:
    """What a run of `loop` holds: the policy's grant, narrowed by the loop's own `permit`. `permit.write` empty adds no bound."""
    from loopwright.policy.grants import narrowed

    permit = loop.permit
    own = msgspec.structs.replace(
        policy.grant,
        hosts=() if permit.network == "none" else permit.network,
        secrets=tuple(use for use in policy.grant.secrets if use.name in permit.secrets),
        write=permit.write or policy.grant.write,
    )
    return narrowed(policy.grant, own)


def mandates_folder(env: Mapping[str, str]) -> Path:
    """Where a person's signed mandates lie, outside every repository and everything that a sandbox shows."""
    state = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "/nonexistent")) / ".local" / "state")
    return Path(state) / "loopwright" / "mandates"


@dataclass(frozen=True, slots=True)
class _Opened:
    """A door with what an actor's environment gets besides."""

    door: OpenDoor
    env: Mapping[str, str]

    @property
    def binds(self) -> tuple[Bind, ...]:
        return self.door.binds

    @property
    def asks(self) -> tuple[str, ...]:
        return self.door.asks

    @property
    def failure(self) -> Exception | None:
        return self.door.failure


class Boundary:
    """For one run on one site. `attended`: somebody can be asked."""

    def __init__(
        self, site: Site, run_id: str, policy: Policy, env: Mapping[str, str], *, attended: bool = True
    ) -> None:
        from loopwright.secrets.broker import Broker
        from loopwright.tools.runlog import RunLog

        self._site = site
        self._policy = policy
        self._env = env
        self._attended = attended
        self._broker = Broker(policy.secrets, env, site.redactor)
        self._log = RunLog(site.journal, run_id, site.now_ms)
        self._killed: str | None = None
        self._planted = False
        self._payer: PayTool | None = None

    @asynccontextmanager
    async def open(self, actor: str, action_id: str) -> AsyncIterator[OpenDoor | None]:
        """The door of one action; tools and servers live as long as it does. `None` when nothing is granted."""
        if not self._policy.grant.tools:
            yield None
            return
        from loopwright.policy.decide import decide
        from loopwright.policy.plan import plan_for
        from loopwright.tools.binding import bind
        from loopwright.tools.door import open_door
        from loopwright.tools.gate import Gate
        from loopwright.tools.results import Place

        self._log.refresh()
        loop = self._log.state.loop
        grant = loop_grant(self._policy, loop)
        async with AsyncExitStack() as stack:
            tools = self._tools(grant)
            boxes = await self._boxes(stack)
            registry = self._registry(tools, boxes)
            stack.push_async_callback(registry.close)
            task = Task(loop.goal, self._policy.own)
            rights = bind(
                self._log,
                actor,
                self._policy,
                grant=grant,
                plan=plan_for(self._policy, task, registry.manifest),
                task_text=loop.goal,
            )
            self._plant()
            gate = Gate(
                self._log,
                registry,
                {actor: rights},
                Place(self._site.sandbox, timeout_s=loop.action_timeout_s),
                decide,
                new_nonce=lambda: secrets.token_hex(16),
                settings=self._settings(loop),
            )
            door = await stack.enter_async_context(
                open_door(gate, self._site.sandbox, token=secrets.token_urlsafe(24), actor=actor, action_id=action_id)
            )
            decoys = {name: value for decoy in self._decoys() for name, value in decoy.env.items()}
            yield _Opened(door, {**decoys, **self._broker.actor_env(grant), **door.env})

    async def settle(self) -> list[ev.Body]:
        """How the calls ended that a dead driver left open; to be recorded with the new driver's start."""
        from loopwright.tools.recover import settled
        from loopwright.tools.results import Place

        self._log.refresh()
        loop = self._log.state.loop
        registry = self._registry(self._tools(loop_grant(self._policy, loop)), ())
        bodies = await settled(self._log, registry, Place(self._site.sandbox), self._settings(loop))
        return [body for found in bodies.values() for body in found]

    # --- the parts ----------------------------------------------------------------------------------------------------------
    def _tools(self, grant: Grant) -> list[Tool]:
        from loopwright.tools.http import http_tools

        tools: list[Tool] = [*http_tools(grant, self._broker)]
        pay = self._pay()
        if pay is not None:
            tools.append(pay)
        return [_KillsOnCanary(tool, self._kill) for tool in tools]

    def _pay(self) -> "PayTool | None":
        rules, url = self._policy.pay, self._env.get(_RAIL_VARIABLE)
        if rules is None or not url:
            return None
        from loopwright.tools.pay.ledger import JournalLedger
        from loopwright.tools.pay.rail import SandboxRail
        from loopwright.tools.pay.tool import MandateFolder, PayTool

        self._payer = PayTool(
            rules,
            self._log.state.loop.name,
            SandboxRail(url),
            MandateFolder(mandates_folder(self._env)),
            JournalLedger(self._site.journal),
        )
        return self._payer

    async def _boxes(self, stack: AsyncExitStack) -> Sequence[Toolbox]:
        if not self._policy.mcp:
            return ()
        from loopwright.tools.mcp.boxes import Surroundings, open_boxes

        # Servers work in an empty folder of their own and see what their command names; never the user's checkout.
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lw-mcp-")))
        named = {Path(word) for server in self._policy.mcp for word in server.command if word.startswith("/")}
        around = Surroundings(
            sandbox=self._site.sandbox,
            broker=self._broker,
            cwd=own,
            run_id=self._log.run_id,
            path=self._site.isolation.setting.path,
            readable=tuple(sorted(path for path in named if path.exists())),
            writable=(own,),
        )
        boxes = await open_boxes(self._policy.mcp, self._site.repository.root / LOCK_FILE, around)
        return [_WatchedBox(box, self._kill) for box in boxes]

    def _registry(self, tools: Sequence[Tool], boxes: Sequence[Toolbox]) -> "Registry":
        from loopwright.tools.registry import Registry

        return Registry(tools, boxes, self._policy.tools)

    def _settings(self, loop: Loop) -> "Settings":
        from loopwright.tools.results import Settings

        return Settings(
            unattended=not self._attended and loop.unattended == "deny",
            killed=lambda: self._killed,
            redact=self._broker.redact_text,
            mandated=self._mandated,
        )

    def _mandated(self, call: CallView) -> bool:
        return self._payer is not None and self._payer.covers(call, self._log.run_id, self._site.now_ms())

    def _decoys(self) -> "Sequence[Decoy]":
        """The same ones in every life of the run; their key never leaves the runtime folder, which no sandbox shows."""
        from loopwright.secrets.canary import decoys

        return decoys(hmac.digest(_site_key(self._site.runtime_dir), self._log.run_id.encode(), "sha256"))

    def _plant(self) -> None:
        if not self._planted:
            self._broker.plant(self._decoys())
            self._planted = True

    def _kill(self, why: str) -> None:
        """The run ends for integrity: whoever acts in it is hijacked."""
        if self._killed is None:
            self._killed = why
            self._log.commit(lambda _: ([ev.StopRequested("gate", why, "integrity")], None))


class _KillsOnCanary:
    """A tool whose use of a decoy ends the run."""

    def __init__(self, tool: Tool, kill: Callable[[str], None]) -> None:
        self._tool = tool
        self._kill = kill

    @property
    def spec(self) -> ToolSpec:
        return self._tool.spec

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        with self._watched():
            return await self._tool.preview(arguments, context)

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        with self._watched():
            return await self._tool.call(arguments, context)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        return await self._tool.happened(arguments, context)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        from loopwright.secrets.errors import CanarySeen

        try:
            yield
        except CanarySeen as seen:
            self._kill(str(seen))
            raise


class _WatchedBox:
    """A toolbox whose tools end the run when they are used for a decoy."""

    def __init__(self, box: Toolbox, kill: Callable[[str], None]) -> None:
        self._box = box
        self._kill = kill

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(_KillsOnCanary(tool, self._kill) for tool in self._box.tools)

    @property
    def quarantined(self) -> tuple[str, ...]:
        return self._box.quarantined

    async def close(self) -> None:
        await self._box.close()


def _site_key(runtime_dir: Path) -> bytes:
    """32 random bytes of this checkout, made at first use."""
    path = runtime_dir / _KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    fresh = secrets.token_bytes(32)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with open(fd, "wb") as file:
        file.write(fresh)
    return fresh
