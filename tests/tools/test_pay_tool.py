"""Paid exactly once or not at all: with a real bank, a real journal, real races and real kills."""

import asyncio
import dataclasses
import json
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loopwright.errors import ActionError, UsageError
from loopwright.kernel import events as ev
from loopwright.policy.values import CallView, Json
from loopwright.tools.canonical import canonical
from loopwright.tools.pay.bank import SandboxBank
from loopwright.tools.pay.ledger import PREFIX, Holder, JournalLedger
from loopwright.tools.pay.rail import Declined, RailUncertain, Receipt, SandboxRail
from loopwright.tools.pay.terms import Payment
from loopwright.tools.protocol import Happened, Preview, ToolOutput
from support.payments import HUMAN, MANDATE, NOW_MS, PAYEE, RULES, Payer, arguments
from support.stores import Store


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[SandboxBank]:
    bank = SandboxBank(tmp_path / "bank.db")
    bank.start()
    yield bank
    bank.stop()


@pytest.fixture
def payer(bank: SandboxBank, tmp_path: Path) -> Iterator[Payer]:
    payer = Payer(tmp_path, bank.url)
    payer.give()
    yield payer
    payer.close()


def call(payer: Payer, run_id: str = "run-a", call_id: str = "c1", **changes: Json) -> ToolOutput:
    return asyncio.run(payer.tool().call(arguments(**changes), payer.context(run_id, call_id)))


def look(payer: Payer, run_id: str = "run-a", **changes: Json) -> Preview:
    return asyncio.run(payer.tool().preview(arguments(**changes), payer.context(run_id, "")))


def with_rules(payer: Payer, **rules: object) -> Payer:
    return dataclasses.replace(payer, rules=msgspec.structs.replace(RULES, **rules))


def happened(payer: Payer, run_id: str = "run-a", call_id: str = "c1") -> Happened:
    return asyncio.run(payer.tool().happened(arguments(), payer.context(run_id, call_id)))


def quote(bank: SandboxBank) -> str:
    """What a shop answers that wants money."""
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"{bank.url}/goods/book", timeout=10)
    assert answer.value.code == 402
    with answer.value as body:
        return str(body.read().decode())


def test_a_mandated_payment_is_made_once_and_everything_says_so(payer: Payer, bank: SandboxBank) -> None:
    preview = look(payer)
    assert preview.spend.usd_micros == 2_500_000
    assert PAYEE in preview.notes[0] and "mandate-1" in preview.notes[1]
    done = call(payer)
    assert done.status == "ok" and done.spend.usd_micros == 2_500_000
    assert done.value == {"amount_minor": 250, "currency": "USD", "payee": PAYEE, "payment_id": "pay-mandate-1"}
    assert [(p["key"], p["payee"], p["amount_minor"]) for p in bank.payments()] == [("mandate-1", PAYEE, 250)]
    bodies = [event.body for event in payer.journal().read(PREFIX + "mandate-1")]
    assert [type(body) for body in bodies] == [ev.CallRequested, ev.CallIntended, ev.CallEnded]
    assert isinstance(bodies[1], ev.CallIntended) and bodies[1].key == "mandate-1"
    assert isinstance(bodies[2], ev.CallEnded) and bodies[2].spend.usd_micros == 2_500_000
    assert payer.journal().read(PREFIX + "mandate-1") and happened(payer).answer == "yes"
    assert len(bank.payments()) == 1


def test_nothing_is_paid_by_looking(payer: Payer, bank: SandboxBank) -> None:
    assert look(payer) == look(payer)
    assert bank.payments() == [] and list(payer.journal().heads()) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"amount_minor": 501}, "mandate.amount"),
        ({"amount_minor": 0}, "mandate.amount"),
        ({"amount_minor": -250}, "mandate.amount"),
        ({"amount_minor": True}, "pay.arguments"),
        ({"amount_minor": 250.0}, "pay.arguments"),
        ({"amount_minor": "250"}, "pay.arguments"),
        ({"amount_minor": None}, "pay.arguments"),
        ({"payee": "sh\u043ep.example"}, "mandate.payee"),
        ({"payee": [PAYEE]}, "pay.arguments"),
        ({"currency": "EUR"}, "mandate.currency"),
        ({"cart": "three books"}, "mandate.cart"),
        ({"mandate": "mandate-2"}, "mandate.unknown"),
        ({"mandate": "../mandate-1"}, "mandate.unknown"),
        ({"mandate": 7}, "pay.arguments"),
        ({"memo": "x"}, "pay.arguments"),
        ({"quote": "{}"}, "quote.malformed"),
    ],
)
def test_what_the_mandate_does_not_allow_is_refused_at_the_look_and_at_the_call(
    payer: Payer, bank: SandboxBank, changes: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ActionError, match=f"^{rule}: .*; ") as refused:
        look(payer, **changes)
    assert "\n" not in str(refused.value)
    done = call(payer, **changes)
    assert done.status == "denied" and done.message.startswith(f"{rule}: ")
    assert bank.payments() == [] and payer.journal().heads() == []


