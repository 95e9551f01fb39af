"""Where values come from: fetched when needed, refused when anybody else could read or change them, never shown in an error."""

import os
import subprocess
import sys
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest

from loopwright.policy.policy import SecretSource, SecretSpec
from loopwright.secrets.errors import SecretUnavailable
from loopwright.secrets.sources import load

VALUE = "correct-horse-" + "battery"


def spec(kind: str, *words: str) -> SecretSpec:
    return SecretSpec("github", SecretSource(kind, words), host="api.example.com")  # type: ignore[arg-type]


def refusal(kind: str, *words: str, env: dict[str, str] | None = None, timeout_s: float = 10.0) -> str:
    with pytest.raises(SecretUnavailable) as caught:
        load(spec(kind, *words), env or {}, command_timeout_s=timeout_s)
    assert "'github'" in str(caught.value) and "\n" not in str(caught.value)
    assert VALUE not in str(caught.value)
    return str(caught.value)


def secret_file(folder: Path, mode: int = 0o600, text: str = VALUE + "\n") -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_variable_gives_its_value_without_the_line_end() -> None:
    assert load(spec("env", "X"), {"X": VALUE + "\r\n"}) == VALUE
    assert "export X" in refusal("env", "X")


@pytest.mark.parametrize(
    "value", ["abcdefg", "two\nlines-of-text", "tab\tinside-it", "gr\u00fc\u00dfe-aus-der-welt", "control\x07-char"]
)
def test_a_value_that_no_header_or_redactor_can_take_is_refused_unshown(value: str) -> None:
    assert value not in refusal("env", "X", env={"X": value})


def test_a_file_of_ours_that_nobody_else_can_read_is_taken(tmp_path: Path) -> None:
    for mode in (0o600, 0o400):
        path = secret_file(tmp_path, mode)
        assert load(spec("file", str(path)), {}) == VALUE
        path.unlink()
    secret_file(tmp_path)
    assert load(spec("file", "~/token"), {"HOME": str(tmp_path)}) == VALUE


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o700, 0o604, 0o4600])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    assert "chmod 600" in refusal("file", str(secret_file(tmp_path, mode)))


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret_file(tmp_path))
    assert "regular file" in refusal("file", str(link))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "regular file" in refusal("file", str(pipe))
    assert "regular file" in refusal("file", str(tmp_path))
    assert "No such file" in refusal("file", str(tmp_path / "none"))
    assert "absolute" in refusal("file", "token")


def test_a_file_too_big_for_a_secret_is_refused(tmp_path: Path) -> None:
    assert "at most" in refusal("file", str(secret_file(tmp_path, text="x" * 20_000)))


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = Path("/etc/passwd")  # root's, which is another user for all but root
    if os.geteuid() == 0:
        path = secret_file(tmp_path)
        os.chown(path, 12345, 12345)
    assert f"found uid {path.stat().st_uid}" in refusal("file", str(path))


def command(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", code)


def test_a_command_gives_its_first_line_and_sees_only_home_and_path(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = f"import os; open({str(seen)!r}, 'w').write(' '.join(sorted(os.environ))); print({VALUE!r}); print('more')"
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "OTHER": "x", "LOOPWRIGHT_X": "y"}
    assert load(spec("command", *command(code)), env) == VALUE
    assert set(seen.read_text().split()) - {"LC_CTYPE"} == {"HOME", "PATH"}


def test_a_command_that_fails_hangs_floods_or_is_not_there_is_named_without_its_output() -> None:
    assert "exit code 0, found 3" in refusal("command", *command(f"import sys; print({VALUE!r}); sys.exit(3)"))
    assert "within 0.2 s" in refusal("command", *command("import time; time.sleep(600)"), timeout_s=0.2)
    assert "at most" in refusal("command", *command("import itertools\nfor _ in itertools.count(): print('x' * 1000)"))
    assert "No such file" in refusal("command", "/nowhere/program")


def test_an_argument_of_the_command_is_never_in_an_error() -> None:
    assert "PASSWORD-ARGUMENT" not in refusal("command", "/nowhere/program", "PASSWORD-ARGUMENT")


class Ring(keyring.backend.KeyringBackend):
    priority = 1

    def __init__(self, locked: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked("locked")
        return VALUE if (service, username) == ("loopwright", "bot") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


def test_a_keyring_gives_its_entry_and_says_what_is_wrong_otherwise() -> None:
    before = keyring.get_keyring()
    try:
        keyring.set_keyring(Ring())
        assert load(spec("keyring", "loopwright", "bot"), {}) == VALUE
        assert "keyring set loopwright other" in refusal("keyring", "loopwright", "other")
        keyring.set_keyring(Ring(locked=True))
        assert "locked" in refusal("keyring", "loopwright", "bot")
        keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
        assert "none on this machine" in refusal("keyring", "loopwright", "bot")
    finally:
        keyring.set_keyring(before)


def test_reading_the_module_loads_no_keyring() -> None:
    code = "import sys, loopwright.secrets.broker; sys.exit('keyring' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
