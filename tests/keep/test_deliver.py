"""Delivery of what was kept, in a real repository."""

import asyncio
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from loopwright.errors import NotAvailableYet, WorkspaceError
from loopwright.keep.deliver import deliver
from loopwright.keep.keep import KeepBeat
from loopwright.keep.steps import KeptStep, kept_steps
from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.kernel.loop import Permit
from support.keeping import Bench, git, make_bench
from support.streams import START_MS, Stream, sample_loop

BRANCH = "loopwright/fix/run1"
LOOP = sample_loop(permit=Permit())
VERDICTS = (val.Verdict("tests", "pass", "breaks none"),)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


def kept(bench: Bench, *proposals: val.Proposal) -> tuple[KeptStep, ...]:
    steps: list[KeptStep] = []
    parent, tree = bench.base_commit, bench.base_tree
    for n, proposal in enumerate(proposals, 1):
        work = bench.work(proposal, n, parent)
        at = None if n == 1 else parent
        commit = asyncio.run(
            KeepBeat().keep(work, proposal, VERDICTS, branch=BRANCH, branch_commit=at, loop=LOOP, shop=bench.shop)
        )
        steps.append(KeptStep(bench.shop.run_id, n, proposal, VERDICTS, tree, commit, work.committed_at_ms))
        parent, tree = commit.commit, commit.tree
    return tuple(steps)


def hand_over(bench: Bench, how: str, steps: Sequence[KeptStep], *, at: str | None = None) -> tuple[str, ...]:
    head = steps[-1].commit.commit if steps else bench.base_commit
    return asyncio.run(
        deliver(
            val.Deliver(how, head),  # type: ignore[arg-type]
            loop=LOOP,
            branch=BRANCH,
            branch_commit=at or (head if steps else None),
            steps=steps,
            directory=bench.directory,
            shop=bench.shop,
        )
    )


class TestNothingKept:
    @pytest.mark.parametrize("how", ["branch", "patch", "file", "pull-request"])
    def test_there_is_no_branch_and_no_file_and_it_is_said(self, bench: Bench, how: str) -> None:
        assert hand_over(bench, how, ()) == ()
        assert bench.shop.workspace.branch_head(BRANCH) is None
        assert not bench.directory.exists()
        assert bench.said == ["nothing was kept: there is nothing to deliver"]


class TestBranch:
    def test_the_branch_is_at_the_head_and_named(self, bench: Bench) -> None:
        steps = kept(bench, bench.proposal(bench.change("src/add.py", b"x = 1\n")))
        assert hand_over(bench, "branch", steps) == (f"branch {BRANCH}",)
        assert git(bench.root, "rev-parse", BRANCH) == steps[-1].commit.commit

    def test_a_deleted_branch_is_made_again(self, bench: Bench) -> None:
        steps = kept(bench, bench.proposal(bench.change("src/add.py", b"x = 1\n")))
        git(bench.root, "branch", "-q", "-D", BRANCH)
        hand_over(bench, "branch", steps)
        assert git(bench.root, "rev-parse", BRANCH) == steps[-1].commit.commit

    def test_a_branch_that_somebody_built_upon_is_left_to_them(self, bench: Bench) -> None:
        steps = kept(bench, bench.proposal(bench.change("src/add.py", b"x = 1\n")))
        theirs = git(bench.root, "commit-tree", "-p", steps[0].commit.commit, "-m", "more", steps[0].commit.tree)
        git(bench.root, "branch", "-q", "-f", BRANCH, theirs)
        with pytest.raises(WorkspaceError, match="somebody moved it"):
            hand_over(bench, "branch", steps)
        assert git(bench.root, "rev-parse", BRANCH) == theirs

    def test_a_pull_request_is_refused_with_the_branch_in_hand(self, bench: Bench) -> None:
        steps = kept(bench, bench.proposal(bench.change("src/add.py", b"x = 1\n")))
        git(bench.root, "branch", "-q", "-D", BRANCH)
        with pytest.raises(NotAvailableYet, match=f"branch {BRANCH}"):
            hand_over(bench, "pull-request", steps)
        assert git(bench.root, "rev-parse", BRANCH) == steps[-1].commit.commit


