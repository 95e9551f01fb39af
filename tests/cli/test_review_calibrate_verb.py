"""`loopwright review calibrate` measures the judges of a loop file and leaves what it found where verdicts look for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loopwright import loopfile
from loopwright.evaluate.review.judges import load_rates
from support.command_line import Ended, repository

VERB = """
import sys
import typer
from loopwright.cli import review
from loopwright.cli.console import fail
from loopwright.errors import LoopwrightError
app = typer.Typer()
app.callback()(lambda: None)
review.register(app)
try:
    app(sys.argv[1:], standalone_mode=False)
except LoopwrightError as error:
    try:
        fail(error, as_json="--json" in sys.argv)
    except typer.Exit as done:
        sys.exit(done.exit_code)
"""
FILES = {
    "src/shop.py": (
        "import json\nimport os\n\n\ndef price(amount, rebate):\n"
        '    """What it costs."""\n    if amount < 0:\n        raise ValueError(amount)\n'
        "    total = amount * 2\n    return total - rebate\n\n\n"
        "def cheaper(a, b):\n    best = a if a < b else b\n    return best\n"
    ),
    "tests/test_shop.py": (
        "import pytest\nfrom shop import cheaper, price\n\n\ndef test_price():\n    assert price(3, 1) == 5\n\n\n"
        "def test_negative():\n    with pytest.raises(ValueError):\n        price(-1, 0)\n\n\n"
        "def test_cheaper():\n    assert cheaper(1, 2) == 1 and cheaper(2, 1) == 1\n"
    ),
    "judge.py": (
        "import json, os\njson.dump({'verdict': 'accept', 'usd': '0.001', 'tokens': 3}, open(os.environ['LOOPWRIGHT_RESULT'], 'w'))\n"
    ),
}


def loop_text(review: str) -> str:
    tests = f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -q"
    return (
        "---\nname: judged\n"
        f'evaluate: {{tests: "{tests}", protect: [tests/]{review}}}\n'
        "act: [repair]\npermit: {network: none, write: [src/]}\ndeliver: branch\n---\nMake it right.\n"
    )


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    review = f', review: {{run: "{sys.executable} judge.py"}}'
    return repository(
        tmp_path / "repo", {**FILES, "loops/judged.md": loop_text(review), "loops/bare.md": loop_text("")}
    )


def verb(repo: Path, *argv: str) -> Ended:
    env = {"PATH": os.environ["PATH"], "HOME": f"{repo}-home"}
    done = subprocess.run(
        [sys.executable, "-c", VERB, "review", "calibrate", *argv],
        cwd=repo,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_judge_that_always_accepts_misses_everything_and_is_called_that(repo: Path) -> None:
    done = verb(repo, "loops/judged.md", "--defects", "3")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"judge    {sys.executable} judge.py"
    assert lines[1] == "shown    3 defects (3 proved by the tests), 3 harmless changes"
    assert lines[2] == "cost     $0.006000, 18 tokens, as the judge says"
    assert "misses        3 of 3   44% to 100%" in lines
    assert "false alarms  0 of 3   0% to 56%" in lines
    assert "beside its verdicts stands: says nothing: false alarms 0 of 3, misses 3 of 3 on seeded defects" in lines
    assert lines[-1] == "it does not tell a defect from a harmless change: its word is worth nothing here"
    (review,) = loopfile.read(repo / "loops/judged.md").loop.evaluate.review or ()
    rates = load_rates(repo / ".loopwright", review)
    assert rates is not None
    assert (rates.missed, rates.defects, rates.alarms, rates.proved) == (3, 3, 0, 3)
    (repo / "judge.py").write_text(FILES["judge.py"] + "# another prompt\n")
    assert load_rates(repo / ".loopwright", review) is None


def test_the_json_says_every_case(repo: Path) -> None:
    done = verb(repo, "loops/judged.md", "--defects", "1", "--json")
    assert (done.code, done.err) == (0, "")
    said: dict[str, Any] = json.loads(done.out)
    assert (said["stop_reason"], said["exit_code"], len(said["judges"])) == ("calibrated", 0, 1)
    (judge,) = said["judges"]
    assert judge["says_nothing"] is True
    assert [case["said"] for case in judge["cases"]] == ["accept"] * 2
    assert sorted(case["defect"] for case in judge["cases"]) == [False, True]
    assert {case["path"] for case in judge["cases"]} == {"src/shop.py"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("loops/bare.md",), "nothing to calibrate; expected a judge that is a command"),
        (("loops/none.md",), "no such loop file"),
        (("loops/judged.md", "--defects", "501"), "--defects expects 1 to 500, found 501"),
    ],
)
def test_what_cannot_be_calibrated_is_said_in_one_line(repo: Path, argv: tuple[str, ...], said: str) -> None:
    done = verb(repo, *argv)
    assert done.code == 2
    assert len(done.lines) == 1
    assert said in done.lines[0]


def test_a_judge_that_never_answers_is_an_error_and_leaves_no_rates(repo: Path) -> None:
    (repo / "judge.py").write_text("raise SystemExit('no credits')\n")
    subprocess.run(
        ["git", "-C", str(repo), "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qam", "x"],
        check=True,
    )
    done = verb(repo, "loops/judged.md", "--defects", "1")
    assert done.code == 1
    assert done.lines[0].endswith("never answered: it failed with exit code 1: no credits")
    assert not (repo / ".loopwright/judges").exists()
