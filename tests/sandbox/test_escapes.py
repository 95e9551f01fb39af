"""The default sandbox against every escape of the catalogue: each is first seen to work without it, and none gets through."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.escapes.catalogue import GROUPS, Probe, catalogue
from loopwright.sandbox.escapes.trial import Trial, try_probes
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import Sandbox
from loopwright.sandbox.select import Setting, choose

PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = "/usr/bin/python3"
"""The system's: another user than we must be able to run it, and ours may lie in a home."""

NEEDS_PRIVILEGE = {
    "files": {
        "read_by_file_handle", "read_passwords", "read_kernel_log", "change_owner_outside", "change_system", "change_kernel_setting",
        "press_magic_key", "change_device_tree", "open_raw_device", "make_device",
    },
    "processes": {
        "limit_another_process", "type_into_terminal", "rename_machine", "become_root", "hold_capabilities", "raise_own_priority",
    },
    "kernel": {
        "unshare_mount_namespace", "join_namespace_of_first_process", "join_namespace_of_parent", "mount_file_system",
        "open_file_system", "clone_mount_tree", "change_root_folder", "pivot_root_folder", "load_bpf", "measure_with_perf",
        "load_kernel_module", "add_swap", "account_processes", "watch_whole_file_system",
    },
    "network": {"open_raw_socket", "open_packet_socket"},
    "resources": set[str](),
}  # fmt: skip
"""What an ordinary user may not do anyway: holding it says nothing then."""

NEEDS_KERNEL = {
    "files": {"press_magic_key", "change_device_tree", "change_kernel_setting", "open_raw_device", "read_kernel_log"},
    "processes": {"limit_another_process", "type_into_terminal"},
    "kernel": {"join_namespace_of_first_process", "load_kernel_module", "load_bpf", "measure_with_perf", "set_up_io_uring"},
    "network": {
        "open_crypto_socket", "open_machine_socket", "connect_to_loopback_by_ipv6", "connect_by_mptcp", "connect_by_fast_open",
    },
    "resources": set[str](),
}  # fmt: skip
"""What even root may lack: it depends on the kernel, and on what a container that we run in was left."""

SLICES = 2
"""Each group in so many parts, so that several workers share it."""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    chosen = choose("auto", Setting(tmp_path / "homes", PATH, (), {}))
    assert isinstance(chosen, BubblewrapSandbox)
    yield chosen
    chosen.close()


def tried(sandbox: Sandbox, probes: list[Probe]) -> tuple[Trial, ...]:
    return asyncio.run(try_probes(sandbox, probes, python=PYTHON))


def of(group: str) -> list[Probe]:
    return [probe for probe in catalogue() if probe.group == group]


def excused(group: str) -> set[str]:
    return NEEDS_KERNEL[group] | (set() if os.getuid() == 0 else NEEDS_PRIVILEGE[group])


def test_the_catalogue_is_large_and_names_each_probe_once() -> None:
    probes = catalogue()
    assert len(probes) >= 120
    assert len({probe.name for probe in probes}) == len(probes)
    assert all(count >= 9 for count in Counter(probe.group for probe in probes).values())
    assert {probe.group for probe in probes} == set(GROUPS) == set(NEEDS_PRIVILEGE)


@pytest.mark.parametrize("part", range(SLICES))
@pytest.mark.parametrize("group", GROUPS)
def test_no_probe_escapes_and_all_but_those_that_need_more_are_really_held(
    sandbox: Sandbox, group: str, part: int
) -> None:
    probes = of(group)[part::SLICES]
    trials = tried(sandbox, probes)
    assert [t for t in trials if t.verdict == "escaped"] == []
    assert {t.name: t.why for t in trials if t.verdict == "not_possible" and t.name not in excused(group)} == {}


def test_what_must_be_held_is_enough_for_the_claim() -> None:
    """At least 100 of them as root and 60 as an ordinary user are proved above, whatever this machine lacks."""
    names = {probe.name for probe in catalogue()}
    without = set.union(*(excused(group) for group in GROUPS))
    assert without <= names
    assert len(names - without) >= (100 if os.getuid() == 0 else 60)


def test_an_escape_is_seen_where_nothing_isolates(tmp_path: Path) -> None:
    """The same trial over plain processes: what is reported as held above is not held by the trial itself."""
    plain = PlainSandbox(tmp_path / "homes", PATH)
    names = ("read_outside", "write_outside", "connect_to_loopback", "kill_another_process")
    probes = [probe for probe in catalogue() if probe.name in names]
    assert len(probes) == len(names)
    assert {t.name: t.verdict for t in tried(plain, probes)} == {probe.name: "escaped" for probe in probes}
