"""Runs inside: reading and writing what lies outside the candidate."""

import glob
import os
import struct

from common import leak, main, probe, read, syscall  # joined to one text before it runs


# --- reading ------------------------------------------------------------------------------------------------------------
@leak
def read_outside(world):
    return read(world["secret_file"])


@leak
def read_through_symlink(world):
    os.symlink(world["secret_file"], "innocent.txt")
    return read("innocent.txt")


@leak
def read_through_hard_link(world):
    os.link(world["secret_file"], "innocent.hard")
    return read("innocent.hard")


@leak
def read_through_symlinked_folder(world):
    os.symlink(os.path.dirname(world["secret_file"]), "folder")
    return read("folder/" + os.path.basename(world["secret_file"]))


@leak
def read_by_climbing(world):
    return read("../" * 40 + world["secret_file"].lstrip("/"))


@leak
def read_repository_config(world):
    return read(world["repository"] + "/.git/config")


@leak
def read_users_checkout(world):
    return read(world["repository"] + "/untracked-secret.txt")


@leak
def read_users_home(world):
    return read(world["home"] + "/.netrc")


@leak
def read_journal(world):
    return read(world["repository"] + "/.loopwright/journal.db")


@leak
def read_through_root_of_another_process(world):
    for pid in (1, os.getppid(), world["victim"]):
        try:
            return read("/proc/%d/root%s" % (pid, world["secret_file"]))
        except OSError:
            pass
    return None


@leak
def read_through_folder_of_another_process(world):
    return read("/proc/%d/cwd/secret.txt" % world["victim"])


@leak
def read_through_open_file_of_another_process(world):
    for place in glob.glob("/proc/%d/fd/*" % world["victim"]):
        try:
            text = read(place)
        except OSError:
            continue
        if world["secret"] in text:
            return text
    return None


@leak
def read_through_inherited_descriptor(world):
    for fd in range(3, 256):
        try:
            os.lseek(fd, 0, os.SEEK_SET)
            text = os.read(fd, 4096).decode("utf-8", "replace")
        except OSError:
            continue
        if world["secret"] in text:
            return text
    return None


@probe
def read_by_file_handle(world):
    """The classic container escape: a handle made by hand opens what no path leads to. Needs CAP_DAC_READ_SEARCH."""
    import ctypes

    handle = struct.pack("Ii", 128, 0) + b"\0" * 128

    buffer = ctypes.create_string_buffer(handle, len(handle))
    mount = ctypes.c_int()
    if syscall("name_to_handle_at", -100, ctypes.c_char_p(b"/"), buffer, ctypes.byref(mount), 0) < 0:
        return None
    root = os.open("/", os.O_RDONLY)
    fd = syscall("open_by_handle_at", root, buffer, os.O_RDONLY)
    return None if fd < 0 else "opened"


@leak
def read_own_environment(world):
    return world["secret"] if world["secret"] in os.environ.values() else None


@leak
def read_environment_of_another_process(world):
    for place in glob.glob("/proc/[0-9]*/environ"):
        try:
            text = read(place, 1 << 20)
        except OSError:
            continue
        if world["secret"] in text:
            return text
    return None


@probe
def read_command_line_of_another_process(world):
    for place in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            text = read(place)
        except OSError:
            continue
        # The probe's own command line names the victim too.
        if world["victim_mark"] in text and "Runs inside" not in text:
            return text
    return None


@probe
def read_passwords(world):
    return ("root:" in read("/etc/shadow") and "read") or None


@probe
def read_kernel_log(world):
    import ctypes

    return None if syscall("syslog", 3, ctypes.create_string_buffer(4096), 4096) < 0 else "read"


@probe
def watch_outside(world):
    import ctypes

    fd = syscall("inotify_init1", 0)
    watching = syscall("inotify_add_watch", fd, ctypes.c_char_p(world["outside"].encode()), 0xFFF)
    return None if fd < 0 or watching < 0 else "watching"


@probe
def list_outside(world):
    names = os.listdir(world["outside"])
    return " ".join(names) if "target.txt" in names else None