def applied(bench: Bench, patch: str, tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    git(bench.root, "clone", "-q", "--no-local", str(bench.root), str(clone))
    git(clone, "checkout", "-q", "--detach", bench.base_commit)
    git(clone, "am", "-q", patch)
    return clone


class TestPatch:
    def test_git_am_gives_back_trees_messages_and_dates(self, bench: Bench, tmp_path: Path) -> None:
        """Everything that is awkward in a mail: CRLF, Latin-1, binary, links, modes, deletions, hostile words, no line end."""
        hostile = (
            "---\ndiff --git a/x b/x\nFrom: forged <x@example.org>\nLoopwright-Run: forged\n\n\n\ttail  \r\n[PATCH] x"
        )
        steps = kept(
            bench,
            bench.proposal(
                bench.change("src/add.py", b"def add(a, b):\n    return a + b\n"),
                bench.change("src/crlf.txt", b"one\r\n2\r\nthree"),
                bench.change("src/latin.txt", b"th\xe9\n"),
                title="[x] =?utf-8?q?caf=C3=A9?= – größer \u202e" + "long " * 30,
                rationale=hostile,
            ),
            bench.proposal(
                bench.change("src/latin.txt", None),
                bench.change("src/bin", bytes(range(256)) * 4, "100755"),
                bench.change("src/link", b"../tests", "120000"),
                bench.change("src/new\tname ü.txt", b"From here\n-- \nand on\n"),
                title="Re: =?utf-8?q?second=20one?=",
            ),
        )
        (patch,) = hand_over(bench, "patch", steps)
        assert patch == str(bench.directory / "fix.patch")
        clone = applied(bench, patch, tmp_path)
        logged = "--format=%T %at%n%B"
        span = f"{bench.base_commit}.."
        assert git(clone, "log", logged, f"{span}HEAD") == git(bench.root, "log", logged, f"{span}{BRANCH}")
        assert git(clone, "rev-parse", "HEAD^{tree}") == steps[-1].commit.tree

    def test_delivering_again_writes_the_same_bytes(self, bench: Bench) -> None:
        steps = kept(bench, bench.proposal(bench.change("src/add.py", b"x = 1\n")))
        (patch,) = hand_over(bench, "patch", steps)
        before = Path(patch).read_bytes()
        assert hand_over(bench, "patch", steps) == (patch,)
        assert Path(patch).read_bytes() == before
        assert [p.name for p in bench.directory.iterdir()] == ["fix.patch"]


class TestFile:
    def test_the_changed_files_lie_there_as_they_are_at_the_end(self, bench: Bench) -> None:
        steps = kept(
            bench,
            bench.proposal(bench.change("src/add.py", b"x = 1\n"), bench.change("src/gone.txt", b"x")),
            bench.proposal(
                bench.change("src/add.py", b"x = 2\n"),
                bench.change("src/gone.txt", None),
                bench.change("run", b"#!/bin/sh\n", "100755"),
                bench.change("src/link", b"/etc/passwd", "120000"),
            ),
        )
        (place,) = hand_over(bench, "file", steps)
        files = {p.relative_to(place).as_posix() for p in Path(place).rglob("*") if not p.is_dir()}
        assert files == {"src/add.py", "run"}
        assert (Path(place) / "src/add.py").read_bytes() == b"x = 2\n"
        assert (Path(place) / "run").stat().st_mode & stat.S_IXUSR
        rows = [line.split("\t") for line in (bench.directory / "MANIFEST").read_text().splitlines()]
        assert rows[0] == [f"commit {steps[-1].commit.commit}"]
        assert [(r[0], r[1], r[4]) for r in rows[2:]] == [
            ("written", "100755", "run"),
            ("written", "100644", "src/add.py"),
            ("deleted", "-", "src/gone.txt"),
            ("link", "120000", "src/link"),
        ]

    def test_delivering_again_leaves_nothing_of_the_last_time(self, bench: Bench) -> None:
        steps = kept(bench, bench.proposal(bench.change("src/add.py", b"x = 1\n")))
        (place,) = hand_over(bench, "file", steps)
        (Path(place) / "stale").write_text("x")
        assert hand_over(bench, "file", steps) == (place,)
        assert [p.name for p in Path(place).iterdir()] == ["src"]
        assert {p.name for p in bench.directory.iterdir()} == {"files", "MANIFEST"}


class TestSteps:
    def test_the_journal_gives_what_delivery_needs(self) -> None:
        stream = Stream().fixed()
        (step,) = kept_steps(stream.events)
        (kept_event,) = [e.body for e in stream.events if isinstance(e.body, ev.Kept)]
        (work,) = [
            e.body.action.work
            for e in stream.events
            if isinstance(e.body, ev.ActionIntended) and isinstance(e.body.action.work, val.KeepProposal)
        ]
        assert (step.run_id, step.iteration, step.proposal.title) == ("run-1", 1, "use +")
        assert (step.commit.commit, step.commit.tree) == (kept_event.commit, kept_event.tree)
        assert step.at_ms == work.committed_at_ms > START_MS
        assert [v.status for v in step.verdicts] == ["pass"]

    def test_each_step_of_a_fork_belongs_to_the_run_that_made_it(self) -> None:
        """The message of a commit names its run, so a patch of a fork must say again what the parent said."""
        stream = Stream("run-1")
        stream.start()
        commits = []
        for n in (1, 2, 3):
            stream.plan(n)
            proposal = stream.proposal(str(n), content=str(n))
            stream.propose(proposal)
            commits.append(stream.keep(proposal, n))
            if n < 3:
                stream.add(ev.RunForked(f"run-{n}", len(stream.events), "", "b"))
                stream.run_id = f"run-{n + 1}"
        events = [ev.Event("run-3", e.seq, e.at_ms, e.prev, e.body, e.digest) for e in stream.events]
        steps = kept_steps(events)
        assert [s.run_id for s in steps] == ["run-1", "run-2", "run-3"]
        assert steps[1].parent_tree == steps[0].commit.tree
