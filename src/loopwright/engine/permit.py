"""What of a policy a loop's own `permit` leaves. A loop file never gives anything: it only leaves less. Pure."""

import msgspec

from loopwright.kernel.loop import Loop
from loopwright.policy.policy import McpServer, Policy
from loopwright.policy.values import Grant

__all__ = ["loop_grant", "loop_servers", "ungranted"]


def loop_grant(policy: Policy, loop: Loop) -> Grant:
    """What a run of `loop` holds. `permit.write` empty adds no bound."""
    from loopwright.policy.grants import narrowed

    permit = loop.permit
    own = msgspec.structs.replace(
        policy.grant,
        hosts=_hosts(loop),
        secrets=tuple(use for use in policy.grant.secrets if use.name in permit.secrets),
        write=permit.write or policy.grant.write,
    )
    return narrowed(policy.grant, own)


def loop_servers(policy: Policy, bound: Policy, loop: Loop) -> tuple[McpServer, ...]:
    """The servers of `policy`, each with those of its hosts that the loop permits too and that it had in `bound`, the policy with
    which the run began."""
    before = {server.name: server.hosts for server in bound.mcp}
    permitted = _hosts(loop)
    return tuple(
        msgspec.structs.replace(
            server, hosts=tuple(h for h in server.hosts if h in permitted and h in before.get(server.name, ()))
        )
        for server in policy.mcp
    )


def ungranted(policy: Policy | None, loop: Loop, policy_file: str) -> tuple[str, ...]:
    """What the loop's `permit` names and `policy_file` does not grant, one line each: its programs will not get it."""
    wanted = [("network", host) for host in _hosts(loop)]
    wanted += [("secrets", name) for name in loop.permit.secrets]
    if policy is None:
        return tuple(f"permit.{key}: {name!r} is granted by nobody: there is no {policy_file}" for key, name in wanted)
    servers = {host for server in policy.mcp for host in server.hosts}
    held = {"network": {*policy.grant.hosts, *servers}, "secrets": {use.name for use in policy.grant.secrets}}
    return tuple(
        f"permit.{key}: {name!r} is not granted by {policy_file}" for key, name in wanted if name not in held[key]
    )


def _hosts(loop: Loop) -> tuple[str, ...]:
    return () if loop.permit.network == "none" else loop.permit.network
