"""One spelling for names that look alike; a name with what does not show is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import UsageError
from loopwright.policy.names import duplicates, fold, hidden


@pytest.mark.parametrize(
    "twin",
    [
        "Send_Mail",
        "\uff53end_mail",
        "s\u0435nd_mail",
        "send_m\u0430il",
        "\u0455end_mail",
        "send_ma\u0131l",
        "send_mai\u217c",
        "s\u00e9nd_mail",
    ],
)
def test_a_name_that_looks_the_same_is_the_same(twin: str) -> None:
    assert fold(twin) == fold("send_mail") == "send_mail"


@pytest.mark.parametrize(
    "name", ["", " a", "a\u200bb", "a\u202eb", "a\u2066b", "a\nb", "a\x00b", "a\ufeffb", "a\u00adb", "x" * 201]
)
def test_a_name_with_what_does_not_show_is_refused_in_one_plain_line(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        fold(name)
    assert str(caught.value).isascii() and "\n" not in str(caught.value)


def test_every_later_twin_is_named_with_its_first() -> None:
    assert duplicates(["read", "send", "R\u0435ad", "READ"]) == (("read", "R\u0435ad"), ("read", "READ"))
    assert duplicates(["read", "write"]) == ()


@given(st.text(alphabet=st.characters(categories=("L", "N"), include_characters="_-. "), min_size=1, max_size=20))
def test_folding_twice_is_folding_once(name: str) -> None:
    if name == name.strip():
        once = fold(name)
        if once and once == once.strip():
            assert fold(once) == once


def test_what_does_not_show_is_named_and_line_ends_do_show() -> None:
    assert hidden("a\nb\tc") is None
    assert hidden("a\u202eb") == "U+202E"
