"""The tune rung turns the knobs of the editable files, learns from the journal alone, and says why when it has nothing to turn."""

import math
from pathlib import Path

import pytest

from loopwright.act.digest import changes_digest
from loopwright.errors import ActionError
from loopwright.kernel.loop import EvaluatePolicy
from support.judging import make_loop
from support.repositories import git
from support.tuning import Tuning

TRAIN = "LR = 1e-3  # the step\nDEPTH = 4\nDROPOUT = 0.5\n"


def loss(names: dict[str, object]) -> float | None:
    lr, depth, dropout = names["LR"], names["DEPTH"], names["DROPOUT"]
    assert isinstance(lr, float) and isinstance(depth, int) and isinstance(dropout, float)
    if depth > 14:
        return None
    return 1 + 0.1 * math.log(lr / 2e-2) ** 2 + 0.2 * math.log(depth / 7) ** 2 + (dropout - 0.2) ** 2


def test_a_proposal_turns_one_knob_and_is_a_change_of_that_literal_only(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    proposal = tuning.one()
    assert (proposal.rung, proposal.family, proposal.title) == ("tune", "none", "LR 1e-3 → 3.16e-3")
    assert tuning.content(proposal) == TRAIN.replace("1e-3", "3.16e-3").encode()
    assert proposal.digest == changes_digest(proposal.changes)
    assert proposal.diff is not None
    diff = tuning.shop.blobs.get(proposal.diff)
    assert b"-LR = 1e-3  # the step\n+LR = 3.16e-3  # the step\n" in diff


def test_the_search_gains_most_of_what_can_be_gained_and_never_repeats_itself(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    start = tuning.head_loss(loss)
    made = tuning.search(loss, 18)
    assert tuning.head_loss(loss) < 1 + 0.1 * (start - 1)
    contents = [(t.tree, tuning.content(p)) for t, p in zip(tuning.trials, made, strict=True)]
    assert len({content for _, content in contents}) == len(made) == 18


def test_the_same_journal_gives_the_same_proposals(tmp_path: Path) -> None:
    """What a killed and resumed run, or a fork, goes on with: nothing is kept in memory."""
    tunings = [Tuning.of(tmp_path / name, {"train.py": TRAIN}) for name in "ab"]
    for tuning in tunings:
        tuning.search(loss, 3)
    one, other = (t.propose(9) for t in tunings)
    assert [p.digest for p in one.proposals] == [p.digest for p in other.proposals]
    assert len(one.proposals) == 9


def test_another_seed_searches_elsewhere_once_the_single_steps_are_done(tmp_path: Path) -> None:
    made = []
    for seed in (1, 2):
        tuning = Tuning.of(tmp_path / str(seed), {"train.py": TRAIN}, seed=seed)
        made.append([p.digest for p in tuning.propose(12).proposals])
    assert made[0][:3] == made[1][:3]
    assert made[0] != made[1]


def test_a_batch_is_of_distinct_new_settings(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    tuning.search(loss, 3)
    proposals = tuning.propose(9).proposals
    assert len({p.digest for p in proposals} | {t.proposal.digest for t in tuning.trials}) == 9 + len(tuning.trials)


def test_a_proposal_of_another_rung_teaches(tmp_path: Path) -> None:
    """A model that turned LR up to no avail: the first step with LR is down, and its setting is not tried again."""
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    # In another manner of writing: it is the setting that is known, not the text.
    tuning.judge(tuning.by_hand({"train.py": TRAIN.replace("1e-3", "0.00316")}), 2.0)
    titles = [p.title for p in tuning.propose(12).proposals]
    assert "LR 1e-3 → 3.16e-3" not in titles
    assert "LR 1e-3 → 3.16e-4" in titles


def test_a_setting_that_another_rung_wrote_in_its_own_manner_is_not_tried_again(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": "DEPTH = 4  # tune: DEPTH in {2, 4}\n"})
    tuning.judge(tuning.by_hand({"train.py": "DEPTH = 0x2  # tune: DEPTH in {2, 4}\n"}), 2.0)
    assert tuning.propose().exhausted


def test_a_kept_step_is_followed_by_another_in_its_direction(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    tuning.judge(tuning.one(), 0.5)
    proposal = tuning.one()
    assert proposal.title.startswith("LR 3.16e-3 → 9.99e-3")
    assert (
        "further in the direction that was kept; LR: turned in 1 earlier trial, up looked better in 1"
        in proposal.rationale
    )


def test_the_goal_max_turns_the_search_around(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN}, goal="max")
    tuning.judge(tuning.one(), 2.0, status="reverted")
    assert "LR 1e-3 → 3.16e-4" not in [p.title for p in tuning.propose(3).proposals]


def test_a_finite_space_ends_exhausted_when_everything_was_tried(tmp_path: Path) -> None:
    text = 'DEPTH = 4  # tune: DEPTH in {2, 4, 8}\nACT = "a"  # tune: {"a", "b"}\n'
    tuning = Tuning.of(tmp_path, {"train.py": text})
    made = []
    while not (result := tuning.propose()).exhausted:
        (proposal,) = result.proposals
        made.append(tuning.content(proposal))
        tuning.judge(proposal, 2.0)
    assert len(made) == len(set(made)) == 5
    assert "every setting was tried (5 earlier trials)" in result.summary


def test_crashes_steer_away(tmp_path: Path) -> None:
    """Everything above 32 crashes: of the settings that the sampler offers afterwards few are there, though it is half the space."""
    tuning = Tuning.of(tmp_path, {"train.py": "SIZE = 10.0  # tune: SIZE in [1.0, 1000.0] log\n"})

    def crashing(names: dict[str, object]) -> float | None:
        size = names["SIZE"]
        assert isinstance(size, float)
        return None if size > 32 else 1 + abs(math.log(size / 8))

    tuning.search(crashing, 16)
    late = tuning.trials[8:]
    assert sum(t.status == "crash" for t in late) <= len(late) // 4
    assert any(t.status == "crash" for t in tuning.trials)


def test_comments_anywhere_mean_only_those(tmp_path: Path) -> None:
    files = {
        "train.py": "import other\nLR = 0.1\n",
        "other.py": "DEPTH = 4  # tune: DEPTH in {2, 4}\nWIDTH = 64\n",
    }
    proposals = Tuning.of(tmp_path, files).propose(9).proposals
    assert [p.title for p in proposals] == ["DEPTH 4 → 2"]


def test_two_files_are_searched_together_and_named(tmp_path: Path) -> None:
    files = {"train.py": "from model import DEPTH\nLR = 0.1\n", "model.py": "DEPTH = 4\n", "unused.py": "GAMMA = 0.5\n"}
    tuning = Tuning.of(tmp_path, files)
    titles = [p.title for p in tuning.propose(2).proposals]
    assert titles == ["train.py: LR 0.1 → 0.316", "model.py: DEPTH 4 → 8"]
    for _ in range(8):
        tuning.judge(tuning.one(), 2.0)
    touched = {c.path for t in tuning.trials for c in t.proposal.changes}
    assert touched == {"train.py", "model.py"}


def test_edit_protect_and_permit_say_which_files(tmp_path: Path) -> None:
    files = {"a.py": "LR = 0.1\n", "b.py": "LR = 0.1\n", "c.py": "LR = 0.1\n"}
    for name, options in {
        "edit": {"edit": ["b.py"]},
        "protect": {"protect": ["a.py", "c.py"]},
        "write": {"write": ["b.py"]},
    }.items():
        tuning = Tuning.of(tmp_path / name, files, run="make score", **options)  # type: ignore[arg-type]
        assert {c.path for p in tuning.propose(4).proposals for c in p.changes} == {"b.py"}, name


def test_an_executable_stays_executable(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    root = tmp_path / "repository"
    (root / "train.py").chmod(0o755)
    git(root, "commit", "-aqm", "executable")
    tuning.tree = git(root, "rev-parse", "HEAD^{tree}")
    assert [c.mode for c in tuning.one().changes] == ["100755"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train.py": "SEED = 3\nprint('x')\n"}, "no knob was found"),
        ({"train.py": "LR = (\n"}, "train.py is not Python: line 1"),
        ({"train.py": b"LR = 0.1  # \xff\n"}, "train.py is not text in its encoding"),
        ({"train.py": "X = 1\n" + "#" * (1 << 20)}, "train.py is larger than 1024 KiB"),
        ({"README.md": "nothing"}, "no knob was found"),
        ({"train.py": "SEED = 3  # tune: SEED in {1, 2}\n"}, "another seed is luck"),
    ],
)
def test_without_knobs_it_is_exhausted_and_says_what_to_write(
    tmp_path: Path, files: dict[str, str | bytes], said: str
) -> None:
    result = Tuning.of(tmp_path, files).propose()
    assert (result.proposals, result.exhausted) == ((), True)
    assert said in result.summary
    assert "# tune: LR in [1e-4, 1e-1] log" in result.summary
    assert "\n" not in result.summary


@pytest.mark.parametrize(
    ("edit", "protect", "said"),
    [
        (["other.py"], [], "edit names 'other.py', expected a Python file of the repository, found none"),
        (["train.py"], ["train.py"], "edit names 'train.py', which is protected"),
    ],
)
def test_an_edit_that_names_nothing_to_change_is_an_error(
    tmp_path: Path, edit: list[str], protect: list[str], said: str
) -> None:
    with pytest.raises(ActionError, match=said):
        Tuning.of(tmp_path, {"train.py": TRAIN}, edit=edit, protect=protect).propose()


def test_a_loop_without_a_metric_is_an_error(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    tuning.loop = make_loop(evaluate=EvaluatePolicy())
    with pytest.raises(ActionError, match="the loop has no metric"):
        tuning.propose()


def test_a_knob_that_vanished_from_the_head_is_forgotten_and_the_others_go_on(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": TRAIN})
    tuning.search(loss, 2)
    head = tuning.shop.workspace.read(tuning.tree, "train.py")
    assert head is not None
    rewritten = b"\n".join(line for line in head.splitlines() if not line.startswith(b"DEPTH")) + b"\nWIDTH = 64\n"
    tuning.judge(tuning.by_hand({"train.py": rewritten}), 0.1)
    for _ in range(6):
        proposal = tuning.one()
        assert "DEPTH" not in proposal.title
        tuning.judge(proposal, 2.0)
    assert any("WIDTH" in t.proposal.title for t in tuning.trials)


def test_a_value_outside_of_its_own_range_is_the_start_and_is_said(tmp_path: Path) -> None:
    tuning = Tuning.of(tmp_path, {"train.py": "LR = 5.0  # tune: LR in [1e-4, 1e-1] log\n"})
    result = tuning.propose(3)
    assert "train.py: LR starts outside of its range" in result.summary
    for proposal in result.proposals:
        assert 1e-4 <= float(tuning.content(proposal).split()[2]) <= 1e-1
