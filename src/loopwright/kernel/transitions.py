"""Which event may happen in which phase, and where it leads. The state diagram in the docs is drawn from this table.

`TABLE` holds the steps of the loop. `OVERLAY` are events that may happen in every live phase and leave it as it is: people,
drivers and budgets come and go while a run is in any phase.
"""

from typing import Final, get_args

from loopwright.errors import IllegalTransition
from loopwright.kernel import events as ev
from loopwright.kernel.values import Decision, Phase, Work

__all__ = ["LIVE", "OVERLAY", "TABLE", "diagram", "label_of", "next_phase"]

LIVE: Final[tuple[Phase, ...]] = ("observing", "planning", "acting", "evaluating", "keeping", "delivering", "closing")

TABLE: Final[dict[tuple[Phase, str], Phase]] = {
    ("new", "run_started"): "observing",
    ("observing", "intended.observe"): "observing",
    ("observing", "observed"): "planning",
    ("observing", "decided.stop"): "delivering",
    ("planning", "intended.plan"): "planning",
    ("planning", "planned"): "acting",
    ("planning", "intended.measure"): "planning",
    ("planning", "measured"): "planning",
    ("planning", "decided.escalate"): "planning",
    ("planning", "decided.stop"): "delivering",
    ("acting", "intended.propose"): "acting",
    ("acting", "proposed"): "evaluating",
    ("acting", "decided.escalate"): "planning",
    ("acting", "decided.stop"): "delivering",
    ("evaluating", "intended.evaluate"): "evaluating",
    ("evaluating", "judged"): "evaluating",
    ("evaluating", "intended.measure"): "evaluating",
    ("evaluating", "measured"): "evaluating",
    ("evaluating", "weighed"): "evaluating",
    ("evaluating", "decided.retry"): "evaluating",
    ("evaluating", "decided.check"): "observing",
    ("evaluating", "decided.keep"): "keeping",
    ("evaluating", "decided.revert"): "planning",
    ("evaluating", "decided.stop"): "delivering",
    ("keeping", "intended.keep"): "keeping",
    ("keeping", "kept"): "observing",
    ("keeping", "decided.stop"): "delivering",
    ("delivering", "intended.deliver"): "delivering",
    ("delivering", "intended.measure"): "delivering",
    ("delivering", "measured"): "delivering",
    ("delivering", "delivered"): "closing",
    ("delivering", "run_finished"): "finished",
    ("delivering", "run_forked"): "planning",
    ("closing", "run_finished"): "finished",
    ("closing", "run_forked"): "planning",
    **{
        (phase, "action_failed"): phase
        for phase in ("observing", "planning", "acting", "evaluating", "keeping", "delivering")
    },
    **{(phase, "run_forked"): phase for phase in ("observing", "planning", "acting", "evaluating", "keeping")},
}

OVERLAY: Final[frozenset[str]] = frozenset(
    {
        "driver_started",
        "pause_requested",
        "stop_requested",
        "run_paused",
        "run_resumed",
        "limits_changed",
        "salvaged",
        "asked",
        "answered",
        "policy_bound",
        "call_requested",
        "call_decided",
        "call_intended",
        "call_ended",
    }
)


def label_of(body: ev.Body) -> str:
    """The table's name of an event: its kind, refined by what was intended or decided."""
    kind = type(body)
    if kind is ev.ActionIntended:
        return _LABELS[kind, type(body.action.work)]  # type: ignore[union-attr]
    if kind is ev.Decided:
        return _LABELS[kind, type(body.decision)]  # type: ignore[union-attr]
    return _LABELS[kind, None]


def _labels() -> dict[tuple[type, type | None], str]:
    labels: dict[tuple[type, type | None], str] = {}
    for kind in get_args(ev.Body):
        labels[kind, None] = str(kind.__struct_config__.tag)
    for work in get_args(Work):
        labels[ev.ActionIntended, work] = f"intended.{work.__struct_config__.tag}"
    for decision in get_args(Decision):
        labels[ev.Decided, decision] = f"decided.{decision.__struct_config__.tag}"
    return labels


# Looked up for every event of a fold: asking the types each time would cost more than the transition itself.
_LABELS: Final = _labels()


def next_phase(phase: Phase, label: str) -> Phase:
    """Where `label` leads from `phase`. Raises: `IllegalTransition`."""
    found = TABLE.get((phase, label))
    if found is not None:
        return found
    if label in OVERLAY and phase in LIVE:
        return phase
    legal = sorted(name for at, name in TABLE if at == phase)
    raise IllegalTransition(
        f"event {label!r} in phase {phase!r}: expected one of {', '.join(legal) or 'none (the run is finished)'}"
    )


def diagram() -> str:
    """The table as a Mermaid state diagram; overlay events and steps that stay in their phase are left out for reading."""
    lines = ["stateDiagram-v2", "    [*] --> observing: run_started"]
    edges: dict[tuple[str, str], list[str]] = {}
    for (source, label), target in TABLE.items():
        if source not in ("new", target) and label != "run_forked":
            edges.setdefault((source, target), []).append(label)
    lines += [f"    {source} --> {target}: {', '.join(labels)}" for (source, target), labels in edges.items()]
    lines.append("    finished --> [*]")
    return "\n".join(lines) + "\n"
