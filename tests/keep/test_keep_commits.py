"""Keeping a proposal, in a real repository."""

import asyncio
from pathlib import Path

import pytest

from loopwright.errors import ActionError, WorkspaceError
from loopwright.keep.keep import KeepBeat
from loopwright.kernel import values as val
from loopwright.kernel.loop import Permit
from loopwright.workspace.protocol import Commit
from support.keeping import FILES, Bench, git, make_bench
from support.streams import sample_loop

BRANCH = "loopwright/fix/run1"
LOOP = sample_loop()
GOOD = b"def add(a, b):\n    return a + b\n"
VERDICTS = (val.Verdict("tests", "pass", "fixes 1 of 1 failing test, breaks none (1 passes)"),)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


def keep(
    bench: Bench,
    proposal: val.Proposal,
    *,
    work: val.KeepProposal | None = None,
    at: str | None = None,
    loop: object = None,
) -> Commit:
    return asyncio.run(
        KeepBeat().keep(
            work or bench.work(proposal),
            proposal,
            VERDICTS,
            branch=BRANCH,
            branch_commit=at,
            loop=LOOP if loop is None else loop,  # type: ignore[arg-type]
            shop=bench.shop,
        )
    )


def already(bench: Bench, proposal: val.Proposal) -> Commit | None:
    return asyncio.run(
        KeepBeat().already_done(bench.work(proposal), proposal, VERDICTS, branch=BRANCH, loop=LOOP, shop=bench.shop)
    )


def test_the_branch_gets_a_commit_with_the_change_and_says_whose_it_is(bench: Bench) -> None:
    commit = keep(bench, bench.proposal(bench.change("src/add.py", GOOD)))
    assert git(bench.root, "rev-parse", BRANCH) == commit.commit
    assert git(bench.root, "rev-parse", f"{BRANCH}^{{tree}}") == commit.tree
    assert git(bench.root, "rev-parse", f"{BRANCH}^") == bench.base_commit
    assert git(bench.root, "show", f"{BRANCH}:src/add.py") == GOOD.decode().strip()
    assert git(bench.root, "log", "-1", "--format=%B", BRANCH) == (
        "fix: use + instead of -\n\nthe sign is wrong\n\nVerified by\n"
        "- tests (pass): fixes 1 of 1 failing test, breaks none (1 passes)\n\n"
        "Loopwright-Run: run1\nLoopwright-Iteration: 1"
    )


def test_the_users_checkout_and_branch_are_untouched(bench: Bench) -> None:
    keep(bench, bench.proposal(bench.change("src/add.py", GOOD)))
    assert git(bench.root, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(bench.root, "status", "--porcelain", "--untracked-files=no") == ""
    assert (bench.root / "src/add.py").read_bytes() == FILES["src/add.py"]


def test_keeping_twice_is_keeping_once(bench: Bench) -> None:
    proposal = bench.proposal(bench.change("src/add.py", GOOD))
    first = keep(bench, proposal)
    assert keep(bench, proposal) == first
    assert git(bench.root, "rev-list", "--count", f"{bench.base_commit}..{BRANCH}") == "1"


def test_after_a_crash_the_branch_says_whether_it_happened(bench: Bench) -> None:
    proposal = bench.proposal(bench.change("src/add.py", GOOD))
    other = bench.proposal(bench.change("src/add.py", b"x = 1\n"))
    assert already(bench, proposal) is None
    assert bench.shop.workspace.branch_head(BRANCH) is None
    kept = keep(bench, proposal)
    assert already(bench, proposal) == kept
    assert already(bench, other) is None


def test_after_a_crash_a_keep_that_would_be_refused_has_not_happened(bench: Bench) -> None:
    assert already(bench, bench.proposal(bench.change("setup.py", b"x = 1\n"))) is None


def test_the_next_keep_builds_upon_the_last(bench: Bench) -> None:
    first = keep(bench, bench.proposal(bench.change("src/add.py", GOOD)))
    second = bench.proposal(bench.change("src/add.py", None), bench.change("src/sum.py", GOOD, "100755"))
    commit = keep(bench, second, work=bench.work(second, 2, first.commit), at=first.commit)
    assert git(bench.root, "rev-list", "--count", f"{bench.base_commit}..{BRANCH}") == "2"
    listed = git(bench.root, "ls-tree", "-r", "--format=%(objectmode) %(path)", commit.commit, "src/")
    assert listed.splitlines() == ["100644 src/crlf.txt", "100644 src/latin.txt", "100755 src/sum.py"]


def test_edits_of_protected_paths_never_get_in(bench: Bench) -> None:
    proposal = bench.proposal(
        bench.change("src/add.py", GOOD),
        bench.change("tests/test_add.py", b"def test_add():\n    pass\n"),
        bench.change("tests/conftest.py", b"raise SystemExit(0)\n"),
    )
    commit = keep(bench, proposal)
    assert git(bench.root, "diff", "--name-only", bench.base_commit, commit.commit) == "src/add.py"


def test_a_proposal_of_protected_paths_only_is_refused(bench: Bench) -> None:
    with pytest.raises(ActionError, match="protected paths only"):
        keep(bench, bench.proposal(bench.change("tests/test_add.py", b"")))
    assert bench.shop.workspace.branch_head(BRANCH) is None


def test_what_lies_outside_of_permit_write_is_refused_as_a_whole(bench: Bench) -> None:
    """A commit without the part outside would be a state that no verifier has seen."""
    proposal = bench.proposal(bench.change("src/add.py", GOOD), bench.change("setup.py", b"x = 1\n"))
    with pytest.raises(ActionError, match=r"'setup\.py'; expected changes to src/ only") as refused:
        keep(bench, proposal)
    assert refused.value.status == "denied"
    assert bench.shop.workspace.branch_head(BRANCH) is None
    assert keep(bench, proposal, loop=sample_loop(permit=Permit()))


def test_a_branch_that_somebody_moved_is_not_overwritten(bench: Bench) -> None:
    theirs = git(bench.root, "commit-tree", "-p", bench.base_commit, "-m", "mine", bench.base_tree)
    git(bench.root, "branch", BRANCH, theirs)
    with pytest.raises(WorkspaceError, match="somebody moved it"):
        keep(bench, bench.proposal(bench.change("src/add.py", GOOD)))
    assert git(bench.root, "rev-parse", BRANCH) == theirs
