"""The fold of a run's tool calls: what was asked for, decided, intended and ended, and what people answered.

It holds what the kernel's state does not need: digests, approvals, outcomes. A fork keeps the calls, since what they read is in the
work that it copied, and none of the approvals: those were given to another run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallAsk, Origin, ToolCall
from loopwright.kernel.values import Stop

__all__ = ["AskEntry", "CallEntry", "History"]


@dataclass(slots=True)
class CallEntry:
    """One call of the run. `abandoned`: it was in flight in the run that this one was forked from."""

    call: ToolCall
    at_ms: int
    origins: tuple[Origin, ...]
    decided: ev.CallDecided | None = None
    intended: ev.CallIntended | None = None
    ended: ev.CallEnded | None = None
    abandoned: bool = False

    @property
    def in_flight(self) -> bool:
        return self.intended is not None and self.ended is None and not self.abandoned


@dataclass(slots=True)
class AskEntry:
    """One question. `void`: it was asked in the run that this one was forked from, so no answer to it counts here."""

    ask_id: str
    question: str
    about: str
    call: CallAsk | None
    at_ms: int
    answered: ev.Answered | None = None
    consumed_by: str | None = None
    void: bool = False

    @property
    def open(self) -> bool:
        return self.answered is None and not self.void


@dataclass(slots=True)
class History:
    """Kept up to date by `add`, event by event. Calls and asks are in the order in which they came."""

    calls: dict[str, CallEntry] = field(default_factory=dict)
    asks: dict[str, AskEntry] = field(default_factory=dict)
    bound: dict[str, ev.PolicyBound] = field(default_factory=dict)
    driver_id: str | None = None
    denials: int = 0

    def add(self, event: ev.Event) -> None:
        """Fold one event; those that are not about calls change nothing."""
        match event.body:
            case ev.CallRequested(call=call, origins=origins):
                self.calls[call.call_id] = CallEntry(call, event.at_ms, origins)
            case ev.CallDecided() as decided:
                self.calls[decided.call_id].decided = decided
                self.denials += decided.verdict == "deny"
            case ev.CallIntended() as intended:
                self.calls[intended.call_id].intended = intended
                if intended.approval is not None:
                    self.asks[intended.approval].consumed_by = intended.call_id
            case ev.CallEnded() as ended:
                self.calls[ended.call_id].ended = ended
            case ev.Asked() as asked:
                self.asks[asked.ask_id] = AskEntry(asked.ask_id, asked.question, asked.about, asked.call, event.at_ms)
            case ev.Answered() as answered:
                self.asks[answered.ask_id].answered = answered
            case ev.StopRequested() | ev.Decided(decision=Stop()):
                # The kernel closes what is open when a run is to end: nobody's answer counts any more.
                for ask in self.asks.values():
                    ask.void = ask.void or ask.answered is None
            case ev.PolicyBound() as bound:
                self.bound[bound.actor] = bound
            case ev.DriverStarted(driver_id=driver_id):
                self.driver_id = driver_id
            case ev.RunForked():
                for entry in self.calls.values():
                    entry.abandoned = entry.abandoned or entry.in_flight
                for ask in self.asks.values():
                    ask.void = True
            case _:
                pass

    def in_flight(self) -> Iterator[CallEntry]:
        """Calls with an intent and no outcome."""
        return (entry for entry in self.calls.values() if entry.in_flight)

    def same_work(self, tool: str, arguments_sha256: str) -> Iterator[CallEntry]:
        """Intended calls of this tool with these arguments, whoever made them and whatever the world looked like; the last one first."""
        for entry in reversed(self.calls.values()):
            same = entry.call.tool == tool and entry.call.arguments.sha256 == arguments_sha256
            if same and entry.intended is not None and not entry.abandoned:
                yield entry
