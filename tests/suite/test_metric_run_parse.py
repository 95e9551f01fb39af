"""What is read out of a command's output, and what is refused as a number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.sample import Reading
from loopwright.suite.metric import parse_metric


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("METRIC val_bpb=0.9932", 0.9932),
        ("val_bpb: 0.9932", 0.9932),
        ('{"step": 7, "val_bpb": 0.9932}', 0.9932),
        ("  METRIC   val_bpb = 1e-3  ", 1e-3),
        ("METRIC val_bpb: 4", 4.0),
        ("val_bpb :+0.5", 0.5),
        ("val_bpb: -.5", -0.5),
        ("val_bpb: 3.", 3.0),
        ('{"val_bpb": 2}', 2.0),
        ("METRIC acc=0.5 val_bpb=0.25, loss=3", 0.25),
        ("\x1b[1;32mval_bpb\x1b[0m: \x1b[31m0.5\x1b[0m", 0.5),
        ("\x1b]0;title\x07METRIC val_bpb=0.5", 0.5),
        ("10 %\r50 %\rval_bpb: 0.5\r\n", 0.5),
        ("val_bpb: 0.5\r\n", 0.5),
    ],
)
def test_the_three_forms_of_a_line_give_the_number(text: str, value: float) -> None:
    sample = parse_metric(text, "val_bpb")
    assert (sample.status, sample.value, sample.message) == ("ok", value, "")


def test_the_last_of_equal_lines_counts_because_trainings_print_progress() -> None:
    assert parse_metric('val_bpb: 3\nval_bpb: 2\n{"val_bpb": 1.5}\nval_bpb: 1\ndone\n', "val_bpb").value == 1
    assert parse_metric("METRIC a=3\nMETRIC a=2\n", "a").value == 2
    assert parse_metric('a: 1\n{"a": 2}\n', "a").value == 2


def test_a_metric_line_wins_over_what_is_logged_after_it() -> None:
    assert parse_metric("METRIC loss=0.25\nloss: 9\n", "loss").value == 0.25


@pytest.mark.parametrize(
    "name", ["val.loss", "eval/loss", "p-99", "latency_ms", "tokens/s", "latency (ms)", "a:b", "größe"]
)
@pytest.mark.parametrize("form", ["METRIC {}=1.5", "{}: 1.5", '{{"{}": 1.5}}'])
def test_names_are_taken_as_they_are(name: str, form: str) -> None:
    assert parse_metric(form.format(name), name).value == 1.5


def test_a_name_in_json_may_be_written_with_escapes() -> None:
    assert parse_metric('{"gr\\u00f6\\u00dfe": 1.5}', "größe").value == 1.5


@pytest.mark.parametrize(
    "text",
    [
        "METRIC loss_total=3",
        "loss_total: 3",
        "loss/total: 3",
        "loss.total: 3",
        "val_loss: 3",
        "METRIC val loss=3",
        "METRIC val_loss=3 loss_total=4",
        '{"loss_total": 3}',
        '{"best": {"loss": 3}}',
        "the loss: 3",
        "valloss: 3",
        "XMETRIC loss=3",
    ],
)
def test_a_name_that_is_part_of_another_is_not_it(text: str) -> None:
    assert parse_metric(text, "loss").status == "missing"


def test_a_dot_in_a_name_is_a_dot() -> None:
    assert parse_metric("valxloss: 3", "val.loss").status == "missing"


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        ("nan", "not finite"),
        ("NaN", "not finite"),
        ("-inf", "not finite"),
        ("Infinity", "not finite"),
        ("1e999", "infinity"),
        ("93 %", "without the percent sign"),
        ("93%", "without the percent sign"),
        ("0,93", "with a point"),
        ("1_000", "without separators"),
        ("1.234,5", "without separators"),
        ("1 000", "without separators"),
        ("12.5 ms", "a unit belongs in the name"),
        ("0.5 (best 0.4)", "print the number alone"),
        ("np.float64(0.93)", "float(x)"),
        ("tensor(0.93)", "float(x)"),
        ("0x1p3", "print the number alone"),
        ("1e", "print the number alone"),
        ("diverged", "print the number alone"),
        ("", "nothing stands behind the name"),
        ("٣", "print the number alone"),
        ("−5", "print the number alone"),
    ],
)
@pytest.mark.parametrize("form", ["METRIC loss={}", "loss: {}"])
def test_what_is_no_finite_number_is_invalid_with_the_text_found(form: str, found: str, hint: str) -> None:
    sample = parse_metric(f"loss: 0.5\n{form.format(found)}\n", "loss")
    assert (sample.status, sample.value) == ("invalid", None)
    assert sample.message.startswith(f"loss: expected a number, found {found!r}: ")
    assert hint in sample.message


@pytest.mark.parametrize("found", ["NaN", "-Infinity", "null", "true", '"0.5"', "1e999"])
def test_json_values_that_are_no_finite_number_are_invalid(found: str) -> None:
    sample = parse_metric(f'{{"loss": {found}}}', "loss")
    assert (sample.status, sample.value) == ("invalid", None)
    assert repr(found) in sample.message


@pytest.mark.parametrize(("found", "shown"), [("[0.5]", "[…]"), ('{"mean": 0.5}', "{…}")])
def test_a_json_list_or_object_is_no_number(found: str, shown: str) -> None:
    sample = parse_metric(f'{{"loss": {found}}}', "loss")
    assert (sample.status, sample.value) == ("invalid", None)
    assert f"found {shown!r}" in sample.message


@pytest.mark.parametrize(
    "line", ['{"loss": 0.5', "{loss: 0.5}", '{"loss" 0.5}', '[{"loss": 0.5}]', "{" * 50_000 + '"loss": 1']
)
def test_what_only_looks_like_json_is_no_metric_line(line: str) -> None:
    assert parse_metric(line, "loss").status == "missing"


def test_deep_json_does_not_end_the_reader() -> None:
    deep = '{"loss": ' + '{"a":' * 10_000 + "1" + "}" * 10_001
    assert parse_metric(deep, "loss").status == "missing"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("val_loss: 0.5", "found 'val_loss'; did you mean that?"),
        ("METRIC Val_BPB=0.5", "found 'Val_BPB'; did you mean that?"),
        ('{"val_loss": 0.5}', "found 'val_loss'; did you mean that?"),
        ("val_bpb=0.5", "found `val_bpb=…` without METRIC before it: put it there"),
        ("accuracy: 0.5\nmemory_mb: 12", "found only 'memory_mb', 'accuracy'"),
        ("one\ntwo\nthree\nfour\n\n", "the last that was printed: two | three | four"),
        ("", "nothing was printed at all"),
    ],
)
def test_a_line_that_never_came_is_missing_with_what_came_instead(text: str, said: str) -> None:
    sample = parse_metric(text, "val_bpb")
    assert (sample.status, sample.value) == ("missing", None)
    assert sample.message == f"val_bpb: no line `METRIC val_bpb=…` or `val_bpb: …` was printed; {said}"


def test_the_numbers_of_the_bounds_are_read_beside_the_value() -> None:
    sample = parse_metric("METRIC acc=0.9\nms: 12\nloss: 0.5", "loss", ("acc", "ms", "acc"))
    assert (sample.status, sample.value) == ("ok", 0.5)
    assert sample.others == (Reading("acc", 0.9), Reading("ms", 12.0))


def test_a_bound_that_is_missing_or_no_number_is_named_and_there_is_no_value() -> None:
    missing = parse_metric("loss: 0.5", "loss", ("acc",))
    assert (missing.status, missing.value) == ("missing", None)
    assert missing.message.startswith("acc: a bound needs it and no line `METRIC acc=…`")
    invalid = parse_metric("loss: 0.5\nacc: 93%", "loss", ("acc",))
    assert (invalid.status, invalid.value, invalid.others) == ("invalid", None, ())
    assert invalid.message.startswith("acc: expected a number, found '93%'")


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["METRIC m={!r}", "m: {!r}", '{{"m": {!r}}}']))
def test_every_finite_number_that_python_prints_comes_back_exactly(value: float, form: str) -> None:
    assert parse_metric(form.format(value), "m").value == value


@given(st.text(), st.text(min_size=1, alphabet=st.characters(exclude_categories=["C", "Z"])))
def test_any_text_gives_a_sample_whose_value_is_there_exactly_when_it_is_ok(text: str, name: str) -> None:
    for printed in (text, f"{name}: {text}", f"METRIC {name}={text}"):
        sample = parse_metric(printed, name)
        assert (sample.value is not None) == (sample.status == "ok")
        assert sample.value is None or math.isfinite(sample.value)
        assert sample.message.isprintable()
        assert len(sample.message) < 400 + 3 * len(name)
