"""The nouns of the boundary, as frozen values: tools with their labels, grants, plans, rulings. Nothing here does I/O.

In every limit `None` means "not limited" and `0` means "nothing left". Nothing configured means deny.
"""

from typing import Literal

from loopwright.kernel.calls import ArgumentRole, CallStatus, Origin, Taint, ToolEffect
from loopwright.kernel.values import Spend, Value

__all__ = [
    "Argument",
    "CallBudget",
    "CallView",
    "Condition",
    "Grant",
    "Hole",
    "Json",
    "OutputField",
    "PastCall",
    "PlanStep",
    "Rule",
    "Ruling",
    "SecretUse",
    "Situation",
    "Task",
    "TaskPlan",
    "ToolSpec",
]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


# --- tools and their labels -------------------------------------------------------------------------------------------------
class Argument(Value, frozen=True):
    """One argument of a tool. `role` is what a value of it means; a list has its items' role. `schema` is JSON Schema text."""

    name: str
    role: ArgumentRole
    schema: str = "{}"
    required: bool = True


class OutputField(Value, frozen=True):
    """A field of a tool's output. `path` is like `items[].sender`, `""` for the whole output.

    `trust`: `system` is written by the tool's own system (an id, a date), `free` by whoever (a subject, a body). `kind` says what a
    value of it can be used as: an `item` (the object of later calls), an `address`, a directory `entry`'s name.
    """

    path: str
    trust: Literal["system", "free"]
    kind: Literal["text", "item", "address", "entry_name", "entry_address", "own_account", "amount"] = "text"
    private: bool = False


class ToolSpec(Value, frozen=True):
    """A tool as the policy sees it. `name` is folded (see `policy.names`); an unknown tool is not callable.

    `pin` is the digest of what provides the tool (package, raw tool list): part of every call's digest. `reversible`: a person can
    take it back. `sends_to` are the arguments whose values leave this machine.
    """

    name: str
    effect: ToolEffect
    arguments: tuple[Argument, ...]
    output: tuple[OutputField, ...] = ()
    description: str = ""
    pin: str = ""
    reversible: bool = False
    untrusted_output: bool = True
    private_output: bool = False


# --- what is allowed --------------------------------------------------------------------------------------------------------
class CallBudget(Value, frozen=True):
    """Of one run, but `per_minute`. `identical` is how often the very same call may be made. From `soft_percent` of `calls`, `sends`,
    `bytes_out` and `amount_minor` on, what has effects is asked first. `amount_minor` is a sum in minor units (cents)."""

    calls: int | None = 200
    sends: int | None = 20
    bytes_out: int | None = 10 << 20
    asks: int | None = 10
    per_minute: int | None = 60
    identical: int | None = 5
    amount_minor: int | None = None
    soft_percent: int = 80


class SecretUse(Value, frozen=True):
    """A secret and the only place where its value may be put: `header` of a request to `host` (exact name, https)."""

    name: str
    host: str
    header: str


class Grant(Value, frozen=True):
    """What an actor holds. Every set is exact names; empty means none. `narrowed` (see `policy.grants`) is the only way to make
    another from it."""

    tools: tuple[str, ...] = ()
    effects: tuple[ToolEffect, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    write: tuple[str, ...] = ()
    budget: CallBudget = CallBudget()


class Condition(Value, frozen=True):
    """On one argument, or on each of its items when it is a list. `values` are JSON texts for `exact` and `one_of`, and folders or files
    (`src/`, `src/a.py`) for `under`: a path that leaves its folder by `..` is under nothing."""

    argument: str
    kind: Literal["exact", "one_of", "under"]
    values: tuple[str, ...]


class Rule(Value, frozen=True):
    """A user's own rule; it fits a call of `tool` when all its conditions hold.

    An `allow` stands in for the plan and the holes only: never for a built-in denial, nor for the ask of destroy, credential and spend.
    """

    verdict: Literal["deny", "ask", "allow"]
    tool: str
    when: tuple[Condition, ...] = ()
    why: str = ""


# --- the plan, written before anything untrusted is read ---------------------------------------------------------------------
class Hole(Value, frozen=True):
    """What an argument of a step may be.

    `pinned`: exactly `value` (JSON text). `template`: `value` with `{}` holes that public values fill. `open`: by its role's rule.
    """

    argument: str
    kind: Literal["pinned", "template", "open"]
    value: str = ""


class PlanStep(Value, frozen=True):
    """`count`: how often the step may be done; `None` = as often as the budgets allow."""

    tool: str
    count: int | None = 1
    holes: tuple[Hole, ...] = ()


class TaskPlan(Value, frozen=True):
    """`steps` empty = no tool is in the plan. `source`: what it was written from."""

    steps: tuple[PlanStep, ...] = ()
    source: str = "task"


class Task(Value, frozen=True):
    """What the user asked for, in words, and what is the user's own: `own` are values such as their address or account."""

    text: str
    own: tuple[str, ...] = ()


# --- deciding ---------------------------------------------------------------------------------------------------------------
class CallView(Value, frozen=True):
    """A call about to be decided. `arguments` is JSON text (RFC 8785)."""

    actor: str
    tool: str
    arguments: str
    digest: str


class PastCall(Value, frozen=True):
    """A call that was decided before in this run. `output` is its JSON text (or a text as a JSON string), empty when it had none.
    `verdict` and `rule` are those of its first decision: a call that was asked about and approved stays an ask here. `started`: it has an
    intent; `status` `None` and `started` is in flight."""

    call_id: str
    actor: str
    tool: str
    arguments: str
    digest: str
    verdict: Literal["allow", "ask", "deny"]
    status: CallStatus | None
    taint: Taint
    at_ms: int
    sent_bytes: int = 0
    output: str = ""
    rule: str = ""
    started: bool = False


class Situation(Value, frozen=True):
    """Everything a decision may depend on. `killed`: why the kill switch is on, `None` when it is off. `quarantined`: tool names of
    servers whose pin no longer fits. `approved`: digest of the call that a valid approval covers, `None` without one. `mandated`: digest
    of the call that a verified payment mandate covers. `sandboxed`: programs run in a sandbox without network and secrets; who does not
    say so is asked."""

    task: Task
    plan: TaskPlan
    grant: Grant
    manifest: tuple[ToolSpec, ...]
    past: tuple[PastCall, ...]
    now_ms: int
    killed: str | None = None
    quarantined: tuple[str, ...] = ()
    approved: str | None = None
    rules: tuple[Rule, ...] = ()
    mandated: str | None = None
    sandboxed: bool = False


class Ruling(Value, frozen=True):
    """`rule` is a stable name (`plan.not_in_plan`, `hole.target`, …); `why` one line for a person; `remedy` the smallest change that
    would allow it, in the words of the policy or loop file; `trail` the calls by which untrusted text came in; `spend` what to reserve."""

    verdict: Literal["allow", "ask", "deny"]
    rule: str
    why: str
    remedy: str = ""
    trail: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    step_up: bool = False
    spend: Spend = Spend()
