"""The system calls that a command may not make, as a classic BPF program for `bwrap --seccomp` or `prctl(PR_SET_SECCOMP)`. Pure.

Namespaces and missing capabilities already refuse most of these. They are refused here too because each of them was, at some time, the
way around the rest: less of the kernel to attack. What is not refused is allowed, for a sandbox in which test suites do not run is
switched off.
"""

import errno
import platform
import struct
from collections.abc import Collection, Iterator

from loopwright.errors import SandboxError

__all__ = ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX", "MACHINES", "SOCKETS", "program"]

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCKETS = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
"""Families that a network namespace of our own keeps in; AF_VSOCK, for one, it does not."""

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""`platform.machine()` to the kernel's AUDIT_ARCH number."""

_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX: typing into the terminal of whoever started us

# Number on x86_64, on aarch64; `None` = this machine has no such call.
_FORBIDDEN: dict[str, tuple[int, int | None]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    # Queues outlive their makers and cannot be seen from inside, so one command could leave them for the next.
    "mq_open": (240, 180),
}
# Answered as by a kernel without them, so that libraries take their other way. `clone3` has its flags in memory, where no filter can
# look; the memory of `memfd_create` belongs to no process, so what watches processes would not see it grow.
_MISSING = {"clone3": (435, 435), "memfd_create": (319, 279), "memfd_secret": (447, 447)}
_CLONE = (56, 220)
_SOCKET = (41, 198)
_SOCKETPAIR = (53, 199)
_IOCTL = (16, 29)
# Of others of the same user also the sandbox's first process, which must outlive the command with its limits as they were.
_PRLIMIT = (302, 261)
_SETPRIORITY = (141, 140)
_IOPRIO_SET = (251, 30)

_KILL = 0x80000000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EPERM = _ERRNO | errno.EPERM
_ENOSYS = _ERRNO | errno.ENOSYS
_EAFNOSUPPORT = _ERRNO | errno.EAFNOSUPPORT

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16

Instruction = tuple[int, int, int, int]


def program(sockets: Collection[int] = SOCKETS, machine: str | None = None) -> bytes:
    """The filter for `machine` (as `platform.machine()` says it; `None` = this one): one `struct sock_filter` after the other, in the
    byte order of this machine.

    `sockets` are the families that `socket` may make; pairs of unix sockets are always to be had, for they lead nowhere.

    Raises: `SandboxError` for a machine whose call numbers are not known here.
    """
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise SandboxError(
            f"system call filter: machine {machine!r} is not known; expected one of {sorted(MACHINES)}: use another sandbox there"
        )
    return b"".join(struct.pack("=HBBI", *step) for step in _steps(sorted(sockets), machine))


def _steps(sockets: list[int], machine: str) -> Iterator[Instruction]:
    column = list(MACHINES).index(machine)
    yield (_LOAD, 0, 0, _ARCH_AT)
    yield (_IF_EQUAL, 1, 0, MACHINES[machine])
    yield _return(_KILL)
    yield (_LOAD, 0, 0, _NUMBER_AT)
    if machine == "x86_64":
        yield (_IF_AT_LEAST, 0, 1, _X32_BIT)
        yield _return(_KILL)
    for answer, calls in ((_EPERM, _FORBIDDEN), (_ENOSYS, _MISSING)):
        for numbers in calls.values():
            number = numbers[column]
            if number is not None:
                yield (_IF_EQUAL, 0, 1, number)
                yield _return(answer)
    yield from _when(_CLONE[column], [_arg(0), (_IF_ANY_BIT, 0, 1, _NEW_NAMESPACES), _return(_EPERM)])
    yield from _when(_SOCKET[column], _only(sockets, _EAFNOSUPPORT))
    yield from _when(_SOCKETPAIR[column], _only([AF_UNIX], _EAFNOSUPPORT))
    yield from _when(_IOCTL[column], [_arg(1), *_refused(_TERMINAL_INPUT)])
    yield from _when(_PRLIMIT[column], _own(0))
    yield from _when(_SETPRIORITY[column], [*_own(0), *_own(1)])
    yield from _when(_IOPRIO_SET[column], _own(1))
    yield _return(_ALLOW)


def _when(number: int, steps: list[Instruction]) -> Iterator[Instruction]:
    """`steps` for this call alone, allowed when none of them answers; the accumulator holds the number before and after."""
    yield (_IF_EQUAL, 0, len(steps) + 1, number)
    yield from steps
    yield _return(_ALLOW)


def _only(values: list[int], answer: int) -> list[Instruction]:
    """The first argument is one of `values`, else `answer`."""
    steps = [_arg(0)]
    for value in values:
        steps += [(_IF_EQUAL, 0, 1, value), _return(_ALLOW)]
    return [*steps, _return(answer)]


def _refused(values: Collection[int]) -> list[Instruction]:
    return [step for value in values for step in ((_IF_EQUAL, 0, 1, value), _return(_EPERM))]


def _own(index: int) -> list[Instruction]:
    """Argument `index` is 0: this process, this kind."""
    return [_arg(index), (_IF_EQUAL, 1, 0, 0), _return(_EPERM)]


def _arg(index: int) -> Instruction:
    """The low half: the kernel takes these arguments as 32 bits, so what stands in the high half changes nothing."""
    return (_LOAD, 0, 0, _ARGS_AT + 8 * index)


def _return(answer: int) -> Instruction:
    return (_RETURN, 0, 0, answer)
