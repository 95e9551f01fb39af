"""Real test commands in real directories, and what is believed of them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from loopwright.kernel.loop import TestsSource
from loopwright.suite.outcome import failing, uncollected
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import confirm_failures, run_suite
from loopwright.workspace.command import command_in
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop
from support.workshops import PYTEST, make_candidate, make_shop, pytest_source, write_files

UGLY = r"""
import pytest, unittest

class TestC:
    class TestD:
        def test_n(self): pass

    @pytest.mark.parametrize("v", ["a::b", "x/y", "a b", "[z]", "é", "\x01", "t\tab", "<&\">", "#x1B", "a.b", "a]b[", "-k"])
    def test_y(self, v): assert v != "a b"

class TestU(unittest.TestCase):
    def test_u(self): self.assertEqual(1, 2)

@pytest.fixture
def torn():
    yield
    raise ValueError("torn down")

def test_teardown(torn): assert 0
def test_é(): pass
@pytest.mark.xfail
def test_known(): assert 0
@pytest.mark.skip
def test_later(): pass
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return make_shop(tmp_path, {"README": "x"})[0]


def run(shop: Workshop, candidate: Candidate, source: TestsSource, *only: str) -> SuiteReport:
    return asyncio.run(run_suite(source, candidate, shop, only=only))


def suite(tmp_path: Path, shop: Workshop, files: Mapping[str, str], arguments: str = "", **limits: int) -> SuiteReport:
    return run(shop, make_candidate(tmp_path / "suite", files, shop.sandbox), pytest_source(arguments, **limits))


def test_every_id_leads_back_to_exactly_its_test(tmp_path: Path, shop: Workshop) -> None:
    """Ids are passed back in groups chosen so that any two differ in one: an id that led elsewhere would show up in a wrong group."""
    files = {
        "tests/sub/test_a.py": UGLY,
        "tests/base.py": "class Base:\n    def test_inherited(self): pass\n",
        "tests/test_b.py": "from base import Base\nclass TestB(Base): pass\n",
        "@odd x/-t_test.py": "def test_x(): pass\n",
        "lib.py": 'def f():\n    """\n    >>> 1 + 1\n    2\n    """\n',
    }
    candidate = make_candidate(tmp_path / "suite", files, shop.sandbox)
    source = TestsSource(f"PYTHONPATH=tests {PYTEST} --doctest-modules . -p no:randomly")
    report = run(shop, candidate, source)
    ids = sorted(c.id for c in report.cases)
    assert len(ids) == 21
    assert {
        "tests/test_b.py::TestB::test_inherited",
        "lib.py::lib.f",
        "tests/sub/test_a.py::TestC::TestD::test_n",
    } <= set(ids)
    for bit in range(5):
        group = [i for at, i in enumerate(ids, 1) if at >> bit & 1]
        assert {c.id for c in run(shop, candidate, source, *group).cases} == set(group)


def test_statuses_are_read_and_the_worst_of_a_test_counts(tmp_path: Path, shop: Workshop) -> None:
    report = suite(tmp_path, shop, {"test_a.py": UGLY})
    status = {c.id.partition("::")[2]: (c.status, c.message) for c in report.cases}
    assert report.status == "red"
    assert report.exit_code == 1
    assert status["TestU::test_u"] == ("failed", "AssertionError: 1 != 2")
    assert status["TestC::test_y[a b]"] == ("failed", "AssertionError: assert 'a b' != 'a b'")
    assert status["test_teardown"][0] == "error"
    assert status["test_é"] == ("passed", "")
    assert status["test_known"][0] == status["test_later"][0] == "skipped"
    assert [c.id for c in report.cases if c.id.endswith("test_teardown")] == ["test_a.py::test_teardown"]


