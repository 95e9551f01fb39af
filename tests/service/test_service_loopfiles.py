"""Loop files under a service: taken up, changed, broken, removed."""

import os
from pathlib import Path

from loopwright.engine.triggers.loopfiles import Fault, LoopFiles
from support.services import loop_text


def files_in(folder: Path) -> tuple[LoopFiles, list[Fault]]:
    said: list[Fault] = []
    return LoopFiles(folder, said.append), said


def test_a_faulty_file_is_said_once_with_its_line_and_the_last_good_version_stays(tmp_path: Path) -> None:
    path = tmp_path / "fix.md"
    path.write_text(loop_text())
    files, said = files_in(tmp_path)
    assert files.poll()
    good = files.in_force["fix"]
    path.write_text(loop_text().replace("evaluate", "evalute"))
    for _ in range(4):
        files.poll()
    assert files.in_force["fix"] is good
    (fault,) = said
    assert f"{path}:" in fault.message and "evaluate" in fault.message
    path.write_text(loop_text(iterations=9))
    assert files.poll()
    assert files.in_force["fix"].loop.budget.iterations == 9
    assert len(said) == 1


def test_another_faulty_content_is_said_again_and_a_touch_is_not(tmp_path: Path) -> None:
    path = tmp_path / "fix.md"
    path.write_text("no front matter")
    files, said = files_in(tmp_path)
    files.poll()
    os.utime(path, ns=(1, 1))
    files.poll()
    assert len(said) == 1
    path.write_text("still no front matter")
    files.poll()
    assert len(said) == 2


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "fix.md"
    path.write_text(loop_text(iterations=1))
    files, _ = files_in(tmp_path)
    files.poll()
    before = path.stat()
    path.write_text(loop_text(iterations=2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert files.poll()
    assert files.in_force["fix"].loop.budget.iterations == 2


def test_two_files_of_one_name_the_later_one_is_refused_with_both_paths(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text(loop_text(iterations=1))
    files, said = files_in(tmp_path)
    files.poll()
    (tmp_path / "a.md").write_text(loop_text(iterations=2))
    files.poll()
    files.poll()
    assert files.in_force["fix"].source == str(tmp_path / "b.md")
    (fault,) = said
    assert str(tmp_path / "a.md") in fault.message and str(tmp_path / "b.md") in fault.message
    (tmp_path / "b.md").unlink()
    files.poll()
    assert files.in_force["fix"].source == str(tmp_path / "a.md")


def test_what_this_version_cannot_perform_is_a_fault_for_now_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "hook.md").write_text(loop_text("hook", "[{webhook: /hook}]"))
    (tmp_path / "fix.md").write_text(loop_text())
    files, said = files_in(tmp_path)
    files.poll()
    assert list(files.in_force) == ["fix"]
    assert len(said) == 1 and "webhook" in said[0].message


def test_pages_beside_a_loop_are_not_read_as_loops(tmp_path: Path) -> None:
    for name in ("README.md", "SKILL.md", "program.md", ".#fix.md", "notes.txt"):
        (tmp_path / name).write_text("just text")
    files, said = files_in(tmp_path)
    assert not files.poll()
    assert (dict(files.in_force), said) == ({}, [])


def test_a_file_that_is_gone_fires_no_more(tmp_path: Path) -> None:
    path = tmp_path / "fix.md"
    path.write_text(loop_text())
    files, _ = files_in(tmp_path)
    files.poll()
    path.unlink()
    assert files.poll()
    assert files.in_force == {}
