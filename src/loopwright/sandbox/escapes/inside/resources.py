"""Runs inside: using up what the machine has. Every bomb is bounded, since each is first let off without a sandbox."""

import mmap
import os
import resource
import signal
import threading
import time

from common import main, probe  # joined to one text before it runs

MEBIBYTE = 1 << 20


@probe
def start_too_many_processes(world):
    children = []
    try:
        for _ in range(world["processes"]):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(0)
            children.append(child)
        return "%d at once" % len(children)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


@probe
def start_too_many_threads(world):
    stop = threading.Event()
    threading.stack_size(64 << 10)
    started = 0
    try:
        for _ in range(world["processes"]):
            threading.Thread(target=stop.wait, daemon=True).start()
            started += 1
        return "%d at once" % started
    finally:
        stop.set()


def _touch(size):
    memory = mmap.mmap(-1, size)
    for at in range(0, size, 4096):
        memory[at] = 1
    time.sleep(0.5)
    return memory


@probe
def use_too_much_memory(world):
    _touch(world["memory_bytes"])
    return "used"


@probe
def use_too_much_memory_in_several_processes(world):
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            _touch(world["memory_bytes"] // 4)
            time.sleep(0.5)
            os._exit(0)
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    return "used" if not any(codes) else None


@probe
def use_too_much_shared_memory(world):
    place = "/dev/shm/" + world["shm_name"]
    try:
        with open(place, "wb") as file:
            for _ in range(world["memory_bytes"] // MEBIBYTE):
                file.write(b"\1" * MEBIBYTE)
        return "used"
    finally:
        os.unlink(place)


@probe
def write_too_large_file(world):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("large", "wb") as file:
        for _ in range(world["file_bytes"] // MEBIBYTE):
            file.write(b"\1" * MEBIBYTE)
    return "written"


@probe
def burn_processor_time(world):
    until = time.process_time() + world["cpu_s"]
    while time.process_time() < until:
        pass
    return "burnt"


@probe
def open_too_many_files(world):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    opened = 0
    try:
        for _ in range(world["files"]):
            os.dup(0)
            opened += 1
    except OSError:
        return None
    return "%d at once" % opened


@probe
def raise_own_limits(world):
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "raised"
