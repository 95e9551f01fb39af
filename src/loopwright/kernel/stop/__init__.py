"""When a run ends. Pure: every rule reads the state alone, so that a replay ends at the same event.

One function a rule, `(State) -> Ending | None`; `check` holds their order, the goal before any limit, so that reaching it on the last
allowed iteration is success. `person` is looked at before each act as well, `asks_for_person` says when the run waits instead of ending.
"""

from loopwright.kernel.stop.caps import reserve_for
from loopwright.kernel.stop.exits import EXIT_CODES
from loopwright.kernel.stop.order import check
from loopwright.kernel.stop.said import person
from loopwright.kernel.stop.trust import asks_for_person

__all__ = ["EXIT_CODES", "asks_for_person", "check", "person", "reserve_for"]
