"""Secrets do not get through, in whatever dress, and what is no secret stays as it is."""

import base64
import hashlib
import html
import json
import urllib.parse

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loopwright.journal.codec import encode_bodies
from loopwright.journal.redact import Redactor, Secret
from loopwright.kernel.events import Body, Observed, RunPaused
from loopwright.kernel.values import BlobRef, Observation, Spend
from support.bodies import bodies

# Put together at run time: a scanner of this repository shall find no token in it.
LETTERS = "Ab3dE5gH7jK9mN1pQ2sT4vW6yZ8c"
TOKENS = {
    "anthropic-key": "-".join(["sk", "ant", "api03", LETTERS]),
    "api-key": "-".join(["sk", "proj", LETTERS]),
    "stripe-key": "_".join(["sk", "live", LETTERS]),
    "github-token": "ghp" + "_" + LETTERS + LETTERS[:8],
    "gitlab-token": "glpat" + "-" + LETTERS,
    "aws-key": "AK" + "IA" + "ABCDEFGH12345678",
    "slack-token": "xo" + "xb-" + "123456789012-abcdef",
    "google-key": "AI" + "za" + LETTERS + LETTERS[:7],
    "huggingface-token": "hf" + "_" + LETTERS + LETTERS[:6],
    "npm-token": "npm" + "_" + LETTERS + LETTERS[:8],
    "pypi-token": "pypi" + "-" + LETTERS + LETTERS,
    "jwt": ".".join(["ey" + "JhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTY3ODkwIn0", LETTERS]),
    "private-key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA " + "PRIVATE KEY-----",
}
AROUND = ("{}", "x {} y", '"{}"', "a\n{}\nb", "KEY={}", "\\n{}", '{{"k": "{}"}}', "é{}é")


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", TOKENS)
def test_a_token_is_replaced_wherever_it_stands(name: str, around: str) -> None:
    redactor = Redactor()
    text = around.format(TOKENS[name])
    assert redactor.clean(text) == around.format(f"[redacted:{name}]")
    assert (
        redactor.hits(text.encode())
        and redactor.hits(json.dumps(text).encode())
        and redactor.hits(msgspec.json.encode(text))
    )


def test_a_github_token_of_every_kind_is_known() -> None:
    for start in ("gho", "ghu", "ghs", "ghr"):
        assert Redactor().clean(f"{start}_{LETTERS}") == "[redacted:github-token]"
    assert Redactor().clean("github" + "_pat_" + LETTERS) == "[redacted:github-token]"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("curl -H 'Authorization: Bearer {}'", "curl -H 'Authorization: Bearer [redacted:authorization]'"),
        ('{{"authorization": "Basic {}"}}', '{{"authorization": "Basic [redacted:authorization]"}}'),
        ("bearer {}", "bearer [redacted:bearer]"),
        ("git clone https://me:{}@example.org/x.git", "git clone https://me:[redacted:url-password]@example.org/x.git"),
    ],
)
def test_a_credential_is_replaced_and_its_surroundings_stay(text: str, clean: str) -> None:
    redactor = Redactor()
    assert redactor.clean(text.format(LETTERS)) == clean.replace("{{", "{").replace("}}", "}")
    assert redactor.hits(json.dumps(text.format(LETTERS)).encode())


def test_a_private_key_that_was_cut_off_is_replaced_to_its_end() -> None:
    assert Redactor().clean("see " + TOKENS["private-key"][:45]) == "see [redacted:private-key]"


@pytest.mark.parametrize(
    "text",
    [
        "the task-1234567890-abcdefghij-klmnop is done",
        "disk-usage and risk-assessment of the next-generation-system",
        "https://example.org:8080/a@b and http://user@example.org/",
        "sha256 " + "0123456789abcdef" * 4,
        "a bearer of responsibilities",
        "test_live_reload and check_test_everything_in_this_folder",
        "-----BEGIN CERTIFICATE-----",
        "Authorization: none",
    ],
)
def test_innocent_text_stays(text: str) -> None:
    redactor = Redactor()
    assert redactor.clean(text) == text
    assert redactor.clean_bytes(text.encode()) == text.encode()


secret_values = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=8, max_size=50)
contexts = st.sampled_from(["", " ", "\n", "k=", "é\U0001f600", '"'])


