"""Which paths a proposal may change. Pure."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.evaluate import verifiers
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.scope import ScopeVerifier, out_of_scope
from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import EvaluatePolicy, Permit, TestsSource
from loopwright.workspace.patterns import matches
from support.judging import make_loop, make_proposal
from support.repositories import added
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


def test_the_chain_begins_with_scope_and_ends_with_the_guard() -> None:
    loop = make_loop(evaluate=EvaluatePolicy(tests=TestsSource("a"), guard=TestsSource("b")))
    assert [type(v) for v in verifiers(loop)] == [ScopeVerifier, TestsVerifier, TestsVerifier]
    assert [type(v) for v in verifiers(make_loop(evaluate=EvaluatePolicy()))] == [ScopeVerifier]
