"""A repository whose loop runs a program that calls tools through the door, and a loopback server as its world."""

import asyncio
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext

from loopwright import loopfile
from loopwright.engine import runs
from loopwright.engine.boundary import POLICY_FILE
from loopwright.engine.site import Site, open_site
from loopwright.kernel.state import State
from support.command_line import repository
from support.loopback import Seen, World, answer, serving

__all__ = ["Place", "close_sites", "place", "ported", "world"]

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
    """A repository with its loop. `env` is the operator's environment; a new `site` is a new process as far as the run can tell."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def site(self) -> Site:
        base = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.root.parent)}
        _OPEN.append(open_site(self.root, {**base, **self.env}))
        return _OPEN[-1]

    def start(self, site: Site) -> str:
        return runs.start(site, loopfile.read(self.root / "loops/ask.md"), runs.StartOptions(jobs=1))

    def run(self, *, attended: bool = True) -> tuple[Site, str, State]:
        site = self.site()
        run_id = self.start(site)
        return site, run_id, self.drive(site, run_id, attended=attended)

    def drive(self, site: Site, run_id: str, *, attended: bool = True) -> State:
        return asyncio.run(runs.driver_for(site, run_id, attended=attended).drive())

    def again(self, run_id: str) -> tuple[Site, State]:
        """As a process that knows nothing but the repository."""
        site = self.site()
        return site, self.drive(site, run_id)

    def everything(self) -> bytes:
        """All bytes that loopwright left behind in this repository, its git objects apart."""
        return b"\n".join(p.read_bytes() for p in sorted((self.root / ".loopwright").rglob("*")) if p.is_file())


def ported(text: str, port: int) -> str:
    """`text` of a policy or a permit with the port of the server that a test has just opened."""
    return text if port == 443 else text.replace(f'"{HOST}"', f'"{HOST}:{port}"')


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
        "loops/ask.md": LOOP.replace("LIMITS", limits).replace("PERMIT", ported(permit, port)).replace("GOAL", goal),
    }
    if policy is not None:
        files[POLICY_FILE] = ported(policy, port)
    tmp.chmod(0o755)
    return Place(repository(tmp / "repo", files))


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
