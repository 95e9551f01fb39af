"""From a command to an argv: a shell only where one is needed, and the repository's own Python."""

from pathlib import Path

import pytest

from loopwright.errors import UsageError
from loopwright.sandbox.resolve import resolve_program, split_command


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("python -m pytest -q", ("python", "-m", "pytest", "-q")),
        ("pytest -k 'a and (b | c)'", ("pytest", "-k", "a and (b | c)")),
        ('pytest "a;b"', ("pytest", "a;b")),
        ("pytest a\\;b", ("pytest", "a;b")),
        ("pytest tests/t.py::test_x[1-2]", ("pytest", "tests/t.py::test_x[1-2]")),
        ("tool a=b c~d e#f", ("tool", "a=b", "c~d", "e#f")),
        ("  make   test ", ("make", "test")),
    ],
)
def test_a_plain_command_is_its_words(command: str, argv: tuple[str, ...]) -> None:
    assert split_command(command) == argv


@pytest.mark.parametrize(
    "command",
    [
        "a && b", "a | b", "a; b", "a > f", "a < f", "a & ", "echo $(b)", "echo `b`", "echo $HOME", 'echo "$HOME"', "ls *.py",
        "A=1 b", "cd x\nmake", "(a)", "! a", "ls ~/x", "a # b", "a 'x' && b",
    ],
)  # fmt: skip
def test_what_only_a_shell_can_run_is_given_to_one(command: str) -> None:
    assert split_command(command) == ("sh", "-c", command)


@pytest.mark.parametrize(
    ("command", "says"), [("", "is empty"), ("  \n", "is empty"), ("a 'b", "no closing quotation"), ("a\0b", "NUL")]
)
def test_a_command_that_is_none_is_refused(command: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        split_command(command)
    assert repr(command) in str(caught.value)
    assert "\n" not in str(caught.value)


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_python_is_the_repositorys_then_the_active_environments_then_the_paths(tmp_path: Path) -> None:
    root = tmp_path / "r"
    of_path = program(tmp_path / "path" / "python")
    of_active = program(tmp_path / "active" / "bin" / "python")

    def resolved(*, active: bool = True) -> str:
        virtual_env = str(tmp_path / "active") if active else None
        return resolve_program(("python", "-V"), root, str(tmp_path / "path"), virtual_env, "/own")[0]

    assert resolved(active=False) == of_path
    assert resolved() == of_active
    of_venv = program(root / "venv" / "bin" / "python")
    assert resolved() == of_venv
    of_dot_venv = program(root / ".venv" / "bin" / "python")
    assert resolved() == of_dot_venv


def test_the_link_of_an_environments_python_is_not_followed(tmp_path: Path) -> None:
    real = program(tmp_path / "real")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(real)
    found = resolve_program(("python",), tmp_path, "", None, "/own")
    assert found == (str(tmp_path / ".venv" / "bin" / "python"),)


def test_a_missing_python_is_python3_and_then_our_own(tmp_path: Path) -> None:
    path = str(tmp_path / "path")
    assert resolve_program(("python", "x"), tmp_path, path, None, "/own") == ("/own", "x")
    python3 = program(tmp_path / "path" / "python3")
    assert resolve_program(("python", "x"), tmp_path, path, None, "/own") == (python3, "x")


def test_other_programs_come_from_environments_the_path_or_the_copy(tmp_path: Path) -> None:
    root, path = tmp_path / "r", str(tmp_path / "path")
    assert resolve_program(("tool", "x"), root, path, None, "/own") == ("tool", "x")
    program(root / "tool")
    assert resolve_program(("tool", "x"), root, path, None, "/own") == ("./tool", "x")
    of_path = program(tmp_path / "path" / "tool")
    assert resolve_program(("tool", "x"), root, path, None, "/own") == (of_path, "x")
    of_venv = program(root / ".venv" / "bin" / "pytest")
    assert resolve_program(("pytest",), root, path, None, "/own") == (of_venv,)


def test_a_path_stays_relative_to_the_copy_unless_it_is_in_an_environment(tmp_path: Path) -> None:
    program(tmp_path / "scripts" / "run.sh")
    of_venv = program(tmp_path / "env" / "bin" / "python")
    assert resolve_program(("scripts/run.sh",), tmp_path, "", None, "/own") == ("scripts/run.sh",)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    assert resolve_program(("env/bin/python",), tmp_path, "", None, "/own") == (of_venv,)
    assert resolve_program((), tmp_path, "", None, "/own") == ()