def test_a_mandate_of_another_signer_task_or_time_pays_nothing(payer: Payer, bank: SandboxBank) -> None:
    payer.give(seed=bytes(32))
    assert call(payer).message.startswith("mandate.signer: ")
    payer.give(task="sell")
    assert call(payer).message.startswith("mandate.task: ")
    payer.give(exp_ms=NOW_MS)
    assert call(payer).message.startswith("mandate.expired: ")
    payer.give(nbf_ms=NOW_MS + 1)
    assert call(payer).message.startswith("mandate.not_yet: ")
    payer.put(payer.give(id="mandate-9"))
    assert call(payer).message.startswith("mandate.unknown: ")
    assert bank.payments() == []


def test_a_used_mandate_is_refused_in_the_same_run_and_in_any_other(payer: Payer, bank: SandboxBank) -> None:
    assert call(payer).status == "ok"
    for run_id, call_id in (("run-a", "c2"), ("run-b", "c1")):
        again = call(payer, run_id, call_id)
        assert again.status == "denied" and "mandate.used: " in again.message and "run-a/c1" in again.message
        with pytest.raises(ActionError, match=r"^mandate\.used: "):
            look(payer, run_id)
        # Another call's payment is not this call's.
        assert happened(payer, run_id, call_id).answer == "no"
    # The person signs the same id again: it stays used.
    payer.give(max_minor=9_000)
    assert call(payer, "run-c").status == "denied"
    assert len(bank.payments()) == 1


def test_a_cart_is_bound_by_its_bytes(payer: Payer) -> None:
    import hashlib

    payer.give(cart_sha256=hashlib.sha256(b"three books").hexdigest())
    assert call(payer).message.startswith("mandate.cart: ")
    assert call(payer, cart="three  books").message.startswith("mandate.cart: ")
    assert call(payer, cart="three books").status == "ok"


def test_the_run_has_a_total_over_all_its_mandates(payer: Payer, bank: SandboxBank) -> None:
    payer = with_rules(payer, total_minor=600)
    for n in (2, 3):
        payer.give(id=f"mandate-{n}")
    assert call(payer).status == "ok"
    assert call(payer, call_id="c2", mandate="mandate-2").status == "ok"
    over = call(payer, call_id="c3", mandate="mandate-3")
    assert over.status == "denied" and over.message.startswith("pay.total: 500 of 600")
    assert call(payer, "run-b", mandate="mandate-3").status == "ok", "another run has a total of its own"
    assert len(bank.payments()) == 3


def test_a_402_answer_is_paid_when_it_names_what_the_mandate_names(payer: Payer, bank: SandboxBank) -> None:
    asked = quote(bank)
    forged = json.loads(asked)
    forged["accepts"][0]["payTo"] = "eve.example"
    assert call(payer, quote=json.dumps(forged)).message.startswith("quote.payee: ")
    assert call(payer, quote=asked, amount_minor=249).message.startswith("quote.amount: ")
    # A second offer that fits does not make the first one's words true: only what fits is paid.
    both = {"accepts": [*forged["accepts"], *json.loads(asked)["accepts"]]}
    assert call(payer, quote=json.dumps(both)).status == "ok"
    assert [(p["payee"], p["amount_minor"]) for p in bank.payments()] == [(PAYEE, 250)]
    taken = JournalLedger(payer.journal()).standing("mandate-1")
    assert taken is not None
    assert (taken.payment.asset, taken.payment.network, taken.payment.reference) == ("USD", "sandbox", "order-1")


def test_the_gate_is_told_of_exactly_the_calls_that_a_mandate_covers(payer: Payer) -> None:
    tool = payer.tool()

    def covered(name: str = "pay", text: str | None = None, **changes: Json) -> bool:
        stated = canonical(arguments(**changes)).decode() if text is None else text
        return tool.covers(CallView("agent", name, stated, "digest"), "run-a", NOW_MS)

    assert covered()
    assert not covered(amount_minor=501)
    assert not covered(payee="eve.example")
    assert not covered("refund")
    assert not covered(text="[]") and not covered(text="{") and not covered(text='{"mandate":"a","mandate":"b"}')
    assert call(payer).status == "ok"
    assert not covered(), "a used mandate covers nothing"


def test_the_call_is_bound_to_the_very_mandate_that_was_shown(payer: Payer) -> None:
    before = look(payer).precondition
    payer.give(max_minor=400)
    assert look(payer).precondition != before


