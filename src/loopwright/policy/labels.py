"""The user's labels laid over the declared ones. What a server or a tool says of itself may be made stricter, never laxer."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from loopwright.kernel.calls import ToolEffect
from loopwright.policy.policy import ToolLabels
from loopwright.policy.values import Argument, ToolSpec

__all__ = ["labelled", "raised", "relabelled"]

_ORDER: Final[tuple[ToolEffect, ...]] = (
    "read", "net_read", "write_own", "share", "send", "spend", "destroy", "credential",
)  # fmt: skip


def raised(declared: ToolEffect, label: ToolEffect) -> bool:
    """Whether `label` is at least as strict as `declared`.

    `exec` stands beside the order: a sandboxed program runs without asking, so nothing else may be turned into one, and what runs
    programs may only become something that is always asked.
    """
    if declared == label:
        return True
    if "exec" in (declared, label):
        return declared == "exec" and label in ("destroy", "credential")
    return _ORDER.index(label) > _ORDER.index(declared)


def relabelled(spec: ToolSpec, labels: ToolLabels) -> ToolSpec:
    """`spec` under `labels`; a label that would make it laxer is left out unless the user vouches for the tool (`defines`)."""
    free = labels.defines
    effect = (
        labels.effect if labels.effect is not None and (free or raised(spec.effect, labels.effect)) else spec.effect
    )
    roles = {label.argument: label.role for label in labels.roles}
    arguments = tuple(
        msgspec.structs.replace(a, role=roles[a.name])
        if a.name in roles and (free or _stricter(a, roles[a.name]))
        else a
        for a in spec.arguments
    )
    return msgspec.structs.replace(
        spec,
        effect=effect,
        arguments=arguments,
        reversible=_flag(spec.reversible, labels.reversible, strict=False, free=free),
        untrusted_output=_flag(spec.untrusted_output, labels.untrusted_output, strict=True, free=free),
        private_output=_flag(spec.private_output, labels.private_output, strict=True, free=free),
    )


def labelled(manifest: Sequence[ToolSpec], labels: Iterable[ToolLabels]) -> tuple[ToolSpec, ...]:
    """The manifest under all of a policy's labels, matched by exact name."""
    by_name = {label.tool: label for label in labels}
    return tuple(relabelled(spec, by_name[spec.name]) if spec.name in by_name else spec for spec in manifest)


def _stricter(argument: Argument, role: str) -> bool:
    strict = ("target", "object", "amount", "secret")
    return role == argument.role or (role in strict and argument.role not in strict)


def _flag(declared: bool, label: bool | None, *, strict: bool, free: bool) -> bool:
    return label if label is not None and (free or label == strict) else declared
