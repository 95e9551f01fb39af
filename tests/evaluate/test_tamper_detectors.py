"""Planted cheats are found, honest edits are not; what is found has a place and a next move."""

from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.evaluate.tamper import Edit, Finding, Scene, examine
from loopwright.evaluate.tamper.scene import kind_of

CASES = Path(__file__).parents[1] / "fixtures" / "tamper"
ONLY_A_SMELL = {"catch-all-pass", "network-use"}
"""Cheats that honest code does too often for a person to be asked each time."""


class Case(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    beside: dict[str, str] = {}
    metric: str = ""


def cases(*files: str) -> list[Case]:
    found: list[Case] = []
    for file in files:
        found += msgspec.convert(yaml.safe_load((CASES / f"{file}.yaml").read_text(encoding="utf-8")), list[Case])
    return found


def examined(case: Case) -> tuple[Finding, ...]:
    edits = [
        Edit(path, *(files[path].encode() if path in files else None for files in (case.before, case.after)))
        for path in sorted({*case.before, *case.after})
    ]
    scene = Scene.of_edits(
        edits,
        paths={*case.before, *case.beside},
        metrics=[case.metric] if case.metric else [],
        tests="\n".join(case.beside.values()),
    )
    return examine(scene)


PLANTED = cases("tests", "config", "source")


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", PLANTED, ids=by_name)
def test_a_planted_cheat_is_found_with_its_place_and_a_next_move(case: Case) -> None:
    found = examined(case)
    assert found, "nothing was found"
    assert (found[0].severity == "smell") == (case.name in ONLY_A_SMELL)
    for finding in found:
        assert finding.path in {*case.before, *case.after}
        assert finding.says and "\n" not in finding.says and finding.line >= 0
        assert finding.rule.partition(".")[0] in ("tests", "config", "startup", "source", "metric")


@pytest.mark.parametrize("case", cases("benign"), ids=by_name)
def test_an_honest_edit_asks_nobody(case: Case) -> None:
    assert [f for f in examined(case) if f.severity != "smell"] == []


@pytest.mark.parametrize("case", PLANTED, ids=by_name)
def test_a_file_that_is_as_it_was_has_no_finding(case: Case) -> None:
    """What a file already did is not what this proposal does. Any edit of a start-up file or a recording counts."""
    for files in (case.before, case.after):
        kept = [
            p
            for p in files
            if p.endswith((".py", ".toml", ".ini", ".cfg", ".rs", ".js", ".go")) and "customize" not in p
        ]
        edits = [Edit(path, files[path].encode(), files[path].encode() + b"\n\n") for path in kept]
        metrics = [case.metric] if case.metric else []
        assert examine(Scene.of_edits(edits, paths=files, metrics=metrics)) == ()


@pytest.mark.parametrize(
    ("name", "rule", "line"),
    [
        ("assertion-deleted", "tests.assertion_dropped", 6),
        ("equal-becomes-at-least", "tests.assertion_weakened", 4),
        ("tolerance-widened-approx", "tests.tolerance_widened", 5),
        ("expected-value-edited", "tests.expectation_edited", 4),
        ("expected-computed-before-the-assert", "tests.circular", 5),
        ("test-renamed-out-of-collection", "tests.uncollected", 3),
        ("test-file-deleted", "tests.file_deleted", 0),
        ("test-shadowed-by-a-second-definition", "tests.shadowed", 6),
        ("skip-decorator", "tests.skipped", 4),
        ("swallowed-assertion-error", "tests.swallowed", 6),
        ("parametrize-case-removed", "tests.case_removed", 4),
        ("parametrize-emptied", "tests.emptied", 4),
        ("code-under-test-patched-by-decorator", "tests.mocked", 4),
        ("conftest-forges-reports", "startup.hook", 4),
        ("addopts-deselect", "config.addopts", 2),
        ("coverage-threshold-lowered", "config.coverage", 2),
        ("shadow-random", "startup.shadow", 0),
        ("exit-renamed", "source.exit", 4),
        ("always-equal", "source.always_equal", 5),
        ("special-cased-literal", "source.special_case", 2),
        ("metric-line-literal", "metric.by_hand", 2),
        ("metric-line-twice", "metric.printed_again", 3),
        ("metric-variable-overwritten", "metric.by_hand", 2),
    ],
)
def test_the_rule_and_the_line_are_those_of_the_cheat(name: str, rule: str, line: int) -> None:
    (case,) = [c for c in PLANTED if c.name == name]
    assert (rule, line) in {(f.rule, f.line) for f in examined(case)}


def test_cheats_are_many_and_of_many_kinds() -> None:
    assert len(PLANTED) >= 140 and len({c.name for c in PLANTED}) == len(PLANTED)
    assert len({f.rule for case in PLANTED for f in examined(case)}) >= 35


def test_a_cheat_that_moves_with_its_function_is_not_news() -> None:
    body = b"import os\n\ndef stop():\n    os._exit(3)\n"
    moved = [Edit("shop/a.py", body, b"import os\n"), Edit("shop/b.py", b"import os\n", body)]
    assert examine(Scene.of_edits(moved)) == ()
    assert examine(Scene.of_edits([moved[1]]))[0].rule == "source.exit"


def test_lines_and_imported_names_are_those_of_the_whole_file() -> None:
    """Untouched parts are not parsed: the import that says what `finish` is, and the function above, still count."""
    head = b"from os import _exit as finish\n\n\ndef above(x):\n    return x\n\n\n"
    edit = Edit("a.py", head + b"def below():\n    return 1\n", head + b"def below():\n    finish(0)\n")
    assert [(f.rule, f.line) for f in examine(Scene.of_edits([edit]))] == [("source.exit", 9)]


def test_a_test_without_an_assertion_may_be_renamed() -> None:
    before, after = (
        b"def test_a():\n    x = start()\n    x.stop()\n",
        b"def test_it_starts():\n    it = start()\n    it.stop()\n",
    )
    assert examine(Scene.of_edits([Edit("tests/test_a.py", before, after)])) == ()


def test_an_assertion_may_move_to_another_test_under_another_name() -> None:
    before = b"def test_a():\n    x = total([3, 4])\n    assert x == 7\n    assert x.tax == 2\n"
    after = (
        before.replace(b"    assert x.tax == 2\n", b"")
        + b"\n\ndef test_tax():\n    y = total([3, 4])\n    assert y.tax == 2\n"
    )
    assert examine(Scene.of_edits([Edit("tests/test_a.py", before, after)])) == ()


def test_the_gravest_finding_comes_first() -> None:
    edits = [
        Edit("a.py", b"x = 1\n", b"try:\n    x = f()\nexcept Exception:\n    pass\n"),
        Edit("b.py", b"x = 1\n", b"import os\nos._exit(0)\n"),
    ]
    assert [f.severity for f in examine(Scene.of_edits(edits))] == ["sure", "smell"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("tests/test_a.py", "test"), ("tests/data/a.json", "test"), ("shop/a_test.py", "test"), ("a/b.test.ts", "test"),
        ("x_test.go", "test"),
        ("conftest.py", "config"), ("tests/conftest.py", "config"), ("pyproject.toml", "config"), (".github/workflows/a.yml", "config"),
        ("shop/latest.py", "source"), ("shop/contest.py", "source"), ("README.md", "other"), ("shop/testing.py", "source"),
    ],
)  # fmt: skip
def test_files_are_told_apart_by_their_path(path: str, kind: str) -> None:
    assert kind_of(path) == kind


BROKEN = [
    b"(" * 5000, b"def test_a(:\n", b"\x00", b"\xff\xfe", b"x = 1\n" * 10, b"assert " + b"not " * 3000 + b"x\n", b"[pytest\n", b"{",
    b"a = [\n",
]  # fmt: skip
PATHS = ["tests/test_a.py", "a.py", "pyproject.toml", "tox.ini", "conftest.py", "a.test.js", "package.json", "a.pth"]
HOSTILE = st.one_of(st.none(), st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.sampled_from(BROKEN))


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(
        ["tests/test_a.py", "a.py", "pyproject.toml", "tox.ini", "conftest.py", "a.test.js", "package.json", "a.pth"]
    ),
    HOSTILE,
    HOSTILE,
)
def test_no_content_breaks_the_detectors(path: str, before: bytes | None, after: bytes | None) -> None:
    for finding in examine(Scene.of_edits([Edit(path, before, after)], metrics=["loss"], tests="assert f(37) == 5")):
        assert finding.path == path
