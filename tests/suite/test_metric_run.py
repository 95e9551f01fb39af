"""Real commands in real copies: what a run of a metric's command amounts to, and that no failure has a score."""

import asyncio
import sys
from pathlib import Path

import pytest

from loopwright.errors import UsageError
from loopwright.kernel.sample import Reading, Sample
from loopwright.suite.metric import CommandNotFound, run_metric
from loopwright.workspace.command import command_in
from loopwright.workspace.workshop import Workshop
from support.workshops import make_shop

PYTHON = sys.executable
Site = tuple[Workshop, str]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_shop(tmp_path, {"score.py": "print('METRIC loss=0.5')\n", "train.py": "LOSS = 0.5\n"})


def measure(
    site: Site, run: str, *others: str, timeout_s: float = 60, protect: tuple[str, ...] = (), edit: str | None = None
) -> Sample:
    shop, tree = site
    with shop.workspace.checkout(tree, "metric") as candidate:
        if edit is not None:
            candidate.write("score.py", edit.encode())
        return asyncio.run(run_metric(run, "loss", others, candidate, shop, timeout_s=timeout_s, protect=protect))


def program(site: Site, text: str, *others: str, timeout_s: float = 60) -> Sample:
    return measure(site, f"{PYTHON} score.py", *others, timeout_s=timeout_s, edit=text)


def output(site: Site, sample: Sample) -> bytes:
    assert sample.output is not None
    return site[0].blobs.get(sample.output)


def test_a_run_that_ends_well_has_its_value_its_readings_its_time_and_its_output(site: Site) -> None:
    sample = program(site, "print('loss: 9')\nprint('METRIC loss=0.25')\nprint('acc: 0.75')\n", "acc")
    assert (sample.status, sample.value, sample.others, sample.message) == ("ok", 0.25, (Reading("acc", 0.75),), "")
    assert sample.wall_ms > 0
    assert output(site, sample) == b"loss: 9\nMETRIC loss=0.25\nacc: 0.75\n"


def test_assignments_before_the_command_are_its_environment(site: Site) -> None:
    code = "import os; print('METRIC loss=' + os.environ['SCALE'] + os.environ['PYTHONHASHSEED'])"
    assert measure(site, f'SCALE=1.5 {PYTHON} -c "{code}"').value == 1.50


def test_the_candidates_own_modules_are_imported(site: Site) -> None:
    code = "import train; print('METRIC loss=' + str(train.LOSS))"
    assert measure(site, f'{PYTHON} -c "{code}"').value == 0.5


def test_a_number_on_the_error_output_counts_when_standard_output_has_none(site: Site) -> None:
    assert program(site, "import sys; print('loss: 0.5', file=sys.stderr)").value == 0.5
    assert program(site, "import sys; print('loss: 0.25'); print('loss: 0.5', file=sys.stderr)").value == 0.25


def test_protected_files_are_put_back_before_the_command_runs(site: Site) -> None:
    forged = "print('METRIC loss=0')\n"
    assert measure(site, f"{PYTHON} score.py", protect=("score.py",), edit=forged).value == 0.5
    assert measure(site, f"{PYTHON} score.py", edit=forged).value == 0


def test_a_failing_exit_after_the_number_was_printed_is_a_crash_without_a_score(site: Site) -> None:
    sample = program(site, "print('METRIC loss=0.25', flush=True)\nraise ValueError('no data')\n")
    assert (sample.status, sample.value, sample.others) == ("crash", None, ())
    assert sample.message == ("exit code 1 after it had printed loss = 0.25, which does not count: ValueError: no data")
    assert b"Traceback" in output(site, sample)


def test_a_crash_says_its_last_telling_line_and_a_signal_its_name(site: Site) -> None:
    assert program(site, "import sys; print('no gpu'); sys.exit(3)").message == "exit code 3: no gpu"
    assert program(site, "import sys; sys.exit(3)").message == "exit code 3: no output"
    killed = program(site, "import os; print('METRIC loss=1', flush=True); os.kill(os.getpid(), 9)")
    assert (killed.status, killed.value) == ("crash", None)
    assert killed.message.startswith("ended by SIGKILL after it had printed loss = 1")


def test_a_command_that_hangs_is_ended_and_is_a_timeout_even_when_it_had_printed(site: Site) -> None:
    sample = program(site, "import time\nprint('METRIC loss=0.25', flush=True)\ntime.sleep(3600)\n", timeout_s=1)
    assert (sample.status, sample.value, sample.message) == ("timeout", None, "did not end within 1 s")
    assert output(site, sample) == b"METRIC loss=0.25\n"


def test_a_commands_own_time_limit_is_a_timeout_too(site: Site) -> None:
    sample = measure(site, f'timeout 0.2 {PYTHON} -c "import time; time.sleep(3600)"')
    assert (sample.status, sample.value) == ("timeout", None)
    assert sample.message == "did not end within its own time limit (exit code 124)"