def test_no_rail_but_the_policy_s_is_used(payer: Payer) -> None:
    with pytest.raises(UsageError, match="the policy names 'card', found 'sandbox'"):
        with_rules(payer, rail="card").tool()


# --- races --------------------------------------------------------------------------------------------------------------
def test_of_twenty_payers_that_race_for_one_mandate_one_pays(payer: Payer, bank: SandboxBank) -> None:
    start, results = threading.Barrier(20), []

    def pay(number: int) -> None:
        tool, context = payer.tool(), payer.context(f"run-{number}", "c1")
        start.wait()
        results.append(asyncio.run(tool.call(arguments(), context)).status)

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["denied"] * 19 + ["ok"]
    assert len(bank.payments()) == 1


def test_one_payer_reserves_on_every_kind_of_journal(store: Store) -> None:
    """The fence is the journal's `expect_seq`, so it must hold on both stores, between handles that know nothing of each other."""
    payment = Payment("mandate-1", PAYEE, "USD", 250)
    ledgers = [JournalLedger(store.open()) for _ in range(4)]
    holders = [Holder(f"run-{n}", "c1") for n in range(4)]
    refused = [ledger.reserve(holder, payment, "") for ledger, holder in zip(ledgers, holders, strict=True)]
    assert [r is None for r in refused] == [True, False, False, False]
    ledgers[1].settle(holders[1], "mandate-1", "ok", "")
    taken = ledgers[3].standing("mandate-1")
    assert taken is not None and (taken.holder, taken.status) == ("run-0/c1", None), "only its holder settles it"
    ledgers[2].settle(holders[0], "mandate-1", "error", "")
    ledgers[0].settle(holders[0], "mandate-1", "ok", "")
    taken = ledgers[3].standing("mandate-1")
    assert taken is not None and taken.status == "error", "what was recorded first stays"


def test_the_total_of_a_run_holds_for_calls_beside_each_other(payer: Payer, bank: SandboxBank) -> None:
    payer = with_rules(payer, total_minor=700)
    for n in range(2, 8):
        payer.give(id=f"mandate-{n}")
    tool = payer.tool()

    async def all_at_once() -> list[ToolOutput]:
        calls = [tool.call(arguments(mandate=f"mandate-{n}"), payer.context("run-a", f"c{n}")) for n in range(1, 8)]
        return await asyncio.gather(*calls)

    statuses = [done.status for done in asyncio.run(all_at_once())]
    assert statuses.count("ok") == 2 and len(bank.payments()) == 2


# --- the rail says no, something else, or nothing -------------------------------------------------------------------------
class OddRail:
    """A rail that does what a test wants before or instead of the real one."""

    name = "sandbox"

    def __init__(self, real: SandboxRail, *, lost: bool = False, declined: bool = False) -> None:
        self._real, self._lost, self._declined = real, lost, declined

    async def pay(self, payment: Payment) -> Receipt | Declined:
        if self._declined:
            return Declined("no money")
        done = await self._real.pay(payment)
        if self._lost:
            raise RailUncertain("the answer was lost")
        return done

    async def settle(self, payment: Payment) -> Receipt | None:
        return await self._real.settle(payment)


def test_a_lost_answer_is_asked_for_and_never_paid_again(payer: Payer, bank: SandboxBank) -> None:
    tool = payer.tool(rail=OddRail(SandboxRail(bank.url), lost=True))
    done = asyncio.run(tool.call(arguments(), payer.context()))
    assert done.status == "unknown"
    assert call(payer, call_id="c2").status == "denied"
    found = happened(payer)
    assert found.answer == "yes" and found.output is not None and found.output.spend.usd_micros == 2_500_000
    assert len(bank.payments()) == 1


def test_a_decline_is_final_and_costs_nothing(payer: Payer, bank: SandboxBank) -> None:
    tool = payer.tool(rail=OddRail(SandboxRail(bank.url), declined=True))
    done = asyncio.run(tool.call(arguments(), payer.context()))
    assert done.status == "error" and done.spend.usd_micros == 0 and "no money" in done.message
    assert call(payer, call_id="c2").status == "denied"
    assert bank.payments() == []
    assert JournalLedger(payer.journal()).paid_minor("run-a", "USD", but="") == 0


def test_a_request_that_arrives_after_the_question_is_declined(payer: Payer, bank: SandboxBank) -> None:
    """The rail was asked and said no; the request was still on its way. It must not be paid behind everybody's back."""
    payment = Payment("mandate-1", PAYEE, "USD", 250)
    assert JournalLedger(payer.journal()).reserve(Holder("run-a", "c1"), payment, "") is None
    assert happened(payer).answer == "no"
    late = asyncio.run(SandboxRail(bank.url).pay(payment))
    assert late == Declined("the key is void") and bank.payments() == []


