"""The message of a kept commit. It is an input of the commit's id, so it is a function of the journal alone.

Titles and rationales come from proposers and are not trusted: they must not forge a trailer, hide anything in a terminal, or be
taken for the beginning of the patch when the commit travels as a mail. `git am` gives back exactly this message.
"""

import re
from collections.abc import Sequence
from typing import Final

from loopwright.kernel.values import Proposal, Verdict
from loopwright.views.text import one_line, plain

__all__ = ["commit_message", "subject_of"]

_SUBJECT_CHARS: Final = 72
_BODY_LINES: Final = 40
_LINE_CHARS: Final = 400
_SUMMARY_CHARS: Final = 300

# What git reads as something other than text at the start of a line: where the patch begins, where a mail begins, headers
# in the body, scissors, and any trailer.
_MEANT_FOR_GIT: Final = re.compile(
    r"-{2,}|diff -|Index: |>*From |\[PATCH|\(cherry picked|[#;]|[-_ ]*(?:>8|8<|>%|%<)|[A-Za-z0-9-]+\s*:", re.IGNORECASE
)


def subject_of(loop_name: str, proposal: Proposal) -> str:
    """`<loop>: <title>` on one line of at most 72 characters."""
    files = len(proposal.changes)
    title = one_line(proposal.title) or f"change {files} file{'' if files == 1 else 's'}"
    return one_line(f"{loop_name}: {title}", _SUBJECT_CHARS)


def commit_message(loop_name: str, run_id: str, iteration: int, proposal: Proposal, verdicts: Sequence[Verdict]) -> str:
    """Subject, rationale, what the verifiers said, and the trailers `Loopwright-Run` and `Loopwright-Iteration`; ends with a line end."""
    paragraphs = [subject_of(loop_name, proposal)]
    rationale = _body(proposal.rationale)
    if rationale:
        paragraphs.append(rationale)
    if verdicts:
        said = (f"- {one_line(v.verifier)} ({v.status}): {one_line(v.summary, _SUMMARY_CHARS)}" for v in verdicts)
        paragraphs.append("\n".join(("Verified by", *(line.rstrip() for line in said))))
    paragraphs.append(f"Loopwright-Run: {one_line(run_id)}\nLoopwright-Iteration: {iteration}")
    return "\n\n".join(paragraphs) + "\n"


def _body(text: str) -> str:
    lines: list[str] = []
    for raw in plain(text).expandtabs(4).split("\n"):
        line = raw.rstrip()
        if not line and (not lines or not lines[-1]):
            continue
        if len(line) > _LINE_CHARS:
            line = line[: _LINE_CHARS - 1] + "…"
        lines.append(f"  {line}" if _MEANT_FOR_GIT.match(line) else line)
    if len(lines) > _BODY_LINES:
        lines = [*lines[:_BODY_LINES], "…"]
    return "\n".join(lines).rstrip()
