"""What becomes of a call: the gate's own rules around the policy's. First what nobody can allow, then the policy, then the people.

Everything here is decided on the state that the decision is appended to; nothing here has an effect.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loopwright.kernel.values import BlobRef, Budget, Spend
from loopwright.policy.values import CallView, PastCall, Ruling, Situation
from loopwright.tools.approvals.absent import EXPIRED, expired
from loopwright.tools.canonical import digest_of
from loopwright.tools.history import AskEntry, CallEntry
from loopwright.tools.registry import Registered, Registry
from loopwright.tools.results import Decide, Rights, Settings
from loopwright.tools.runlog import RunLog
from loopwright.tools.settle import unknown_ask_id

__all__ = ["Judge", "Judged", "Wanted", "most"]

_LEAVES: Final = frozenset({"net_read", "share", "send", "spend", "destroy", "credential"})
_REDO: Final = frozenset({"cancelled", "timeout", "unknown"})
"""Ends after which the same call goes out with the same idempotency key: the world may have it already."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call as it was asked for. `arguments` are its canonical bytes, `recorded` what of them is written down; `secret`: they hold a known
    secret; `redacted`: what is recorded of them is not all of them. `reason` are the actor's words."""

    actor: str
    name: str
    found: Registered | None
    arguments: bytes
    recorded: BlobRef
    action_id: str
    secret: bool
    redacted: bool
    reason: str
    reason_ref: BlobRef | None

    @property
    def leaves(self) -> bool:
        """Whether what it carries goes out of this machine."""
        return self.found is not None and self.found.spec.effect in _LEAVES


@dataclass(frozen=True, slots=True)
class Judged:
    """`waiting`: an open ask that this call is already asked by. `approval`: the ask that it consumes. `over`: asks are used up."""

    ruling: Ruling
    waiting: AskEntry | None = None
    approval: AskEntry | None = None
    over: bool = False


