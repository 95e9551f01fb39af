"""How the beats are called when people read about them."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from loopwright.kernel import values as val
from loopwright.views.text import short_id

__all__ = ["beat_of", "doing", "subject_of"]

_GERUND: Final = {
    "observe": "observing",
    "plan": "planning",
    "propose": "looking for a change",
    "evaluate": "evaluating",
    "measure": "measuring",
    "keep": "keeping a proposal",
    "deliver": "delivering",
}


def beat_of(work: val.Work) -> str:
    """`observe`, `plan`, `propose`, `evaluate`, `measure`, `keep` or `deliver`."""
    return str(work.__struct_config__.tag)


def subject_of(work: val.Work) -> str:
    """What the action is about, as short as it can be said."""
    match work:
        case val.Observe():
            return f"tree {short_id(work.tree)}"
        case val.MakePlan() | val.Propose():
            return f"rung {work.rung + 1}"
        case val.Evaluate() | val.KeepProposal():
            return f"proposal {work.proposal_id}"
        case val.Measure():
            return f"{work.purpose}, {f'proposal {work.proposal_id}' if work.proposal_id else f'tree {short_id(work.tree)}'}"
        case val.Deliver():
            return work.how


def doing(works: Iterable[val.Work]) -> str:
    """What is being done now: `evaluating 2 proposals`; between two actions `deciding`."""
    counts = Counter(beat_of(work) for work in works)
    if not counts:
        return "deciding"
    evaluating = counts.pop("evaluate", 0)
    words = [_GERUND.get(beat, beat) for beat in counts]
    if evaluating:
        words.append(f"evaluating {evaluating} proposal{'s' if evaluating > 1 else ''}")
    return ", ".join(words)
