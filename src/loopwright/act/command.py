"""Any program as a proposer: it gets the task as JSON, works in a disposable copy, and what it changed there is the proposal.

What it prints is shown to people and never believed. The protocol is described in docs/reference/command-proposer.md.
"""

import dataclasses
import json
from contextlib import AsyncExitStack
from pathlib import Path

from loopwright.act.digest import changes_digest
from loopwright.act.protocol import ProposeRequest, ProposeResult, WaitsForPerson
from loopwright.act.result_file import RESULT_BYTES, CommandResult, parse_result
from loopwright.errors import ActionError
from loopwright.journal.protocol import BlobStore
from loopwright.kernel.loop import CommandRung
from loopwright.kernel.values import BlobRef, Change, Observation, Proposal, Spend
from loopwright.sandbox.protocol import ExecResult
from loopwright.sandbox.resolve import split_command
from loopwright.suite.outcome import describe, last_line, stable
from loopwright.suite.reading import UnreadableFile, answer_folder, read_untrusted
from loopwright.workspace.command import command_in
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["PROTOCOL", "CommandProposer", "task"]

PROTOCOL = 1
ACTOR = "command"
"""Who calls tools through the door, for policy, approvals and audit."""
_CONTENT_BYTES = 4 << 20
_TAIL_CHARS = 4_000
_RATIONALE_CHARS = 4_000


class CommandProposer:
    """One program run gives at most one proposal."""

    def __init__(self, rung: CommandRung) -> None:
        self._rung = rung

    async def propose(self, request: ProposeRequest, shop: Workshop) -> ProposeResult:
        """Raises: `ActionError` when the program is not found, fails, does not end, or writes a result that cannot be used;
        `WaitsForPerson`, `UsageError`, `WorkspaceError`, `SandboxError`."""
        shop.progress(f"running {self._rung.run}")
        async with AsyncExitStack() as stack:
            candidate = stack.enter_context(shop.workspace.checkout(request.tree, "propose"))
            # Outside the copy: the result is no part of the edit.
            own = stack.enter_context(answer_folder("result"))
            door = None
            if shop.tools is not None:
                door = await stack.enter_async_context(shop.tools.open(ACTOR, shop.action_id))
            result_at = own / "result.json"
            spec = command_in(
                candidate,
                split_command(self._rung.run),
                timeout_s=shop.timeout_s,
                action_id=f"{shop.run_id}/{shop.action_id}",
                env={"LOOPWRIGHT_RESULT": str(result_at), **({} if door is None else door.env)},
                stdin=task(request, shop.blobs),
                writable=(own,),
            )
            if door is not None:
                spec = dataclasses.replace(spec, binds=(*spec.binds, *door.binds))
            done = await shop.sandbox.run(spec)
            if door is not None and door.failure is not None:
                raise door.failure
            if door is not None and door.asks:
                # It asks again for the very same call once a person has said yes; what it did until here is thrown away.
                raise WaitsForPerson(door.asks, _said_spend(result_at))
            self._refuse_failure(done, shop)
            said = _result(result_at)
            changes = candidate.harvest(shop.blobs)
        return self._offer(request, shop, said, changes, _findings(done, shop))

    def _refuse_failure(self, done: ExecResult, shop: Workshop) -> None:
        command = repr(self._rung.run)
        if done.status == "not_found":
            message = f"command: program not found: {command}; install it or correct the command"
        elif done.status == "timeout":
            message = f"command: {command} did not end within {shop.timeout_s} s"
            raise ActionError(message, signature=f"command: {command} timeout", status="timeout")
        elif done.status == "output_limit":
            message = f"command: {command} printed too much and was ended; make it quieter"
        elif done.returncode != 0:
            why = last_line(_text(done.stderr)) or last_line(_text(done.stdout)) or "no output"
            message = f"command: {command} failed with exit code {done.returncode}: {why}"
        else:
            return
        raise ActionError(message, signature=stable(message))

    def _offer(
        self,
        request: ProposeRequest,
        shop: Workshop,
        said: CommandResult,
        changes: tuple[Change, ...],
        findings: BlobRef,
    ) -> ProposeResult:
        spend = said.spend()
        protect = request.loop.evaluate.protect
        # What is kept must be what was judged, and it is judged with the protected files put back; so the edit goes on without them.
        # An edit of nothing else is offered as it is: its verdict tells the next attempt why it was refused.
        free = tuple(c for c in changes if not matches(c.path, protect))
        left_out = tuple(c.path for c in changes if matches(c.path, protect)) if free else ()
        changes = free or changes
        summary = said.title or (
            f"edit {describe([c.path for c in changes])}" if changes else "the program changed nothing"
        )
        if left_out:
            summary += f"; edits of protected files left out: {describe(left_out)}"
        if said.impossible:
            summary = f"the program says that the goal is impossible: {said.impossible}"
        proposals: tuple[Proposal, ...] = ()
        if changes:
            diff = shop.workspace.diff(request.tree, changes, shop.blobs)
            proposals = (
                Proposal(
                    id=f"{shop.action_id}.1",
                    rung="command",
                    title=said.title or summary,
                    rationale=said.rationale[:_RATIONALE_CHARS],
                    changes=changes,
                    digest=changes_digest(changes),
                    diff=shop.blobs.put(diff.encode("utf-8", "replace"), "text/x-diff"),
                    family=self._rung.family,
                ),
            )
        return ProposeResult(
            proposals=proposals,
            exhausted=said.exhausted or said.impossible is not None,
            summary=summary,
            findings=findings,
            spend=spend,
            impossible=said.impossible,
            done=said.done and not proposals,
        )


def task(request: ProposeRequest, blobs: BlobStore) -> bytes:
    """What the program reads on its standard input: one JSON object, ASCII, one line."""
    loop = request.loop
    return json.dumps(
        {
            "protocol": PROTOCOL,
            "goal": loop.goal,
            "ticket": request.ticket,
            "iteration": request.iteration,
            "plan": {"steps": list(request.plan.steps), "rationale": request.plan.rationale},
            "observations": [
                {"source": o.source, "summary": o.summary, "content": _content(o, blobs)} for o in request.observations
            ],
            "tried": list(request.tried),
            "lessons": list(request.lessons),
            "protect": list(loop.evaluate.protect),
            "write": list(loop.permit.write),
        }
    ).encode("ascii")


def _content(observation: Observation, blobs: BlobStore) -> object:
    """JSON as the value it is, everything else as text; `None` where it is too large to hand over."""
    if observation.content.size_bytes > _CONTENT_BYTES:
        return None
    text = _text(blobs.get(observation.content))
    if observation.content.media_type != "application/json":
        return text
    try:
        content: object = json.loads(text)
    except ValueError:
        return text
    return content


def _result(path: Path) -> CommandResult:
    try:
        data = read_untrusted(path, RESULT_BYTES)
    except UnreadableFile as error:
        raise ActionError(f"command: the result file cannot be used: {error}") from error
    return parse_result(data or b"")


def _said_spend(path: Path) -> Spend:
    """What a program that ends in the middle of its work says that it cost; a result that cannot be used says nothing."""
    try:
        return _result(path).spend()
    except ActionError:
        return Spend()


def _findings(done: ExecResult, shop: Workshop) -> BlobRef:
    """What the program printed, for people."""
    parts = [_text(done.stdout)[-_TAIL_CHARS:], _text(done.stderr)[-_TAIL_CHARS:]]
    return shop.blobs.put("\n".join(p.rstrip() for p in parts if p.strip()).encode("utf-8", "replace"))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