def test_a_metric_line_that_never_comes_is_missing_and_the_nearest_name_is_said(site: Site) -> None:
    sample = program(site, "print('val_loss: 0.5')")
    assert (sample.status, sample.value) == ("missing", None)
    assert sample.message.endswith("found 'val_loss'; did you mean that?")


def test_nan_and_a_decimal_comma_are_invalid(site: Site) -> None:
    assert program(site, "print('METRIC loss=', float('nan'))").status == "invalid"
    comma = program(site, "print('METRIC loss=0,93')")
    assert (comma.status, comma.value) == ("invalid", None)
    assert (
        comma.message == "loss: expected a number, found '0,93': print it with a point and without a comma, like 0.93"
    )


def test_two_hundred_megabytes_of_output_are_read_through_to_the_number_at_their_end(site: Site) -> None:
    text = (
        "import os\nchunk = (b'noise ' * 9 + b'\\n') * 20000\nfor _ in range(191): os.write(1, chunk)\n"
        "os.write(1, b'METRIC loss=0.25\\n')\n"
    )
    sample = program(site, text)
    assert (sample.status, sample.value) == ("ok", 0.25)
    kept = output(site, sample)
    assert len(kept) <= 64 << 10
    assert kept.endswith(b"noise \nMETRIC loss=0.25\n")


def test_a_number_before_output_too_long_to_be_kept_is_not_taken_for_the_last(site: Site) -> None:
    text = "import os\nos.write(1, b'loss: 9\\n' + b'noise\\n' * 2000000)\n"
    sample = program(site, text)
    assert (sample.status, sample.value) == ("missing", None)
    assert sample.message.endswith("the output was too long to be read in full: print the metric at its end")


def test_endless_output_is_ended_and_is_a_crash(site: Site) -> None:
    sample = program(site, "import os\nwhile True: os.write(1, b'METRIC loss=0\\n' * 5000)\n")
    assert (sample.status, sample.value) == ("crash", None)
    assert sample.message == "printed too much and was ended; make it quieter"


def test_binary_output_around_the_line_does_no_harm_and_its_bytes_are_kept(site: Site) -> None:
    noise = "bytes(range(256)) * 40"
    sample = program(site, f"import os\nos.write(1, {noise} + b'\\nMETRIC loss=0.25\\n' + {noise})\n")
    assert (sample.status, sample.value) == ("ok", 0.25)
    assert output(site, sample) == bytes(range(256)) * 40 + b"\nMETRIC loss=0.25\n" + bytes(range(256)) * 40


def test_binary_output_without_the_line_gives_a_message_that_can_be_shown(site: Site) -> None:
    missing = program(site, "import os\nos.write(1, bytes(range(256)) * 40)\n")
    assert (missing.status, missing.value) == ("missing", None)
    assert missing.message.isprintable()
    crash = program(site, "import os, sys\nos.write(2, bytes(range(14, 256)) * 40)\nsys.exit(1)\n")
    assert crash.status == "crash"
    assert crash.message.isprintable()
    assert len(crash.message) < 300


def test_the_end_of_both_outputs_is_kept_when_one_is_long(site: Site) -> None:
    text = (
        "import os\nos.write(2, b'w' * 200000 + b'last warning')\nos.write(1, b'o' * 200000 + b'\\nMETRIC loss=1\\n')\n"
    )
    kept = output(site, program(site, text))
    assert len(kept) == 64 << 10
    assert b"\nMETRIC loss=1\n\nwwww" in kept
    assert kept.endswith(b"wlast warning")


def test_where_the_copy_lies_is_not_in_what_is_kept(site: Site) -> None:
    sample = program(site, "import os, sys\nprint(os.path.abspath('data.csv'))\nsys.exit(os.getcwd() + ' is empty')\n")
    assert (sample.status, sample.message) == ("crash", "exit code 1: . is empty")
    assert output(site, sample) == b"data.csv\n\n. is empty\n"


def test_a_program_that_is_not_there_is_said_with_the_command(site: Site) -> None:
    with pytest.raises(CommandNotFound) as raised:
        measure(site, "no-such-program --fast train.py")
    assert str(raised.value) == (
        "metric: command not found: 'no-such-program' of 'no-such-program --fast train.py'; "
        "install it or correct the command"
    )


def test_a_command_that_cannot_be_read_is_a_usage_error(site: Site) -> None:
    with pytest.raises(UsageError, match="balance its quotes"):
        measure(site, "python 'train.py")


def test_nothing_of_the_command_is_left_running(site: Site) -> None:
    """What it started in the background would disturb the next measurement."""
    shop, tree = site
    forks = (
        "import os, time\nif os.fork() == 0:\n    time.sleep(3600)\nprint('METRIC loss=1', flush=True)\nos._exit(0)\n"
    )
    assert program(site, forks).value == 1
    with shop.workspace.checkout(tree, "look") as candidate:
        spec = command_in(candidate, ("ps", "-eo", "args"), timeout_s=20, action_id="look/a1", env={})
        assert "score.py" not in asyncio.run(shop.sandbox.run(spec)).stdout.decode()
