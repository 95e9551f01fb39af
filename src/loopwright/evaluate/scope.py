"""Whether a proposal stays within what the loop may write, and within its size. Nothing is run: the changes themselves decide."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from loopwright.errors import WorkspaceError
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.kernel.loop import EvaluatePolicy, Permit
from loopwright.kernel.values import Verdict
from loopwright.suite.outcome import describe
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["ScopeVerifier", "Size", "out_of_scope", "too_large"]

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")

RESERVED = (
    ".loopwright/",
    ".git*",
    "./loops/**/*.md",
    "./loops/policy.toml",
    "./loops/mcp.lock",
    "./loops/quarantine.toml",
    "./loops/skills/",
    "skills.lock",
)
"""What steers the loop or git itself: the journal, hooks and attributes, workflows, the loop files, the policy, the pins, and which
tests count for nothing.

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


@dataclass(frozen=True, slots=True)
class Size:
    """Of a proposal: files, and lines added and removed together."""

    files: int
    lines: int


def too_large(size: Size, policy: EvaluatePolicy) -> str | None:
    """Why a proposal is larger than the loop allows, with the next move; `None` when it is not."""
    if policy.max_files is not None and size.files > policy.max_files:
        return f"changes {size.files} files, at most {policy.max_files} are allowed (evaluate.max_files); make a smaller change"
    if policy.max_lines is not None and size.lines > policy.max_lines:
        return f"changes {size.lines} lines, at most {policy.max_lines} are allowed (evaluate.max_lines); make a smaller change"
    return None


class ScopeVerifier:
    """The first of the chain: it costs nothing and what it refuses must not be run. A proposal that changes nothing is refused too,
    whatever the tests would say of it."""

    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        loop, proposal = request.loop, request.proposal
        paths = [c.path for c in proposal.changes]
        why = out_of_scope(paths, loop.permit, loop.evaluate.protect)
        if why is not None:
            return Verdict("scope", "fail", why)
        try:
            diff = _diff(request, shop)
        except WorkspaceError as error:
            return Verdict("scope", "fail", f"the proposal cannot be applied: {error}")
        if not paths or not diff.strip():
            return Verdict("scope", "fail", "changes nothing; propose a change, or say that there is none to make")
        lines = _changed_lines(diff)
        if proposal.added_lines is not None and proposal.removed_lines is not None:
            lines = proposal.added_lines + proposal.removed_lines
        why = too_large(Size(len(paths), lines), loop.evaluate)
        if why is not None:
            return Verdict("scope", "fail", why)
        return Verdict("scope", "pass", f"changes {describe(paths)}, all permitted")


def _diff(request: JudgeRequest, shop: Workshop) -> str:
    if request.proposal.diff is not None:
        return shop.blobs.get(request.proposal.diff).decode("utf-8", "replace")
    return shop.workspace.diff(request.tree, request.proposal.changes, shop.blobs) if request.proposal.changes else ""


def _changed_lines(diff: str) -> int:
    """Added and removed lines of a unified diff. How many lines a hunk has stands in its head, so no line is taken for a file's."""
    changed = before = after = 0
    for line in diff.split("\n"):
        if before <= 0 and after <= 0:
            if head := _HUNK.match(line):
                before, after = (1 if n is None else int(n) for n in head.groups())
            continue
        changed += line.startswith(("+", "-"))
        before -= line.startswith((" ", "-"))
        after -= line.startswith((" ", "+"))
    return changed


def _named(path: str, write: Sequence[str]) -> bool:
    """Whether an entry opens a reserved path on purpose: the first part that has a wildcard must lie behind the reserved name."""
    opening = [w for w in write if w.removeprefix("./").startswith((".loopwright", ".git", "loops/"))]
    return matches(path, opening)


def _smallest(path: str) -> str:
    """A pattern that covers this file. Patterns know no escape, so a `*` in a file's name is written as "one character"."""
    pattern = re.sub(r"[*?\[]", "?", path)
    return pattern if "/" in path else f"./{pattern}"