@pytest.mark.parametrize(
    ("files", "status", "exit_code"),
    [
        ({"test_a.py": "def test_x(): pass\n"}, "green", 0),
        ({"test_a.py": "x = 1\n"}, "empty", 5),
        ({"test_a.py": "import pytest\n@pytest.mark.skip\ndef test_x(): pass\n"}, "empty", 0),
        ({"conftest.py": "import sys\nsys.exit(0)\n", "test_a.py": "def test_x(): pass\n"}, "broken", 0),
        ({"test_a.py": "import os\ndef test_x(): os._exit(0)\n"}, "broken", 0),
        ({"test_a.py": "import os, signal\ndef test_x(): os.kill(os.getpid(), signal.SIGKILL)\n"}, "broken", -9),
        ({"conftest.py": "def f(:\n", "test_a.py": "def test_x(): pass\n"}, "broken", 4),
    ],
)
def test_only_a_report_and_an_exit_code_that_agree_are_a_success(
    tmp_path: Path, shop: Workshop, files: dict[str, str], status: str, exit_code: int
) -> None:
    report = suite(tmp_path, shop, files)
    assert (report.status, report.exit_code) == (status, exit_code)


def test_a_file_that_cannot_be_collected_is_an_error_with_its_reason(tmp_path: Path, shop: Workshop) -> None:
    files = {
        "tests/test_a.py": "def f(:\n",
        "tests/test_b.py": "import no_such_thing\n",
        "tests/test_c.py": "def test_x(): pass\n",
    }
    report = suite(tmp_path, shop, files)
    assert report.status == "broken"
    assert [(c.id, c.message) for c in uncollected(report)] == [
        ("tests/test_a.py", "cannot be collected: SyntaxError: invalid syntax"),
        ("tests/test_b.py", "cannot be collected: ModuleNotFoundError: No module named 'no_such_thing'"),
    ]


def test_a_suite_that_hangs_is_a_timeout_and_a_program_that_is_not_there_is_not_found(
    tmp_path: Path, shop: Workshop
) -> None:
    hangs = {"test_a.py": "import threading\ndef test_x(): threading.Event().wait()\n"}
    assert suite(tmp_path, shop, hangs, timeout_s=2).status == "timeout"
    assert (
        run(shop, make_candidate(tmp_path / "other", hangs, shop.sandbox), TestsSource("pytst -q")).status
        == "not_found"
    )


