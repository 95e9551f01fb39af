"""The book of mandates: each is reserved at most once, ever, over all runs, processes and machines that share the journal.

A mandate has a stream of its own, `pay:<mandate id>`. Its first commit, request and intent together, is appended at sequence 0 and
is the reservation: of any number of payers that race, the journal lets one write it. The outcome follows. A reservation is never
given back, whatever became of it: another payment needs another mandate.
"""

import hashlib
from typing import Final, Protocol

import msgspec

from loopwright.errors import StaleWriter
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallStatus, ToolCall
from loopwright.kernel.values import BlobRef, Value
from loopwright.tools.pay.mandate import Refusal
from loopwright.tools.pay.terms import Payment, spend_of

__all__ = ["PREFIX", "Holder", "JournalLedger", "MandateLedger", "Standing"]

PREFIX: Final = "pay:"
"""What the names of these streams begin with: they are no runs."""


class Holder(Value, frozen=True):
    """The call that a mandate is reserved for."""

    run_id: str
    call_id: str

    @property
    def name(self) -> str:
        return f"{self.run_id}/{self.call_id}"


class Standing(Value, frozen=True):
    """How a reserved mandate stands; `status` is `None` while its outcome is not known."""

    holder: str
    payment: Payment
    status: CallStatus | None


class MandateLedger(Protocol):
    def reserve(self, holder: Holder, payment: Payment, mandate_sha256: str) -> Refusal | None:
        """Take the mandate for this call, durably. A refusal when any call ever took it. Raises: `JournalError`."""
        ...

    def settle(self, holder: Holder, mandate_id: str, status: CallStatus, message: str) -> None:
        """Record how it ended; what was recorded first stays. Raises: `JournalError`."""
        ...

    def standing(self, mandate_id: str) -> Standing | None:
        """`None` for a mandate that nobody reserved. Raises: `JournalError`."""
        ...

    def paid_minor(self, run_id: str, currency: str, *, but: str) -> int:
        """What calls of this run have paid or reserved, in minor units, but for the mandate `but`."""
        ...


class JournalLedger:
    """`MandateLedger` in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def reserve(self, holder: Holder, payment: Payment, mandate_sha256: str) -> Refusal | None:
        data = msgspec.json.encode(payment, order="sorted")
        sha256 = hashlib.sha256(data).hexdigest()
        call = ToolCall(
            call_id=holder.name,
            action_id="",
            actor=holder.run_id,
            tool="pay",
            effect="spend",
            # Inline always, whatever the store would do: the reservation must be readable from its stream alone.
            arguments=BlobRef(sha256, len(data), "application/json", data.decode()),
            precondition=mandate_sha256,
            digest=sha256,
        )
        reserve = spend_of(payment.currency, payment.amount_minor)
        bodies: list[ev.Body] = [
            ev.CallRequested(call, ()),
            ev.CallIntended(holder.name, payment.mandate_id, reserve),
        ]
        try:
            self._journal.append(PREFIX + payment.mandate_id, bodies, expect_seq=0)
        except StaleWriter:
            taken = self.standing(payment.mandate_id)
            by = "another call" if taken is None else f"call {taken.holder} ({taken.status or 'outcome not known'})"
            return Refusal(
                "mandate.used",
                f"mandate {payment.mandate_id!r} was used by {by}",
                "sign a new mandate for another payment",
            )
        return None

    def settle(self, holder: Holder, mandate_id: str, status: CallStatus, message: str) -> None:
        taken = self.standing(mandate_id)
        if taken is None or taken.holder != holder.name or taken.status is not None:
            return
        paid = taken.payment if status == "ok" else None
        spend = spend_of("", 0) if paid is None else spend_of(paid.currency, paid.amount_minor)
        ended = ev.CallEnded(holder.name, status, message, None, spend)
        try:
            self._journal.append(PREFIX + mandate_id, [ended], expect_seq=2)
        except StaleWriter:
            # Another process settled it in the same moment; the rail told both the same.
            return

    def standing(self, mandate_id: str) -> Standing | None:
        holder, payment, status = "", None, None
        for event in self._journal.read(PREFIX + mandate_id):
            match event.body:
                case ev.CallRequested(call=call):
                    holder = call.call_id
                    payment = msgspec.json.decode(call.arguments.inline or "", type=Payment)
                case ev.CallEnded(status=ended):
                    status = ended
        return None if payment is None else Standing(holder, payment, status)

    def paid_minor(self, run_id: str, currency: str, *, but: str) -> int:
        total = 0
        for head in self._journal.heads():
            if not head.run_id.startswith(PREFIX) or head.run_id == PREFIX + but:
                continue
            taken = self.standing(head.run_id.removeprefix(PREFIX))
            if (
                taken is not None
                and taken.holder.rpartition("/")[0] == run_id
                and taken.payment.currency == currency
                and taken.status in ("ok", "unknown", "timeout", None)
            ):
                total += taken.payment.amount_minor
        return total
