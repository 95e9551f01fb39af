"""The bytes of events: canonical, the same by both encoders, and readable for ever."""

import importlib.util
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import JournalCorrupt, JournalError, JournalTooNew
from loopwright.journal.chain import verify
from loopwright.journal.codec import ANY_KIND, decode, digest_of, encode, encode_bodies, encode_text, without_surrogates
from loopwright.journal.protocol import Head
from loopwright.journal.walk import can_hold_float
from loopwright.kernel.events import SCHEMA_VERSION, Body, Judged, Kept, RunPaused, RunStarted, kind_of
from loopwright.kernel.values import Spend, Verdict
from support.bodies import BODY_TYPES, MAX_INT, bodies, texts

FIXTURES = Path(__file__).parents[1] / "fixtures" / "journal"


@given(bodies())
def test_a_body_is_encoded_as_rfc_8785_says(body: Body) -> None:
    assert encode_bodies([body]) == [rfc8785.dumps(msgspec.to_builtins(body))]


@given(bodies(), texts, st.integers(1, MAX_INT), st.integers(0, MAX_INT), st.sampled_from(["", "ab" * 32]))
def test_an_event_is_encoded_as_rfc_8785_says_and_decodes_to_itself(
    body: Body, run_id: str, seq: int, at_ms: int, prev: str
) -> None:
    data = encode(encode_text(run_id), seq, at_ms, prev, encode_bodies([body])[0])
    fields = {
        "at_ms": at_ms,
        "body": msgspec.to_builtins(body),
        "prev": prev,
        "run_id": run_id,
        "seq": seq,
        "v": SCHEMA_VERSION,
    }
    assert data == rfc8785.dumps(fields)
    event = decode(data, "d")
    assert (event.run_id, event.seq, event.at_ms, event.prev, event.body, event.digest) == (
        run_id,
        seq,
        at_ms,
        prev,
        body,
        "d",
    )


def test_only_kinds_that_can_hold_a_float_take_the_general_encoder() -> None:
    assert {kind.__name__ for kind in BODY_TYPES if can_hold_float(kind)} == {
        "RunStarted",
        "Judged",
        "Measured",
        "Weighed",
    }
    assert can_hold_float(RunStarted)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**64, 10**30])
@pytest.mark.parametrize("body", [RunPaused("x"), Judged("a", "p", (Verdict("t", "pass", "s", 0.5),), Spend())])
def test_an_integer_that_json_readers_would_round_is_refused(number: int, body: Body) -> None:
    wrong = Kept("a", "p", 1, "c", "t", Spend(tokens=number))
    with pytest.raises(JournalError, match=r"'kept': expected finite numbers of at most 2\*\*53-1"):
        encode_bodies([body, wrong])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(JournalError, match="finite"):
        encode_bodies([Judged("a", "p", (Verdict("t", "pass", "s", number),), Spend())])


def test_the_largest_numbers_and_long_digit_strings_are_taken() -> None:
    body = Judged("9" * 40, ":1234567890123456789", (), Spend(tokens=MAX_INT, wall_ms=-MAX_INT))
    assert msgspec.json.decode(encode_bodies([body])[0], type=Judged) == body


@given(st.text(max_size=8))
def test_lone_surrogates_become_replacement_characters_and_nothing_else_changes(text: str) -> None:
    assert without_surrogates(RunPaused(text)) == RunPaused(text)
    broken = without_surrogates(RunPaused(f"{text}\ud800-{text}\udcff"))
    assert broken == RunPaused(f"{text}\ufffd-{text}\ufffd")
    with pytest.raises(UnicodeEncodeError):
        encode_bodies([RunPaused(f"{text}\ud800")])


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FIXTURES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["make_v1", "make_v2"])
def test_events_of_every_version_are_read_as_they_were_meant(name: str) -> None:
    made = _script(name)
    lines = made.PLACE.read_bytes().splitlines()
    assert [decode(line, "").body for line in lines] == list(made.EVENTS)
    rows = [(seq, line, digest_of(line)) for seq, line in enumerate(lines, 1)]
    head = Head(made.RUN_ID, len(rows), rows[-1][2], made.START_MS, made.START_MS + len(rows) - 1)
    assert verify(rows, head).ok


def test_every_kind_of_event_was_stored_once() -> None:
    """What is not in these files could change its meaning unseen."""
    stored = {kind_of(body) for name in ("make_v1", "make_v2") for body in _script(name).EVENTS}
    assert stored == {kind.__struct_config__.tag for kind in BODY_TYPES}


def test_a_run_of_version_1_ends_by_the_rules_that_it_had() -> None:
    """Rules that came later would end its replay at another event."""
    began = _script("make_v1").EVENTS[0]
    line = _script("make_v1").PLACE.read_bytes().splitlines()[0]
    stop = decode(line, "").body.loop.stop  # type: ignore[union-attr]
    assert stop == began.loop.stop
    assert (stop.drift, stop.disagreements, stop.denials) == (None, None, None)


def _stored(version: int, body: dict[str, object]) -> bytes:
    return rfc8785.dumps({"at_ms": 1, "body": body, "prev": "", "run_id": "r", "seq": 1, "v": version})  # type: ignore[dict-item]


def test_an_older_event_climbs_every_step_up_to_the_present_version() -> None:
    steps = {
        ("run_halted", -1): lambda body: {"type": "run_stopped", "reason": body["note"]},
        (ANY_KIND, 0): lambda body: {key: value for key, value in body.items() if key != "gone"},
        ("run_stopped", 0): lambda body: {"type": "run_paused", "why": body["reason"]},
        ("run_paused", 1): lambda body: {"type": "run_paused", "why": "a step too far"},
    }
    assert decode(
        _stored(0, {"type": "run_stopped", "reason": "x", "gone": 1}), "", upcasters=steps, schema_version=1
    ).body == RunPaused("x")
    assert decode(
        _stored(-1, {"type": "run_halted", "note": "y"}), "", upcasters=steps, schema_version=1
    ).body == RunPaused("y")
    assert decode(
        _stored(0, {"type": "run_paused", "why": "same"}), "", upcasters=steps, schema_version=1
    ).body == RunPaused("same")


def test_an_older_event_without_its_upcaster_is_not_guessed_at() -> None:
    with pytest.raises(JournalCorrupt, match="run_stopped"):
        decode(_stored(0, {"type": "run_stopped", "reason": "x"}), "")


def test_the_present_version_is_read_by_a_later_one_through_its_upcaster() -> None:
    later = decode(
        _stored(SCHEMA_VERSION, {"type": "run_paused", "why": "x"}),
        "",
        upcasters={(ANY_KIND, SCHEMA_VERSION): lambda body: body | {"why": "upcast"}},
        schema_version=SCHEMA_VERSION + 1,
    )
    assert later.body == RunPaused("upcast")


def test_an_event_of_a_later_version_is_refused_with_the_way_out() -> None:
    data = _stored(SCHEMA_VERSION + 6, {"type": "of_tomorrow"})
    with pytest.raises(JournalTooNew, match=r"newer loopwright \(schema 8, this one knows 2\): upgrade loopwright"):
        decode(data, "")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"v":1}', b'{"v":0}', b'{"v":"1"}', b'[],"v":1}'])
def test_what_is_no_event_is_said_to_be_corrupt(data: bytes) -> None:
    with pytest.raises(JournalCorrupt):
        decode(data, "")
