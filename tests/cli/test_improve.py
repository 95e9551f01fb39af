"""The metric loop as a user runs it: a command that prints a number, a file that may be edited, and a branch of what really helped."""

import os
from pathlib import Path

import pytest

from support.command_line import Ended, git, loopwright, repository

MODEL = "X = 2  # tune: X in [0, 10] int\nY = 1  # tune: Y in [0, 4] int\n"
SCORE = "import model\nprint(f'METRIC loss={(model.X - 7) ** 2 + (model.Y - 3) ** 2}')\n"
NOISE = "import model, os\nprint(f'METRIC loss={5 + int.from_bytes(os.urandom(4)) / 2**32}')\n"


def project(where: Path, score: str = SCORE, **more: str) -> Path:
    files = {name.replace("__", "/").replace("_py", ".py"): text for name, text in more.items()}
    return repository(where, {"model.py": MODEL, "score.py": score, ".gitignore": "__pycache__/\n", **files})


def improve(where: Path, *more: str, iterations: int = 30) -> Ended:
    argv = ("improve", "--run", "python score.py", "--metric", "loss", "--goal", "min", "--edit", "model.py")
    return loopwright(*argv, "--max-iterations", str(iterations), *more, cwd=where, timeout_s=400)


def report(where: Path, name: str = "report.md") -> str:
    (found,) = (where / ".loopwright" / "runs").glob(f"*/{name}")
    return found.read_text()


def test_a_number_without_noise_gets_as_good_as_it_can_be(tmp_path: Path) -> None:
    """One run a candidate, one commit a gain, the branch holds the best, the checkout is as it was, and the report claims what is."""
    where = project(tmp_path / "repo")
    done = improve(where, "--target", "0", "--json")
    assert (done.code, done.json()["stop_reason"]) == (0, "goal"), done.err
    branch = git(where, "for-each-ref", "--format=%(refname:short)", "refs/heads/loopwright").strip()
    best = git(where, "show", f"{branch}:model.py")
    assert best == MODEL.replace("X = 2", "X = 7").replace("Y = 1", "Y = 3")
    assert (where / "model.py").read_text() == MODEL
    assert git(where, "status", "--porcelain") == ""
    rows = [line.split("\t") for line in report(where, "results.tsv").splitlines()]
    kept = [float(row[1]) for row in rows[1:] if row[2] == "keep"]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == 0
    commits = git(where, "log", "--format=%s", f"main..{branch}").splitlines()
    assert len(commits) == len(kept)
    text = report(where)
    assert "loss is better by 29" in text
    assert "Runs of the same code never differed" in text


def test_noise_alone_brings_no_keep_and_no_claim(tmp_path: Path) -> None:
    """Every setting scores the same but for chance: what is best by luck is not kept, and the report claims nothing."""
    where = project(tmp_path / "repo", NOISE)
    done = improve(where, iterations=6)
    assert done.code in (4, 5), done.err
    assert git(where, "for-each-ref", "refs/heads/loopwright") == ""
    text = report(where)
    assert "no gain in loss is claimed" in text
    assert "one standard deviation" in text


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ("print('hello')\n", "loss"),
        ("print('METRIC loss=nan')\n", "nan"),
        ("print('METRIC accuracy=0.9')\n", "accuracy"),
        ("print('METRIC loss=1')\nraise SystemExit('no data')\n", "no data"),
    ],
    ids=["never printed", "not a number", "another name", "fails after it"],
)
def test_a_command_that_gives_no_number_ends_the_run_at_once(tmp_path: Path, score: str, said: str) -> None:
    """One run, one line with what was found, exit 2: no budget is burnt on a command that cannot work."""
    where = project(tmp_path / "repo", score)
    done = improve(where, "--json")
    told = done.json()
    assert (done.code, told["stop_reason"]) == (2, "cannot_observe")
    assert said in str(told)
    assert report(where, "results.tsv").count("\n") == 1


def test_noise_that_swamps_the_effect_is_said_before_the_budget_is_burnt(tmp_path: Path) -> None:
    """By how much, and what it would cost to tell; exit 5, after the calibration and nothing else."""
    where = project(tmp_path / "repo", NOISE)
    done = improve(where, "--min-effect", "0.001", "--json")
    told = done.json()
    assert (done.code, told["stop_reason"]) == (5, "noise"), done.err
    assert report(where, "results.tsv").count("\n") == 1
    assert "8 runs of the command" in report(where)


def test_a_guard_that_fails_on_the_unchanged_code_guards_nothing(tmp_path: Path) -> None:
    where = project(tmp_path / "repo", test_it_py="def test_it():\n    assert False\n")
    done = improve(where, "--guard", "python -m pytest -q", "--json")
    told = done.json()
    assert (done.code, told["stop_reason"]) == (2, "cannot_observe"), done.err
    assert "fails on the unchanged code" in str(told)


def test_a_guard_refuses_what_breaks_it(tmp_path: Path) -> None:
    """The best value breaks the guard's test: the best that holds it is kept instead."""
    guard = "import model\ndef test_small():\n    assert model.X <= 5\n"
    where = project(tmp_path / "repo", test_small_py=guard)
    done = improve(where, "--guard", "python -m pytest -q", iterations=16)
    assert done.code in (4, 5), done.err
    branch = git(where, "for-each-ref", "--format=%(refname:short)", "refs/heads/loopwright").strip()
    values: dict[str, int] = {}
    exec(git(where, "show", f"{branch}:model.py"), values)
    assert 2 < values["X"] <= 5
    assert "checks_failed" in report(where, "results.tsv")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--goal", "up"), "--goal: expected min or max, found 'up'"),
        (("--min-effect", "0"), "--min-effect: expected a number above 0"),
        (("--min-effect", "nan"), "--min-effect: expected a number above 0"),
        (("--bound", "accuracy"), "--bound: expected NAME:min|max:WORSE_BY"),
        (("--metric", " "), "--metric: expected a text"),
        (("--target", "inf"), "--target: expected a number"),
    ],
)
def test_an_aim_that_says_nothing_is_one_line(tmp_path: Path, argv: tuple[str, ...], said: str) -> None:
    done = improve(project(tmp_path / "repo"), *argv)
    assert done.code == 2
    assert done.lines[0].startswith(said), done.err


def test_a_bound_keeps_a_gain_from_costing_more_than_it_may(tmp_path: Path) -> None:
    """A smaller loss that costs accuracy is no better: it is reverted, and the line says which number got worse."""
    score = (
        "import model\nprint(f'METRIC loss={(model.X - 7) ** 2 + (model.Y - 3) ** 2}')\n"
        "print(f'METRIC accuracy={1 - model.X / 20}')\n"
    )
    where = project(tmp_path / "repo", score)
    done = improve(where, "--bound", "accuracy:max:0.01", iterations=12)
    assert done.code in (4, 5), done.err
    branch = git(where, "for-each-ref", "--format=%(refname:short)", "refs/heads/loopwright").strip()
    assert git(where, "show", f"{branch}:model.py").startswith("X = 2 ")
    assert "accuracy" in report(where)


def test_a_dry_run_measures_nothing(tmp_path: Path) -> None:
    where = project(tmp_path / "repo")
    done = improve(where, "--dry-run")
    assert done.code == 0, done.err
    assert "metric loss: python score.py" in done.out
    assert not (where / ".loopwright" / "runs").exists() or not os.listdir(where / ".loopwright" / "runs")
