"""The operators, one small kind of mistake each. A new one is a file here and a line in `OPERATORS`."""

from loopwright.act.repair.edits import Operator
from loopwright.act.repair.operators.argument import Argument
from loopwright.act.repair.operators.arithmetic import Arithmetic
from loopwright.act.repair.operators.attribute import Attribute
from loopwright.act.repair.operators.augmented import Augmented
from loopwright.act.repair.operators.boolean import Boolean
from loopwright.act.repair.operators.call import Call
from loopwright.act.repair.operators.collection import Collection
from loopwright.act.repair.operators.comparison import Comparison
from loopwright.act.repair.operators.condition import Condition
from loopwright.act.repair.operators.constant import Constant
from loopwright.act.repair.operators.delete import Delete
from loopwright.act.repair.operators.donor import Donor
from loopwright.act.repair.operators.guard import Guard
from loopwright.act.repair.operators.off_by_one import OffByOne
from loopwright.act.repair.operators.returned import Returned
from loopwright.act.repair.operators.slices import Slices
from loopwright.act.repair.operators.variable import Variable
from loopwright.act.repair.operators.wrap import Wrap

__all__ = ["OPERATORS"]

OPERATORS: tuple[Operator, ...] = (
    Comparison(),
    OffByOne(),
    Arithmetic(),
    Augmented(),
    Argument(),
    Boolean(),
    Call(),
    Variable(),
    Attribute(),
    Constant(),
    Slices(),
    Condition(),
    Returned(),
    Collection(),
    Guard(),
    Delete(),
    Wrap(),
    Donor(),
)
"""In a fixed order: of two edits that weigh the same the earlier operator's comes first."""