def test_the_same_key_pays_once_and_nothing_else(bank: SandboxBank) -> None:
    rail, payment = SandboxRail(bank.url), Payment("mandate-1", PAYEE, "USD", 250)
    first, again = asyncio.run(rail.pay(payment)), asyncio.run(rail.pay(payment))
    assert isinstance(first, Receipt) and first == again
    other = asyncio.run(rail.pay(msgspec.structs.replace(payment, amount_minor=251)))
    assert other == Declined("the key paid something else")
    with pytest.raises(RailUncertain, match="its receipt 'pay-mandate-1' is for another payment"):
        asyncio.run(rail.settle(msgspec.structs.replace(payment, payee="eve.example")))
    assert len(bank.payments()) == 1


def test_a_rail_that_does_not_answer_leaves_the_question_open(payer: Payer, tmp_path: Path) -> None:
    gone = SandboxBank(tmp_path / "gone.db")
    gone.start()
    gone.stop()
    payer = dataclasses.replace(payer, url=gone.url)
    done = call(payer)
    assert done.status == "unknown" and "no answer" in done.message
    assert happened(payer).answer == "unknown"
    assert call(payer, call_id="c2").status == "denied"


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "http://127.0.0.1", "http://example.org:80", "http://localhost.evil:1", ""]
)
def test_the_sandbox_rail_leads_to_this_machine_alone(url: str) -> None:
    with pytest.raises(UsageError, match="expected http://127"):
        SandboxRail(url)


# --- kills --------------------------------------------------------------------------------------------------------------
CHILD = textwrap.dedent(
    """
    import asyncio, os, signal, sys
    from pathlib import Path
    from loopwright.tools.pay.ledger import JournalLedger
    from loopwright.tools.pay.rail import SandboxRail
    from support.payments import Payer, arguments

    root, url, place = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

    def die_at(name):
        if place == name:
            os.kill(os.getpid(), signal.SIGKILL)

    class Ledger(JournalLedger):
        def reserve(self, *args):
            die_at("before the reservation")
            refused = super().reserve(*args)
            die_at("after the reservation")
            return refused

        def settle(self, *args):
            die_at("before the outcome")
            super().settle(*args)
            die_at("after the outcome")

    class Rail(SandboxRail):
        async def pay(self, payment):
            done = await super().pay(payment)
            die_at("after the payment")
            return done

    payer = Payer(root, url)
    tool = payer.tool(rail=Rail(url), ledger=Ledger(payer.journal()))
    print(asyncio.run(tool.call(arguments(), payer.context())).status)
    """
)


@pytest.mark.parametrize(
    ("place", "answer", "paid"),
    [
        ("before the reservation", "no", 0),
        ("after the reservation", "no", 0),
        ("after the payment", "yes", 1),
        ("before the outcome", "yes", 1),
        ("after the outcome", "yes", 1),
    ],
)
def test_a_payer_that_is_killed_anywhere_paid_once_or_not_at_all(
    payer: Payer, bank: SandboxBank, place: str, answer: str, paid: int
) -> None:
    tests = str(Path(__file__).parents[1])
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(payer.root), bank.url, place],
        env={"PYTHONPATH": tests, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert len(bank.payments()) == paid
    # The next driver finds the intent without outcome and asks; asking twice changes nothing.
    assert [happened(payer).answer, happened(payer).answer] == [answer, answer]
    assert len(bank.payments()) == paid
    # Whoever tries with the same mandate then: it is paid once in all.
    again = call(payer, "run-b").status
    assert again == ("ok" if place == "before the reservation" else "denied")
    assert len(bank.payments()) == (1 if place == "before the reservation" else paid)
    taken = JournalLedger(payer.journal()).standing("mandate-1")
    assert taken is not None and taken.status == ("ok" if bank.payments() else "cancelled")


def test_the_bank_runs_as_a_program_and_its_book_outlives_it(tmp_path: Path) -> None:
    payment = Payment("mandate-1", PAYEE, "USD", 250)
    for expected in (1, 1):
        with subprocess.Popen(
            [sys.executable, "-m", "loopwright.tools.pay.bank", str(tmp_path / "bank.db")],
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None
            url = program.stdout.readline().strip()
            try:
                assert isinstance(asyncio.run(SandboxRail(url).pay(payment)), Receipt)
                with urllib.request.urlopen(f"{url}/payments", timeout=10) as answer:
                    assert len(json.loads(answer.read())["payments"]) == expected
            finally:
                program.kill()


def test_the_human_key_is_nowhere_near_the_gate(payer: Payer) -> None:
    call(payer)
    everything = b"".join(path.read_bytes() for path in payer.root.rglob("*") if path.is_file())
    assert HUMAN not in everything and HUMAN.hex().encode() not in everything and MANDATE.nonce.encode() in everything
