"""A person's answer to an ask: what is open, whether it may still be answered, and the event that answers it.

An answer names the ask of one run and carries the digest that the person was shown; the gate takes it for that very call, once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from loopwright.errors import UsageError
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.tools.history import AskEntry, History
from loopwright.tools.runlog import RunLog

__all__ = ["RUNTIME", "OpenAsk", "answer", "answer_together", "open_asks"]

RUNTIME: Final = "loopwright"
"""Whoever answers as this is no person; nobody may take a name that begins with it."""

CONFIRM_CHARS: Final = 6


@dataclass(frozen=True, slots=True)
class OpenAsk:
    """A question that waits for a person. `card` is safe to print as it is. `tool`, `digest` and `nonce` are `None` and `expires_at_ms`
    is too when it is not about a call."""

    run_id: str
    ask_id: str
    about: str
    question: str
    card: str
    asked_at_ms: int
    tool: str | None = None
    digest: str | None = None
    nonce: str | None = None
    expires_at_ms: int | None = None
    step_up: bool = False


def open_asks(journal: Journal, run_id: str, now_ms: Callable[[], int]) -> tuple[OpenAsk, ...]:
    """What a run waits for a person with, oldest first; expired asks too, since only a denial closes them. Raises: `UsageError`."""
    log = RunLog(journal, run_id, now_ms)
    return tuple(_shown(log, ask) for ask in log.history.asks.values() if ask.open and log.state.phase != "finished")


def answer(
    journal: Journal,
    run_id: str,
    ask_id: str,
    reply: Literal["approve", "deny"],
    *,
    by: str,
    why: str,
    now_ms: Callable[[], int],
    digest: str | None = None,
    nonce: str | None = None,
    confirm: str | None = None,
) -> ev.Answered:
    """Answer one ask and return the event. `digest` and `nonce` are those of the ask that the person was shown (`OpenAsk`); an approval
    of a call needs the digest, and `confirm` (the tool's name, or the digest's last 6 characters) where the ask says `step_up`.

    Raises: `UsageError` saying which of them does not fit; nothing is written then.
    """
    if not by.strip() or by.strip().casefold().startswith(RUNTIME):
        raise UsageError(f"ask {ask_id!r}: expected the name of the person who answers, found {by!r}; give your own")
    log = RunLog(journal, run_id, now_ms)

    def build(at_ms: int) -> tuple[Sequence[ev.Body], ev.Answered]:
        ask = _open(log, ask_id)
        bound = ask.call.digest if ask.call is not None else None
        if ask.call is not None:
            _check_shown(ask, digest, nonce, needed=reply == "approve")
            if reply == "approve":
                _check_time(ask, at_ms)
                _check_confirm(log.history, ask, confirm)
        body = ev.Answered(ask_id, reply, by, why, bound)
        return [body], body

    return log.commit(build)


def answer_together(
    journal: Journal,
    run_id: str,
    ask_ids: Sequence[str],
    reply: Literal["approve", "deny"],
    *,
    by: str,
    why: str,
    now_ms: Callable[[], int],
) -> tuple[ev.Answered, ...]:
    """Answer several asks at once, all or none. Approving needs the same tool and the same target in each, and none with `step_up`:
    a person who approves a list has looked at its first line.

    Raises: `UsageError`.
    """
    if not by.strip() or by.strip().casefold().startswith(RUNTIME):
        raise UsageError(
            f"asks of {run_id!r}: expected the name of the person who answers, found {by!r}; give your own"
        )
    log = RunLog(journal, run_id, now_ms)

    def build(at_ms: int) -> tuple[Sequence[ev.Body], tuple[ev.Answered, ...]]:
        asks = [_open(log, ask_id) for ask_id in dict.fromkeys(ask_ids)]
        if reply == "approve":
            for ask in asks:
                _check_alike(ask, asks[0])
                _check_time(ask, at_ms)
        bodies = tuple(
            ev.Answered(ask.ask_id, reply, by, why, ask.call.digest if ask.call is not None else None) for ask in asks
        )
        return bodies, bodies

    return log.commit(build)


def _open(log: RunLog, ask_id: str) -> AskEntry:
    ask = log.history.asks.get(ask_id)
    if ask is None or ask.void:
        known = ", ".join(a.ask_id for a in log.history.asks.values() if a.open) or "none"
        found = "none of that name" if ask is None else "one that no longer counts"
        raise UsageError(f"ask {ask_id!r} of run {log.run_id!r}: expected an open one, found {found}; open: {known}")
    if ask.answered is not None:
        raise UsageError(
            f"ask {ask_id!r} of run {log.run_id!r}: expected an open one, found it answered ({ask.answered.answer}) by"
            f" {ask.answered.by!r}; an answer is not changed, the call can be asked again"
        )
    return ask


def _check_shown(ask: AskEntry, digest: str | None, nonce: str | None, *, needed: bool) -> None:
    assert ask.call is not None
    if (digest is None and needed) or (digest is not None and digest != ask.call.digest):
        raise UsageError(
            f"ask {ask.ask_id!r}: expected the digest of the call that is asked about ({ask.call.digest[:12]}…), found"
            f" {digest[:12] if digest else 'none'!r}; look at it again"
        )
    if nonce is not None and nonce != ask.call.nonce:
        raise UsageError(
            f"ask {ask.ask_id!r}: expected the nonce that it was shown with, found another; look at it again"
        )


def _check_time(ask: AskEntry, at_ms: int) -> None:
    assert ask.call is not None
    if at_ms >= ask.call.expires_at_ms:
        late_s = (at_ms - ask.call.expires_at_ms) // 1000
        raise UsageError(
            f"ask {ask.ask_id!r}: expected an answer in time, found one {late_s} s too late; deny it, and the call can be asked again"
        )


def _check_confirm(history: History, ask: AskEntry, confirm: str | None) -> None:
    assert ask.call is not None
    if not ask.call.step_up:
        return
    tool = history.calls[ask.call.call_id].call.tool
    if confirm not in (tool, ask.call.digest[-CONFIRM_CHARS:]):
        raise UsageError(
            f"ask {ask.ask_id!r}: expected {tool!r} or {ask.call.digest[-CONFIRM_CHARS:]!r} typed as confirmation, found"
            f" {confirm!r}; this call cannot be taken back"
        )


def _check_alike(ask: AskEntry, first: AskEntry) -> None:
    if ask.call is None or ask.call.step_up:
        raise UsageError(f"ask {ask.ask_id!r}: expected one that may be approved in a batch; approve it on its own")
    if ask.question != first.question or " with " not in ask.question:
        raise UsageError(
            f"ask {ask.ask_id!r}: expected the same tool and target as {first.ask_id!r}, found another; approve it on its own"
        )


def _shown(log: RunLog, ask: AskEntry) -> OpenAsk:
    if ask.call is None:
        return OpenAsk(log.run_id, ask.ask_id, ask.about, ask.question, "", ask.at_ms)
    return OpenAsk(
        log.run_id,
        ask.ask_id,
        ask.about,
        ask.question,
        log.blobs.get(ask.call.card).decode("utf-8", "replace"),
        ask.at_ms,
        log.history.calls[ask.call.call_id].call.tool,
        ask.call.digest,
        ask.call.nonce,
        ask.call.expires_at_ms,
        ask.call.step_up,
    )
