"""What an actor may do while it follows a skill: the least of what the user gave the skill, what the skill asks for, the actor and the
loop. Pure. A skill can only ever take rights away."""

from loopwright.policy.grants import narrowed
from loopwright.policy.policy import SkillGrant
from loopwright.policy.values import Grant
from loopwright.tools.skills.lock import SkillPin

__all__ = ["rights_of"]


def rights_of(pin: SkillPin, allowed: SkillGrant | None, actor: Grant, loop: Grant) -> Grant:
    """skill ∩ agent ∩ loop, where the skill's part is what it declared ∩ `allowed`; nothing without a word of the user (`None`).

    Effects, paths and budgets are no part of a skill: those of actor and loop hold.
    """
    if allowed is None:
        return Grant()
    both = narrowed(actor, loop)
    tools = tuple(name for name in pin.tools if name in allowed.tools)
    hosts = tuple(host for host in pin.hosts if host in allowed.hosts)
    secrets = tuple(s for s in both.secrets if s.name in pin.secrets and s.name in allowed.secrets)
    return narrowed(both, Grant(tools, both.effects, hosts, secrets, both.write, both.budget))
