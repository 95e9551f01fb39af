"""The only door: every call of an actor is requested, decided, intended, done and ended here, and each of it is a fact of the run.

The order is the safety: what is denied is not even looked at; the intent is durable before the effect; an approval is consumed in the
commit that writes the intent; the effect gets the very bytes that were decided on.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal

from loopwright.errors import ActionError, IllegalTransition, SandboxError, UsageError
from loopwright.kernel.values import BlobRef
from loopwright.policy.names import fold
from loopwright.policy.values import Json, Ruling, ToolSpec
from loopwright.tools.canonical import call_digest, canonical, copy_of, digest_of
from loopwright.tools.judge import Judge, Judged, Wanted
from loopwright.tools.protocol import Preview, ToolContext, ToolOutput
from loopwright.tools.record import Recorder, Step
from loopwright.tools.registry import Registered, Registry
from loopwright.tools.results import CallResult, Decide, Place, Rights, Settings
from loopwright.tools.runlog import RunLog
from loopwright.tools.settle import Ending, ask_world, ending_of, needs_person, write_ending

__all__ = ["Gate"]

WORLD_S: Final = 10.0
"""How long the world is asked whether an interrupted call happened."""

REASON_CHARS: Final = 4_000


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
        judge = Judge(
            log,
            registry,
            self._rights.get,
            decide,
            self._settings,
            sandboxed=place.sandbox.isolated,
            driver_id=log.history.driver_id,
        )
        self._record = Recorder(log, judge, self._settings, new_nonce)

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
        wanted = self._wanted(actor, tool, data, action_id, reason[:REASON_CHARS])
        try:
            trap = self._settings.trapped(data.decode()) if wanted.leaves else None
            if trap is not None:
                step = self._log.commit(lambda _: self._record.trapped(wanted, trap))
            else:
                step = self._log.commit(lambda at_ms: self._record.early(wanted, at_ms))
            if step is None:
                step = await self._decided(wanted)
        except IllegalTransition as error:
            return _no_call("run.over", str(error), "start or resume a run")
        if step.status != "go":
            return CallResult(step.status, None, step.ruling, step.call.call_id, step.ask_id, _told(step))
        assert wanted.found is not None
        return await self._perform(wanted, wanted.found, step)

    # --- before the effect ------------------------------------------------------------------------------------------------
    def _wanted(self, actor: str, tool: str, data: bytes, action_id: str, reason: str) -> Wanted:
        found = self._registry.get(tool)
        text = data.decode()
        secret = self._settings.redact(text) != text
        # Nothing of a call that holds a known secret is kept but that it was made.
        kept = b'"[not recorded: it holds a secret]"' if secret else data
        recorded = self._log.blobs.put(kept, "application/json")
        return Wanted(
            actor=actor,
            name=found.spec.name if found is not None else tool[:200].encode("utf-8", "replace").decode(),
            found=found,
            arguments=data,
            recorded=recorded,
            action_id=action_id,
            secret=secret,
            redacted=recorded.sha256 != digest_of(data),
            reason=reason,
            reason_ref=self._reason(reason),
        )

    def _reason(self, reason: str) -> BlobRef | None:
        if not reason:
            return None
        return self._log.blobs.put(self._settings.redact(reason).encode("utf-8", "replace"))

    async def _decided(self, wanted: Wanted) -> Step:
        assert wanted.found is not None
        try:
            preview = await self._look(wanted, wanted.found)
        except ActionError as error:
            impossible = Ruling("deny", "call.impossible", str(error)[:500], "call it with other arguments")
            return self._log.commit(lambda _: self._record.refusal(wanted, Judged(impossible)))
        digest = call_digest(
            run_id=self.run_id,
            actor=wanted.actor,
            tool=wanted.name,
            pin=wanted.found.spec.pin,
            arguments=wanted.arguments,
            precondition=preview.precondition,
        )
        return self._log.commit(lambda at_ms: self._record.decide(wanted, preview, digest, at_ms))

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

    # --- the effect -------------------------------------------------------------------------------------------------------
    async def _perform(self, wanted: Wanted, found: Registered, step: Step) -> CallResult:
        context = self._context(step.call.call_id, step.key)
        try:
            if step.approved and not await self._unchanged(wanted, found, step):
                why = "what it is done to changed after it was approved; ask for it again"
                return self._ended(found, step, ToolOutput("cancelled", None, why))
            async with asyncio.timeout(self._place.timeout_s + self._settings.grace_s):
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

    async def _unchanged(self, wanted: Wanted, found: Registered, step: Step) -> bool:
        if not step.call.precondition:
            return True
        try:
            return (await self._look(wanted, found)).precondition == step.call.precondition
        except ActionError:
            return False

    async def _interrupted(
        self, wanted: Wanted, found: Registered, step: Step, undone: Literal["cancelled", "timeout"], why: str
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

    def _ended(self, found: Registered, step: Step, output: ToolOutput) -> CallResult:
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


def _result(step: Step, ending: Ending) -> CallResult:
    status = ending.ended.status
    told: Literal["ok", "error", "timeout", "denied", "unknown"] = "error" if status == "cancelled" else status
    ask_id = step.ask_id if ending.asked is None else ending.asked.ask_id
    return CallResult(told, ending.value, step.ruling, step.call.call_id, ask_id, ending.ended.message)


def _told(step: Step) -> str:
    ruling = step.ruling
    if step.status == "asked":
        return f"a person was asked as {step.ask_id}: {ruling.why}; end here, and make the same call again once it is answered"
    return f"{ruling.rule}: {ruling.why}" + (f"; {ruling.remedy}" if ruling.remedy else "")


def _no_call(rule: str, why: str, remedy: str) -> CallResult:
    ruling = Ruling("deny", rule, why, remedy)
    return CallResult("denied", None, ruling, "", None, f"{rule}: {why}; {remedy}")
