"""Runs as text before the command, standard library only: takes rights away from itself for good, then becomes the command.

Order matters: rights of files first (they need nothing), the system call filter last (it forbids what would set it up).
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys

CREATE, ADD, RESTRICT = 444, 445, 446
PATH_BENEATH = 1
NO_NEW_PRIVS, SET_SECCOMP, SECCOMP_FILTER, SUBREAPER = 38, 22, 2, 36
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
READ = EXECUTE | READ_FILE | READ_DIR
FILE_ONLY = EXECUTE | WRITE_FILE | READ_FILE | (1 << 14) | (1 << 15)
ALL_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
ALL = (1 << 16) - 1  # from version 5 on: device controls as well
DEVICES = 1 << 15
TCP = 3  # bind and connect, from version 4 on
SCOPES = 3  # abstract sockets and signals, from version 6 on

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def call(number, *arguments):
    done = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if done < 0:
        failure = ctypes.get_errno()
        raise OSError(failure, os.strerror(failure))
    return done


def ruleset(abi):
    handled = ALL_BY_ABI.get(abi, ALL)
    attribute = struct.pack("QQQ", handled, TCP if abi >= 4 else 0, SCOPES if abi >= 6 else 0)
    attribute = attribute[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    return handled, call(CREATE, ctypes.create_string_buffer(attribute, len(attribute)), len(attribute), 0)


def allow(rules, path, rights):
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no right
    if not os.path.isdir("/proc/self/fd/%d" % fd):
        rights &= FILE_ONLY
    rule = struct.pack("=Qi", rights, fd)
    try:
        call(ADD, rules, PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(fd)


def main():
    settings, argv = json.loads(sys.argv[1]), sys.argv[2:]
    step = "limits"
    try:
        for name, value in settings["limits"]:
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))
        step = "Landlock"
        abi = call(CREATE, None, 0, 1)
        handled, rules = ruleset(abi)
        for path in settings["readable"]:
            allow(rules, path, READ & handled)
        for path in settings["writable"]:
            allow(rules, path, handled & ~DEVICES & ~(1 << 6) & ~(1 << 11))  # no device is made there
        for path in settings["devices"]:
            allow(rules, path, (READ_FILE | WRITE_FILE | DEVICES) & handled)
        step = "user"
        if settings["uid"] != os.getuid():
            os.setgroups([])
            os.setgid(settings["uid"])
            os.setuid(settings["uid"])
        step = "privileges"
        if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        step = "Landlock"
        call(RESTRICT, rules, 0)
        os.close(rules)
        os.chdir(settings["cwd"])
        step = "seccomp"
        code = bytes.fromhex(settings["seccomp"])
        buffer = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
        if libc.prctl(SET_SECCOMP, SECCOMP_FILTER, ctypes.create_string_buffer(program, len(program)), 0, 0):
            failure = ctypes.get_errno()
            raise OSError(failure, os.strerror(failure))
    except OSError as failure:
        os.write(2, ("\n@@setup %s: %s\n" % (step, failure)).encode())
        os._exit(125)
    become(argv)


def become(argv):
    """`os.execvpe` imports while it looks, and there is nothing left to import from."""
    name = argv[0]
    places = [name] if "/" in name else [os.path.join(p, name) for p in os.environ.get("PATH", "").split(":") if p]
    failure = FileNotFoundError(2, "No such file or directory")
    for place in places:
        try:
            os.execve(place, argv, os.environ)
        except OSError as error:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                failure = error
    os.write(2, ("%s: %s\n" % (name, failure.strerror)).encode())
    os._exit(127 if isinstance(failure, FileNotFoundError) else 126)


def guard():
    """Stays behind with the rights that the command gave up: what the command leaves becomes ours, and ends with it."""
    libc.prctl(SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        main()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            break
    while True:
        for line in open("/proc/self/task/%d/children" % os.getpid()).read().split():
            os.kill(int(line), signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            break
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if os.WTERMSIG(status) != signal.SIGKILL else None
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


if __name__ == "__main__":
    guard()
