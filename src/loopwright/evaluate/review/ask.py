"""Asks a program for its opinion of a proposal, once, in the sandbox.

The judge runs in a checkout of the base, as the loop's author wrote it, and looks at a second checkout that has the change in it. Were it
started in the changed one, a proposal could rewrite the judge, or put a `json.py` beside it that the judge then imports.
Neither checkout is looked at afterwards: whatever the judge does to them is thrown away.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import WorkspaceError
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.review.addressed import Addressed, addressed
from loopwright.evaluate.review.answer import ANSWER_BYTES, Answer, NoAnswer, parse_answer
from loopwright.evaluate.review.request import DIFF_BYTES, review_request
from loopwright.kernel.values import Spend
from loopwright.sandbox.protocol import ExecResult
from loopwright.sandbox.resolve import split_command
from loopwright.suite.outcome import last_line
from loopwright.suite.reading import UnreadableFile, answer_folder, read_untrusted
from loopwright.views.text import one_line, plain
from loopwright.workspace.command import command_in
from loopwright.workspace.workshop import Workshop

__all__ = ["Heard", "ask"]

_PRINTED_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Heard:
    """`answer` is `None` exactly when `problem` says why there is none, in words that follow "the judge". `spend` is what the judge
    says that it cost; its time is the action's."""

    answer: Answer | None
    problem: str
    addressed: tuple[Addressed, ...]
    printed: str
    spend: Spend


async def ask(
    command: str, request: JudgeRequest, shop: Workshop, *, timeout_s: int, hidden: Sequence[str] = ()
) -> Heard:
    """What the judge `command` says of the proposal. `hidden` are files that neither checkout has.

    An exit code never approves anything: without a file that says so there is no answer, and a judge that fails has given none.
    Raises: `UsageError` for a command that cannot be parsed, `SandboxError`.
    """
    changes = request.proposal.changes
    try:
        diff = shop.workspace.diff(request.tree, changes, shop.blobs)
    except WorkspaceError as error:
        return _unheard(f"was not asked: the proposal cannot be shown: {error}")
    flagged = addressed(diff, [c.path for c in changes])
    if len(diff) > DIFF_BYTES:
        return _unheard(f"was not asked: the diff has {len(diff)} characters; expected at most {DIFF_BYTES}", flagged)
    with (
        shop.workspace.checkout(request.base_tree, "judge") as own,
        shop.workspace.checkout(request.tree, "review") as candidate,
        answer_folder("review") as desk,
    ):
        try:
            candidate.apply(changes, shop.blobs)
            candidate.restore(request.loop.evaluate.protect)
            for path in hidden:
                own.remove(path)
                candidate.remove(path)
        except WorkspaceError as error:
            return _unheard(f"was not asked: the proposal cannot be applied: {error}", flagged)
        _lay_out(desk / "before", request, shop)
        (desk / "request.json").write_bytes(
            review_request(request, diff, flagged, before=desk / "before", candidate=candidate.path, shop=shop)
        )
        spec = command_in(
            own,
            split_command(command),
            timeout_s=timeout_s,
            action_id=f"{shop.run_id}/{shop.action_id}",
            env={
                "LOOPWRIGHT_REVIEW": str(desk / "request.json"),
                "LOOPWRIGHT_RESULT": str(desk / "result.json"),
                "LOOPWRIGHT_CANDIDATE": str(candidate.path),
            },
            writable=(desk,) if candidate.overlays else (desk, candidate.path),
        )
        done = await shop.sandbox.run(dataclasses.replace(spec, overlays=(*spec.overlays, *candidate.overlays)))
        answer, problem = _answer(done, desk / "result.json", timeout_s)
    return Heard(answer, problem, flagged, _printed(done), Spend() if answer is None else answer.spend)


def _lay_out(before: Path, request: JudgeRequest, shop: Workshop) -> None:
    """The changed files as the head has them, which is not the base once something was kept; a link is a file with its target."""
    before.mkdir()
    for change in request.proposal.changes:
        data = shop.workspace.read(request.tree, change.path)
        if data is not None:
            place = before / change.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


def _answer(done: ExecResult, result_at: Path, timeout_s: int) -> tuple[Answer | None, str]:
    if problem := _failure(done, timeout_s):
        return None, problem
    try:
        data = read_untrusted(result_at, ANSWER_BYTES)
        if data is None or not data.strip():
            return None, "ended without an answer; expected one in the file that LOOPWRIGHT_RESULT names"
        return parse_answer(data), ""
    except UnreadableFile as error:
        return None, f"left an answer that cannot be read: {error}"
    except NoAnswer as error:
        return None, str(error)


def _failure(done: ExecResult, timeout_s: int) -> str:
    if done.status == "not_found":
        return "is not there; install its program or correct the command"
    if done.status == "timeout":
        return f"did not end within {timeout_s} s"
    if done.status == "output_limit":
        return "printed too much and was ended"
    if done.returncode != 0:
        said = last_line(_text(done.stderr)) or last_line(_text(done.stdout)) or "no output"
        return f"failed with exit code {done.returncode}: {one_line(said, 200)}"
    return ""


def _unheard(problem: str, flagged: tuple[Addressed, ...] = ()) -> Heard:
    return Heard(None, one_line(problem, 500), flagged, "", Spend())


def _printed(done: ExecResult) -> str:
    parts = (_text(done.stdout)[-_PRINTED_CHARS:], _text(done.stderr)[-_PRINTED_CHARS:])
    return plain("\n".join(part.rstrip() for part in parts if part.strip()))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
