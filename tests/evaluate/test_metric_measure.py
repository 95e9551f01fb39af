"""One measurement: which command, of which files, and whose fault it is when there is no number."""

import asyncio
import sys
from pathlib import Path

import pytest

from loopwright.errors import ActionError
from loopwright.evaluate.metric import measure
from loopwright.kernel.loop import EvaluatePolicy, Loop, Metric, MetricBound
from loopwright.kernel.sample import Reading, Sample
from loopwright.kernel.values import Change, Measure
from loopwright.sandbox.protocol import Sandbox
from loopwright.workspace.workshop import Workshop
from support.judging import make_loop, make_proposal
from support.repositories import added, deleted
from support.workshops import isolated, make_shop, plain

EVALUATOR = "import train\nprint('METRIC loss=%r' % train.LOSS)\nprint('METRIC acc=0.75')\n"
FILES = {
    "train.py": "LOSS = 0.5\n",
    "evaluate.py": EVALUATOR,
    "holdout.py": EVALUATOR.replace("train.LOSS", "(train.LOSS + 10)").replace("print('METRIC acc=0.75')\n", ""),
}
RUN = f"{sys.executable} evaluate.py"
PURPOSES = ("calibrate", "trial", "confirm", "final")
Site = tuple[Workshop, str]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_shop(tmp_path, FILES)


def loop_of(run: str = RUN, holdout: str | None = f"{sys.executable} holdout.py", timeout_s: int | None = None) -> Loop:
    metric = Metric(run, "loss", "min", timeout_s=timeout_s, bounds=(MetricBound("acc", "max", 0.01),), holdout=holdout)
    return make_loop(evaluate=EvaluatePolicy(metric=metric, protect=("evaluate.py", "holdout.py")))


def of_head(site: Site, work: Measure | None = None, loop: Loop | None = None) -> Sample:
    shop, tree = site
    return asyncio.run(measure(work or Measure(tree, None, "calibrate"), loop or loop_of(), None, shop))


def of_proposal(site: Site, *changes: Change, loop: Loop | None = None, purpose: str = "trial") -> Sample:
    shop, tree = site
    work = Measure(tree, "p1", "trial") if purpose == "trial" else Measure(tree, "p1", "holdout")
    return asyncio.run(measure(work, loop or loop_of(), make_proposal(*changes), shop))


def edit(site: Site, text: str, path: str = "train.py") -> Change:
    return added(site[0].blobs, path, text)


def test_the_head_is_measured_as_it_is_with_its_bounds(site: Site) -> None:
    shop, tree = site
    for purpose in PURPOSES:
        sample = of_head(site, Measure(tree, None, purpose))  # type: ignore[arg-type]
        assert (sample.status, sample.value, sample.others) == ("ok", 0.5, (Reading("acc", 0.75),))
        assert sample.output is not None
        assert b"METRIC loss=0.5" in shop.blobs.get(sample.output)


def test_a_proposal_is_measured_on_top_of_the_head(site: Site) -> None:
    assert of_proposal(site, edit(site, "LOSS = 0.25\n")).value == 0.25
    assert of_head(site).value == 0.5


def test_the_holdout_runs_its_own_command_and_asks_for_no_bound(site: Site) -> None:
    sample = of_head(site, Measure(site[1], None, "holdout"))
    assert (sample.status, sample.value, sample.others) == ("ok", 10.5, ())
    assert of_proposal(site, edit(site, "LOSS = 0.25\n"), purpose="holdout").value == 10.25


@pytest.mark.parametrize("isolate", [False, True])
def test_an_evaluator_that_a_proposal_rewrites_is_put_back(tmp_path: Path, isolate: bool) -> None:
    sandbox: Sandbox = isolated(tmp_path) if isolate else plain(tmp_path)
    try:
        site = make_shop(tmp_path, FILES, sandbox=sandbox)
        forged = edit(site, "print('METRIC loss=0')\nprint('METRIC acc=1')\n", "evaluate.py")
        sample = of_proposal(site, forged, edit(site, "LOSS = 0.25\n"))
        assert (sample.status, sample.value, sample.others) == ("ok", 0.25, (Reading("acc", 0.75),))
        assert of_proposal(site, deleted("evaluate.py")).value == 0.5
    finally:
        sandbox.close()


