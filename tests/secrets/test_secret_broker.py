"""The broker puts a value in for one header of one host, hides it everywhere else, and sees it leave in any dress."""

import base64
import copy
import gzip
import json
import pickle
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.journal.disguises import forms
from loopwright.journal.redact import Redactor
from loopwright.policy.policy import SecretSource, SecretSpec
from loopwright.policy.values import Grant, Json, SecretUse
from loopwright.secrets.broker import Broker
from loopwright.secrets.canary import decoys
from loopwright.secrets.errors import CanarySeen, SecretRefused, SecretUnavailable
from loopwright.secrets.placeholder import placeholder
from loopwright.secrets.target import BadTarget, Target, parse_target

VALUE = "Correct/Horse+" + "Battery=Staple"
SPEC = SecretSpec("github", SecretSource("env", ("VALUE",)), host="api.example.com")
GRANT = Grant(secrets=(SecretUse("github", "api.example.com", "Authorization"),))
HERE = placeholder("github")
KEY = b"k" * 32


def broker(*specs: SecretSpec, redactor: Redactor | None = None) -> Broker:
    return Broker(specs or (SPEC,), {"VALUE": VALUE}, redactor or Redactor())


def inject(
    header: str = "Authorization",
    value: str = HERE,
    *,
    host: str = "api.example.com",
    port: int = 443,
    scheme: str = "https",
    grant: Grant = GRANT,
) -> str:
    (pair,) = broker().headers_for(host, port, scheme, ((header, value),), grant)
    return pair[1]


def test_the_value_goes_into_the_declared_header_of_the_declared_host() -> None:
    assert inject() == f"Bearer {VALUE}"
    assert inject(value=f"Bearer {HERE}") == f"Bearer {VALUE}"
    assert inject("authorization") == f"Bearer {VALUE}"
    assert inject("Accept", "text/plain") == "text/plain"


@pytest.mark.parametrize(
    ("rule", "ask"),
    [
        ("secret.host", lambda: inject(host="evil.example.com")),
        ("secret.host", lambda: inject(host="api.example.com.evil.example")),
        ("secret.host", lambda: inject(port=8443)),
        ("secret.https", lambda: inject(scheme="http")),
        ("secret.header", lambda: inject("X-Note")),
        ("secret.format", lambda: inject(value=f"Basic {HERE}")),
        ("secret.format", lambda: inject(value=f"{HERE} {HERE}")),
        ("secret.grant", lambda: inject(grant=Grant())),
        ("secret.grant", lambda: inject(grant=Grant(secrets=(SecretUse("github", "api.example.com", "X-Note"),)))),
        ("secret.unknown", lambda: inject(value=placeholder("other"))),
        ("secret.misplaced", lambda: inject(header=HERE, value="x")),
    ],
)
def test_anywhere_else_it_is_refused_with_rule_and_remedy(rule: str, ask: Callable[[], str]) -> None:
    with pytest.raises(SecretRefused) as caught:
        ask()
    assert caught.value.rule == rule
    assert caught.value.remedy and rule in str(caught.value) and VALUE not in str(caught.value)


def test_the_same_header_twice_is_refused() -> None:
    with pytest.raises(SecretRefused, match="twice"):
        broker().headers_for("api.example.com", 443, "https", (("Authorization", HERE), ("authorization", "x")), GRANT)


def test_a_placeholder_outside_the_headers_is_refused_wherever_it_stands() -> None:
    misplaced: tuple[Json, ...] = (
        {"url": f"https://api.example.com/?k={HERE}"},
        {"body": {"deep": [1, {"er": f"x {HERE}"}]}},
        {"headers": {HERE: "x"}},
        {"headers2": {"Authorization": HERE}},
    )
    for arguments in misplaced:
        with pytest.raises(SecretRefused) as caught:
            broker().refuse_misplaced(arguments, headers_at="headers")
        assert caught.value.rule == "secret.misplaced"
    broker().refuse_misplaced({"headers": {"Authorization": HERE}}, headers_at="headers")


def test_an_actor_gets_placeholders_of_what_it_was_granted_and_nothing_else() -> None:
    other = SecretSpec("npm-publish", SecretSource("env", ("OTHER",)), host="registry.example.com")
    made = broker(SPEC, other)
    assert made.actor_env(GRANT) == {"LOOPWRIGHT_SECRET_GITHUB": "{{secret:github}}"}
    assert made.actor_env(Grant()) == {}


def test_a_value_is_fetched_at_its_first_use_and_hidden_from_then_on() -> None:
    redactor = Redactor(patterns=())
    env: dict[str, str] = {}
    made = Broker([SPEC], env, redactor)
    env["VALUE"] = VALUE
    assert redactor.clean(VALUE) == VALUE
    made.headers_for("api.example.com", 443, "https", (("Authorization", HERE),), GRANT)
    assert redactor.clean(f"it is {VALUE}") == "it is [redacted:github]"


