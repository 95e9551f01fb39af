"""A payer with everything real: a bank over HTTP, a journal on disk, mandates as files, the human's key in the test's hands."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from loopwright.journal.opening import open_journal
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.policy.policy import Payee, PayRules
from loopwright.policy.values import Json
from loopwright.sandbox.plain import PlainSandbox
from loopwright.tools.pay.ledger import JournalLedger, MandateLedger
from loopwright.tools.pay.mandate import Mandate, public_key, sign
from loopwright.tools.pay.rail import Rail, SandboxRail
from loopwright.tools.pay.tool import MandateFolder, PayTool
from loopwright.tools.protocol import ToolContext

__all__ = ["HUMAN", "MANDATE", "NOW_MS", "PAYEE", "RULES", "Payer", "arguments"]

HUMAN = bytes(range(32))
PAYEE = "shop.example"
NOW_MS = 1_760_000_000_000
RULES = PayRules(payees=(Payee(PAYEE),), cap_minor=10_000, total_minor=20_000, keys=(public_key(HUMAN),))
MANDATE = Mandate(
    id="mandate-1",
    task="buy",
    payee=PAYEE,
    rail="sandbox",
    currency="USD",
    max_minor=500,
    amount_minor=None,
    cart_sha256=None,
    asset="USD",
    network="sandbox",
    uses=1,
    nbf_ms=NOW_MS - 1000,
    exp_ms=NOW_MS + 60_000,
    nonce="0123456789abcdef",
)


def arguments(**changes: Json) -> dict[str, Json]:
    """A call of the tool that `MANDATE` allows; `None` leaves an argument out."""
    stated: dict[str, Json] = {"mandate": MANDATE.id, "payee": PAYEE, "amount_minor": 250, "currency": "USD", **changes}
    return {name: value for name, value in stated.items() if value is not None}


@dataclass(frozen=True)
class Payer:
    """One process's view of the place `root` where mandates and journal lie, and of the bank at `url`."""

    root: Path
    url: str
    rules: PayRules = RULES
    task: str = "buy"
    now_ms: int = NOW_MS
    opened: list[Journal] = field(default_factory=list)

    def journal(self) -> Journal:
        """A handle of its own, as another process would have; `close` closes them all."""
        journal = open_journal(self.root, None, now_ms=lambda: self.now_ms, redactor=Redactor())
        self.opened.append(journal)
        return journal

    def close(self) -> None:
        for journal in self.opened:
            journal.close()

    def give(self, mandate: Mandate = MANDATE, *, seed: bytes = HUMAN, **changes: object) -> bytes:
        """A person signs a mandate and puts it where the gate looks."""
        data = sign(msgspec.structs.replace(mandate, **changes), seed)
        return self.put(data, str(changes.get("id", mandate.id)))

    def put(self, data: bytes, mandate_id: str = MANDATE.id) -> bytes:
        folder = self.root / "mandates"
        folder.mkdir(exist_ok=True)
        (folder / f"{mandate_id}.json").write_bytes(data)
        return data

    def tool(self, *, rail: Rail | None = None, ledger: MandateLedger | None = None) -> PayTool:
        return PayTool(
            self.rules,
            self.task,
            rail or SandboxRail(self.url),
            MandateFolder(self.root / "mandates"),
            ledger or JournalLedger(self.journal()),
        )

    def context(self, run_id: str = "run-a", call_id: str = "c1") -> ToolContext:
        sandbox = PlainSandbox(self.root / "homes", "/usr/bin:/bin")
        return ToolContext(run_id, call_id, "a key of the gate", sandbox, None, (), 10.0, lambda: self.now_ms)
