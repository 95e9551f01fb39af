"""A decision about a call as facts of the run: what is written in the one commit that decides it.

Nothing here has an effect but putting blobs, so all of it is done anew when another writer was faster.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallAsk, ToolCall
from loopwright.kernel.values import Spend
from loopwright.policy.values import Ruling
from loopwright.tools.approvals.absent import EXPIRED, expired
from loopwright.tools.approvals.answer import RUNTIME
from loopwright.tools.approvals.card import STEP_UP, Card, question, render
from loopwright.tools.judge import Judge, Judged, Wanted, most
from loopwright.tools.protocol import Preview
from loopwright.tools.results import Settings
from loopwright.tools.runlog import RunLog

__all__ = ["Recorder", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """A recorded decision. `go`: the intent is written, with `key` and `reserve`; `approved`: it consumed the ask `ask_id`."""

    status: Literal["asked", "denied", "go"]
    ruling: Ruling
    call: ToolCall
    ask_id: str | None = None
    key: str = ""
    reserve: Spend = Spend()
    approved: bool = False


Facts = tuple[list[ev.Body], Step]


class Recorder:
    """Makes the facts of a decision on the newest state of the run; see `RunLog.commit`."""

    def __init__(self, log: RunLog, judge: Judge, settings: Settings, new_nonce: Callable[[], str]) -> None:
        self._log = log
        self._judge = judge
        self._settings = settings
        self._new_nonce = new_nonce

    def early(self, wanted: Wanted, at_ms: int) -> tuple[list[ev.Body], Step | None]:
        """The refusal that needs no look at the world, or nothing."""
        ruling = self._judge.early(wanted, at_ms)
        if ruling is None:
            return [], None
        return self.refusal(wanted, Judged(ruling, over=ruling.rule.endswith("budget.asks")))

    def trapped(self, wanted: Wanted, why: str) -> tuple[list[ev.Body], Step | None]:
        """A decoy in what would leave: refused, and the run is asked to end in the same commit."""
        bodies, step = self.refusal(
            wanted, Judged(Ruling("deny", "secret.canary", why, "start anew, without what misled it"))
        )
        state = self._log.state
        if state.stop_requested is None and state.ending is None:
            bodies.append(ev.StopRequested(RUNTIME, why, "integrity"))
        return bodies, step

    def decide(self, wanted: Wanted, preview: Preview, digest: str, at_ms: int) -> Facts:
        """Refused, asked, or decided and intended: an approval is consumed in the commit of the intent."""
        judged = self._judge.rule(wanted, digest, preview.spend, at_ms)
        ruling = judged.ruling
        if ruling.verdict == "deny":
            return self.refusal(wanted, judged, preview.precondition, digest)
        call, bodies = self._request(wanted, ruling, preview.precondition, digest)
        reserve = most(preview.spend, ruling.spend)
        if ruling.verdict == "allow":
            key = self._judge.key_for(wanted, call.call_id)
            approval = None if judged.approval is None else judged.approval.ask_id
            bodies.append(ev.CallIntended(call.call_id, key, reserve, approval))
            return bodies, Step("go", ruling, call, approval, key, reserve, approval is not None)
        if judged.waiting is not None:
            return bodies, Step("asked", ruling, call, judged.waiting.ask_id)
        for ask in self._log.history.asks.values():
            if ask.open and ask.call is not None and ask.call.digest == digest and expired(ask, at_ms):
                bodies.append(ev.Answered(ask.ask_id, "deny", EXPIRED, "nobody answered in time", digest))
        ask_id = f"q{self._log.state.asked + 1}"
        bodies.append(self._ask(ask_id, wanted, call, ruling, preview, reserve, at_ms))
        return bodies, Step("asked", ruling, call, ask_id)

    def _ask(
        self,
        ask_id: str,
        wanted: Wanted,
        call: ToolCall,
        ruling: Ruling,
        preview: Preview,
        reserve: Spend,
        at_ms: int,
    ) -> ev.Asked:
        assert wanted.found is not None
        spec, redact = wanted.found.spec, self._settings.redact
        # What is shown is made of the recorded bytes: a value that must not be written must not be shown either.
        visible = wanted.arguments if not wanted.redacted else self._log.blobs.get(call.arguments)
        card = Card(
            run_id=self._log.run_id,
            actor=wanted.actor,
            spec=spec,
            arguments=visible,
            digest=call.digest,
            ruling=ruling,
            spend=reserve,
            diff=redact(preview.diff),
            notes=tuple(redact(note) for note in preview.notes),
            reason=redact(wanted.reason),
            expires_in_s=self._settings.approval_ttl_ms // 1000,
            redacted=wanted.redacted,
        )
        bound = CallAsk(
            call_id=call.call_id,
            digest=call.digest,
            nonce=self._new_nonce(),
            expires_at_ms=at_ms + self._settings.approval_ttl_ms,
            step_up=ruling.step_up or spec.effect in STEP_UP,
            card=self._log.blobs.put(render(card).encode("utf-8", "replace")),
        )
        return ev.Asked(ask_id, question(wanted.actor, spec, visible), "call", bound)

    def _request(
        self,
        wanted: Wanted,
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
            arguments=wanted.recorded,
            precondition=precondition,
            digest=digest,
        )
        decided = ev.CallDecided(call.call_id, ruling.verdict, ruling.rule, ruling.why, ruling.remedy, ruling.trail)
        return call, [ev.CallRequested(call, ruling.origins, wanted.reason_ref), decided]

    def refusal(
        self,
        wanted: Wanted,
        judged: Judged,
        precondition: str = "",
        digest: str = "",
    ) -> Facts:
        """What a denied call leaves: no intent. Too many questions or refusals pause the run: somebody should look."""
        call, bodies = self._request(wanted, judged.ruling, precondition, digest)
        state = self._log.state
        waits = state.paused is not None or state.pause_requested is not None or state.stop_requested is not None
        if not waits and judged.over:
            bodies.append(ev.PauseRequested(RUNTIME, f"too many questions to people: {judged.ruling.why}"))
        elif not waits and (self._log.history.denials + 1) % self._settings.denials == 0:
            bodies.append(
                ev.PauseRequested(RUNTIME, f"{self._settings.denials} calls were refused: somebody should look")
            )
        return bodies, Step("denied", judged.ruling, call)
