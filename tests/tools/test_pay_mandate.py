"""A mandate is what a person signed, to the byte, and a 402 answer is paid only when it names exactly that."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import UsageError
from loopwright.policy.policy import Payee
from loopwright.policy.values import Json
from loopwright.tools.pay.mandate import MAX_MINOR, Mandate, Refusal, open_mandate, public_key, sign
from loopwright.tools.pay.quote import Quote, check_quote, parse_quotes
from loopwright.tools.pay.terms import Payment, check_rules, check_terms, spend_of
from support.payments import HUMAN, MANDATE, NOW_MS, PAYEE, RULES

KEYS = [public_key(HUMAN)]
SIGNED = sign(MANDATE, HUMAN)
PAYMENT = Payment(MANDATE.id, PAYEE, "USD", 250)


def rule_of(result: object) -> str:
    assert isinstance(result, Refusal), result
    assert result.why and result.remedy and "\n" not in result.line()
    return result.rule


def changed(**changes: object) -> bytes:
    """The signed mandate with fields changed after it was signed, in canonical form."""
    value = json.loads(SIGNED)
    value["mandate"].update(changes)
    return rfc8785.dumps(value)


def test_a_signed_mandate_is_opened_with_the_public_key() -> None:
    assert open_mandate(SIGNED, KEYS) == MANDATE
    assert HUMAN.hex().encode() not in SIGNED


@pytest.mark.parametrize(
    "change",
    [{"payee": "eve.example"}, {"max_minor": 501}, {"exp_ms": NOW_MS * 2}, {"id": "mandate-2"},
     {"nonce": "f" * 16}, {"cart_sha256": "0" * 64}],
)  # fmt: skip
def test_nothing_of_a_mandate_can_be_changed_after_it_was_signed(change: dict[str, object]) -> None:
    assert rule_of(open_mandate(changed(**change), KEYS)) == "mandate.signature"


def test_only_a_key_of_the_policy_may_sign() -> None:
    eve = bytes(32)
    assert rule_of(open_mandate(sign(MANDATE, eve), KEYS)) == "mandate.signer"
    assert rule_of(open_mandate(SIGNED, [])) == "mandate.signer"
    # Eve's signature under the person's key.
    forged = json.loads(sign(MANDATE, eve)) | {"key": KEYS[0]}
    assert rule_of(open_mandate(rfc8785.dumps(forged), KEYS)) == "mandate.signature"


def test_a_signature_given_for_something_else_is_worth_nothing() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    bare = Ed25519PrivateKey.from_private_bytes(HUMAN).sign(rfc8785.dumps(msgspec.to_builtins(MANDATE)))
    value = json.loads(SIGNED) | {"signature": bare.hex()}
    assert rule_of(open_mandate(rfc8785.dumps(value), KEYS)) == "mandate.signature"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        SIGNED + b" ",
        b" " + SIGNED,
        SIGNED.replace(b'"max_minor":500', b'"max_minor":500.0'),
        SIGNED.replace(b'"max_minor":500', b'"max_minor":5e2'),
        SIGNED.replace(b'"max_minor":500', b'"max_minor":"500"'),
        SIGNED.replace(b'"max_minor":500', b'"max_minor":true'),
        SIGNED.replace(b'"max_minor":500', b'"max_minor":9,"max_minor":500'),
        SIGNED.replace(b'"uses":1', b'"uses":2'),
        SIGNED.replace(b'"uses":1', b'"uses":1.0'),
        SIGNED.replace(b',"uses":1', b""),
        SIGNED.replace(b'"uses":1', b'"uses":1,"vip":1'),
        SIGNED.replace(b"shop.example", b"shop\\u002eexample"),
        SIGNED[:-1] + b',"note":"x"}',
        b"{" + SIGNED[1:].replace(b'"key"', b'"key":"","key"', 1),
        SIGNED + b" " * 20_000,
    ],
)
def test_what_is_not_in_its_one_form_is_refused(data: bytes) -> None:
    assert data != SIGNED
    assert rule_of(open_mandate(data, KEYS)) == "mandate.malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "short"}, {"id": "../../etc"}, {"id": "UPPERCASE-1"}, {"id": "mandate-1\n"},
        {"max_minor": 0}, {"max_minor": -1}, {"max_minor": MAX_MINOR + 1},
        {"amount_minor": 501}, {"amount_minor": 0},
        {"payee": ""}, {"payee": " shop.example"}, {"payee": "shop\u202e.example"}, {"payee": "shop\u200b.example"}, {"payee": "x" * 257},
        {"currency": "usd"}, {"currency": "US"}, {"currency": "USD\n"},
        {"asset": None}, {"network": None}, {"network": "a b"}, {"rail": ""}, {"task": ""},
        {"cart_sha256": "xyz"}, {"nonce": "short"},
        {"nbf_ms": MANDATE.exp_ms}, {"nbf_ms": -1},
    ],
)  # fmt: skip
def test_a_mandate_that_nobody_should_sign_is_not_signed(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected"):
        sign(msgspec.structs.replace(MANDATE, **change), HUMAN)


def test_a_faulty_mandate_is_refused_though_a_person_signed_it() -> None:
    """Another program may sign with the person's key and check nothing."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    faulty = msgspec.structs.replace(MANDATE, payee="shop\u200b.example")
    text = rfc8785.dumps(msgspec.to_builtins(faulty))
    signature = Ed25519PrivateKey.from_private_bytes(HUMAN).sign(b"loopwright payment mandate v1\n" + text)
    data = rfc8785.dumps({"mandate": msgspec.to_builtins(faulty), "key": KEYS[0], "signature": signature.hex()})
    assert rule_of(open_mandate(data, KEYS)) == "mandate.malformed"