@given(secret_values, contexts, contexts)
def test_a_known_value_is_found_in_every_dress(value: str, before: str, after: str) -> None:
    redactor = Redactor([Secret("NAME", value)])
    raw = value.encode()
    dresses = [
        value,
        value[::-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        raw.hex(),
        raw.hex().upper(),
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote(value, safe="").lower() if value.islower() else urllib.parse.quote_plus(value),
        "".join(f"%{byte:02x}" for byte in raw),
        json.dumps(value)[1:-1].replace("/", "\\/"),
        html.escape(value),
        base64.b64encode(raw).decode(),
    ]
    for dress in dresses:
        text = f"{before}{dress}{after}"
        assert redactor.hits(text.encode())
        assert redactor.hits(encode_bodies([RunPaused(text)])[0])
        cleaned = redactor.clean(text)
        assert dress not in cleaned
        assert "[redacted:" in cleaned


tricky_values = st.text(st.sampled_from('nrtf\\/"a1 é'), min_size=8, max_size=20)


@given(
    st.one_of(secret_values, tricky_values), st.integers(0, 4), st.data(), st.sampled_from(["", "\\", "k\\n", "nrt"])
)
def test_a_known_value_is_found_however_white_space_splits_it(
    value: str, dress: int, data: st.DataObject, before: str
) -> None:
    raw = value.encode()
    form = [value, value[::-1], raw.hex(), base64.b64encode(raw).decode(), json.dumps(value)[1:-1]][dress]
    letters = "".join(form.split(" "))
    assume(len(letters) >= 8)
    redactor = Redactor([value], patterns=())
    gaps = data.draw(
        st.lists(st.sampled_from(["", " ", "\n", "\r\n", "\t  "]), min_size=len(letters), max_size=len(letters))
    )
    text = before + "".join(letter + gap for letter, gap in zip(letters, gaps, strict=True)) + "after"
    assert redactor.hits(text.encode())
    assert redactor.hits(encode_bodies([RunPaused(text)])[0])
    cleaned = redactor.clean(text)
    assert letters not in "".join(cleaned.split())
    assert cleaned.startswith(before) and cleaned.endswith("after")


def test_a_hex_dump_and_wrapped_base64_are_found() -> None:
    value = "correct-horse-battery-staple-and-some-more-words-to-fill-a-line-of-base64"
    redactor = Redactor([Secret("K", value)])
    assert redactor.clean(value.encode().hex(" ")) == "[redacted:K]"
    assert "[redacted:K]" in redactor.clean(base64.encodebytes(value.encode()).decode())


def test_what_is_learnt_later_is_known_at_once() -> None:
    redactor = Redactor([Secret("OLD", "correct-horse-battery")])
    assert not redactor.hits(b"value-of-later-on")
    redactor.learn([Secret("NEW", "value-of-later-on")])
    assert redactor.hits(b"value-of-later-on")
    assert redactor.clean("value-of-later-on correct-horse-battery") == "[redacted:NEW] [redacted:OLD]"


@given(secret_values, st.binary(max_size=9), st.binary(max_size=9))
def test_a_known_value_is_found_inside_longer_base64(value: str, before: bytes, after: bytes) -> None:
    redactor = Redactor([value], patterns=())
    data = before + value.encode() + after
    for text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        assert redactor.hits(text.encode())
        assert "[redacted:secret]" in redactor.clean(text)


@given(st.lists(secret_values, min_size=1, max_size=4), st.text(max_size=200))
def test_what_would_be_changed_is_always_hit_and_what_is_not_hit_is_unchanged(values: list[str], text: str) -> None:
    redactor = Redactor(values)
    if redactor.clean(text) != text:
        assert redactor.hits(text.encode()) and redactor.hits(encode_bodies([RunPaused(text)])[0])


def test_short_values_are_not_hunted() -> None:
    assert Redactor(["short"]).clean("a short word") == "a short word"


def test_the_environment_names_its_secrets() -> None:
    env = {
        "ACME_API_KEY": "acme-value-1",
        "DB_PASSWORD": "pass-value-2",
        "GH_TOKEN": "token-value-3",
        "MY_SECRET": "secret-value-4",
        "CREDENTIALS": "cred-value-5",
        "DATABASE_URL": "postgresql://me:url-value-6@host/db",
        "PATH": "/usr/bin:/usr/local/bin",
        "PWD": "/home/someone",
        "KEYBOARD": "qwertyuiop",
        "SOME_TOKEN": "short",
    }
    redactor = Redactor.from_environment(env)
    hidden = {name for name, value in env.items() if redactor.clean(value) != value}
    assert hidden == {"ACME_API_KEY", "DB_PASSWORD", "GH_TOKEN", "MY_SECRET", "CREDENTIALS", "DATABASE_URL"}
    assert redactor.clean("x acme-value-1") == "x [redacted:ACME_API_KEY]"
    assert redactor.clean("url-value-6") == "[redacted:DATABASE_URL]"


@given(
    bodies(),
    st.sampled_from(
        ["untrusted", "inconclusive", "read_only", "iterations", "repeated_error", "text/plain", "tests/junit"]
    ),
)
def test_a_redacted_body_still_decodes_whatever_the_secret_is(body: Body, secret: str) -> None:
    cleaned = Redactor([secret], patterns=()).clean_body(body)
    assert msgspec.json.decode(encode_bodies([cleaned])[0], type=type(body)) == cleaned


def test_an_inline_blob_keeps_a_true_hash_and_a_stored_one_its_own() -> None:
    inline = BlobRef(_sha("x"), 1, inline="x")
    secret = "correct-horse-battery"
    stored = BlobRef(inline.sha256, 99_999)
    body = Observed(
        "a",
        (
            Observation("o", "s", 1, msgspec.structs.replace(inline, inline=f"is {secret}"), "untrusted", secret),
            Observation("o", "s", 1, stored, "trusted", "fine"),
        ),
        None,
        Spend(),
    )
    cleaned = Redactor([secret, inline.sha256]).clean_body(body)
    assert isinstance(cleaned, Observed)
    first, second = cleaned.observations
    assert first.summary == "[redacted:secret]" and first.trust == "untrusted"
    assert first.content.inline == "is [redacted:secret]"
    assert first.content.sha256 == _sha("is [redacted:secret]") and first.content.size_bytes == len(
        "is [redacted:secret]"
    )
    assert second is body.observations[1]


def test_a_body_without_secrets_is_the_same_object() -> None:
    body = RunPaused("nothing to hide")
    assert Redactor(["correct-horse-battery"]).clean_body(body) is body


def test_bytes_that_are_no_text_keep_all_but_the_secret() -> None:
    redactor = Redactor(["correct-horse-battery"])
    assert redactor.clean_bytes(b"\xff\x00correct-horse-battery\xfe") == b"\xff\x00[redacted:secret]\xfe"
    assert redactor.clean_bytes(b"\xff\x00\xfe") == b"\xff\x00\xfe"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
