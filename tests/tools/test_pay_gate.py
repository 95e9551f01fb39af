"""The payment tool behind the real gate and the real policy: what is mandated is paid unasked, and the record explains itself."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from loopwright.kernel import events as ev
from loopwright.kernel.calls import ToolCall
from loopwright.kernel.values import BlobRef, Budget, Spend
from loopwright.policy.values import Grant, Json, PlanStep
from loopwright.testing.clock import FakeClock
from loopwright.tools.pay.bank import SandboxBank
from loopwright.tools.results import Settings
from loopwright.views.audit import audit
from support.gates import ACTOR, SEND, Desk, FakeTool, begin, desk
from support.payments import NOW_MS, PAYEE, Payer, arguments
from support.streams import blob


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


def counter(payer: Payer, run_id: str = "r1", *, budget: Budget | None = None, unattended: bool = True) -> Desk:
    """A run that may pay, with nobody there to ask."""
    journal = payer.journal()
    begin(journal, run_id, budget=budget)
    grant = blob(msgspec.json.encode(Grant(tools=("mail.send", "pay"))).decode())
    journal.append(run_id, [ev.PolicyBound(ACTOR, blob("{}"), grant, blob("{}"))], expect_seq=1)
    tool = payer.tool()
    return desk(
        journal,
        tool,  # type: ignore[arg-type]  # the desk takes any tool
        FakeTool(SEND),
        run_id=run_id,
        task=f"Pay 250 cents to {PAYEE} in USD with mandate-1.",
        plan=(PlanStep("pay", None), PlanStep("mail.send", None)),
        clock=FakeClock(NOW_MS),
        settings=Settings(
            unattended=unattended, mandated=lambda view: tool.covers(view, run_id, NOW_MS), approval_ttl_ms=30_000
        ),
    )


def findings(counter: Desk) -> list[str]:
    return [found.line() for found in audit(counter.journal.read(counter.run_id)).findings]


def test_a_mandated_payment_goes_through_the_gate_unasked_and_is_audited(payer: Payer, bank: SandboxBank) -> None:
    at = counter(payer, budget=Budget(usd_micros=3_000_000))
    done = at.call("pay", arguments())
    assert done.status == "ok", done
    assert len(bank.payments()) == 1
    report = audit(at.journal.read("r1"))
    assert report.findings == () and report.spent.usd_micros == 2_500_000
    assert (report.calls, report.effects) == (1, 1)


@pytest.mark.parametrize(
    "changes",
    [{"payee": "eve.example"}, {"payee": "sh\u043ep.example"}, {"amount_minor": 501}, {"currency": "EUR"}, {"mandate": "mandate-2"}],
)  # fmt: skip
def test_what_no_mandate_covers_is_refused_and_the_bank_is_not_called(
    payer: Payer, bank: SandboxBank, changes: dict[str, Json]
) -> None:
    at = counter(payer)
    refused = at.call("pay", arguments(**changes))
    assert refused.status == "denied" and refused.ruling.why and refused.ruling.remedy
    assert bank.payments() == [] and findings(at) == []


def test_no_approval_stands_in_for_a_mandate(payer: Payer, bank: SandboxBank) -> None:
    """A person who is there may approve a call, but the tool pays under a signature only."""
    at = counter(payer, unattended=False)
    assert at.call("pay", arguments(payee="eve.example")).status == "denied"
    assert at.asks == () and bank.payments() == []


def test_a_budget_that_is_too_small_holds_the_payment_back(payer: Payer, bank: SandboxBank) -> None:
    at = counter(payer, budget=Budget(usd_micros=2_499_999))
    assert at.call("pay", arguments()).ruling.rule == "budget.spend"
    assert bank.payments() == [] and findings(at) == []
    assert counter(payer, "r2", budget=Budget(usd_micros=2_500_000)).call("pay", arguments()).status == "ok"


def test_a_mandate_used_in_one_run_is_refused_in_the_next(payer: Payer, bank: SandboxBank) -> None:
    assert counter(payer, "r1").call("pay", arguments()).status == "ok"
    again = counter(payer, "r2")
    refused = again.call("pay", arguments())
    assert refused.status == "denied" and "r1/c1" in refused.ruling.why
    assert len(bank.payments()) == 1 and findings(again) == []


def test_the_record_of_an_asked_and_approved_call_has_no_finding(payer: Payer) -> None:
    at = counter(payer, unattended=False)
    asked = at.call("mail.send", {"to": "stranger@example.net", "body": "hello"})
    assert asked.status == "asked" and asked.ask_id is not None
    at.approve(asked.ask_id)
    assert at.call("mail.send", {"to": "stranger@example.net", "body": "hello"}).status == "ok"
    report = audit(at.journal.read("r1"))
    assert report.findings == () and (report.effects, report.approvals) == (1, 1)


def test_a_call_put_into_the_record_behind_the_gate_s_back_is_found(payer: Payer) -> None:
    at = counter(payer)
    at.call("pay", arguments())
    head = at.journal.head("r1")
    assert head is not None
    forged = ToolCall("c2", "", ACTOR, "pay", "spend", BlobRef("0" * 64, 2), "", "d")
    at.journal.append("r1", [ev.CallRequested(forged, ()), ev.CallIntended("c2", "k", Spend())], expect_seq=head.seq)
    assert any("call.undecided: c2" in line for line in findings(at))
