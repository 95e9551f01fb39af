"""Runs inside: the kernel's doors that a program has no business at. Arguments are wrong where the call would hurt."""

import ctypes
import os

from common import allowed, main, probe, syscall  # joined to one text before it runs

NEWNS, NEWUSER, NEWNET, NEWPID = 0x20000, 0x10000000, 0x40000000, 0x20000000


def _unshared(flags):
    return "unshared" if syscall("unshare", flags) == 0 else None


@probe
def unshare_user_namespace(world):
    return _unshared(NEWUSER)


@probe
def unshare_user_and_mount_namespace(world):
    return _unshared(NEWUSER | NEWNS)


@probe
def unshare_user_and_network_namespace(world):
    return _unshared(NEWUSER | NEWNET)


@probe
def unshare_mount_namespace(world):
    return _unshared(NEWNS)


def _cloned(name, *arguments):
    child = syscall(name, *arguments)
    if child == 0:
        os._exit(0)
    if child > 0:
        os.waitpid(child, 0)
        return "cloned"
    return None


@probe
def clone_into_user_namespace(world):
    return _cloned("clone", NEWUSER | 17, 0, 0, 0, 0)


@probe
def clone3_into_user_namespace(world):
    arguments = (ctypes.c_uint64 * 11)(NEWUSER, 0, 0, 0, 17)
    return _cloned("clone3", arguments, ctypes.sizeof(arguments))


@probe
def join_namespace_of_first_process(world):
    fd = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    return "joined" if syscall("setns", fd, 0) == 0 else None


@probe
def join_namespace_of_parent(world):
    fd = os.open("/proc/%d/ns/net" % world["victim"], os.O_RDONLY)
    return "joined" if syscall("setns", fd, 0) == 0 else None


@probe
def mount_file_system(world):
    os.makedirs("mounted", exist_ok=True)
    done = syscall(
        "mount",
        ctypes.c_char_p(b"none"),
        ctypes.c_char_p(b"mounted"),
        ctypes.c_char_p(b"tmpfs"),
        0,
        ctypes.c_char_p(b"size=4k"),
    )
    if done == 0:
        syscall("umount2", ctypes.c_char_p(b"mounted"), 2)
        return "mounted"
    return None


@probe
def open_file_system(world):
    return "opened" if syscall("fsopen", ctypes.c_char_p(b"tmpfs"), 0) >= 0 else None


@probe
def clone_mount_tree(world):
    return "cloned" if syscall("open_tree", -100, ctypes.c_char_p(b"/"), 1) >= 0 else None


@probe
def unmount_file_system(world):
    return allowed("umount2", ctypes.c_char_p(b"/nonexistent"), 0)


@probe
def change_root_folder(world):
    os.chroot(".")
    return "changed"


@probe
def pivot_root_folder(world):
    return allowed("pivot_root", ctypes.c_char_p(b"/nonexistent"), ctypes.c_char_p(b"/nonexistent"))


@probe
def set_up_io_uring(world):
    return "set up" if syscall("io_uring_setup", 4, ctypes.create_string_buffer(120)) >= 0 else None


@probe
def load_bpf(world):
    attribute = ctypes.create_string_buffer(
        b"".join(n.to_bytes(4, "little") for n in (2, 4, 8, 1)), 120
    )  # an array map
    return "made" if syscall("bpf", 0, attribute, 72) >= 0 else None


@probe
def measure_with_perf(world):
    attribute = ctypes.create_string_buffer(128)
    attribute[0:8] = (1).to_bytes(4, "little") + (128).to_bytes(4, "little")  # a software event
    return "opened" if syscall("perf_event_open", attribute, 0, -1, -1, 0) >= 0 else None


@probe
def handle_page_faults(world):
    return "opened" if syscall("userfaultfd", 0) >= 0 or syscall("userfaultfd", 1) >= 0 else None


@probe
def load_kernel_module(world):
    return allowed("finit_module", -1, ctypes.c_char_p(b""), 0)


@probe
def add_swap(world):
    return allowed("swapon", ctypes.c_char_p(b"/nonexistent"), 0)


@probe
def account_processes(world):
    return allowed("acct", ctypes.c_char_p(b"/nonexistent"))


@probe
def change_quota(world):
    return "answered" if allowed("quotactl", 0x800005, ctypes.c_char_p(b"/nonexistent"), 0, 0) else None


@probe
def watch_whole_file_system(world):
    return "watching" if syscall("fanotify_init", 4, 0) >= 0 else None
