"""Programs are found as the repository's people find them."""

import asyncio
import os
import sys
from pathlib import Path

from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.programs import ResolvingSandbox, search_path
from loopwright.sandbox.protocol import ExecResult, ExecSpec


def run(root: Path, *argv: str) -> ExecResult:
    path = search_path(root, os.environ["PATH"], None, sys.executable)
    sandbox = ResolvingSandbox(
        PlainSandbox(root / "home", path), root, os.environ["PATH"], None, sys.executable, {"GIVEN": "1"}
    )
    copy = root / "copy"
    copy.mkdir(exist_ok=True)
    return asyncio.run(sandbox.run(ExecSpec(argv, copy, 20, "run/a1")))


def program(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


def test_a_command_runs_with_the_repositorys_own_environment(tmp_path: Path) -> None:
    program(tmp_path / ".venv" / "bin" / "python", "of-venv")
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("")
    assert run(tmp_path, "python", "-V").stdout == b"of-venv\n"
    assert run(tmp_path, ".venv/bin/python").stdout == b"of-venv\n"
    # Inside a shell line it is the PATH that decides.
    assert run(tmp_path, "sh", "-c", "true && python -V").stdout == b"of-venv\n"


def test_without_an_environment_there_is_always_a_python(tmp_path: Path) -> None:
    assert run(tmp_path, "python", "-c", "print('there')").stdout == b"there\n"


def test_what_is_given_to_every_command_is_seen_and_a_commands_own_comes_first(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "echo $GIVEN").stdout == b"1\n"


def test_a_program_that_is_nowhere_is_said_to_be(tmp_path: Path) -> None:
    assert run(tmp_path, "no-such-program").status == "not_found"
