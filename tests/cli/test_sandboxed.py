"""The command line with its default: commands run in a sandbox that was tried first, or the run does not begin."""

from pathlib import Path

import msgspec

from support.command_line import git, loopwright, repository

FAULTY = {
    "shop.py": "def total(prices):\n    return sum(prices) + 1\n",
    "test_shop.py": "from shop import total\n\ndef test_total():\n    assert total([1, 2]) == 3\n",
}


def _events(place: Path, run: object) -> list[dict[str, object]]:
    ended = loopwright("log", str(run), "--json", "-C", place, cwd=place.parent)
    return [msgspec.json.decode(line, type=dict[str, object]) for line in ended.out.splitlines()]


def test_a_repair_runs_in_the_sandbox_and_the_journal_and_report_say_so(tmp_path: Path) -> None:
    place = repository(tmp_path / "shop", FAULTY)
    before = git(place, "status", "--porcelain")
    ended = loopwright("fix", place, "--json", cwd=tmp_path)
    found = ended.json()
    assert (ended.code, found["stop_reason"]) == (0, "goal"), ended
    assert str(found["sandbox"]).startswith("bubblewrap ")
    assert "bubblewrap" in Path(str(found["report"])).read_text(encoding="utf-8")
    assert git(place, "status", "--porcelain") == before
    assert any("bubblewrap" in str(event) for event in _events(place, found["run"]))
    assert list((place / ".loopwright/work").iterdir()) == []


def test_a_suite_cannot_reach_what_is_not_its_own(tmp_path: Path) -> None:
    """The suite fails as long as it can read a file beside the repository, the checkout itself, or this process's environment."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    secret.chmod(0o666)
    (tmp_path / "shop").mkdir()
    tried = f"""
import os, pathlib, socket
def test_it():
    for place in ({str(secret)!r}, {str(tmp_path / "shop/shop.py")!r}, {str(tmp_path / "shop/.git/config")!r}):
        assert not os.path.exists(place), place
    assert "LOOPWRIGHT_TEST_TOKEN" not in os.environ
    assert os.getuid() != 0
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
"""
    place = repository(tmp_path / "shop", {**FAULTY, "test_reach.py": tried})
    ended = loopwright("fix", place, "--json", cwd=tmp_path, env={"LOOPWRIGHT_TEST_TOKEN": "token"})
    assert (ended.code, ended.json()["stop_reason"]) == (0, "goal"), ended


def test_where_no_sandbox_is_to_be_had_nothing_begins_and_the_way_out_is_said(tmp_path: Path) -> None:
    place = repository(tmp_path / "shop", FAULTY)
    ended = loopwright("fix", place, cwd=tmp_path, env={"LOOPWRIGHT_SANDBOX": "container"})
    assert ended.code == 7, ended
    (line,) = ended.lines
    assert "no engine and image are configured" in line and "--unsandboxed" in line
    assert loopwright("ls", "--json", "-C", place, cwd=tmp_path).json()["runs"] == []


def test_a_run_without_a_sandbox_says_so_everywhere(tmp_path: Path) -> None:
    place = repository(tmp_path / "shop", FAULTY)
    ended = loopwright("fix", place, "--unsandboxed", "--json", cwd=tmp_path)
    found = ended.json()
    assert ended.code == 0, ended
    assert "not sandboxed" in str(found["sandbox"])
    assert "NOT sandboxed" in Path(str(found["report"])).read_text(encoding="utf-8")
    assert any("not sandboxed" in str(event) for event in _events(place, found["run"]))


def test_a_wrong_preference_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    place = repository(tmp_path / "shop", FAULTY)
    ended = loopwright("fix", place, cwd=tmp_path, env={"LOOPWRIGHT_SANDBOX": "bubblewarp"})
    assert ended.code == 2
    assert "expected one of auto, bubblewrap, landlock, container, none, found 'bubblewarp'" in ended.lines[0]
    ended = loopwright("fix", place, cwd=tmp_path, env={"LOOPWRIGHT_SANDBOX_READ": "relative"})
    assert ended.code == 2
    assert "expected absolute folders that exist, found 'relative'" in ended.lines[0]


def test_a_folder_that_the_user_shows_is_read_and_not_written(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "data.txt").write_text("3", encoding="utf-8")
    shown.chmod(0o777)
    check = f"""
import pathlib
from shop import total
def test_total():
    assert total([1, 2]) == int(pathlib.Path({str(shown / "data.txt")!r}).read_text())
    try:
        pathlib.Path({str(shown / "new.txt")!r}).write_text("x")
    except OSError:
        return
    raise AssertionError("written")
"""
    place = repository(tmp_path / "shop", {**FAULTY, "test_shop.py": check})
    ended = loopwright("fix", place, "--json", cwd=tmp_path, env={"LOOPWRIGHT_SANDBOX_READ": str(shown)})
    assert (ended.code, ended.json()["stop_reason"]) == (0, "goal"), ended
    assert sorted(p.name for p in shown.iterdir()) == ["data.txt"]
