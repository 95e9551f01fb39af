"""What a sandboxed command sees of the user's installations: enough to run them, nothing of a home besides."""

import os
from pathlib import Path

from loopwright.sandbox.visible import named_files, visible_folders


def _made(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True)


def _path(*folders: Path) -> str:
    return os.pathsep.join(map(str, folders))


def test_a_folder_on_path_stands_for_what_is_installed_with_it(tmp_path: Path) -> None:
    _made(tmp_path / "opt/tool/bin", tmp_path / "opt/tool/share", tmp_path / "loose")
    seen = visible_folders(
        path=_path(tmp_path / "opt/tool/bin", tmp_path / "loose"), prefixes=(), home=None, root=tmp_path / "repo"
    )
    assert seen == (tmp_path / "loose", tmp_path / "opt/tool")


def test_system_folders_relative_entries_and_what_is_not_there_are_left_out(tmp_path: Path) -> None:
    path = os.pathsep.join(("/usr/bin", "/bin", "bin", "", str(tmp_path / "nowhere")))
    assert visible_folders(path=path, prefixes=(Path("/usr"),), home=None, root=tmp_path) == ()


def test_of_a_home_only_install_prefixes_are_seen(tmp_path: Path) -> None:
    home = tmp_path / "home"
    _made(
        home / ".cargo/bin",
        home / ".nvm/v20/bin",
        home / ".nvm/v20/lib",
        home / ".local/bin",
        home / ".local/lib",
        home / ".local/share/keyrings",
        home / "bin",
    )
    path = _path(home / ".cargo/bin", home / ".nvm/v20/bin", home / ".local/bin", home / "bin")
    seen = visible_folders(path=path, prefixes=(), home=home, root=tmp_path / "repo")
    assert seen == (home / ".cargo/bin", home / ".local/bin", home / ".local/lib", home / ".nvm/v20", home / "bin")


def test_a_home_and_the_repository_are_never_seen_whatever_names_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    root = home / "code/repo"
    _made(root / "bin", home / "lib")
    seen = visible_folders(path=_path(root, home), prefixes=(home,), home=home, root=root, more=(tmp_path, home, root))
    assert seen == ()


def test_an_environment_brings_its_interpreter_and_its_linked_sources_but_not_the_repository(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    packages = root / ".venv/lib/python3.11/site-packages"
    _made(packages, tmp_path / "pythons/3.11/bin", tmp_path / "sibling/src", root / "src")
    (root / ".venv/pyvenv.cfg").write_text(f"version = 3.11\nhome = {tmp_path}/pythons/3.11/bin\n", encoding="utf-8")
    (packages / "links.pth").write_text(
        f"{tmp_path}/sibling/src\n{root}/src\nimport os\n/nonexistent\n", encoding="utf-8"
    )
    seen = visible_folders(path="", prefixes=(root / ".venv",), home=None, root=root)
    assert seen == (tmp_path / "pythons/3.11", root / ".venv", tmp_path / "sibling/src")


def test_a_link_is_seen_by_its_name_and_where_it_leads(tmp_path: Path) -> None:
    _made(tmp_path / "real/bin")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    seen = visible_folders(path=str(tmp_path / "link/bin"), prefixes=(), home=None, root=tmp_path / "repo")
    assert seen == (tmp_path / "link", tmp_path / "real")


def test_a_command_shows_the_files_that_it_names_and_no_folder(tmp_path: Path) -> None:
    script = tmp_path / "propose.py"
    script.touch()
    (tmp_path / "link.py").symlink_to(script)
    assert named_files(("python", str(script), str(tmp_path), "/nonexistent", "propose.py", "/usr/bin/env")) == (
        script,
    )
    assert named_files(("sh", "-c", f"cd x && python {tmp_path}/link.py --flag 'unbalanced")) == ()
    assert named_files(("sh", "-c", f"cd x && python {tmp_path}/link.py")) == (tmp_path / "link.py", script)
