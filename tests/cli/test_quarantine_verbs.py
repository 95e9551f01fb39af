"""The quarantine verbs, on a real repository."""

import datetime as dt
import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from loopwright.cli import quarantine
from loopwright.errors import UsageError
from support.repositories import make_repository

ID = "tests/test_net.py::test_slow_dns"


def call(root: Path, *argv: str) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    quarantine.register(app)
    done = CliRunner().invoke(app, ["quarantine", *argv, "-C", str(root)])
    return done.exit_code, done.stdout, done.exception


def test_a_test_is_added_listed_and_removed(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"src/a.py": ""})
    assert call(root / "src", "list") == (0, "no test is quarantined\n", None)
    code, said, _ = call(root / "src", "add", ID, "--owner", "dana", "--days", "10", "--why", "times out")
    assert code == 0
    assert said.startswith(f"{ID} counts for nothing until 20")
    assert (root / "loops/quarantine.toml").is_file()
    code, said, _ = call(root, "list", "--json")
    (test,) = json.loads(said)["tests"]
    assert (test["id"], test["owner"], test["why"], test["expired"]) == (ID, "dana", "times out", False)
    assert dt.date.fromisoformat(test["expires"]) - dt.date.fromisoformat(test["added"]) == dt.timedelta(days=10)
    assert call(root, "remove", ID) == (0, f"{ID} counts again\n", None)
    assert call(root, "list")[1] == "no test is quarantined\n"


def test_without_a_verb_the_tests_are_listed_expired_ones_as_such(tmp_path: Path) -> None:
    old = f'[[test]]\nid = "{ID}"\nowner = "dana"\nadded = 2020-01-01\nexpires = 2020-01-31\nwhy = "slow"\n'
    root = make_repository(tmp_path / "r", {"loops/quarantine.toml": old})
    code, said, _ = call(root)
    assert code == 0
    assert said.splitlines()[1].split() == ["expired", "2020-01-31", "dana", ID, "slow"]


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"loops/quarantine.toml": "[[test]]\nid = 1\n"})
    error = call(root, "list")[2]
    assert isinstance(error, UsageError)
    assert "loops/quarantine.toml:2: test[0].id: expected a text, found 1" in str(error)
    assert call(root, "add", ID, "--owner", "dana", "--days", "91", "--why", "x")[0] == 2
    assert (root / "loops/quarantine.toml").read_text() == "[[test]]\nid = 1\n"
    missing = call(make_repository(tmp_path / "other", {"f": ""}), "remove", ID)[2]
    assert isinstance(missing, UsageError)
    assert "found no such file" in str(missing)