def test_a_secret_without_a_value_is_an_error_when_it_is_used_and_not_before() -> None:
    made = Broker([SPEC], {}, Redactor())
    made.headers_for("api.example.com", 443, "https", (("Accept", "x"),), GRANT)
    with pytest.raises(SecretUnavailable, match="github"):
        made.headers_for("api.example.com", 443, "https", (("Authorization", HERE),), GRANT)


def test_neither_the_broker_nor_a_value_can_be_printed_pickled_or_copied() -> None:
    made = broker()
    made.plant(decoys(KEY))
    assert VALUE not in f"{made!r} {made!s} {vars(made)!r}"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(made)
    for sealed in vars(made)["_values"].values():
        assert VALUE not in repr(sealed)
        with pytest.raises(TypeError):
            pickle.dumps(sealed)
        with pytest.raises(TypeError):
            copy.copy(sealed)


DRESSES: dict[str, Callable[[str], bytes]] = {
    "plain": lambda v: v.encode(),
    "upper": lambda v: v.upper().encode(),
    "reversed": lambda v: v[::-1].encode(),
    "base64": lambda v: base64.b64encode(v.encode()),
    "base64 inside": lambda v: base64.b64encode(b'{"a":"' + v.encode() + b'"}'),
    "base64url": lambda v: base64.urlsafe_b64encode(b"??" + v.encode()),
    "base64 twice": lambda v: base64.b64encode(base64.b64encode(b"x" + v.encode())),
    "base64 wrapped": lambda v: base64.encodebytes(b"y" * 50 + v.encode()),
    "hex": lambda v: v.encode().hex().encode(),
    "HEX": lambda v: v.encode().hex().upper().encode(),
    "hex dump": lambda v: v.encode().hex(":").encode(),
    "percent": lambda v: "".join(f"%{b:02x}" for b in v.encode()).encode(),
    "percent, one letter": lambda v: f"%{ord(v[0]):02X}{v[1:]}".encode(),
    "percent twice": lambda v: urllib.parse.quote("".join(f"%{b:02x}" for b in v.encode())).encode(),
    "json": lambda v: json.dumps({"v": v}).encode(),
    "json escapes": lambda v: "".join(f"\\u{ord(c):04x}" for c in v).encode(),
    "spaces": lambda v: " ".join(v).encode(),
    "dots": lambda v: ".".join(v).encode(),
    "lines": lambda v: "\r\n".join(v).encode(),
    "utf-16": lambda v: v.encode("utf-16"),
    "gzip": lambda v: gzip.compress(v.encode()),
    "gzip in glued base64": lambda v: b"see" + base64.b64encode(gzip.compress(b"hello " + v.encode())),
    "gzip in base64": lambda v: base64.b64encode(gzip.compress(b"hello " + v.encode())),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_decoy_in_any_dress_ends_the_run_and_a_value_is_refused(dress: str) -> None:
    made = broker()
    decoy = decoys(KEY)[0]
    made.plant([decoy])
    with pytest.raises(CanarySeen) as caught:
        made.scan_egress(DRESSES[dress](decoy.value), "body")
    assert (caught.value.canary, caught.value.where, caught.value.exit_code) == (decoy.name, "body", 7)
    assert decoy.value not in str(caught.value)
    with pytest.raises(SecretRefused) as refused:
        made.scan_egress(DRESSES[dress](VALUE), "body")
    assert refused.value.rule == "secret.in_egress" and VALUE not in str(refused.value)


def test_a_part_of_a_decoy_is_enough() -> None:
    made = broker()
    decoy = decoys(KEY)[1]
    made.plant([decoy])
    with pytest.raises(CanarySeen):
        made.scan_egress(b"first half: " + decoy.value[:24].encode(), "body")
    made.scan_egress(b"only " + decoy.value[:8].encode(), "body")


def test_a_declared_canary_is_watched_and_its_placeholder_is_a_sign_too() -> None:
    made = broker(SPEC, SecretSpec("bait", SecretSource("env", ("VALUE",)), host="api.example.com", canary=True))
    with pytest.raises(CanarySeen):
        made.scan_egress(VALUE.encode(), "url")
    with pytest.raises(CanarySeen):
        made.headers_for("api.example.com", 443, "https", (("Authorization", placeholder("bait")),), GRANT)


def test_nothing_leaves_when_a_declared_canary_cannot_be_read() -> None:
    made = Broker([SecretSpec("bait", SecretSource("env", ("NONE",)), canary=True)], {}, Redactor())
    with pytest.raises(SecretUnavailable):
        made.scan_egress(b"hello", "body")


def test_decoys_are_the_same_for_a_run_and_others_for_another() -> None:
    assert decoys(KEY) == decoys(KEY)
    mine, theirs = ({d.value for d in decoys(key)} for key in (KEY, b"j" * 32))
    assert len(mine) == 3 and mine.isdisjoint(theirs)
    for decoy in decoys(KEY):
        assert all(decoy.value in text for text in (*decoy.env.values(), *decoy.files.values()))
    with pytest.raises(ValueError, match="16 bytes"):
        decoys(b"short")


@given(st.binary(max_size=400))
def test_innocent_data_leaves(data: bytes) -> None:
    made = broker()
    made.plant(decoys(KEY))
    made.scan_egress(data, "body")


@given(
    st.sampled_from(
        sorted(
            DRESSES.keys()
            - {"gzip", "gzip in glued base64", "gzip in base64", "base64 twice", "percent twice", "upper"}
        )
    ),
    st.data(),
)
def test_a_decoy_across_the_borders_of_a_stream_is_seen(dress: str, data: st.DataObject) -> None:
    made = broker()
    decoy = decoys(KEY)[2]
    made.plant([decoy])
    stream = b"<p>hello</p>" + DRESSES[dress](decoy.value) + b"<p>bye</p>"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    watch = made.stream_scan("body")

    def send() -> None:
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            watch.feed(stream[start:end])

    with pytest.raises(CanarySeen):
        send()


def redacted_in_pieces(made: Broker, data: bytes, cuts: list[int]) -> bytes:
    stream = made.stream()
    pieces = [stream.feed(data[start:end]) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return b"".join((*pieces, stream.finish()))


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    VALUE,
                    VALUE[::-1],
                    VALUE[:9],
                    " ".join(VALUE),
                    VALUE.encode().hex(),
                    "".join(f"%{b:02x}" for b in VALUE.encode()),
                    "\n",
                    "é\U0001f600",
                ]
            ),
            st.sampled_from(
                [base64.b64encode(VALUE.encode()).decode(), urllib.parse.quote(VALUE, safe=""), json.dumps(VALUE)]
            ),
            st.text(max_size=5),
        ),
        max_size=6,
    ),
    st.data(),
)
def test_redacting_in_pieces_is_redacting_the_whole(parts: list[str], data: st.DataObject) -> None:
    redactor = Redactor(patterns=())
    made = broker(redactor=redactor)
    text = "".join(parts).encode("utf-8", "replace")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    assert redacted_in_pieces(made, text, cuts) == redactor.clean_bytes(text)