# --- terms ------------------------------------------------------------------------------------------------------------
def terms(payment: Payment = PAYMENT, mandate: Mandate | None = None, **changes: object) -> Refusal | None:
    given: dict[str, object] = {"cart_sha256": None, "rail": "sandbox", "task": "buy", "now_ms": NOW_MS, **changes}
    return check_terms(mandate or MANDATE, payment, **given)  # type: ignore[arg-type]


def pay(**changes: object) -> Payment:
    return msgspec.structs.replace(PAYMENT, **changes)


def test_what_the_mandate_allows_is_allowed_to_its_edges() -> None:
    assert terms() is None
    assert terms(pay(amount_minor=500)) is None
    assert terms(pay(amount_minor=1)) is None
    assert terms(now_ms=MANDATE.nbf_ms) is None
    assert terms(now_ms=MANDATE.exp_ms - 1) is None
    assert terms(mandate=msgspec.structs.replace(MANDATE, cart_sha256="0" * 64), cart_sha256="0" * 64) is None


@pytest.mark.parametrize(
    ("payment", "changes", "rule"),
    [
        (pay(amount_minor=501), {}, "mandate.amount"),
        (pay(amount_minor=0), {}, "mandate.amount"),
        (pay(amount_minor=-1), {}, "mandate.amount"),
        (pay(currency="EUR"), {}, "mandate.currency"),
        (pay(currency="usd"), {}, "mandate.currency"),
        (PAYMENT, {"now_ms": MANDATE.nbf_ms - 1}, "mandate.not_yet"),
        (PAYMENT, {"now_ms": MANDATE.exp_ms}, "mandate.expired"),
        (PAYMENT, {"task": "buy2"}, "mandate.task"),
        (PAYMENT, {"rail": "card"}, "mandate.rail"),
        (PAYMENT, {"cart_sha256": "0" * 64}, "mandate.cart"),
        (
            PAYMENT,
            {"mandate": msgspec.structs.replace(MANDATE, cart_sha256="1" * 64), "cart_sha256": "0" * 64},
            "mandate.cart",
        ),
        (PAYMENT, {"mandate": msgspec.structs.replace(MANDATE, cart_sha256="1" * 64)}, "mandate.cart"),
        (PAYMENT, {"mandate": msgspec.structs.replace(MANDATE, amount_minor=251)}, "mandate.amount"),
        (PAYMENT, {"mandate": msgspec.structs.replace(MANDATE, amount_minor=249)}, "mandate.amount"),
    ],
)
def test_what_differs_from_the_mandate_is_refused(payment: Payment, changes: dict[str, Any], rule: str) -> None:
    assert rule_of(terms(payment, **changes)) == rule


@pytest.mark.parametrize(
    "payee",
    [
        "Shop.example",
        "shop.example ",
        "shop.example.",
        "sh\u043ep.example",  # a Cyrillic o
        "shop\u200b.example",
        "\uff53hop.example",  # a full-width s
        "shop.examp1e",
        "shop.example/eve",
        "",
        "shop.example\x00",
        "shop.\udcffexample",
    ],
)
def test_a_payee_that_only_looks_the_same_is_another(payee: str) -> None:
    found = terms(pay(payee=payee))
    assert rule_of(found) == "mandate.payee"
    assert found is not None and found.line().isascii(), "a person must see the difference"
    assert rule_of(check_rules(RULES, pay(payee=payee), 0)) == "pay.payee"


def test_a_payee_is_compared_by_bytes_and_not_by_its_normal_form() -> None:
    composed, decomposed = "caf\u00e9.example", "cafe\u0301.example"
    assert rule_of(terms(pay(payee=decomposed), msgspec.structs.replace(MANDATE, payee=composed))) == "mandate.payee"
    assert terms(pay(payee=composed), msgspec.structs.replace(MANDATE, payee=composed)) is None


def test_the_policy_caps_one_payment_and_the_run() -> None:
    assert check_rules(RULES, pay(amount_minor=10_000), 10_000) is None
    assert rule_of(check_rules(RULES, pay(amount_minor=10_001), 0)) == "pay.cap"
    assert rule_of(check_rules(RULES, pay(amount_minor=10_000), 10_001)) == "pay.total"
    tight = msgspec.structs.replace(RULES, payees=(Payee(PAYEE, cap_minor=100),))
    assert rule_of(check_rules(tight, pay(amount_minor=101), 0)) == "pay.cap"
    loose = msgspec.structs.replace(RULES, payees=(Payee(PAYEE, cap_minor=10**9),))
    assert rule_of(check_rules(loose, pay(amount_minor=10_001), 0)) == "pay.cap"
    assert rule_of(check_rules(RULES, pay(currency="EUR"), 0)) == "pay.currency"
    assert rule_of(check_rules(msgspec.structs.replace(RULES, payees=()), PAYMENT, 0)) == "pay.payee"


