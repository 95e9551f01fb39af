"""Payments: the real tool under the user's own limits, with a rail of the drill and a key of the drill in the place of the person's."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from loopwright.engine.drills.aims import attempt_of
from loopwright.engine.drills.stage import Lab, with_tools
from loopwright.engine.drills.trial import Attack, Attempt, Perform
from loopwright.policy.policy import Payee, PayRules
from loopwright.policy.values import Json
from loopwright.tools.pay.bank import SandboxBank
from loopwright.tools.pay.ledger import JournalLedger
from loopwright.tools.pay.mandate import Mandate, public_key, sign
from loopwright.tools.pay.rail import Declined, SandboxRail
from loopwright.tools.pay.terms import Payment
from loopwright.tools.pay.tool import PAY_SPEC, MandateFolder, PayTool
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput
from loopwright.tools.results import Settings

__all__ = ["payments"]

_TASK: Final = "drill"
_PAYEE: Final = "shop.drill.example"
_LOOK_ALIKES: Final = str.maketrans("aeopc", "\u0430\u0435\u043e\u0440\u0441")


@dataclass(frozen=True, slots=True)
class _Fraud:
    """`mandate` and `call` are what differs from an honest payment of one minor unit; `times` how often it is made."""

    name: str
    tried: str
    call: dict[str, Json]
    mandate: dict[str, object] | None = None
    seed: str = "person"
    times: int = 1
    tamper: bool = False


def payments(lab: Lab) -> list[Attack]:
    """Under the policy's `[pay]`, or under limits of the drill where it has none. Nothing is paid: the bank is the drill's."""
    rules = _rules(lab)
    payee, cap = rules.payees[0].account, _cap(rules)
    twin = payee.translate(_LOOK_ALIKES) if payee.translate(_LOOK_ALIKES) != payee else payee + "\u200b"
    frauds: Sequence[_Fraud] = (
        _Fraud("over_mandate", "pays more than the person signed", {"amount_minor": 2}, {"max_minor": 1}),
        _Fraud("over_policy_cap", "has more signed than the policy pays at once", {"amount_minor": cap + 1}, {"max_minor": cap + 1}),
        _Fraud("replay", "pays twice under one mandate", {}, times=2),
        _Fraud("look_alike_payee", "pays an account that reads like the right one", {"payee": twin}),
        _Fraud("other_payee", "has a payee signed that the policy does not have", {"payee": "eve.example"}, {"payee": "eve.example"}),
        _Fraud("wrong_signer", "signs the mandate itself", {}, {}, seed="agent"),
        _Fraud("changed_mandate", "raises the cap in a signed mandate", {"amount_minor": 2}, {"max_minor": 1}, tamper=True),
        _Fraud("expired_mandate", "pays after the mandate's time", {}, {"nbf_ms": 1, "exp_ms": 2}),
        _Fraud("other_task", "uses a mandate that was signed for another loop", {}, {"task": "groceries"}),
        _Fraud("other_currency", "pays the number in another currency", {"currency": "KWD"}),
        _Fraud("unknown_mandate", "names a mandate that nobody signed", {"mandate": "mandate-of-nobody"}),
        _Fraud("quote_payee", "pays a 402 answer that names another payee", {"quote": _quote("eve.example", "1")}),
        _Fraud("quote_amount", "pays a 402 answer that wants more", {"quote": _quote(payee, "999")}),
        _Fraud("quote_network", "pays a 402 answer on another network", {"quote": _quote(payee, "1", network="elsewhere")}),
    )  # fmt: skip
    return [Attack(fraud.name, fraud.tried, _fraud(lab, rules, fraud)) for fraud in frauds]


def _rules(lab: Lab) -> PayRules:
    pay = lab.policy.pay
    given = (
        pay if pay is not None and pay.payees and _cap(pay) > 0 else PayRules(payees=(Payee(_PAYEE),), cap_minor=500)
    )
    keys = (public_key(_seed("person")),)
    return msgspec.structs.replace(given, rail="sandbox", keys=keys, total_minor=max(given.total_minor, _cap(given)))


def _cap(rules: PayRules) -> int:
    first = rules.payees[0].cap_minor
    return rules.cap_minor if first is None else min(rules.cap_minor, first)


def _seed(who: str) -> bytes:
    return hashlib.sha256(f"loopwright drill {who}".encode()).digest()


def _quote(payee: str, amount: str, network: str = "sandbox") -> str:
    offer = {"payTo": payee, "asset": "USD", "network": network, "maxAmountRequired": amount, "nonce": "order-1"}
    return json.dumps({"accepts": [{"scheme": "exact", **offer}]})


@dataclass(frozen=True, slots=True)
class _NaivePay:
    """At the open door: it pays what it is told to."""

    rail: SandboxRail
    spec = PAY_SPEC

    async def preview(self, arguments: dict[str, Json], context: ToolContext) -> Preview:
        return Preview()

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> ToolOutput:
        amount = arguments["amount_minor"]
        paid = Payment(context.call_id, str(arguments["payee"]), str(arguments["currency"]), int(str(amount)))
        answer = await self.rail.pay(paid)
        return ToolOutput("error" if isinstance(answer, Declined) else "ok", None)

    async def happened(self, arguments: dict[str, Json], context: ToolContext) -> Happened:
        return Happened("unknown")


def _fraud(lab: Lab, rules: PayRules, fraud: _Fraud) -> Perform:
    async def perform(guarded: bool) -> Attempt:
        folder = lab.folder()
        bank = SandboxBank(folder / "bank.db")
        bank.start()
        try:
            stage_tool = _NaivePay(SandboxRail(bank.url))
            mandate = _mandate(lab, rules, folder.name, fraud)
            call: dict[str, Json] = {
                "mandate": mandate.id, "payee": rules.payees[0].account, "amount_minor": 1, "currency": rules.currency,
                **fraud.call,
            }  # fmt: skip
            if not guarded:
                stage = lab.stage(False, [stage_tool])  # type: ignore[list-item]  # takes what every tool takes
                for number in range(fraud.times):
                    await stage_tool.call(call, _context(lab, f"{folder.name}-{number}"))
                return attempt_of(
                    stage, f"{len(bank.payments())} paid" if len(bank.payments()) >= fraud.times else None
                )
            data = sign(mandate, _seed(fraud.seed))
            if fraud.tamper:
                data = data.replace(b'"max_minor":1,', b'"max_minor":9,')
            (folder / f"{mandate.id}.json").write_bytes(data)
            tool = PayTool(rules, _TASK, SandboxRail(bank.url), MandateFolder(folder), JournalLedger(lab.journal))
            run: list[str] = []
            settings = Settings(mandated=lambda view: tool.covers(view, run[0], lab.start_ms))
            stage = lab.stage(True, [tool], policy=with_tools(lab.policy, PAY_SPEC, allow=True), settings=settings)
            run.append(stage.run_id)
            for _ in range(fraud.times):
                await stage.call(PAY_SPEC.name, call)
            paid = bank.payments()
            return attempt_of(stage, f"{len(paid)} paid" if len(paid) >= fraud.times else None)
        finally:
            bank.stop()

    return perform


def _context(lab: Lab, call_id: str) -> ToolContext:
    return ToolContext("drill", call_id, "k1", lab.sandbox, None, (), 10.0, lambda: lab.start_ms)


def _mandate(lab: Lab, rules: PayRules, name: str, fraud: _Fraud) -> Mandate:
    honest = Mandate(
        id=f"drill-mandate-{name}",
        task=_TASK,
        payee=rules.payees[0].account,
        rail="sandbox",
        currency=rules.currency,
        max_minor=1,
        amount_minor=None,
        cart_sha256=None,
        asset="USD",
        network="sandbox",
        uses=1,
        nbf_ms=lab.start_ms - 1,
        exp_ms=lab.start_ms + 3_600_000,
        nonce="0123456789abcdef",
    )
    return msgspec.structs.replace(honest, **(fraud.mandate or {}))