@pytest.mark.parametrize("form", sorted(set(forms(VALUE))))
def test_every_disguise_is_found_in_a_stream_of_single_bytes(form: str) -> None:
    redactor = Redactor(patterns=())
    data = f"<{form}>".encode()
    assert redacted_in_pieces(broker(redactor=redactor), data, list(range(1, len(data)))) == b"<[redacted:github]>"


def test_a_stream_is_shown_as_soon_as_it_is_certain_and_bytes_that_are_no_text_come_back() -> None:
    stream = broker().stream()
    assert stream.feed(b"x" * 5000)[:1000] == b"x" * 1000
    assert redacted_in_pieces(broker(), b"\xff\x00abc\xfe", [1, 3]) == b"\xff\x00abc\xfe"


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from([VALUE, f"x{VALUE}y", "fine"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([VALUE, "a", "b"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_no_part_of_a_value_given_back_holds_the_secret(value: Json) -> None:
    assert VALUE not in json.dumps(broker().redact(value))


# --- who a request goes to ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("API.Example.COM", Target("api.example.com", 443)),
        ("api.example.com:8443", Target("api.example.com", 8443)),
        ("127.0.0.1:8080", Target("127.0.0.1", 8080)),
        ("[::1]:80", Target("::1", 80)),
        ("[0:0::1]", Target("::1", 443)),
        ("xn--bcher-kva.example", Target("xn--bcher-kva.example", 443)),
    ],
)
def test_a_target_has_one_spelling(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    "text",
    [
        "", "a..b", ".a", "a.", "api.example.com.", "good.example@evil.example", "b\u00fccher.example", "\u0430pi.example.com",
        "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.01", "1.2.3.4.5", "256.1.1.1", "a.0x1", "a.123",
        "[::1", "[fe80::1%eth0]", "[::ffff:1.2.3.4]x", "[1.2.3.4]", "a:0", "a:65536", "a:+80", "a:080", "a:", "a:8 0", "a b", "a%2eb",
        "a/b", "a\\b", "a#b", "a?b", "-a.example", "a\r\nb", "a\x00b", "\uff41.example", "a\u3002example",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_no_target(text: str) -> None:
    with pytest.raises(BadTarget):
        parse_target(text)
