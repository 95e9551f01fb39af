"""A real repository with a workshop in it, for tests of what is kept and delivered."""

import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from loopwright.kernel import values as val
from loopwright.sandbox.plain import PlainSandbox
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.repository import Repository
from loopwright.workspace.workshop import Workshop
from support.streams import START_MS

__all__ = ["FILES", "Bench", "git", "make_bench"]

FILES = {
    "src/add.py": b"def add(a, b):\n    return a - b\n",
    "src/crlf.txt": b"one\r\ntwo\r\n",
    "src/latin.txt": b"caf\xe9\n",
    "tests/test_add.py": b"from add import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
}


def git(root: Path, *args: str, stdin: bytes = b"") -> str:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ann",
        "GIT_AUTHOR_EMAIL": "ann@example.org",
        "GIT_COMMITTER_NAME": "Ann",
        "GIT_COMMITTER_EMAIL": "ann@example.org",
    }
    done = subprocess.run(["git", *args], cwd=root, input=stdin, capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").strip()


@dataclass
class Bench:
    """`said` is what was shown as progress."""

    root: Path
    shop: Workshop
    base_commit: str
    base_tree: str
    said: list[str] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.root / ".loopwright" / "runs" / self.shop.run_id

    def change(self, path: str, content: bytes | None, mode: str = "100644") -> val.Change:
        stored = None if content is None else self.shop.blobs.put(content, exact=True)
        return val.Change(path, mode, stored)  # type: ignore[arg-type]

    def proposal(
        self, *changes: val.Change, title: str = "use + instead of -", rationale: str = "the sign is wrong"
    ) -> val.Proposal:
        digest = hashlib.sha256(repr(changes).encode()).hexdigest()
        return val.Proposal(f"p-{digest[:8]}", "repair", title, rationale, changes, digest)

    def work(self, proposal: val.Proposal, iteration: int = 1, parent: str | None = None) -> val.KeepProposal:
        return val.KeepProposal(proposal.id, iteration, parent or self.base_commit, START_MS + iteration * 1_000)


def make_bench(folder: Path, run_id: str = "run1") -> Bench:
    root = folder / "repository"
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "core.autocrlf", "false")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "base")
    runtime_dir = root / ".loopwright"
    said: list[str] = []
    shop = Workshop(
        run_id=run_id,
        action_id="a1",
        workspace=GitWorkspace(Repository.find(root), runtime_dir),
        sandbox=PlainSandbox(runtime_dir / "home", os.environ["PATH"]),
        blobs=MemoryBlobs(),
        jobs=1,
        timeout_s=60,
        seed=0,
        now_ms=lambda: START_MS,
        progress=said.append,
    )
    return Bench(root, shop, git(root, "rev-parse", "HEAD"), git(root, "rev-parse", "HEAD^{tree}"), said)
