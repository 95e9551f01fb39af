"""A repository whose loop runs a program that calls tools through the door, and a loopback server as its world."""

import asyncio
import os
import re
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext

import msgspec

from loopwright import loopfile
from loopwright.engine import runs
from loopwright.engine.boundary import POLICY_FILE, read_policy
from loopwright.engine.drive import Driver
from loopwright.engine.perform import SitePerformer
from loopwright.engine.site import Site, open_site
from loopwright.kernel.state import State
from loopwright.policy.policy import Policy
from support.command_line import repository
from support.loopback import Seen, World, answer, serving

__all__ = ["Place", "close_sites", "place", "world"]

CHECK = """\
import sys
from pathlib import Path

found = Path("value.txt").read_text().strip()
fault = "" if found == "42" else f'<failure message="expected 42, found {found}"/>'
case = f'<testcase classname="check" name="value" time="0.001">{fault}</testcase>'
Path("report.xml").write_text(f'<testsuite tests="1" failures="{int(bool(fault))}">{case}</testsuite>')
sys.exit(bool(fault))
"""

LOOP = """\
---
name: ask
observe: [{tests: {run: "python check.py", junit: report.xml}}]
act: [{command: "python agent.py"}]
evaluate: {tests: {run: "python check.py", junit: report.xml}, protect: [check.py]}
PERMIT
stop: {LIMITS, minutes: 30}
deliver: branch
---
GOAL
"""

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "tool-door.md"


def client() -> str:
    """The client of the reference, word for word: what is documented is what is tried."""
    found = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


HOST = "127.0.0.1"
_OPEN: list[Site] = []


def close_sites() -> None:
    """End the sandboxes of every site that was opened here."""
    while _OPEN:
        _OPEN.pop().sandbox.close()


@dataclass
class Place:
    """A repository with its loop. `env` is the operator's environment; a new `site` is a new process as far as the run can tell.

    Files name the loopback host without a port, since a policy file can name none; `port` is added to what they grant.
    """

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = 443

    def site(self) -> Site:
        base = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.root.parent)}
        _OPEN.append(open_site(self.root, {**base, **self.env}))
        return _OPEN[-1]

    def start(self, site: Site) -> str:
        read = loopfile.read(self.root / "loops/ask.md")
        permit = read.loop.permit
        if permit.network != "none":
            permit = msgspec.structs.replace(permit, network=self._with_port(permit.network))
        loop = msgspec.structs.replace(read.loop, permit=permit)
        return runs.start(site, loopfile.with_loop(read, loop), runs.StartOptions(jobs=1))

    def run(self, *, attended: bool = True) -> tuple[Site, str, State]:
        site = self.site()
        run_id = self.start(site)
        return site, run_id, self.drive(site, run_id, attended=attended)

    def drive(self, site: Site, run_id: str, *, attended: bool = True) -> State:
        policy = read_policy(self.root)
        if policy is not None:
            policy = self._ported(policy)
        performer = SitePerformer(site, run_id, policy=policy, attended=attended)
        driver_id = f"d{uuid.uuid4().hex}"
        driver = Driver(site.journal, run_id, performer, driver_id=driver_id, now_ms=site.now_ms, poll_s=0.02)
        return asyncio.run(driver.drive())

    def again(self, run_id: str) -> tuple[Site, State]:
        """As a process that knows nothing but the repository."""
        site = self.site()
        return site, self.drive(site, run_id)

    def _ported(self, policy: Policy) -> Policy:
        there = f"{HOST}:{self.port}"
        secrets = tuple(
            msgspec.structs.replace(spec, host=there) if spec.host == HOST else spec for spec in policy.secrets
        )
        uses = tuple(
            msgspec.structs.replace(use, host=there) if use.host == HOST else use for use in policy.grant.secrets
        )
        grant = msgspec.structs.replace(policy.grant, hosts=self._with_port(policy.grant.hosts), secrets=uses)
        return msgspec.structs.replace(policy, grant=grant, secrets=secrets)

    def _with_port(self, hosts: Sequence[str]) -> tuple[str, ...]:
        return (*hosts, *(f"{HOST}:{self.port}" for host in hosts if host == HOST))

    def everything(self) -> bytes:
        """All bytes that loopwright left behind in this repository, its git objects apart."""
        return b"\n".join(p.read_bytes() for p in sorted((self.root / ".loopwright").rglob("*")) if p.is_file())


def place(
    tmp: Path,
    program: str,
    *,
    policy: str | None,
    permit: str = "",
    goal: str = "Make the check pass.",
    limits: str = "iterations: 4",
    port: int = 443,
) -> Place:
    """`program` is what `agent.py` does after `door = Tools()` where there is a door; `value(text)` writes its edit."""
    agent = f"""{client()}
from pathlib import Path

def value(text):
    Path("value.txt").write_text(str(text) + "\\n")

door = Tools() if "LOOPWRIGHT_DOOR" in os.environ else None
{program}"""
    files = {
        "check.py": CHECK,
        "value.txt": "0\n",
        "agent.py": agent,
        ".gitignore": "report.xml\n",
        "loops/ask.md": LOOP.replace("LIMITS", limits).replace("PERMIT", permit).replace("GOAL", goal),
    }
    if policy is not None:
        files[POLICY_FILE] = policy
    tmp.chmod(0o755)
    return Place(repository(tmp / "repo", files), port=port)


@contextmanager
def world(
    reply: Callable[[Seen], bytes | None] = lambda seen: answer(body=b"42"), tls: SSLContext | None = None
) -> Iterator[World]:
    """A server of its own thread, so that a run may block this one."""
    loop = asyncio.new_event_loop()
    found: list[World] = []
    up, down = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(reply, tls) as there:
            found.append(there)
            up.set()
            await down.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    up.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join()
        loop.close()
