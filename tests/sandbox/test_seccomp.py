"""The system call filter, run by a small interpreter of its language: what is refused, how, and that everything else is not."""

import errno
import struct

import pytest

from loopwright.errors import SandboxError
from loopwright.sandbox.seccomp import AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, MACHINES, program

ALLOW = 0x7FFF0000
KILL = 0x80000000
REFUSED = 0x00050000 | errno.EPERM
MISSING = 0x00050000 | errno.ENOSYS
NO_FAMILY = 0x00050000 | errno.EAFNOSUPPORT
AF_VSOCK = 40


def answer(code: bytes, machine: str, number: int, *args: int, arch: int | None = None) -> int:
    data = struct.pack("=iIQ6Q", number, MACHINES[machine] if arch is None else arch, 0, *(args + (0,) * 6)[:6])
    steps = list(struct.iter_unpack("=HBBI", code))
    at = held = 0
    while True:
        kind, when, otherwise, value = steps[at]
        at += 1
        if kind == 0x06:
            return int(value)
        if kind == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[kind]
            at += when if holds else otherwise


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


NUMBERS = {
    "aarch64": {"clone": 220, "clone3": 435, "socket": 198, "socketpair": 199, "ioctl": 29, "prlimit": 261, "nice": 140},
    "x86_64": {"clone": 56, "clone3": 435, "socket": 41, "socketpair": 53, "ioctl": 16, "prlimit": 302, "nice": 141},
}  # fmt: skip


def test_the_ordinary_calls_of_programs_are_allowed(machine: str) -> None:
    ordinary = {
        "x86_64": [0, 1, 2, 3, 9, 57, 58, 59, 61, 62, 202, 257, 334, 439, 24, 39],
        "aarch64": [56, 57, 63, 64, 98, 221, 222, 260, 129, 178, 439, 124, 172],
    }
    for number in ordinary[machine]:
        assert answer(program(machine=machine), machine, number) == ALLOW, number


def test_ways_to_other_namespaces_processes_and_the_kernel_are_refused(machine: str) -> None:
    refused = {
        "x86_64": [165, 166, 155, 272, 308, 101, 310, 311, 438, 250, 321, 298, 323, 425, 426, 427, 304, 428, 429, 442],
        "aarch64": [40, 39, 41, 97, 268, 117, 270, 271, 438, 219, 280, 241, 282, 425, 426, 427, 265, 428, 429, 442],
    }
    for number in refused[machine]:
        assert answer(program(machine=machine), machine, number) == REFUSED, number


def test_a_process_may_be_made_but_no_namespace(machine: str) -> None:
    code, numbers = program(machine=machine), NUMBERS[machine]
    assert answer(code, machine, numbers["clone"], 0x01200011) == ALLOW
    assert answer(code, machine, numbers["clone"], 0x003D0F00) == ALLOW  # a thread
    for bit in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(code, machine, numbers["clone"], bit | 17) == REFUSED, hex(bit)
    assert answer(code, machine, numbers["clone3"]) == MISSING


def test_only_the_named_families_of_sockets_are_to_be_had(machine: str) -> None:
    number = NUMBERS[machine]["socket"]
    code = program(machine=machine)
    for family in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK):
        assert answer(code, machine, number, family, 1) == ALLOW
    for family in (AF_VSOCK, 17, 16 + 256, 38, 0):
        assert answer(code, machine, number, family, 1) == NO_FAMILY
    none = program(sockets=(), machine=machine)
    for family in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK):
        assert answer(none, machine, number, family, 1) == NO_FAMILY
    assert answer(none, machine, NUMBERS[machine]["socketpair"], AF_UNIX, 1) == ALLOW
    assert answer(none, machine, NUMBERS[machine]["socketpair"], AF_INET, 1) == NO_FAMILY


def test_a_high_half_that_the_kernel_does_not_look_at_changes_nothing(machine: str) -> None:
    code, numbers = program(machine=machine), NUMBERS[machine]
    assert answer(code, machine, numbers["socket"], (1 << 32) | AF_VSOCK) == NO_FAMILY
    assert answer(code, machine, numbers["ioctl"], 0, (7 << 32) | 0x5412) == REFUSED


def test_nobody_types_into_a_terminal_or_sets_limits_of_others(machine: str) -> None:
    code, numbers = program(machine=machine), NUMBERS[machine]
    assert answer(code, machine, numbers["ioctl"], 0, 0x5412) == REFUSED
    assert answer(code, machine, numbers["ioctl"], 0, 0x541C) == REFUSED
    assert answer(code, machine, numbers["ioctl"], 0, 0x5413) == ALLOW
    assert answer(code, machine, numbers["prlimit"], 0, 7) == ALLOW
    assert answer(code, machine, numbers["prlimit"], 1, 7) == REFUSED
    assert answer(code, machine, numbers["nice"], 0, 0, 5) == ALLOW
    assert answer(code, machine, numbers["nice"], 0, 1, 5) == REFUSED
    assert answer(code, machine, numbers["nice"], 2, 0, 5) == REFUSED


def test_another_architecture_ends_the_process(machine: str) -> None:
    assert answer(program(machine=machine), machine, 1, arch=0x40000003) == KILL
    assert answer(program(machine="x86_64"), "x86_64", 0x40000000 | 1) == KILL


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(SandboxError, match="'sparc' is not known"):
        program(machine="sparc")
