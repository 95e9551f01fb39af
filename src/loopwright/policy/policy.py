"""What a policy file says, as frozen values. Parsing is in `policy.file`; who performs a section reads it from here.

Built-in defaults deny: an empty policy grants no tool, no effect, no host, no path, no secret, no payee. Every name is exact.
"""

from typing import Literal

from loopwright.kernel.calls import ArgumentRole, ToolEffect
from loopwright.kernel.values import Value
from loopwright.policy.values import Grant, PlanStep, Rule

__all__ = [
    "McpServer",
    "PayRules",
    "Payee",
    "Policy",
    "RoleLabel",
    "SecretSource",
    "SecretSpec",
    "SkillGrant",
    "ToolLabels",
    "Unattended",
]

Unattended = Literal["deny", "pause"]
"""What becomes of an ask when nobody is there."""


class SecretSource(Value, frozen=True):
    """Where a secret's value comes from.

    `env`: `words` is the variable's name. `keyring`: service and user. `file`: the path, which must have mode 0600. `command`: argv,
    its standard output without the last line end is the value.
    """

    kind: Literal["env", "keyring", "file", "command"]
    words: tuple[str, ...]


class SecretSpec(Value, frozen=True):
    """A secret and the only place where its value may be put: `header` of an https request to `host`, as `format` with `{}` replaced.

    `canary`: nobody may use it; seen in anything that leaves, it ends the run.
    """

    name: str
    source: SecretSource
    host: str = ""
    header: str = "Authorization"
    format: str = "Bearer {}"
    canary: bool = False


class RoleLabel(Value, frozen=True):
    argument: str
    role: ArgumentRole


class ToolLabels(Value, frozen=True):
    """The user's own labels for a tool, laid over the declared ones by `policy.labels`: they may make it more dangerous than declared,
    and less only with `defines` (the user vouches for the tool). `None` = as declared."""

    tool: str
    effect: ToolEffect | None = None
    roles: tuple[RoleLabel, ...] = ()
    reversible: bool | None = None
    untrusted_output: bool | None = None
    private_output: bool | None = None
    defines: bool = False


class McpServer(Value, frozen=True):
    """A server that is started as `command` (argv) in the sandbox with `hosts` as its egress list.

    `package_sha256` and `tools_sha256` (hex) pin what provides it and its raw tool list; empty = not pinned yet, which is not callable.
    `labels` are the effects of its tools by the tool's own name; a tool without one is not callable.
    """

    name: str
    command: tuple[str, ...]
    package: str = ""
    version: str = ""
    package_sha256: str = ""
    tools_sha256: str = ""
    hosts: tuple[str, ...] = ()
    labels: tuple[ToolLabels, ...] = ()


class SkillGrant(Value, frozen=True):
    """The most that a skill may have; its rights are this ∩ what its file declares ∩ the actor's grant. `tree_sha256` empty = the pin of
    `skills.lock` decides."""

    name: str
    path: str = ""
    tree_sha256: str = ""
    tools: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class Payee(Value, frozen=True):
    """`account` is compared byte by byte. `cap_minor` is the most of one payment in minor units (cents)."""

    account: str
    name: str = ""
    cap_minor: int | None = None


class PayRules(Value, frozen=True):
    """`keys` are the public Ed25519 keys (hex) whose mandates count; none = no payment. `cap_minor` limits one payment, `total_minor` a
    run's sum; both in minor units of `currency`."""

    rail: str = "sandbox"
    currency: str = "USD"
    payees: tuple[Payee, ...] = ()
    cap_minor: int = 0
    total_minor: int = 0
    keys: tuple[str, ...] = ()


class Policy(Value, frozen=True):
    """A whole policy file. `plan` is `None` when the file has none (it is then written from the task); empty = no tool is in the plan."""

    grant: Grant = Grant()
    tools: tuple[ToolLabels, ...] = ()
    rules: tuple[Rule, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    mcp: tuple[McpServer, ...] = ()
    skills: tuple[SkillGrant, ...] = ()
    pay: PayRules | None = None
    own: tuple[str, ...] = ()
    plan: tuple[PlanStep, ...] | None = None
    unattended: Unattended = "deny"
