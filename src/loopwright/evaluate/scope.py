"""Whether a proposal stays within what the loop may write. Nothing is run: the paths of its changes decide."""

import re
from collections.abc import Sequence

from loopwright.evaluate.protocol import JudgeRequest
from loopwright.kernel.loop import Permit
from loopwright.kernel.values import Verdict
from loopwright.suite.outcome import describe
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["ScopeVerifier", "out_of_scope"]

RESERVED = (
    ".loopwright/",
    ".git*",
    "./loops/**/*.md",
    "./loops/policy.toml",
    "./loops/mcp.lock",
    "./loops/skills/",
    "skills.lock",
)
"""What steers the loop or git itself: the journal, hooks and attributes, workflows, the loop files, the policy and the pins.

Only an entry of `permit.write` that names them opens them; a wide one (`**`, `*.md`) does not."""


def out_of_scope(paths: Sequence[str], permit: Permit, protect: Sequence[str]) -> str | None:
    """Why the proposal is refused, in one line with the next move; `None` when every path may be changed."""
    protected = [p for p in paths if matches(p, protect)]
    if protected and len(protected) == len(paths):
        return f"the proposal only edits protected files: {describe(protected)}; change what they test instead"
    if protected:
        return f"edits protected {describe(protected)}; leave protected files as they are"
    for path in paths:
        if matches(path, RESERVED) and not _named(path, permit.write):
            return f"edits {path!r}, which steers the loop or git; add {path!r} to permit.write if that is meant"
        if permit.write and not matches(path, permit.write):
            return (
                f"edits {path!r} outside permit.write ({', '.join(permit.write)}); "
                f"leave it as it is, or add {_smallest(path)!r} to permit.write"
            )
    return None


class ScopeVerifier:
    """The first of the chain: it costs nothing and what it refuses must not be run."""

    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        loop = request.loop
        paths = [c.path for c in request.proposal.changes]
        why = out_of_scope(paths, loop.permit, loop.evaluate.protect)
        if why is not None:
            return Verdict("scope", "fail", why)
        return Verdict("scope", "pass", f"changes {describe(paths)}, all permitted" if paths else "changes nothing")


def _named(path: str, write: Sequence[str]) -> bool:
    """Whether an entry opens a reserved path on purpose: the first part that has a wildcard must lie behind the reserved name."""
    opening = [w for w in write if w.removeprefix("./").startswith((".loopwright", ".git", "loops/"))]
    return matches(path, opening)


def _smallest(path: str) -> str:
    """A pattern that covers this file. Patterns know no escape, so a `*` in a file's name is written as "one character"."""
    pattern = re.sub(r"[*?\[]", "?", path)
    return pattern if "/" in path else f"./{pattern}"