class Judge:
    """Rules on calls of one run. `driver_id` is the driver that its gate belongs to: a later one takes the run away from it."""

    def __init__(
        self,
        log: RunLog,
        registry: Registry,
        rights: Callable[[str], Rights | None],
        decide: Decide,
        settings: Settings,
        *,
        sandboxed: bool,
        driver_id: str | None,
    ) -> None:
        self._log = log
        self._registry = registry
        self._rights = rights
        self._decide = decide
        self._settings = settings
        self._sandboxed = sandboxed
        self._driver_id = driver_id
        self._ended: dict[str, PastCall] = {}

    def early(self, wanted: Wanted, at_ms: int) -> Ruling | None:
        """The denial that needs no look at the world, or `None`: what is denied anyway is not looked at, so it learns nothing."""
        # The digest is not known yet. That of the last ask for the same work stands in for it, so that asking anew is not one ask more.
        asked = (
            entry.call.digest
            for entry in reversed(self._log.history.calls.values())
            if entry.call.tool == wanted.name and entry.call.arguments.sha256 == wanted.recorded.sha256
        )
        ruling = self._own(wanted) or self._policy(wanted, next(asked, ""), at_ms, approved=None)
        return ruling if ruling.verdict == "deny" else None

    def rule(self, wanted: Wanted, digest: str, reserve: Spend, at_ms: int) -> Judged:
        """The ruling on a call whose precondition is known, by the present state of the run."""
        own = self._own(wanted)
        if own is not None:
            return Judged(own)
        ruling = self._policy(wanted, digest, at_ms, approved=None)
        if ruling.verdict == "deny":
            return Judged(ruling, over=ruling.rule.endswith("budget.asks"))
        doubt = self._doubt(wanted, ruling)
        if doubt is not None:
            return doubt
        short = _short(self._log.state.remaining(), most(reserve, ruling.spend))
        if short is not None:
            return Judged(_deny("budget.spend", short, "raise the run's budget, or ask for less", ruling))
        if ruling.verdict == "allow":
            return Judged(ruling)
        return self._asked(wanted, digest, ruling, at_ms)

    def key_for(self, wanted: Wanted, call_id: str) -> str:
        """The idempotency key: that of an earlier attempt at the same work that may or may not have happened, else a new one."""
        tried: dict[str, bool] = {}
        for entry in self._log.history.same_work(wanted.name, wanted.recorded.sha256):
            assert entry.intended is not None
            undone = entry.ended is not None and entry.ended.status in _REDO
            tried[entry.intended.key] = tried.get(entry.intended.key, True) and undone
        for key, undone in tried.items():
            # Of redacted arguments it cannot be told whether they are the same.
            if undone and not wanted.redacted:
                return key
        return digest_of(f"{self._log.run_id}\n{call_id}".encode())[:40]

    def _own(self, wanted: Wanted) -> Ruling | None:
        """What no policy can allow."""
        state = self._log.state
        if self._log.history.driver_id != self._driver_id:
            return _deny("run.taken_over", "another driver drives the run now", "end this one")
        if wanted.action_id and all(f.action.id != wanted.action_id for f in state.inflight):
            why = f"action {wanted.action_id!r} is not in flight"
            return _deny("run.action_over", why, "call from an action that is")
        if wanted.found is None:
            return _deny(
                "tool.unknown", f"there is no tool {ascii(wanted.name)[:80]}", "use one of the manifest's names"
            )
        if self._rights(wanted.actor) is None:
            return _deny("actor.unknown", f"nothing is granted to {ascii(wanted.actor)[:80]}", "grant it something")
        if wanted.secret or (wanted.redacted and wanted.leaves):
            why = "its arguments hold a secret, or what looks like one"
            return _deny("secret.in_arguments", why, "name the secret by its placeholder instead of its value")
        return None

    def _policy(self, wanted: Wanted, digest: str, at_ms: int, *, approved: str | None) -> Ruling:
        rights = self._rights(wanted.actor)
        assert rights is not None and wanted.found is not None
        view = CallView(wanted.actor, wanted.name, wanted.arguments.decode(), digest)
        situation = Situation(
            task=rights.task,
            plan=rights.plan,
            grant=rights.grant,
            manifest=self._registry.manifest,
            past=tuple(self._past(entry) for entry in self._log.history.calls.values() if entry.decided is not None),
            now_ms=at_ms,
            killed=self._killed(),
            quarantined=self._registry.quarantined,
            approved=approved,
            rules=rights.rules,
            mandated=digest if digest and self._settings.mandated(view) else None,
            sandboxed=self._sandboxed,
        )
        return self._decide(view, situation)

    def _killed(self) -> str | None:
        state = self._log.state
        if state.stop_requested is not None:
            return f"the run is being stopped: {state.stop_requested}"
        if state.ending is not None:
            return "the run is ending"
        paused = state.paused or state.pause_requested
        return f"the run is paused: {paused}" if paused is not None else self._settings.killed()

    def _past(self, entry: CallEntry) -> PastCall:
        call, ended, decided = entry.call, entry.ended, entry.decided
        assert decided is not None
        kept = self._ended.get(call.call_id)
        if kept is not None:
            return kept
        past = PastCall(
            call_id=call.call_id,
            actor=call.actor,
            tool=call.tool,
            arguments=self._text(call.arguments),
            digest=call.digest,
            verdict=decided.verdict,
            status=None if ended is None else ended.status,
            taint="none" if ended is None else ended.taint,
            at_ms=entry.at_ms,
            sent_bytes=0 if ended is None else ended.sent_bytes,
            output="" if ended is None or ended.output is None else self._text(ended.output),
            rule=decided.rule,
            started=entry.intended is not None,
        )
        if ended is not None or entry.intended is None:
            # Nothing more happens to it: it is read once, however many calls come after it.
            self._ended[call.call_id] = past
        return past

    def _text(self, ref: BlobRef) -> str:
        return self._log.blobs.get(ref).decode("utf-8", "replace")

    def _doubt(self, wanted: Wanted, ruling: Ruling) -> Judged | None:
        """An earlier attempt at the same work of which a person must say first whether it happened."""
        for entry in self._log.history.same_work(wanted.name, wanted.recorded.sha256):
            ask = self._log.history.asks.get(unknown_ask_id(entry.call.call_id))
            if ask is None or ask.void:
                continue
            if ask.answered is None:
                why = f"nobody can tell yet whether call {entry.call.call_id} did this already"
                return Judged(_ask("call.unknown", why, f"answer {ask.ask_id}", ruling), waiting=ask)
            if ask.answered.answer == "deny":
                why = f"{ask.answered.by} left the same call as it was: {ask.answered.why}"
                return Judged(_deny("call.unknown", why, "ask for something else", ruling))
            # The last word on this work is that it did not happen.
            return None
        return None

    def _asked(self, wanted: Wanted, digest: str, ruling: Ruling, at_ms: int) -> Judged:
        asks = [a for a in self._log.history.asks.values() if a.call is not None and not a.void]
        last = next((a for a in reversed(asks) if a.call is not None and a.call.digest == digest), None)
        if last is not None:
            late = expired(last, at_ms)
            said = last.answered
            if said is None:
                if not late:
                    return Judged(ruling, waiting=last)
            elif said.answer == "deny" and said.by != EXPIRED:
                why = f"{said.by} said no: {said.why or 'without a reason'}"
                return Judged(_deny("person.denied", why, "ask for something else", ruling))
            elif said.answer == "approve" and said.digest == digest and last.consumed_by is None and not late:
                again = self._policy(wanted, digest, at_ms, approved=digest)
                return Judged(again, approval=last if again.verdict == "allow" else None)
        if self._settings.unattended:
            why = f"a person would have to allow it ({ruling.rule}: {ruling.why}), and nobody is there"
            return Judged(_deny("unattended", why, ruling.remedy or "run it with somebody there", ruling))
        return Judged(ruling)


def _short(left: Budget, reserve: Spend) -> str | None:
    """What of `reserve` does not fit, in words. What is not reserved needs no room: a read is free when the money is gone."""
    if left.usd_micros is not None and reserve.usd_micros > left.usd_micros:
        return f"it may cost ${reserve.usd_micros / 1e6:.6f} and ${left.usd_micros / 1e6:.6f} are left"
    if left.tokens is not None and reserve.tokens > left.tokens:
        return f"it may take {reserve.tokens} tokens and {left.tokens} are left"
    return None


def most(one: Spend, other: Spend) -> Spend:
    """The larger of the two in every unit: what is held for a call covers the policy's idea of its cost and the tool's."""
    return Spend(
        max(one.usd_micros, other.usd_micros), max(one.tokens, other.tokens), max(one.wall_ms, other.wall_ms), 0
    )


def _deny(rule: str, why: str, remedy: str, of: Ruling | None = None) -> Ruling:
    trail, origins = ((), ()) if of is None else (of.trail, of.origins)
    return Ruling("deny", rule, why, remedy, trail, origins)


def _ask(rule: str, why: str, remedy: str, of: Ruling) -> Ruling:
    return Ruling("ask", rule, why, remedy, of.trail, of.origins, of.step_up, of.spend)
