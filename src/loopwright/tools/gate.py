"""The only door: every call of an actor is requested, decided, intended, done and ended here, and each of it is a fact of the run.

The order is the safety: what is denied is not even looked at; the intent is durable before the effect; an approval is consumed in the
commit that writes the intent; the effect gets the very bytes that were decided on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from loopwright.errors import ActionError, IllegalTransition, SandboxError, UsageError
from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallAsk, ToolCall
from loopwright.kernel.values import BlobRef, Spend
from loopwright.policy.names import fold
from loopwright.policy.values import Json, Ruling, ToolSpec
from loopwright.tools.approvals.absent import EXPIRED, expired
from loopwright.tools.approvals.answer import RUNTIME
from loopwright.tools.approvals.card import STEP_UP, Card, question, render
from loopwright.tools.canonical import call_digest, canonical, copy_of, digest_of
from loopwright.tools.judge import Judge, Judged, Wanted, most
from loopwright.tools.protocol import Preview, ToolContext, ToolOutput
from loopwright.tools.registry import Registered, Registry
from loopwright.tools.results import CallResult, Decide, Place, Rights, Settings
from loopwright.tools.runlog import RunLog
from loopwright.tools.settle import Ending, ask_world, ending_of, needs_person, write_ending

__all__ = ["Gate"]

GRACE_S: Final = 2.0
"""How much longer than its own time-out a tool is waited for: it knows better how to end what it began."""

WORLD_S: Final = 10.0
"""How long the world is asked whether an interrupted call happened."""

REASON_CHARS: Final = 4_000


@dataclass(frozen=True, slots=True)
class _Step:
    """A recorded decision. `key` is set exactly when the call may be done now."""

    status: Literal["asked", "denied", "go"]
    ruling: Ruling
    call: ToolCall
    ask_id: str | None = None
    key: str = ""
    reserve: Spend = Spend()
    approved: bool = False


class Gate:
    """The door of one run, as one driver opened it. `rights` are by actor; who is not in it may do nothing."""

    def __init__(
        self,
        log: RunLog,
        registry: Registry,
        rights: Mapping[str, Rights],
        place: Place,
        decide: Decide,
        *,
        new_nonce: Callable[[], str],
        settings: Settings | None = None,
    ) -> None:
        self._log = log
        self._registry = registry
        self._rights = dict(rights)
        self._place = place
        self._settings = settings or Settings()
        self._new_nonce = new_nonce
        self._judge = Judge(
            log,
            registry,
            self._rights.get,
            decide,
            self._settings,
            sandboxed=place.sandbox.isolated,
            driver_id=log.history.driver_id,
        )

    @property
    def run_id(self) -> str:
        return self._log.run_id

    def manifest(self, actor: str) -> tuple[ToolSpec, ...]:
        """The tools that `actor` has been granted and that may be called now. Seeing one is no right to a call."""
        rights = self._rights.get(actor)
        if rights is None:
            return ()
        held = {fold(name) for name in rights.grant.tools}
        away = set(self._registry.quarantined)
        return tuple(spec for spec in self._registry.manifest if spec.name in held and spec.name not in away)

    async def call(
        self, actor: str, tool: str, arguments: Mapping[str, Json], *, reason: str = "", action_id: str = ""
    ) -> CallResult:
        """Do one call, or say why not. Never waits for a person: `asked` comes back at once.

        `action_id` is the action of the run that it belongs to; a call of an action that has ended is denied.
        Raises: `JournalError` when nothing can be written; then nothing is done either.
        """
        try:
            data = canonical(arguments)
        except UsageError as error:
            return _no_call("call.malformed", str(error), "send a JSON object that every reader reads alike")
        wanted, recorded = self._wanted(actor, tool, data, action_id)
        reason_ref = self._reason(reason)
        try:
            step = self._log.commit(lambda at_ms: self._early(wanted, recorded, reason_ref, at_ms))
            if step is None:
                step = await self._decided(wanted, recorded, reason_ref, reason)
        except IllegalTransition as error:
            return _no_call("run.over", str(error), "start or resume a run")
        if step.status != "go":
            return CallResult(step.status, None, step.ruling, step.call.call_id, step.ask_id, _told(step))
        assert wanted.found is not None
        return await self._perform(wanted, wanted.found, step)

    # --- before the effect ------------------------------------------------------------------------------------------------
    def _wanted(self, actor: str, tool: str, data: bytes, action_id: str) -> tuple[Wanted, BlobRef]:
        found = self._registry.get(tool)
        text = data.decode()
        secret = self._settings.redact(text) != text
        # Nothing of a call that holds a known secret is kept but that it was made.
        kept = b'"[not recorded: it holds a secret]"' if secret else data
        recorded = self._log.blobs.put(kept, "application/json")
        wanted = Wanted(
            actor=actor,
            name=found.spec.name if found is not None else tool[:200],
            found=found,
            arguments=data,
            sha256=recorded.sha256,
            action_id=action_id,
            secret=secret,
            redacted=recorded.sha256 != digest_of(data),
        )
        return wanted, recorded

    def _reason(self, reason: str) -> BlobRef | None:
        if not reason:
            return None
        return self._log.blobs.put(self._settings.redact(reason[:REASON_CHARS]).encode("utf-8", "replace"))

    def _early(
        self, wanted: Wanted, recorded: BlobRef, reason: BlobRef | None, at_ms: int
    ) -> tuple[list[ev.Body], _Step | None]:
        ruling = self._judge.early(wanted, at_ms)
        if ruling is None:
            return [], None
        return self._refusal(wanted, recorded, reason, Judged(ruling, over=ruling.rule.endswith("budget.asks")), "", "")

    async def _decided(self, wanted: Wanted, recorded: BlobRef, reason_ref: BlobRef | None, reason: str) -> _Step:
        assert wanted.found is not None
        try:
            preview = await self._look(wanted, wanted.found)
        except ActionError as error:
            why = str(error)[:500]
            impossible = Judged(Ruling("deny", "call.impossible", why, "call it with other arguments"))
            return self._log.commit(lambda _: self._refusal(wanted, recorded, reason_ref, impossible, "", ""))
        digest = call_digest(
            run_id=self.run_id,
            actor=wanted.actor,
            tool=wanted.name,
            pin=wanted.found.spec.pin,
            arguments=wanted.arguments,
            precondition=preview.precondition,
        )
        nonce = self._new_nonce()

        def build(at_ms: int) -> tuple[Sequence[ev.Body], _Step]:
            return self._decide(wanted, recorded, reason_ref, reason, preview, digest, nonce, at_ms)

        return self._log.commit(build)

    async def _look(self, wanted: Wanted, found: Registered) -> Preview:
        """The tool's preview. Raises: `ActionError`, whatever goes wrong: what cannot be looked at is not done."""
        try:
            async with asyncio.timeout(self._place.timeout_s):
                return await found.tool.preview(copy_of(wanted.arguments), self._context("", ""))
        except ActionError:
            raise
        except TimeoutError:
            raise ActionError(f"tool {wanted.name!r}: looking did not end within {self._place.timeout_s} s") from None
        except Exception as error:
            raise ActionError(f"tool {wanted.name!r}: it cannot be looked at: {error}") from error

    def _decide(
        self,
        wanted: Wanted,
        recorded: BlobRef,
        reason_ref: BlobRef | None,
        reason: str,
        preview: Preview,
        digest: str,
        nonce: str,
        at_ms: int,
    ) -> tuple[list[ev.Body], _Step]:
        judged = self._judge.rule(wanted, digest, preview.spend, at_ms)
        ruling = judged.ruling
        if ruling.verdict == "deny":
            return self._refusal(wanted, recorded, reason_ref, judged, preview.precondition, digest)
        call, bodies = self._request(wanted, recorded, reason_ref, ruling, preview.precondition, digest)
        reserve = most(preview.spend, ruling.spend)
        if ruling.verdict == "allow":
            key = self._judge.key_for(wanted, call.call_id)
            approval = None if judged.approval is None else judged.approval.ask_id
            bodies.append(ev.CallIntended(call.call_id, key, reserve, approval))
            return bodies, _Step("go", ruling, call, approval, key, reserve, approval is not None)
        if judged.waiting is not None:
            return bodies, _Step("asked", ruling, call, judged.waiting.ask_id)
        for ask in self._log.history.asks.values():
            if ask.open and ask.call is not None and ask.call.digest == digest and expired(ask, at_ms):
                bodies.append(ev.Answered(ask.ask_id, "deny", EXPIRED, "nobody answered in time", digest))
        ask_id = f"q{self._log.state.asked + 1}"
        bodies.append(self._ask(ask_id, wanted, call, ruling, preview, reserve, reason, nonce, at_ms))
        return bodies, _Step("asked", ruling, call, ask_id)

    def _ask(
        self,
        ask_id: str,
        wanted: Wanted,
        call: ToolCall,
        ruling: Ruling,
        preview: Preview,
        reserve: Spend,
        reason: str,
        nonce: str,
        at_ms: int,
    ) -> ev.Asked:
        assert wanted.found is not None
        spec, redact = wanted.found.spec, self._settings.redact
        # What is shown is made of the recorded bytes: a value that must not be written must not be shown either.
        visible = wanted.arguments if not wanted.redacted else self._log.blobs.get(call.arguments)
        card = Card(
            run_id=self.run_id,
            actor=wanted.actor,
            spec=spec,
            arguments=visible,
            digest=call.digest,
            ruling=ruling,
            spend=reserve,
            diff=redact(preview.diff),
            notes=tuple(redact(note) for note in preview.notes),
            reason=redact(reason[:REASON_CHARS]),
            expires_in_s=self._settings.approval_ttl_ms // 1000,
            redacted=wanted.redacted,
        )
        bound = CallAsk(
            call_id=call.call_id,
            digest=call.digest,
            nonce=nonce,
            expires_at_ms=at_ms + self._settings.approval_ttl_ms,
            step_up=ruling.step_up or spec.effect in STEP_UP,
            card=self._log.blobs.put(render(card).encode("utf-8", "replace")),
        )
        return ev.Asked(ask_id, question(wanted.actor, spec, visible), "call", bound)

    def _request(
        self,
        wanted: Wanted,
        recorded: BlobRef,
        reason: BlobRef | None,
        ruling: Ruling,
        precondition: str,
        digest: str,
    ) -> tuple[ToolCall, list[ev.Body]]:
        spec = None if wanted.found is None else wanted.found.spec
        call = ToolCall(
            call_id=f"c{self._log.state.called + 1}",
            action_id=wanted.action_id,
            actor=wanted.actor,
            tool=wanted.name,
            # A tool that does not exist has no effect: the least of them stands for it.
            effect="read" if spec is None else spec.effect,
            arguments=recorded,
            precondition=precondition,
            digest=digest,
        )
        decided = ev.CallDecided(call.call_id, ruling.verdict, ruling.rule, ruling.why, ruling.remedy, ruling.trail)
        return call, [ev.CallRequested(call, ruling.origins, reason), decided]

    def _refusal(
        self,
        wanted: Wanted,
        recorded: BlobRef,
        reason: BlobRef | None,
        judged: Judged,
        precondition: str,
        digest: str,
    ) -> tuple[list[ev.Body], _Step]:
        call, bodies = self._request(wanted, recorded, reason, judged.ruling, precondition, digest)
        state = self._log.state
        waits = state.paused is not None or state.pause_requested is not None or state.stop_requested is not None
        if not waits and judged.over:
            bodies.append(ev.PauseRequested(RUNTIME, f"too many questions to people: {judged.ruling.why}"))
        elif not waits and self._log.history.denials + 1 == self._settings.denials:
            bodies.append(
                ev.PauseRequested(RUNTIME, f"{self._settings.denials} calls were refused: somebody should look")
            )
        return bodies, _Step("denied", judged.ruling, call)

    # --- the effect -------------------------------------------------------------------------------------------------------
    async def _perform(self, wanted: Wanted, found: Registered, step: _Step) -> CallResult:
        context = self._context(step.call.call_id, step.key)
        try:
            if step.approved and not await self._unchanged(wanted, found, step):
                why = "what it is done to changed after it was approved; ask for it again"
                return self._ended(found, step, ToolOutput("cancelled", None, why))
            async with asyncio.timeout(self._place.timeout_s + GRACE_S):
                output = await found.tool.call(copy_of(wanted.arguments), context)
        except asyncio.CancelledError:
            await self._interrupted(wanted, found, step, "cancelled", "it was cancelled")
            raise
        except TimeoutError:
            why = f"it did not end within {self._place.timeout_s} s"
            return await self._interrupted(wanted, found, step, "timeout", why)
        except SandboxError as error:
            # Raised before anything runs: the isolation is not there.
            return self._ended(found, step, ToolOutput("error", None, str(error)))
        except Exception as error:
            return await self._interrupted(wanted, found, step, "cancelled", f"the tool broke: {error}")
        if output.status in ("timeout", "unknown"):
            return await self._interrupted(wanted, found, step, "timeout", output.message or "the tool gave up waiting")
        return self._ended(found, step, output)

    async def _unchanged(self, wanted: Wanted, found: Registered, step: _Step) -> bool:
        if not step.call.precondition:
            return True
        try:
            return (await self._look(wanted, found)).precondition == step.call.precondition
        except ActionError:
            return False

    async def _interrupted(
        self, wanted: Wanted, found: Registered, step: _Step, undone: Literal["cancelled", "timeout"], why: str
    ) -> CallResult:
        """Record how it ended; where a repetition would do harm the world is asked first."""
        if not needs_person(found.spec.effect, sandboxed=self._place.sandbox.isolated):
            return self._ended(found, step, ToolOutput(undone, None, why, step.reserve))
        context = self._context(step.call.call_id, step.key)
        try:
            happened = await ask_world(found.tool, wanted.arguments, context, timeout_s=WORLD_S)
        except asyncio.CancelledError:
            self._ended(found, step, ToolOutput("unknown", None, why, step.reserve))
            raise
        return self._ended(found, step, ending_of(happened, undone, why, step.reserve))

    def _ended(self, found: Registered, step: _Step, output: ToolOutput) -> CallResult:
        ending = write_ending(
            step.call,
            found.spec,
            output,
            ask=needs_person(found.spec.effect, sandboxed=self._place.sandbox.isolated),
            blobs=self._log.blobs,
            redact=self._settings.redact,
            output_bytes=self._settings.output_bytes,
        )
        try:
            self._log.commit(lambda _: (ending.bodies, None))
        except IllegalTransition:
            # A later driver has settled it, or the run is over: what it recorded is the truth.
            message = "another driver took the run over and settled this call; see the journal"
            return CallResult("unknown", None, step.ruling, step.call.call_id, step.ask_id, message)
        return _result(step, ending)

    def _context(self, call_id: str, key: str) -> ToolContext:
        place = self._place
        return ToolContext(
            self.run_id, call_id, key, place.sandbox, place.cwd, place.overlays, place.timeout_s, self._log.now_ms
        )


def _result(step: _Step, ending: Ending) -> CallResult:
    status = ending.ended.status
    told: Literal["ok", "error", "timeout", "denied", "unknown"] = "error" if status == "cancelled" else status
    ask_id = step.ask_id if ending.asked is None else ending.asked.ask_id
    return CallResult(told, ending.value, step.ruling, step.call.call_id, ask_id, ending.ended.message)


def _told(step: _Step) -> str:
    ruling = step.ruling
    if step.status == "asked":
        return f"a person was asked as {step.ask_id}: {ruling.why}; end here, and make the same call again once it is answered"
    return f"{ruling.rule}: {ruling.why}" + (f"; {ruling.remedy}" if ruling.remedy else "")


def _no_call(rule: str, why: str, remedy: str) -> CallResult:
    ruling = Ruling("deny", rule, why, remedy)
    return CallResult("denied", None, ruling, "", None, f"{rule}: {why}; {remedy}")
