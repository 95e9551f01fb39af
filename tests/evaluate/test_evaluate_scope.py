"""Which paths a proposal may change. Pure."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.evaluate import verifiers
from loopwright.evaluate.changed_lines import ChangedLinesVerifier
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.scope import ScopeVerifier, out_of_scope
from loopwright.evaluate.tamper import TamperVerifier
from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import EvaluatePolicy, Permit, TestsSource
from loopwright.kernel.values import Verdict
from loopwright.workspace.patterns import matches
from support.judging import make_loop, make_proposal
from support.repositories import added, deleted
from support.workshops import make_shop


@pytest.mark.parametrize(
    ("path", "write", "protect", "why"),
    [
        ("src/a.py", (), (), None),
        ("src/a.py", ("src/",), ("tests/",), None),
        (
            "docs/a.md",
            ("src/",),
            (),
            "edits 'docs/a.md' outside permit.write (src/); leave it as it is, or add 'docs/a.md' to",
        ),
        ("setup.py", ("src/",), (), "add './setup.py' to permit.write"),
        ("tests/test_a.py", ("tests/",), ("tests/",), "the proposal only edits protected files: tests/test_a.py"),
        (".loopwright/journal.db", (), (), "steers the loop or git"),
        (".loopwright/journal.db", ("**",), (), "steers the loop or git"),
        (".gitattributes", (), (), "steers the loop or git"),
        (".github/workflows/ci.yml", ("*.yml",), (), "steers the loop or git"),
        (".github/workflows/ci.yml", (".github/workflows/ci.yml",), (), None),
        ("vendor/.gitmodules", (), (), "steers the loop or git"),
        ("loops/fix.md", (), (), "steers the loop or git"),
        ("loops/fix.md", ("*.md",), (), "steers the loop or git"),
        ("loops/fix.md", ("loops/fix.md",), (), None),
        ("src/loops/readme.md", (), (), None),
        ("loops/helper.py", (), (), None),
        ("loops/policy.toml", (), (), "steers the loop or git"),
        ("loops/policy.toml", ("*.toml",), (), "steers the loop or git"),
        ("loops/mcp.lock", (), (), "steers the loop or git"),
        ("loops/quarantine.toml", (), (), "steers the loop or git"),
        ("loops/quarantine.toml", ("**",), (), "steers the loop or git"),
        ("loops/skills/lint/SKILL.md", (), (), "steers the loop or git"),
        ("loops/skills/lint/run.py", (), (), "steers the loop or git"),
        ("loops/skills.lock", (), (), "steers the loop or git"),
    ],
)
def test_a_path_is_permitted_or_refused_with_the_smallest_permit_that_would_allow_it(
    path: str, write: tuple[str, ...], protect: tuple[str, ...], why: str | None
) -> None:
    said = out_of_scope([path], Permit(write=write), protect)
    assert said is None if why is None else said is not None and why in said


def test_an_edit_beside_a_protected_one_is_refused_too_for_it_would_be_kept_as_a_whole() -> None:
    said = out_of_scope(["src/a.py", "tests/test_a.py"], Permit(), ("tests/",))
    assert said == "edits protected tests/test_a.py; leave protected files as they are"


PARTS = st.text("abc.[]*? é", min_size=1, max_size=4).filter(lambda p: p not in {".", ".."})


@given(st.lists(PARTS, min_size=1, max_size=3).map("/".join))
def test_the_permit_that_a_refusal_names_would_allow_the_path(path: str) -> None:
    said = out_of_scope([path], Permit(write=("nowhere/",)), ())
    assert said is not None
    named = said.partition("or add ")[2].partition(" to permit.write")[0]
    assert matches(path, [named[1:-1]])


def test_the_verifier_says_what_is_changed(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {"f": ""})
    proposal = make_proposal(added(shop.blobs, "src/a.py", "x"))
    verdict = asyncio.run(ScopeVerifier().judge(JudgeRequest(tree, tree, make_loop(), proposal, ()), shop))
    assert (verdict.verifier, verdict.status, verdict.summary) == ("scope", "pass", "changes src/a.py, all permitted")


def scoped(tmp_path: Path, policy: EvaluatePolicy, *changes: tuple[str, str | None], counted: bool = False) -> Verdict:
    shop, tree = make_shop(tmp_path, {"a.py": "1\n2\n3\n", "b.py": "--- x\n"})
    made = [deleted(path) if text is None else added(shop.blobs, path, text) for path, text in changes]
    proposal = make_proposal(*made)
    if counted:
        proposal = msgspec.structs.replace(proposal, added_lines=6, removed_lines=5)
    request = JudgeRequest(tree, tree, make_loop(evaluate=policy), proposal, ())
    return asyncio.run(ScopeVerifier().judge(request, shop))


@pytest.mark.parametrize(
    "changes", [(), (("a.py", "1\n2\n3\n"),), (("a.py", "1\n2\n3\n"), ("b.py", "--- x\n")), (("none.py", None),)]
)
def test_a_proposal_that_changes_nothing_fails(tmp_path: Path, changes: tuple[tuple[str, str | None], ...]) -> None:
    verdict = scoped(tmp_path, EvaluatePolicy(), *changes)
    assert (verdict.status, verdict.summary.partition(";")[0]) == ("fail", "changes nothing")


def test_more_files_than_are_allowed_are_refused(tmp_path: Path) -> None:
    verdict = scoped(tmp_path, EvaluatePolicy(max_files=1), ("a.py", "x"), ("b.py", None))
    assert verdict.status == "fail"
    assert verdict.summary == "changes 2 files, at most 1 are allowed (evaluate.max_files); make a smaller change"
    assert scoped(tmp_path / "2", EvaluatePolicy(max_files=2), ("a.py", "x"), ("b.py", None)).status == "pass"


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ((("a.py", "1\n2\n3\n4\n"),), 1),
        ((("a.py", "1\nx\n3\n"),), 2),
        ((("b.py", "++ y\n"),), 2),
        ((("b.py", None),), 1),
        ((("a.py", "1\n2\n3"), ("c.py", "1\n2\n")), 4),
    ],
)
def test_changed_lines_are_counted_from_the_diff(
    tmp_path: Path, changes: tuple[tuple[str, str | None], ...], lines: int
) -> None:
    policy = EvaluatePolicy(max_lines=lines - 1)
    said = f"changes {lines} lines, at most {lines - 1} are allowed (evaluate.max_lines); make a smaller change"
    assert scoped(tmp_path / "1", policy, *changes).summary == said
    assert scoped(tmp_path / "2", EvaluatePolicy(max_lines=lines), *changes).status == "pass"


def test_the_runtimes_own_count_of_lines_goes_before(tmp_path: Path) -> None:
    verdict = scoped(tmp_path, EvaluatePolicy(max_lines=10), ("a.py", "1\n"), counted=True)
    assert verdict.summary.startswith("changes 11 lines")


def test_a_change_that_no_tree_can_have_fails(tmp_path: Path) -> None:
    verdict = scoped(tmp_path, EvaluatePolicy(), ("../outside.py", "x"))
    assert verdict.status == "fail"
    assert verdict.summary.startswith("the proposal cannot be applied: ")


def test_the_chain_begins_with_scope_and_ends_with_the_guard() -> None:
    loop = make_loop(evaluate=EvaluatePolicy(tests=TestsSource("a"), guard=TestsSource("b")))
    assert [type(v) for v in verifiers(loop)] == [
        ScopeVerifier,
        TamperVerifier,
        TestsVerifier,
        ChangedLinesVerifier,
        TestsVerifier,
    ]
    assert [type(v) for v in verifiers(make_loop(evaluate=EvaluatePolicy()))] == [ScopeVerifier, TamperVerifier]
