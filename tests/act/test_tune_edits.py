"""A turned knob changes the bytes of its literal and nothing else, in the manner in which the literal was written."""

import ast
import codecs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loopwright.act.tune.edit import edited, written
from loopwright.act.tune.knobs import knobs
from loopwright.act.tune.places import Setting, places
from loopwright.act.tune.text import Text

NAMES = ("LR", "depth", "dropout", "act", "use_bias")


@pytest.mark.parametrize(
    ("like", "value", "said"),
    [
        ("1e-3", 0.003, "3e-3"),
        ("1e-3", 0.00316, "3.16e-3"),
        ("1E-03", 0.5, "5E-01"),
        ("1e+5", 2e6, "2e+6"),
        ("1e5", 20.0, "2e1"),
        ("0.1", 0.0316, "0.0316"),
        ("0.1", 3e-8, "3e-8"),
        ("0.1", 0.0, "0.0"),
        ("1e-3", 0.0, "0.0"),
        ("1.0", 12.0, "12.0"),
        ("1.", 12.0, "12."),
        (".5", 0.25, ".25"),
        ("10_000.0", 31600.0, "31_600.0"),
        ("1_024", 2048, "2_048"),
        ("1024", 2048, "2048"),
        ("-3", -12, "-12"),
        ("-0.5", -0.05, "-0.05"),
        ("- 0.5", 0.5, "0.5"),
        ("True", False, "False"),
        ("'relu'", "tanh", "'tanh'"),
        ('"relu"', "tanh", '"tanh"'),
        ("'relu'", "it's", '"it\'s"'),
    ],
)
def test_the_manner_of_writing_is_kept(like: str, value: Setting, said: str) -> None:
    assert written(value, like) == said
    assert ast.literal_eval(said) == value


floats = st.floats(1e-9, 1e12).map(lambda v: float(f"{v:.3g}"))
likes = st.sampled_from(["1e-3", "2.5E+04", "0.1", "7.", ".5", "1_000.0", "-0.3", "12.0"])


@given(floats, st.booleans(), likes)
@example(1e12, False, ".5")
def test_every_float_is_written_as_exactly_that_float(value: float, negative: bool, like: str) -> None:
    value = -value if negative else value
    text = written(value, like)
    assert ast.literal_eval(text) == value
    assert isinstance(ast.literal_eval(text), float)


@st.composite
def programs(draw: st.DrawFn) -> tuple[bytes, dict[str, Setting]]:
    """A file with knobs between other things, in some encoding with some line ends, and new values for some of its knobs."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    cookie, encoding = draw(
        st.sampled_from([("", "utf-8"), ("# coding: latin-1\n", "latin-1"), ("# -*- coding: cp1252 -*-\n", "cp1252")])
    )
    comment = draw(st.sampled_from(["", "  # größer", "\t#  x  "]))
    lr = draw(st.sampled_from(["1e-3", "0.25", "1_0.5", ".5"]))
    depth = draw(st.sampled_from(["4", "1_000", "-7"]))
    source = (
        f"{cookie}'''Größe {{'''\nLR   =   {lr}{comment}\nA = 1 ; depth= {depth}{comment}\n"
        f"class C:\n\tdropout: float = 0.5{comment}\n\tname = 'ü'\n"
        f"def f(act='relu', *, use_bias = True):{comment}\n  if act == 'tanh': return {{**{{}}, 'ß': f(act = 'relu')}}\n"
    )
    data = source.replace("\n", end).encode(encoding)
    if not cookie and draw(st.booleans()):
        data = codecs.BOM_UTF8 + data
    every: dict[str, st.SearchStrategy[Setting]] = {
        "LR": floats,
        "depth": st.integers(-(10**6), 10**6),
        "dropout": floats,
        "act": st.sampled_from(["relu", "tanh"]),
        "use_bias": st.booleans(),
    }
    chosen = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    return data, {name: draw(every[name]) for name in sorted(chosen)}


@given(programs())
def test_an_edit_changes_the_literals_and_not_one_byte_more(program: tuple[bytes, dict[str, Setting]]) -> None:
    data, wanted = program
    text = Text("train.py", data)
    keys = {k.label: k.key for k in reversed(knobs(text).knobs)}
    result = edited(text, {keys[name]: value for name, value in wanted.items()})
    assert result is not None
    again = Text("train.py", result)
    values = {p.key: p.value for p in places(again)}
    before = {p.key: p.value for p in places(text)}
    assert values == {**before, **{keys[name]: value for name, value in wanted.items()}}
    # The bytes between the literals are the same, in the same order.
    assert _between(text) == _between(again)
    back = edited(again, before)
    assert back is not None
    assert {p.key: p.value for p in places(Text("train.py", back))} == before
    assert (result[:3] == codecs.BOM_UTF8) == (data[:3] == codecs.BOM_UTF8)
    assert result.count(b"\r") == data.count(b"\r") and result.count(b"\n") == data.count(b"\n")


def _between(text: Text) -> list[bytes]:
    parts, at = [], 0
    for place in places(text):
        parts.append(text.data[at : place.start])
        at = place.end
    return [*parts, text.data[at:]]


def test_nothing_to_change_is_the_file_itself() -> None:
    data = codecs.BOM_UTF8 + "LR = 1e-3\r\nx = 'ü'\r\n".encode()
    assert edited(Text("a.py", data), {"a.py:LR": 0.001, "b.py:LR": 2.0}) == data


def test_a_sign_does_not_take_hold_of_its_neighbour() -> None:
    text = Text("a.py", b"y = 2 ** x  # tune: y in {-2, 2}\n")
    assert edited(text, {knobs(text).knobs[0].key: -2}) == b"y = (-2) ** x  # tune: y in {-2, 2}\n"


def test_what_its_encoding_cannot_write_is_not_offered() -> None:
    text = Text("a.py", b"# coding: ascii\nA = 'x'\n")
    assert edited(text, {"a.py:A": "ü"}) is None


def test_what_the_parser_thinks_of_the_style_is_not_printed() -> None:
    """An unknown escape is a warning of the parser, and warnings are errors here."""
    assert edited(Text("a.py", b"A = 2\nB = '\\d'\n"), {"a.py:A": 3}) == b"A = 3\nB = '\\d'\n"
