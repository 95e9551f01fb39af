"""How events of older schema versions become today's. A step is never changed once a journal may have gone through it.

1 → 2: `evaluate.review` became a list of judges, and stop rules came that an older run did not have: it goes on without them, so that
it ends at the event at which it ended.
"""

from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["ANY_KIND", "UPCASTERS", "Upcaster", "Upcasters"]

Upcaster = Callable[[dict[str, object]], dict[str, object]]
"""Takes the JSON object of a body (with its `type`) at one version and returns it at the next."""

ANY_KIND: Final = "*"
"""In place of a kind: the upcaster is for every event of that version and runs before the one of the kind."""

Upcasters = Mapping[tuple[str, int], Upcaster]

_NEW_RULES: Final = ("drift", "disagreements", "denials")


def _run_started_1(body: dict[str, object]) -> dict[str, object]:
    loop = dict(_object(body["loop"]))
    evaluate, stop = dict(_object(loop["evaluate"])), dict(_object(loop["stop"]))
    review = evaluate.get("review")
    evaluate["review"] = None if review is None else [review]
    stop |= dict.fromkeys(_NEW_RULES)
    stop.setdefault("plateau", None)
    return {**body, "loop": {**loop, "evaluate": evaluate, "stop": stop}}


def _object(value: object) -> dict[str, object]:
    """What is no object is left for the decoder to refuse."""
    return value if isinstance(value, dict) else {}


UPCASTERS: Final[Upcasters] = {("run_started", 1): _run_started_1}
"""`(kind or ANY_KIND, version)` → how a body of that version becomes one of the next. Without an entry it stays as it is."""
