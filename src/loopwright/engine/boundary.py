"""The boundary of one run: its policy, the tools that the policy grants, and the door through which a rung's programs call them.

Without a policy file nothing is granted and no door is opened. What a run was granted is bound in its journal at the first action;
editing the file afterwards can only narrow it. What the file grants is narrowed by the loop's own `permit` in every case.
"""

import hmac
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from loopwright.engine.decoys import KillsOnCanary, WatchedBox, site_key
from loopwright.engine.permit import loop_grant, loop_servers
from loopwright.engine.site import Site
from loopwright.errors import UsageError
from loopwright.journal.redact import Secret
from loopwright.kernel import events as ev
from loopwright.kernel.loop import Loop
from loopwright.policy.policy import McpServer, Policy
from loopwright.policy.values import CallView, Grant, Task
from loopwright.sandbox.protocol import Bind
from loopwright.tools.protocol import Tool, Toolbox
from loopwright.workspace.workshop import OpenDoor

if TYPE_CHECKING:
    from loopwright.secrets.canary import Decoy
    from loopwright.tools.pay.tool import PayTool
    from loopwright.tools.registry import Registry
    from loopwright.tools.results import Settings

__all__ = ["LOCK_FILE", "POLICY_FILE", "Boundary", "mandates_folder", "read_policy"]

POLICY_FILE: Final = "loops/policy.toml"
"""In the user's checkout, where people review it; never taken from a candidate."""
LOCK_FILE: Final = "loops/mcp.lock"
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
    from loopwright.tools.egress.allow import EgressList

    policy = parse_policy(text, POLICY_FILE)
    try:
        # Stricter than the file's grammar, and better said before the run than at its first call.
        EgressList.of([*policy.grant.hosts, *(host for server in policy.mcp for host in server.hosts)])
    except UsageError as error:
        raise UsageError(f"policy file {POLICY_FILE!r}: {error}") from None
    return policy


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
            boxes = await self._boxes(stack, self._servers(loop, actor))
            registry = self._registry(self._tools(grant), boxes)
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
            if rights.grant != grant:
                # The tools hold to the grant too, each in its own way: to what was bound, not to a file that was widened since.
                registry = self._registry(self._tools(rights.grant), boxes)
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
            token = secrets.token_urlsafe(24)
            # A program may print its environment: the token must not be found in what is kept of that.
            self._site.redactor.learn([Secret("door-token", token)])
            door = await stack.enter_async_context(
                open_door(gate, self._site.sandbox, token=token, actor=actor, action_id=action_id)
            )
            decoys = {name: value for decoy in self._decoys() for name, value in decoy.env.items()}
            yield _Opened(door, {**decoys, **self._broker.actor_env(rights.grant), **door.env})

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
        return [KillsOnCanary(tool, self._kill) for tool in tools]

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

    def _servers(self, loop: Loop, actor: str) -> tuple[McpServer, ...]:
        bound = self._log.history.bound.get(actor)
        first = None if bound is None else msgspec.json.decode(self._site.journal.blobs.get(bound.policy), type=Policy)
        return loop_servers(self._policy, self._policy if first is None else first, loop)

    async def _boxes(self, stack: AsyncExitStack, servers: tuple[McpServer, ...]) -> Sequence[Toolbox]:
        if not servers:
            return ()
        from loopwright.engine.servers import surroundings
        from loopwright.tools.mcp.boxes import open_boxes

        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lw-mcp-")))
        around = surroundings(self._site, servers, self._log.run_id, own, self._broker)
        boxes = await open_boxes(servers, self._site.repository.root / LOCK_FILE, around)
        return [WatchedBox(box, self._kill) for box in boxes]

    def _registry(self, tools: Sequence[Tool], boxes: Sequence[Toolbox]) -> "Registry":
        from loopwright.tools.registry import Registry

        return Registry(tools, boxes, self._policy.tools)

    def _settings(self, loop: Loop) -> "Settings":
        from loopwright.tools.results import Settings

        return Settings(
            # Waiting for somebody is the wider of the two: the loop and the policy must both say it.
            unattended=not self._attended and "deny" in (loop.unattended, self._policy.unattended),
            killed=lambda: self._killed,
            redact=self._broker.redact_text,
            mandated=self._mandated,
            trapped=self._trapped,
        )

    def _mandated(self, call: CallView) -> bool:
        return self._payer is not None and self._payer.covers(call, self._log.run_id, self._site.now_ms())

    def _decoys(self) -> "Sequence[Decoy]":
        """The same ones in every life of the run; their key never leaves the runtime folder, which no sandbox shows."""
        from loopwright.secrets.canary import decoys

        return decoys(hmac.digest(site_key(self._site.runtime_dir), self._log.run_id.encode(), "sha256"))

    def _trapped(self, arguments: str) -> str | None:
        from loopwright.secrets.errors import CanarySeen, SecretRefused, SecretUnavailable

        try:
            self._broker.scan_egress(arguments.encode(), "arguments")
        except CanarySeen as seen:
            return str(seen)
        except (SecretRefused, SecretUnavailable):
            return None  # the gate and the tool refuse these themselves
        return None

    def _plant(self) -> None:
        if not self._planted:
            self._broker.plant(self._decoys())
            self._planted = True

    def _kill(self, why: str) -> None:
        """The run ends for integrity: whoever acts in it is hijacked."""
        if self._killed is None:
            self._killed = why
            self._log.commit(lambda _: ([ev.StopRequested("gate", why, "integrity")], None))
