"""One call has one form: whoever reads the bytes reads the same call."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import UsageError
from loopwright.policy.values import Json
from loopwright.tools.canonical import call_digest, canonical, canonical_output, parse

values: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)
    | st.floats(1e-300, 0.1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_what_is_parsed_from_the_canonical_bytes_has_the_same_bytes(value: Json) -> None:
    data = canonical(value)
    assert canonical(parse(data)) == data
    assert data == rfc8785.dumps(value)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2.0**53, -(2.0**53), 1e20, 1e300, float("nan"), float("inf")])
def test_a_number_that_a_double_does_not_hold_exactly_is_refused(number: float) -> None:
    with pytest.raises(UsageError):
        canonical([number])


@given(values)
def test_spacing_and_the_order_of_keys_make_no_other_call(value: Json) -> None:
    assert canonical(parse(json.dumps(value, indent=1))) == canonical(value)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": 1, "\\u0061": 2}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b"\xed\xa0\x80",
        b'"\xc0\xaf"',
        b"9007199254740993",
        b"{} {}",
        b"",
        b"[" * 40 + b"]" * 40,
        b"[" * 500_000,
        b"9" * 5_000,
    ],
)
def test_a_text_that_two_readers_could_read_differently_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_every_part_of_a_call_is_in_its_digest() -> None:
    base = {"run_id": "r", "actor": "a", "tool": "t", "pin": "p", "arguments": b"{}", "precondition": "c"}
    other = {"run_id": "x", "actor": "x", "tool": "x", "pin": "x", "arguments": b'{"x":1}', "precondition": "x"}
    digests = {call_digest(**base)}  # type: ignore[arg-type]
    for name, value in other.items():
        digests.add(call_digest(**{**base, name: value}))  # type: ignore[arg-type]
    assert len(digests) == 7


def test_parts_cannot_flow_into_each_other() -> None:
    one = call_digest(run_id="r", actor='a","arguments":{}', tool="t", pin="", arguments=b"{}", precondition="")
    other = call_digest(run_id="r", actor="a", tool="t", pin="", arguments=b"{}", precondition="")
    assert one != other


@given(values | st.floats() | st.integers() | st.text(), st.integers(512, 4096))
def test_an_output_always_has_a_form_and_a_bound(value: Json, limit: int) -> None:
    data = canonical_output(value, limit_bytes=limit)
    parse(data)
    assert len(data) <= limit