def test_dollars_are_taken_from_the_run_in_micros() -> None:
    assert spend_of("USD", 250).usd_micros == 2_500_000
    assert spend_of("EUR", 250).usd_micros == 0


# --- 402 ----------------------------------------------------------------------------------------------------------------
def body(*offers: dict[str, Json], **changes: Json) -> str:
    offer: dict[str, Json] = {
        "payTo": PAYEE,
        "asset": "USD",
        "network": "sandbox",
        "amount": "250",
        "nonce": "n1",
        **changes,
    }
    return json.dumps({"x402Version": 1, "accepts": [*offers, {k: v for k, v in offer.items() if v is not None}]})


def quoted(text: str, mandate: Mandate = MANDATE, amount_minor: int = 250) -> Refusal | None:
    found = parse_quotes(text)
    if isinstance(found, Refusal):
        return found
    return check_quote(found[-1], mandate, amount_minor)


def test_an_answer_that_names_what_the_mandate_names_may_be_paid() -> None:
    assert parse_quotes(body()) == (Quote(PAYEE, "USD", "sandbox", 250, "n1"),)
    assert quoted(body()) is None
    assert quoted(body(amount=None, maxAmountRequired=250)) is None


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"payTo": "eve.example"}, "quote.payee"),
        ({"payTo": "sh\u043ep.example"}, "quote.payee"),
        ({"payTo": "Shop.example"}, "quote.payee"),
        ({"asset": "USDC"}, "quote.asset"),
        ({"network": "mainnet"}, "quote.network"),
        ({"amount": "251"}, "quote.amount"),
        ({"amount": "249"}, "quote.amount"),
        ({"amount": "1"}, "quote.amount"),
        ({"amount": "0"}, "quote.amount"),
        ({"amount": True}, "quote.malformed"),
        ({"amount": 250.0}, "quote.malformed"),
        ({"amount": "250.0"}, "quote.malformed"),
        ({"amount": "2.5e2"}, "quote.malformed"),
        ({"amount": "+250"}, "quote.malformed"),
        ({"amount": " 250"}, "quote.malformed"),
        ({"amount": "0250"}, "quote.malformed"),
        ({"amount": "\u0662\u0665\u0660"}, "quote.malformed"),
        ({"amount": -250}, "quote.malformed"),
        ({"amount": None}, "quote.malformed"),
        ({"maxAmountRequired": "250"}, "quote.malformed"),
        ({"payTo": None}, "quote.malformed"),
        ({"payTo": [PAYEE]}, "quote.malformed"),
        ({"nonce": 7}, "quote.malformed"),
    ],
)
def test_an_answer_that_differs_is_refused(changes: dict[str, Json], rule: str) -> None:
    assert rule_of(quoted(body(**changes))) == rule


def test_an_answer_over_the_cap_is_refused_though_the_call_says_the_same() -> None:
    assert rule_of(quoted(body(amount="501"), amount_minor=501)) == "quote.amount"


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '{"accepts":[]}', '{"accepts":{}}', '{"accepts":["x"]}', '{"accepts":[{}]}', "{" * 9999],
)
def test_what_is_no_402_answer_is_refused(text: str) -> None:
    assert rule_of(quoted(text)) == "quote.malformed"


def test_a_key_that_stands_there_twice_is_refused() -> None:
    text = body().replace('"payTo": "shop.example"', '"payTo": "shop.example", "payTo": "eve.example"')
    assert "eve" in text
    assert rule_of(quoted(text)) == "quote.malformed"


def test_no_402_is_paid_with_a_mandate_that_names_no_asset() -> None:
    bare = msgspec.structs.replace(MANDATE, asset=None, network=None)
    assert rule_of(quoted(body(), bare)) == "quote.unmandated"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_end_in_anything_but_a_refusal(data: bytes) -> None:
    assert isinstance(open_mandate(data, KEYS), Refusal)
    assert isinstance(parse_quotes(data.decode("utf-8", "surrogateescape")), Refusal)


def test_the_reference_lists_every_rule_by_which_nothing_is_paid() -> None:
    root = Path(__file__).parents[2]
    code = "".join(path.read_text() for path in (root / "src/loopwright/tools/pay").glob("*.py"))
    rules = set(re.findall(r'"((?:mandate|pay|quote)\.[a-z_]+)"', code)) | {
        "quote.payee",
        "quote.asset",
        "quote.network",
    }
    page = (root / "docs/reference/pay.md").read_text()
    assert len(rules) > 20
    assert rules == set(re.findall(r"`((?:mandate|pay|quote)\.[a-z_]+)`", page))
