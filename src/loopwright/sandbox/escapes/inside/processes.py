"""Runs inside: other processes, what is left behind, shared memory, the system's services to processes."""

import ctypes
import os
import resource
import signal
import subprocess
import sys

from common import leak, libc, main, probe, read, syscall  # joined to one text before it runs


@probe
def kill_another_process(world):
    os.kill(world["victim"], signal.SIGKILL)


@probe
def trace_another_process(world):
    if syscall("ptrace", 16, world["victim"], 0, 0) < 0:  # PTRACE_ATTACH
        return None
    os.waitpid(world["victim"], 0x40000000)
    syscall("ptrace", 17, world["victim"], 0, 0)
    return "attached"


@probe
def read_memory_of_another_process(world):
    start = int(read("/proc/%d/maps" % world["victim"]).split("-")[0], 16)

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

    here = ctypes.create_string_buffer(16)
    local = Vector(ctypes.cast(here, ctypes.c_void_p), 16)
    remote = Vector(start, 16)
    done = syscall("process_vm_readv", world["victim"], ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return "read %d bytes" % done if done > 0 else None


@probe
def write_memory_file_of_another_process(world):
    os.close(os.open("/proc/%d/mem" % world["victim"], os.O_RDWR))
    return "opened"


@probe
def take_descriptor_of_another_process(world):
    handle = syscall("pidfd_open", world["victim"], 0)
    return "taken" if handle >= 0 and syscall("pidfd_getfd", handle, 0, 0) >= 0 else None


@probe
def renice_another_process(world):
    os.setpriority(os.PRIO_PROCESS, world["victim"], 5)
    return "reniced"


@probe
def limit_another_process(world):
    resource.prlimit(world["victim"], resource.RLIMIT_CORE, (0, 0))
    return "limited"


@probe
def pin_another_process(world):
    os.sched_setaffinity(world["victim"], {0})
    return "pinned"


@probe
def compare_with_another_process(world):
    return "compared" if syscall("kcmp", os.getpid(), world["victim"], 1, 0, 0) >= 0 else None


def _left_behind(world, env, ignore):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in ignore:
                signal.signal(number, signal.SIG_IGN)
            null = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.execve(sys.executable, [sys.executable, "-I", "-c", "import time; time.sleep(60)", world["mark"]], env)
        os._exit(0)
    os.wait()


@probe
def leave_daemon(world):
    _left_behind(world, dict(os.environ), ())


@probe
def leave_daemon_without_environment(world):
    _left_behind(world, {}, ())


@probe
def leave_daemon_that_ignores_signals(world):
    _left_behind(world, {}, (signal.SIGTERM, signal.SIGHUP, signal.SIGINT))


@probe
def leave_stopped_process(world):
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", "import time; time.sleep(60)", world["mark"]],
        env={},
        start_new_session=True,
        # Whoever waits for the end of our output must not wait for a process that is stopped.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.kill(child.pid, signal.SIGSTOP)
    # Straight out below, so nobody waits for it.


@probe
def see_other_processes(world):
    return (
        "seen"
        if os.path.exists("/proc/%d" % world["victim"])
        and world["victim_mark"] in read("/proc/%d/cmdline" % world["victim"])
        else None
    )


@probe
def type_into_terminal(world):
    master, slave = os.openpty()
    os.setsid()
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    fcntl.ioctl(slave, termios.TIOCSTI, b"x")
    return "typed"


@probe
def dump_core(world):
    return (
        "%d" % resource.getrlimit(resource.RLIMIT_CORE)[1] if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 else None
    )


@probe
def use_kernel_keyring(world):
    key = syscall("add_key", ctypes.c_char_p(b"user"), ctypes.c_char_p(b"lw"), ctypes.c_char_p(b"x"), 1, -3)
    return "added" if key > 0 else None


@leak
def attach_shared_memory(world):
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(world["shm_id"], None, 0o10000)
    return (
        None
        if at in (None, ctypes.c_void_p(-1).value)
        else ctypes.string_at(at, 64).split(b"\0")[0].decode("utf-8", "replace")
    )


@probe
def list_shared_memory(world):
    rows = [line.split() for line in read("/proc/sysvipc/shm").splitlines()[1:]]
    return "seen" if any(row[1] == str(world["shm_id"]) for row in rows) else None


@leak
def read_shared_memory_file(world):
    return read("/dev/shm/" + world["shm_secret"])


@probe
def rename_machine(world):
    import socket

    socket.sethostname(os.uname().nodename)
    return "renamed"


@probe
def run_setuid_program(world):
    status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines() if ":" in line)
    return "privileges can be gained" if status["NoNewPrivs"].strip() == "0" else None


@probe
def become_root(world):
    os.setuid(0)
    mapped = read("/proc/self/uid_map").split()
    return "root of this machine" if os.getuid() == 0 and mapped[:2] == ["0", "0"] else None


@probe
def hold_capabilities(world):
    status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines() if ":" in line)
    held = int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapAmb"], 16)
    return "%x" % held if held else None


@probe
def raise_own_priority(world):
    os.setpriority(os.PRIO_PROCESS, 0, -5)
    return "raised"