def test_an_installed_checkout_of_the_user_is_not_what_is_tested(tmp_path: Path, shop: Workshop) -> None:
    """An interpreter with a `.pth` file that leads to the user's own files still imports the candidate's."""
    mine = write_files(tmp_path / "mine", {"src/pkg/__init__.py": "WHO = 'the user'\n"})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    packages = next((tmp_path / "env/lib").glob("python*/site-packages"))
    installed = Path(pytest.__file__).parents[1]
    write_files(packages, {"__editable__.pkg.pth": f"{mine}/src\n", "others.pth": f"{installed}\n"})
    test = "import pkg\ndef test_who(): assert pkg.WHO == 'the candidate'\n"
    candidate = make_candidate(
        tmp_path / "candidate",
        {"src/pkg/__init__.py": "WHO = 'the candidate'\n", "tests/test_a.py": test},
        shop.sandbox,
    )
    python = tmp_path / "env/bin/python"
    imports = subprocess.run([python, "-c", "import pkg; print(pkg.WHO)"], capture_output=True, text=True, check=True)
    assert imports.stdout == "the user\n"
    report = run(shop, candidate, TestsSource(f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {python} -m pytest -q"))
    assert (report.status, report.output_tail.count("the user")) == ("green", 0)


def test_the_users_environment_stays_out_and_nothing_is_left_in_the_checkout(tmp_path: Path, shop: Workshop) -> None:
    os.environ["LOOPWRIGHT_TEST_SECRET"] = "s3cret"
    try:
        test = "import os\ndef test_x(): assert 'LOOPWRIGHT_TEST_SECRET' not in os.environ\n"
        candidate = make_candidate(tmp_path / "suite", {"test_a.py": test}, shop.sandbox)
        report = run(shop, candidate, pytest_source())
    finally:
        del os.environ["LOOPWRIGHT_TEST_SECRET"]
    assert report.status == "green"
    left = asyncio.run(shop.sandbox.run(command_in(candidate, ("ls", "-A"), timeout_s=10, action_id="r1/a2", env={})))
    assert left.stdout == b"test_a.py\n"


def test_options_that_stop_early_or_need_the_cache_do_not_stand_in_the_way(tmp_path: Path, shop: Workshop) -> None:
    files = {
        "pytest.ini": "[pytest]\naddopts = --ff -x\n",
        "test_a.py": "def test_x(): assert 0\ndef test_y(): assert 0\ndef test_z(): pass\n",
    }
    report = suite(tmp_path, shop, files)
    assert [c.status for c in report.cases] == ["failed", "failed", "passed"]


def test_a_configuration_in_a_folder_does_not_make_ids_relative_to_it(tmp_path: Path, shop: Workshop) -> None:
    files = {"backend/pytest.ini": "[pytest]\n", "backend/tests/test_a.py": "def test_x(): pass\n"}
    candidate = make_candidate(tmp_path / "suite", files, shop.sandbox)
    (case,) = run(shop, candidate, pytest_source("backend")).cases
    assert case.id == "backend/tests/test_a.py::test_x"
    assert run(shop, candidate, pytest_source("backend"), case.id).ids("passed") == {case.id}


def test_two_checkouts_of_the_same_files_say_the_same(tmp_path: Path, shop: Workshop) -> None:
    files = {"test_a.py": "def test_x(): raise ValueError(__file__)\n"}
    said = [
        run(shop, make_candidate(tmp_path / name, files, shop.sandbox), pytest_source()).cases[0]
        for name in ("one", "another")
    ]
    assert said[0].message == said[1].message
    assert said[0].message == "ValueError: test_a.py"


# --- other runners ----------------------------------------------------------------------------------------------------
UNITTEST = """
import unittest, sys
class TestA(unittest.TestCase):
    def test_good(self):
        "Says what it does."
    def test_bad(self): self.assertEqual(1, 2)
    def test_worse(self): raise ValueError("x")
    @unittest.skip("later")
    def test_later(self): pass
"""


def test_unittest_names_its_tests(tmp_path: Path, shop: Workshop) -> None:
    candidate = make_candidate(tmp_path / "suite", {"test_a.py": UNITTEST}, shop.sandbox)
    report = run(shop, candidate, TestsSource(f"{sys.executable} -m unittest"))
    assert report.status == "red"
    assert {c.id: (c.status, c.message) for c in report.cases} == {
        "test_good (test_a.TestA.test_good)": ("passed", ""),
        "test_bad (test_a.TestA.test_bad)": ("failed", "AssertionError: 1 != 2"),
        "test_worse (test_a.TestA.test_worse)": ("error", "ValueError: x"),
        "test_later (test_a.TestA.test_later)": ("skipped", ""),
    }


NOISY = """
import unittest, sys
class T(unittest.TestCase):
    def test_a(self): pass
    def test_x(self): sys.stderr.write("x\\n")
"""


@pytest.mark.parametrize(
    ("test", "status", "cases"),
    [
        (
            "import unittest\nclass T(unittest.TestCase):\n  def test_x(self): print('ok ... ok\\nRan 7 tests in 0s')\n",
            "green",
            1,
        ),
        (
            NOISY,
            "green",
            0,
        ),
        ("import os\nos._exit(0)\n", "broken", 0),
        ("import no_such_thing\n", "broken", 1),
        ("x = 1\n", "empty", 0),
    ],
)
def test_unittest_output_is_believed_only_where_it_adds_up(
    tmp_path: Path, shop: Workshop, test: str, status: str, cases: int
) -> None:
    candidate = make_candidate(tmp_path / "suite", {"test_a.py": test}, shop.sandbox)
    report = run(shop, candidate, TestsSource(f"{sys.executable} -m unittest"))
    assert (report.status, len(report.cases)) == (status, cases)


WRITES = "import sys\nopen('out/r.xml', 'w').write(sys.argv[1]) if sys.argv[1:] else 0\nsys.exit(int(sys.argv[2]) if sys.argv[2:] else 0)\n"


@pytest.mark.parametrize(
    ("arguments", "status", "ids"),
    [
        ('\'<testsuite><testcase classname="a" name="b"/></testsuite>\'', "green", ["a::b"]),
        ("'<testsuite><testcase name=\"b\"><failure/></testcase></testsuite>' 1", "red", ["b"]),
        ("'<testsuite><testcase name=\"b\"><failure/></testcase></testsuite>' 0", "red", ["b"]),
        ("'<testsuite><testcase name=\"b\"/>'", "broken", []),
        ("", "broken", []),
    ],
)
def test_another_runners_report_is_read_and_a_committed_one_is_not(
    tmp_path: Path, shop: Workshop, arguments: str, status: str, ids: list[str]
) -> None:
    """The last case writes nothing: the report that lay there before the run does not count."""
    stale = "<testsuite><testcase name='stale'/></testsuite>"
    candidate = make_candidate(tmp_path / "suite", {"run.py": WRITES, "out/r.xml": stale}, shop.sandbox)
    report = run(shop, candidate, TestsSource(f"{sys.executable} run.py {arguments}", junit="out/r.xml"))
    assert (report.status, [c.id for c in report.cases]) == (status, ids)


@pytest.mark.parametrize("plant", ["os.mkfifo('r.xml')", "os.symlink('/etc/passwd', 'r.xml')", "os.mkdir('r.xml')"])
def test_a_report_that_is_no_plain_file_is_refused_and_never_waited_for(
    tmp_path: Path, shop: Workshop, plant: str
) -> None:
    candidate = make_candidate(tmp_path / "suite", {"run.py": f"import os\n{plant}\n"}, shop.sandbox)
    report = run(shop, candidate, TestsSource(f"{sys.executable} run.py", junit="r.xml"))
    assert report.status == "broken"
    assert "r.xml" in report.output_tail


def test_without_a_report_the_exit_code_speaks(tmp_path: Path, shop: Workshop) -> None:
    candidate = make_candidate(tmp_path / "suite", {"f": ""}, shop.sandbox)
    assert run(shop, candidate, TestsSource("true")).status == "green"
    assert run(shop, candidate, TestsSource("false")).status == "red"
    assert run(shop, candidate, TestsSource("test -e f && exit 124")).status == "timeout"


# --- flaky or not -----------------------------------------------------------------------------------------------------
def test_what_passes_when_repeated_is_flaky_and_what_fails_among_the_others_is_not(tmp_path: Path) -> None:
    """`test_order` passes alone and always fails behind `test_pollutes`: no flake, a bug."""
    counter = tmp_path / "counter"
    files = {
        "test_a.py": f"""
state = []
def test_pollutes(): state.append(1)
def test_order(): assert not state
def test_bad(): assert 0
def test_flaky():
    with open({str(counter)!r}, "a+") as file:
        file.seek(0)
        before = file.read()
        file.write("x")
    assert before
"""
    }
    shop, tree = make_shop(tmp_path, files)

    async def observe() -> SuiteReport:
        with shop.workspace.checkout(tree, "t") as candidate:
            report = await run_suite(pytest_source(), candidate, shop)
        return await confirm_failures(report, pytest_source(), lambda: shop.workspace.checkout(tree, "t"), shop)

    report = asyncio.run(observe())
    assert report.flaky == ("test_a.py::test_flaky",)
    assert [c.id for c in failing(report)] == ["test_a.py::test_order", "test_a.py::test_bad"]
