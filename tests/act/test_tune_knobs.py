"""Which literals are knobs: found by key, refused with a reason, marked by comments. A seed is never one."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.act.tune.files import used_by
from loopwright.act.tune.knobs import Found, knobs
from loopwright.act.tune.space import Space, default_space
from loopwright.act.tune.text import Text, Unreadable
from loopwright.errors import ActionError

SKLEARN = '''"""Trains a classifier."""
import argparse
import sys
from dataclasses import dataclass, field

from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

__version__ = "1.2"
SEED = 3
TIMEOUT_S = 60
PORT = 8080
CACHE = "data/digits.npz"
MASK = 0xFF
LEARNING_RATE = 1e-1
ACT = "relu"
USE_BIAS = True
PASS_WEIGHT = -0.5
CONFIG = {"lr": 0.5, "opt": {"momentum": 0.9}, "fmt": "{:.3f}"}
best = 0.0
best = 1.0


@dataclass
class Config:
    depth: int = 4
    layers: int = field(default=2)


def act(x, slope=0.01):
    if ACT == "relu":
        return x[0]
    elif ACT in ("tanh", "gelu"):
        return 2 * x


def train(seed=1):
    X, y = load_digits(return_X_y=True)
    X, test, y, want = train_test_split(X, y, test_size=0.3, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=50, random_state=1, criterion="gini")
    print("METRIC loss=", round(log_loss(want, model.fit(X, y).predict_proba(test)), ndigits=4), end="")
    return model


parser = argparse.ArgumentParser()
parser.add_argument("--weight-decay", type=float, default=0.05, help="x")
if __name__ == "__main__":
    train(lr=1e-3)
    sys.exit(2)
'''


def found(source: str | bytes) -> Found:
    return knobs(Text("train.py", source if isinstance(source, bytes) else source.encode()))


def spaces(source: str) -> dict[str, Space]:
    return {k.label: k.space for k in found(source).knobs}


def test_the_knobs_of_a_training_script_are_found_by_what_they_are_called() -> None:
    assert [k.key for k in found(SKLEARN).knobs] == [
        "train.py:LEARNING_RATE",
        "train.py:ACT",
        "train.py:USE_BIAS",
        "train.py:PASS_WEIGHT",
        "train.py:CONFIG[lr]",
        "train.py:CONFIG[opt][momentum]",
        "train.py:Config.depth",
        "train.py:Config/field(layers)",
        "train.py:act(slope=)",
        "train.py:train/HistGradientBoostingClassifier(max_iter)",
        "train.py:parser.add_argument(weight_decay)",
    ]


@pytest.mark.parametrize(
    ("literal", "why"),
    [
        ('"""Trains a classifier."""', "docstring"),
        ('"1.2"', "Python's own"),
        ("3", "another seed"),
        ("60", "limit of time"),
        ("8080", "address"),
        ('"data/digits.npz"', "machine"),
        ("0xFF", "bits"),
        ("0.0", "running value"),
        ('"{:.3f}"', "printed"),
        ("0", "part of an expression"),
        ("1", "another seed"),
        ("0.3", "how much data"),
        ('"gini"', "no other choice"),
        ("4", "printed"),
        ('""', "printed"),
        ('"x"', "path or a name"),
        ("1e-3", "__main__"),
        ("2", "part of an expression"),
    ],
)
def test_everything_else_is_left_alone_and_says_why(literal: str, why: str) -> None:
    reasons = [said for _, text, said in found(SKLEARN).left_alone if text == literal]
    assert any(why in r for r in reasons), reasons


@pytest.mark.parametrize(
    "line",
    [
        "SEED = 1",
        "f(random_state=1)",
        "rng = 7",
        "g = default_rng(seed=1)",
        "def f(np_seed=1): ...",
        "C = dict(rngSeed=2)",
    ],
)
def test_a_seed_is_refused_even_when_it_is_marked(line: str) -> None:
    for source in (line, f"{line}  # tune: {{1, 2, 7}}"):
        result = found(source + "\n")
        assert result.knobs == ()
        assert [why for _, text, why in result.left_alone if text.isdigit()] == ["another seed is luck, not progress"]


def test_strings_have_the_choices_that_the_file_asks_for() -> None:
    assert spaces(SKLEARN)["ACT"].choices == ("gelu", "relu", "tanh")
    assert spaces('def f(mood="a"):\n    match mood:\n        case "a" | "b":\n            pass\n')["mood"].choices == (
        "a",
        "b",
    )
    assert spaces('T = {"x": 1, "y": 2}\nKEY = "x"\nprint(T[KEY])\n')["KEY"].choices == ("x", "y")
    assert spaces('import typing as t\nOPT: t.Literal["sgd", "adam"] = "sgd"\n')["OPT"].choices == ("adam", "sgd")
    options = 'p.add_argument("--opt", choices=["a", "b"], default="b")\n'
    assert spaces(options)["opt"].choices == ("a", "b")


@pytest.mark.parametrize(
    ("name", "value", "low", "high", "scale"),
    [
        ("lr", 0.01, 0.001, 0.1, "log"),
        ("dropout", 0.5, 0.0909, 0.9091, "logit"),
        ("beta2", 0.999, 0.99009, 0.9999, "logit"),
        ("dropout", 0.0, 0.0, 0.5, "linear"),
        ("subsample", 1.0, 0.2, 1.0, "linear"),
        ("bias", -2.0, -20.0, -0.2, "log"),
        ("weight_zero", 0.0, 0.0, 1.0, "linear"),
        ("depth", 4, 1, 16, "log"),
        ("depth", 1, 1, 4, "log"),
        ("skip", 0, 0, 4, "linear"),
        ("shift", -8, -32, -2, "log"),
    ],
)
def test_a_range_follows_from_name_sign_and_size(name: str, value: float, low: float, high: float, scale: str) -> None:
    space = default_space(name, value)
    assert (space.low, space.high, space.scale) == (low, high, scale)
    assert space.kind == ("int" if isinstance(value, int) else "float")


def test_booleans_flip_and_widths_move_by_powers_of_two() -> None:
    assert default_space("bias", True).choices == (False, True)
    assert default_space("hidden_size", 64).choices == (16, 32, 64, 128, 256)
    assert default_space("hidden_size", 60).kind == "int"


def test_comments_give_the_ranges_and_then_only_those_count() -> None:
    result = found(
        "LR = 3e-4  # tune: lr in [1e-4, 1e-1] log\n"
        'fit(depth=4, act="relu", other=3)  # tune: depth in {8, 2, 4}; act in {"relu", "t;anh"}\n'
        "N = 16  # the width, tune: no\n"
        "M = 16  # tune: [1, 64] int step 3\n"
        "X = Dense(32)  # TUNE: units in {16, 32}\n"
        "FREE = 5\n"
    )
    assert result.commented
    assert [(k.label, k.space.kind, k.space.scale, k.space.step, k.space.choices) for k in result.knobs] == [
        ("lr", "float", "log", None, ()),
        ("depth", "choice", "linear", None, (2, 4, 8)),
        ("act", "choice", "linear", None, ("relu", "t;anh")),
        ("M", "int", "linear", 3.0, ()),
        ("units", "choice", "linear", None, (16, 32)),
    ]
    assert (6, "5", "a comment marks other literals") in result.left_alone


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pass  # tune: lr in [1, 2]", "there is no number, boolean or string on this line"),
        ("A = 1  # tune: 1 to 4", "cannot read '1 to 4'"),
        ("A = 1  # tune:", "cannot read ''"),
        ("f(a=1, b=2)  # tune: [1, 4]", "there are 2 literals on this line and the comment does not name one"),
        ("f(a=1, b=2)  # tune: c in [1, 4]", "'c' names none of the literals on this line (a, b)"),
        ("A = 1.0  # tune: [4, 1]", "must go from the smaller to the larger"),
        ("A = 1.0  # tune: [0, 1] log", "a log range must be above 0"),
        ("A = 1  # tune: [0.5, 2]", "1 is a whole number and [0.5, 2] is not; write 1.0"),
        ("A = 1.0  # tune: [1, 2] int", "1.0 is no whole number"),
        ("A = 1.0  # tune: [1, 2] lgo", "cannot read 'lgo' after the range"),
        ("A = 1  # tune: [1, 9] int step 0.5", "the step '0.5' must be a whole number"),
        ("A = 1.0  # tune: [1, 9] log step 2", "either log or has a step"),
        ("A = 1.0  # tune: [1, 2, 3]", "expected two numbers"),
        ("A = 1.0  # tune: [1, x]", "cannot read the values '1, x'"),
        ("A = 1.0  # tune: [1, 1e999]", "expected finite numbers"),
        ("A = True  # tune: [0, 1]", "True is no number"),
        ('A = "x"  # tune: {1, 2}', "expected two or more values like"),
        ("A = 1  # tune: {2}", "expected two or more values"),
        ("A = 1  # tune: {2, 2}", "a value stands twice"),
        ("A = 1  # tune: {2, 3} log", "a set of values takes no 'log'"),
        ("A = 1  # tune: [1, 2]; A in [1, 3]", "'A' is marked twice"),
    ],
)
def test_a_faulty_comment_is_one_line_with_file_line_and_a_right_example(line: str, said: str) -> None:
    with pytest.raises(ActionError) as raised:
        found(f"# first\n{line}\n")
    message = str(raised.value)
    assert message.startswith("tune: train.py:2: ")
    assert said in message
    assert "\n" not in message
    # The example is itself a comment that is understood.
    example = message.rpartition("write for example `")[2].rstrip("`")
    source = example if example.startswith("LR") else f"{line.split('  #')[0]}  {example}"
    assert found(source + "\n").knobs


def test_a_mark_inside_a_string_is_no_comment() -> None:
    result = found("A = 2\nB = '# tune: A in [1, 2]'\n")
    assert not result.commented
    assert [k.label for k in result.knobs] == ["A"]


def test_keys_and_values_survive_another_formatting() -> None:
    source = SKLEARN.replace("MASK = 0xFF\n", "")  # which another formatting writes in decimals
    squeezed = ast.unparse(ast.parse(source)).replace("    ", "\t").replace(" = ", "\\\n=\\\n ")
    assert "LEARNING_RATE\\\n=\\\n 0.1" in squeezed
    one, other = found(source).knobs, found(squeezed).knobs
    assert [(k.key, k.value, k.space) for k in one] == [(k.key, k.value, k.space) for k in other]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x = (", "is not Python: line 1"),
        (b"x = 1 # \xff", "is not text in its encoding"),
        (b"# coding: nonsense\n", "is not text in its encoding"),
        (b"x = '\0'", "is not Python"),
        (b"#" * ((1 << 20) + 1), "is larger than 1024 KiB"),
        (b"x = " + b"(" * 500 + b")" * 500, "is not Python"),
    ],
)
def test_a_file_that_cannot_be_searched_says_why(data: bytes, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        Text("train.py", data)


@given(
    st.sampled_from(["lr", "dropout", "depth", "width", "x"]),
    st.integers(-5000, 5000) | st.floats(-1e6, 1e6),
    st.floats(0, 1),
)
def test_what_a_space_gives_is_of_it_and_its_place_is_found_again(name: str, value: float, unit: float) -> None:
    if isinstance(value, float) and 0 < abs(value) < 1e-6:
        value = 0.0
    space = default_space(name, value)
    given_back = space.at(unit)
    assert space.holds(given_back)
    assert type(given_back) is type(value)
    assert space.at(space.unit(given_back)) == pytest.approx(given_back, rel=2e-2)
    assert all(space.holds(move) and move != value for move in space.moves(value, 0.25))


def test_only_files_that_the_command_uses_are_searched() -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/train.py": "from . import model\nimport helper\n",
        "pkg/model.py": "from .layers import Dense\n",
        "pkg/layers.py": "",
        "src/helper.py": "",
        "unused.py": "",
    }
    read = {p: Text(p, t.encode()) for p, t in files.items()}.get
    used = {"pkg/__init__.py", "pkg/train.py", "pkg/model.py", "pkg/layers.py", "src/helper.py"}
    assert set(used_by("python -m pkg.train --fast", list(files), read)) >= used - {"pkg/__init__.py"}
    assert "unused.py" not in used_by("python ./pkg/train.py", list(files), read)
    assert used_by("make train", list(files), read) == tuple(files)


def test_the_examples_file_is_marked_as_its_author_meant() -> None:
    example = Path(__file__).parents[2] / "examples/autoresearch/train.py"
    result = knobs(Text("train.py", example.read_bytes()))
    assert result.commented
    assert not result.outside
