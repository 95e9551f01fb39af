"""JUnit XML of several dialects, and bytes that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.suite.ids import node_id, plain_id
from loopwright.suite.junit import JunitCase, JunitError, parse_junit


def case_of(classname: str, name: str, file: str = "") -> JunitCase:
    return JunitCase(classname, name, file, "passed", 0, "", "")


def test_nested_suites_failures_errors_and_skips_are_read() -> None:
    report = b"""<?xml version="1.0" encoding="UTF-8"?><!-- made by hand -->
    <testsuites><testsuite name="outer"><properties><property name="a" value="b"/></properties>
      <testsuite name="inner">
        <testcase classname="pkg.A" name="ok" time="0.0125"/>
        <testcase classname="pkg.A" name="bad"><failure message="one&#10;two">trace</failure></testcase>
        <testcase classname="pkg.A" name="worse"><failure/><error>Traceback\n  ValueError: x</error><system-out>o</system-out></testcase>
        <testcase name="lone"><skipped/></testcase>
      </testsuite></testsuite></testsuites>"""
    cases = parse_junit(report)
    assert [(plain_id(c), c.status, c.duration_ms, c.message) for c in cases] == [
        ("pkg.A::ok", "passed", 12, ""),
        ("pkg.A::bad", "failed", 0, "one"),
        ("pkg.A::worse", "error", 0, "ValueError: x"),
        ("lone", "skipped", 0, ""),
    ]


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (b"", "not well-formed"),
        (b"<testsuite><testcase name='a'/>", "not well-formed"),
        (b"<html/>", "starts with <html>"),
        (b'<?xml version="1.0"?>\n<!-- x --><!DOCTYPE t [<!ENTITY a "aa">]><testsuite/>', "document type"),
        (b'\xef\xbb\xbf<!DOCTYPE t [<!ENTITY a "aa">]><testsuite>&a;</testsuite>', "document type"),
        ("<!DOCTYPE t []><testsuite/>".encode("utf-16"), "not UTF-8"),
        ("<!DOCTYPE t []><testsuite/>".encode("utf-16-be"), "not UTF-8"),
        (b"<testsuite>&unknown;</testsuite>", "not well-formed"),
        (b"<?xml version='1.0' encoding='klingon'?><testsuite/>", "not well-formed"),
    ],
)
def test_anything_but_a_report_is_refused_with_the_reason(report: bytes, why: str) -> None:
    with pytest.raises(JunitError, match=why):
        parse_junit(report)


def test_an_entity_bomb_is_refused_before_it_is_parsed() -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE t [<!ENTITY a0 "lol">{levels}]><testsuite><testcase name="&a11;"/></testsuite>'
    with pytest.raises(JunitError, match="document type"):
        parse_junit(bomb.encode())


def test_a_failing_test_about_html_may_speak_of_a_document_type() -> None:
    report = (
        b"<testsuite><testcase name='t'><failure><![CDATA[<!DOCTYPE html> expected]]></failure></testcase></testsuite>"
    )
    assert parse_junit(report)[0].message == "<!DOCTYPE html> expected"


def test_durations_that_are_none_count_as_nothing() -> None:
    times = ["nan", "inf", "-1", "soon", "1,234.5", ""]
    report = "".join(f'<testcase name="t" time="{t}"/>' for t in times)
    assert [c.duration_ms for c in parse_junit(f"<testsuite>{report}</testsuite>".encode())] == [
        0,
        0,
        0,
        0,
        1_234_500,
        0,
    ]


WORDS = [
    "<testsuite>",
    "</testsuite>",
    "<testcase name='a'",
    "/>",
    ">",
    "<failure>",
    "<!DOCTYPE ",
    "<?xml?>",
    "<!--",
    "-->",
    "&#0;",
    "\ud800",
]


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(WORDS), max_size=8).map(lambda w: "".join(w).encode("utf-8", "surrogatepass"))
)
def test_no_bytes_make_the_parser_raise_anything_but_its_own_error(data: bytes) -> None:
    try:
        cases = parse_junit(data)
    except JunitError:
        return
    assert isinstance(cases, tuple)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of("tests.test_a", "test_x", "tests/test_a.py"), "tests/test_a.py::test_x"),
        (
            case_of("tests.test_a.TestC.TestD", "test_x[a::b/c d]", "tests/test_a.py"),
            "tests/test_a.py::TestC::TestD::test_x[a::b/c d]",
        ),
        (case_of("test_a", "test_x", "test_a.py"), "test_a.py::test_x"),
        (case_of("docs.guide.rst", "guide.rst", "docs/guide.rst"), "docs/guide.rst::guide.rst"),
        (case_of("", "tests.test_a", "tests/test_a.py"), "tests/test_a.py"),
        (case_of("", "tests[x]/test_a.py::test_y", "tests[x]/test_a.py"), "tests[x]/test_a.py::test_y"),
        # inherited: the function is defined in base.py, the test is that of test_b.py
        (case_of("tests.test_b.TestB", "test_x", "tests/base.py"), "tests/test_b.py::TestB::test_x"),
        (case_of("tests.test_b.TestB", "test_x", ""), "tests/test_b.py::TestB::test_x"),
    ],
)
def test_a_node_id_is_put_together_again(case: JunitCase, expected: str) -> None:
    assert node_id(case, {"tests/test_a.py", "tests/test_b.py", "tests/base.py", "test_a.py"}.__contains__) == expected
