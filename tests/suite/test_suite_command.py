"""How a test command is understood and what is added to it. Pure."""

import pytest

from loopwright.suite.command import MAX_IDS_BYTES, parse, pytest_argv, python_env, recognise, unittest_argv


@pytest.mark.parametrize(
    ("command", "runner"),
    [
        ("pytest", "pytest"),
        ("pytest -q tests", "pytest"),
        ("/opt/venv/bin/pytest -q", "pytest"),
        ("py.test", "pytest"),
        ("python -m pytest -q", "pytest"),
        ("python3.12 -W error -X dev -m pytest", "pytest"),
        (".venv/bin/python -mpytest", "pytest"),
        ("uv run pytest -q", "pytest"),
        ("poetry run python -m pytest", "pytest"),
        ("coverage run -m pytest", "pytest"),
        ("coverage run --branch -m unittest", "unittest"),
        ("env A=b pytest", "pytest"),
        ("python -m unittest discover -s tests", "unittest"),
        ("python run_tests.py -m pytest", "other"),
        ("python -c pass -m pytest", "other"),
        ("python -m tox", "other"),
        ("echo pytest", "other"),
        ("make test", "other"),
        ("go test ./...", "other"),
    ],
)
def test_the_runner_is_recognised_by_its_program_and_never_by_a_mere_word(command: str, runner: str) -> None:
    assert recognise(command.split()) == runner


def test_assignments_before_the_command_become_environment_and_need_no_shell() -> None:
    command = parse("PYTHONPATH=lib DEBUG=1 python -m pytest -q 'a b'")
    assert (command.argv, command.env, command.runner) == (
        ("python", "-m", "pytest", "-q", "a b"),
        {"PYTHONPATH": "lib", "DEBUG": "1"},
        "pytest",
    )


def test_what_only_a_shell_can_run_stays_with_the_shell_assignments_included() -> None:
    command = parse("A=1 pytest -q && echo done")
    assert (command.argv, command.env, command.runner) == (("sh", "-c", "A=1 pytest -q && echo done"), {}, "other")


def test_pytest_is_asked_for_a_complete_report_outside_the_checkout() -> None:
    argv = pytest_argv(("pytest", "-x", "tests"), junit="/elsewhere/r.xml")
    assert argv[:3] == ("pytest", "-x", "tests")
    assert {
        "--junitxml=/elsewhere/r.xml",
        "junit_family=xunit1",
        "--maxfail=0",
        "--rootdir=.",
        "no:cacheprovider",
    } <= set(argv)


def test_a_selection_replaces_the_paths_of_the_command_and_keeps_its_options_and_their_values() -> None:
    argv = pytest_argv(
        ("python", "-m", "pytest", "-k", "tests", "--ignore", "tests/slow", "tests", "tests/test_a.py::test_x", "-q"),
        junit="r",
        only=["tests/test_b.py::test_y[a b]"],
        exists=lambda path: path in {"tests", "tests/slow"},
    )
    assert argv[:7] == ("python", "-m", "pytest", "-k", "tests", "--ignore", "tests/slow")
    assert argv[7] == "-q"
    assert argv[-1] == "tests/test_b.py::test_y[a b]"
    assert "tests/test_a.py::test_x" not in argv


def test_an_id_that_looks_like_an_option_or_an_argument_file_is_passed_as_a_path() -> None:
    argv = pytest_argv(("pytest",), junit="r", only=["-x.py::test_a", "@b.py::test_c"])
    assert argv[-2:] == ("./-x.py::test_a", "./@b.py::test_c")


@pytest.mark.parametrize("test_id", ["x" * MAX_IDS_BYTES, "tests[a]/test_x.py::test_y"])
def test_a_selection_that_pytest_cannot_take_runs_the_command_as_it_is(test_id: str) -> None:
    argv = pytest_argv(("pytest", "tests"), junit="r", only=[test_id], exists=lambda _: True)
    assert argv[1] == "tests"
    assert test_id not in argv


@pytest.mark.parametrize("option", ["--lf", "--failed-first", "--sw"])
def test_the_cache_is_left_on_for_a_command_that_uses_it(option: str) -> None:
    assert "no:cacheprovider" not in pytest_argv(("pytest", option), junit="r")


def test_unittest_is_made_to_name_its_tests() -> None:
    assert unittest_argv(("python", "-m", "unittest", "pkg.tests")) == ("python", "-m", "unittest", "-v", "pkg.tests")
    assert unittest_argv(("python", "-m", "unittest", "discover", "-s", "t"))[3:] == ("discover", "-v", "-s", "t")


def test_the_checkout_and_its_src_come_first_on_the_import_path() -> None:
    assert python_env("/c", has_src=True)["PYTHONPATH"] == "/c/src:/c"
    assert python_env("/c", has_src=False)["PYTHONPATH"] == "/c"