def test_every_measurement_is_of_a_fresh_copy(site: Site) -> None:
    """What a run leaves in its folder must not reach the next one."""
    hoard = "import pathlib\np = pathlib.Path('cache')\nLOSS = 0.0 if p.exists() else 1.0\np.write_text('x')\n"
    assert [of_proposal(site, edit(site, hoard)).value for _ in range(2)] == [1.0, 1.0]


def test_a_crash_a_hang_and_a_silent_proposal_are_statuses(site: Site) -> None:
    crash = of_proposal(site, edit(site, "raise RuntimeError('diverged')\n"))
    assert (crash.status, crash.value, crash.message) == ("crash", None, "exit code 1: RuntimeError: diverged")
    hang = of_proposal(site, edit(site, "import time; time.sleep(3600)\n"), loop=loop_of(timeout_s=1))
    assert (hang.status, hang.value, hang.message) == ("timeout", None, "did not end within 1 s")
    silent = of_proposal(site, edit(site, "import os; os._exit(0)\n"))
    assert (silent.status, silent.value) == ("missing", None)


def test_without_a_limit_of_its_own_the_metric_has_that_of_the_action(tmp_path: Path) -> None:
    site = make_shop(tmp_path, {**FILES, "train.py": "import time; time.sleep(3600)\n"}, timeout_s=1)
    assert of_head(site).message == "did not end within 1 s"


def test_a_proposal_that_cannot_be_applied_is_a_crash(site: Site) -> None:
    sample = of_proposal(site, edit(site, "x", "../outside.py"))
    assert (sample.status, sample.value) == ("crash", None)
    assert sample.message.startswith("the proposal cannot be applied: ")


@pytest.fixture
def script(tmp_path: Path) -> tuple[Site, Loop]:
    site = make_shop(tmp_path, FILES)
    return site, loop_of("./bench.sh", "./bench.sh")


def test_a_program_that_the_base_does_not_have_is_a_mistake_in_the_loop(script: tuple[Site, Loop]) -> None:
    site, loop = script
    for purpose in (*PURPOSES, "holdout"):
        with pytest.raises(
            ActionError, match=r"^metric: command not found: '\./bench.sh' of '\./bench.sh'; install it or"
        ):
            of_head(site, Measure(site[1], None, purpose), loop)  # type: ignore[arg-type]


def test_a_program_that_a_proposal_takes_away_is_that_proposals_crash(tmp_path: Path) -> None:
    shop, _ = make_shop(tmp_path, FILES)
    tree_with = shop.workspace.commit(
        shop.workspace.branch_head("main") or "",
        (added(shop.blobs, "bench.sh", "#!/bin/sh\necho METRIC loss=1 acc=1\n", "100755"),),
        shop.blobs,
        message="bench",
        at_ms=1_000,
    ).tree
    site, loop = (shop, tree_with), loop_of("./bench.sh")
    assert of_head(site, loop=loop).value == 1
    sample = of_proposal(site, deleted("bench.sh"), loop=loop)
    assert (sample.status, sample.value) == ("crash", None)
    assert sample.message.startswith("metric: command not found: './bench.sh'")


def test_what_cannot_be_asked_for_is_refused(site: Site) -> None:
    shop, tree = site
    with pytest.raises(ActionError, match=r"no `evaluate\.metric`"):
        of_head(site, loop=make_loop())
    with pytest.raises(ActionError, match="no `holdout` command"):
        of_head(site, Measure(tree, None, "holdout"), loop_of(holdout=None))
    with pytest.raises(ActionError, match="expected proposal 'p2' to be measured, found none"):
        of_head(site, Measure(tree, "p2", "trial"))
    with pytest.raises(ActionError, match="expected proposal 'p2' to be measured, found 'p1'"):
        asyncio.run(measure(Measure(tree, "p2", "trial"), loop_of(), make_proposal(), shop))


def test_who_watches_is_told_what_is_measured(tmp_path: Path) -> None:
    said: list[str] = []
    shop, tree = make_shop(tmp_path, FILES, progress=said.append)
    of_head((shop, tree))
    of_proposal((shop, tree), edit((shop, tree), "LOSS = 1.0\n"))
    assert said == [f"measuring the head: {RUN}", f"measuring an edit: {RUN}"]