# --- writing: the host looks whether it happened --------------------------------------------------------------------------
@probe
def write_outside(world):
    with open(world["outside"] + "/target.txt", "w") as file:
        file.write("ESCAPED")


@probe
def create_outside(world):
    with open(world["outside"] + "/new.txt", "w") as file:
        file.write("ESCAPED")


@probe
def delete_outside(world):
    os.unlink(world["outside"] + "/target.txt")


@probe
def truncate_outside(world):
    os.truncate(world["outside"] + "/target.txt", 1)


@probe
def write_through_symlink(world):
    os.symlink(world["outside"] + "/target.txt", "notes.txt")
    with open("notes.txt", "w") as file:
        file.write("ESCAPED")


@probe
def write_through_hard_link(world):
    os.link(world["outside"] + "/target.txt", "notes.hard")
    with open("notes.hard", "w") as file:
        file.write("ESCAPED")


@probe
def rename_out(world):
    with open("mine.txt", "w") as file:
        file.write("ESCAPED")
    os.rename("mine.txt", world["outside"] + "/target.txt")


@probe
def rename_in(world):
    os.rename(world["outside"] + "/target.txt", "stolen.txt")


@probe
def link_outside(world):
    os.symlink("/etc/passwd", world["outside"] + "/new.link")


@probe
def make_pipe_outside(world):
    os.mkfifo(world["outside"] + "/new.pipe")


@probe
def change_mode_outside(world):
    os.chmod(world["outside"] + "/target.txt", 0o777)


@probe
def change_times_outside(world):
    os.utime(world["outside"] + "/target.txt", (1, 1))


@probe
def set_attribute_outside(world):
    os.setxattr(world["outside"] + "/target.txt", "user.escaped", b"1")


@probe
def change_owner_outside(world):
    os.chown(world["outside"] + "/target.txt", 12345, 12345)


@probe
def write_through_root_of_another_process(world):
    for pid in (1, os.getppid(), world["victim"]):
        try:
            with open("/proc/%d/root%s/target.txt" % (pid, world["outside"]), "w") as file:
                file.write("ESCAPED")
            return
        except OSError:
            pass


@probe
def plant_git_hook(world):
    with open(world["repository"] + "/.git/hooks/pre-commit", "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod(world["repository"] + "/.git/hooks/pre-commit", 0o755)


@probe
def change_git_config(world):
    with open(world["repository"] + "/.git/config", "a") as file:
        file.write("[core]\n\tfsmonitor = /bin/true\n")


@probe
def move_git_branch(world):
    with open(world["repository"] + "/.git/refs/heads/main", "w") as file:
        file.write("0" * 40 + "\n")


@probe
def change_users_checkout(world):
    with open(world["repository"] + "/tracked.txt", "w") as file:
        file.write("ESCAPED")


@probe
def leave_file_in_shared_tmp(world):
    with open(world["tmp"] + "/new.txt", "w") as file:
        file.write("ESCAPED")


@probe
def leave_file_in_shared_memory(world):
    with open("/dev/shm/" + world["shm_name"], "w") as file:
        file.write("ESCAPED")


@probe
def change_interpreter(world):
    place = os.path.join(world["prefix"], "escaped.pth")
    with open(place, "w") as file:
        file.write("import os\n")


@probe
def change_system(world):
    with open("/usr/local/escaped-" + world["mark"], "w") as file:
        file.write("ESCAPED")


@probe
def change_kernel_setting(world):
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return "opened for writing"


@probe
def press_magic_key(world):
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))
    return "opened for writing"


@probe
def change_device_tree(world):
    for place in (
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/sys/kernel/mm/ksm/run",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ):
        try:
            os.close(os.open(place, os.O_WRONLY))
            return "opened " + place
        except OSError:
            pass
    return None


@probe
def open_raw_device(world):
    for place in ("/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/port"):
        try:
            os.close(os.open(place, os.O_RDONLY))
            return "opened " + place
        except OSError:
            pass
    return None


@probe
def make_device(world):
    import stat

    os.mknod("disk", stat.S_IFCHR | 0o600, os.makedev(1, 11))
    os.close(os.open("disk", os.O_RDONLY))
    return "made and opened /dev/kmsg"
