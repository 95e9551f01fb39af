"""What the runtime says of the run so far, for the next attempt: the check of a "Ralph" loop, in words.

It is read from the fold of the journal, never from what a proposer claims of itself. The proposers' own titles stand in it, so it is as
little trusted as they are. The newest stands first and whole; what does not fit any more is counted.
"""

import re
from collections.abc import Sequence

from loopwright.journal.protocol import BlobStore
from loopwright.kernel.history import Turn
from loopwright.kernel.ratchet import head_summary
from loopwright.kernel.state import State
from loopwright.kernel.values import Budget, Observation

__all__ = ["PROGRESS_CHARS", "progress", "summarise"]

PROGRESS_CHARS = 2000
LESSONS_SHOWN = 5
HEAD_CHARS = 700
LINE_CHARS = 300
KEPT_FOR_MORE = 60
"""Room for the line that counts what was left out."""


def progress(
    state: State,
    observation_id: str,
    now_ms: int,
    blobs: BlobStore,
    *,
    claimed_done: bool | None = None,
    seen: Sequence[Observation] | None = None,
    hidden: Sequence[str] = (),
) -> Observation:
    """The run so far as an observation (source `progress`, untrusted, says nothing of the goal itself).

    `claimed_done`: the last rung said that it is done; `None` = what the state says of that. `seen`: what the sources just saw of the
    head, when the state does not have it yet. `hidden`: ids of held-out tests; no text that names one leaves here.
    """
    metric = state.loop.evaluate.metric
    measured = None if metric is None or state.ratchet is None else head_summary(state.ratchet, metric)
    observations = tuple(o for o in (state.observations if seen is None else seen) if o.source != "progress")
    text = summarise(
        iterations=state.iteration,
        kept=state.kept,
        turns=state.turns,
        lessons=state.lessons,
        head=(*((measured,) if measured else ()), *(o.summary for o in observations)),
        goal_met=state.goal_met if (told := _goal_met(observations)) is None else told,
        remaining=state.remaining(),
        unit=metric.name if metric is not None else "score",
        claimed_done=state.done if claimed_done is None else claimed_done,
        hidden=hidden,
    )
    return Observation(
        id=observation_id,
        source="progress",
        taken_at_ms=now_ms,
        content=blobs.put(text.encode(), "text/plain"),
        trust="untrusted",
        summary=f"{_count(state.iteration, 'iteration')} so far, {state.kept} kept",
    )


def summarise(
    *,
    iterations: int,
    kept: int,
    turns: Sequence[Turn],
    lessons: Sequence[str],
    head: Sequence[str],
    goal_met: bool | None,
    remaining: Budget,
    unit: str,
    claimed_done: bool = False,
    hidden: Sequence[str] = (),
) -> str:
    """At most `PROGRESS_CHARS` characters of plain text.

    `head`: what the verifiers say of the kept state, a line each. `goal_met` is `None` when they cannot tell. `unit` is the word for a
    keep's gain. `turns` and `lessons` are oldest first, as the state holds them.
    """
    veil = _Veil(hidden)
    checked = "; ".join(veil(line) for line in head)
    parts = [_opening(claimed_done, goal_met, _bounded(checked or "nothing was looked at", HEAD_CHARS))]
    parts.append(f"So far: {_count(iterations, 'iteration')}, {kept} kept.")
    parts.append(f"Left of the budget: {_left(remaining)}.")
    text = "\n".join(parts)
    dry = _dry(turns)
    last = turns[-1] if turns else None
    if last is not None and not last.kept:
        streak = f" ({dry} in a row without a keep)" if dry > 1 else ""
        title = "" if last.title in last.why else veil(last.title)
        tried = ": ".join(word for word in (title, veil(last.why)) if word)
        text += "\n" + _bounded(f"Last tried, not kept{streak}: {tried or 'nothing was proposed'}", LINE_CHARS)
    keeps = [_keep_line(turn, unit, veil) for turn in reversed(turns) if turn.kept]
    reasons = [f"- {_bounded(veil(lesson), LINE_CHARS)}" for lesson in reversed(lessons[-LESSONS_SHOWN:])]
    text = _with(text, "Kept, newest first:", keeps, missing=max(0, kept - len(keeps)), share=0.6)
    return _with(text, "Not kept, and why, newest first:", reasons, missing=0, share=1.0)


def _opening(claimed_done: bool, goal_met: bool | None, checked: str) -> str:
    if claimed_done and goal_met is not True:
        return f"You said that it is done; the check says: {checked}."
    word = {True: "met", False: "not met yet", None: "for the verifiers to say"}[goal_met]
    return f"The goal is {word}; the check says: {checked}."


def _goal_met(observations: Sequence[Observation]) -> bool | None:
    told = [o.goal_met for o in observations if o.goal_met is not None]
    return all(told) if told else None


def _left(remaining: Budget) -> str:
    left = []
    if remaining.iterations is not None:
        left.append(_count(remaining.iterations, "iteration"))
    if remaining.wall_ms is not None:
        left.append(f"{remaining.wall_ms / 60_000:.1f} minutes")
    if remaining.usd_micros is not None:
        left.append(f"${remaining.usd_micros / 1e6:.2f}")
    if remaining.tokens is not None:
        left.append(f"{remaining.tokens} tokens")
    return ", ".join(left) if left else "not limited"


def _dry(turns: Sequence[Turn]) -> int:
    number = 0
    for turn in reversed(turns):
        if turn.kept:
            break
        number += 1
    return number


def _keep_line(turn: Turn, unit: str, veil: "_Veil") -> str:
    gain = "" if turn.gain is None else f" ({unit} {turn.gain:+.4g})"
    return f"- iteration {turn.iteration}: {veil(turn.title) or 'an edit without a title'}{gain}"


def _with(text: str, title: str, lines: Sequence[str], *, missing: int, share: float) -> str:
    """`text` with as many of the lines, from the first on, as fit into `share` of the room that is left; the rest is counted."""
    total = len(lines) + missing
    if not total:
        return text
    room = int((PROGRESS_CHARS - len(text)) * share) - len(title) - 1 - KEPT_FOR_MORE
    shown: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        shown.append(line)
    more = [f"- and {total - len(shown)} more"] if total > len(shown) else []
    return "\n".join((text, title, *shown, *more))


class _Veil:
    """Takes the names of held-out tests out of a line, before anything is cut: half a name is a name too."""

    def __init__(self, hidden: Sequence[str]) -> None:
        names = sorted({name for test_id in hidden for name in _names(test_id)}, key=len, reverse=True)
        self._pattern = re.compile(r"(?<![\w])(?:" + "|".join(map(re.escape, names)) + r")(?![\w])") if names else None

    def __call__(self, line: str) -> str:
        line = " ".join(line.split())
        return line if self._pattern is None else self._pattern.sub("a held-out test", line)


def _names(test_id: str) -> tuple[str, ...]:
    """The id, and the test's own name without its parameters: a message often says no more than that."""
    own = test_id.rsplit("::", 1)[-1]
    return tuple(name for name in {test_id, own, own.split("[", 1)[0]} if name)


def _bounded(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
