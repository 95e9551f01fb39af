"""A loop's `permit` takes from what the policy grants, and never adds to it."""

import msgspec
import pytest

from loopwright.engine.permit import loop_grant, loop_servers, ungranted
from loopwright.kernel.loop import Loop, Permit
from loopwright.policy.file import parse_policy
from loopwright.policy.grants import within
from support.worlds import loop

POLICY = parse_policy("""
[grant]
tools = ["http.get"]
effects = ["net_read"]
hosts = ["a.example", "b.example"]
write = ["src/"]
[secrets.ONE]
source = "env:ONE"
host = "a.example"
[secrets.TWO]
source = "env:TWO"
host = "b.example"
[mcp.pages]
command = ["serve"]
hosts = ["a.example", "c.example"]
""")


def permitting(permit: Permit) -> Loop:
    return msgspec.structs.replace(loop(), permit=permit)


@pytest.mark.parametrize(
    ("permit", "hosts", "secrets", "write", "server"),
    [
        (Permit(), (), (), ("src/",), ()),
        (Permit(network=("a.example",)), ("a.example",), (), ("src/",), ("a.example",)),
        (Permit(network=("c.example", "d.example")), (), (), ("src/",), ("c.example",)),
        (Permit(secrets=("TWO", "THREE")), (), ("TWO",), ("src/",), ()),
        (Permit(write=("src/a/", "docs/")), (), (), ("src/a/",), ()),
    ],
)
def test_what_is_left_is_what_both_name(
    permit: Permit, hosts: tuple[str, ...], secrets: tuple[str, ...], write: tuple[str, ...], server: tuple[str, ...]
) -> None:
    grant = loop_grant(POLICY, permitting(permit))
    assert (grant.hosts, tuple(use.name for use in grant.secrets), grant.write) == (hosts, secrets, write)
    assert within(grant, POLICY.grant)
    (found,) = loop_servers(POLICY, POLICY, permitting(permit))
    assert found.hosts == server


def test_a_server_gets_no_host_that_it_did_not_have_when_the_run_began() -> None:
    all_hosts = permitting(Permit(network=("a.example", "c.example")))
    one = msgspec.structs.replace(POLICY, mcp=(msgspec.structs.replace(POLICY.mcp[0], hosts=("a.example",)),))
    assert loop_servers(POLICY, one, all_hosts)[0].hosts == ("a.example",)
    assert loop_servers(POLICY, msgspec.structs.replace(POLICY, mcp=()), all_hosts)[0].hosts == ()


def test_what_a_loop_names_and_nobody_grants_is_said() -> None:
    asks = permitting(Permit(network=("a.example", "c.example", "x.example"), secrets=("ONE", "THREE")))
    assert ungranted(POLICY, asks, "p.toml") == (
        "permit.network: 'x.example' is not granted by p.toml",
        "permit.secrets: 'THREE' is not granted by p.toml",
    )
    assert ungranted(None, permitting(Permit(secrets=("ONE",))), "p.toml") == (
        "permit.secrets: 'ONE' is granted by nobody: there is no p.toml",
    )
    assert ungranted(None, permitting(Permit()), "p.toml") == ()
