"""A server's way out: the egress proxy of `tools.egress` on a socket of the server's own, held to the hosts that its section names."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loopwright.secrets.broker import Broker
from loopwright.secrets.errors import CanarySeen
from loopwright.secrets.target import Target
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.egress.allow import EgressList, Resolver, resolve
from loopwright.tools.egress.errors import EgressRefused
from loopwright.tools.egress.proxy import EgressProxy

__all__ = ["WayOut"]

_NOTES = 20


@dataclass(frozen=True, slots=True)
class _NotingList(EgressList):
    """The list, and what it refused: the server is told in its own connection, the user in the call's output."""

    notes: dict[str, None] = field(default_factory=dict, compare=False)

    def check(self, scheme: str, target: Target) -> None:
        try:
            EgressList.check(self, scheme, target)
        except EgressRefused as error:
            self._note(error)
            raise

    def check_addresses(self, target: Target, addresses: Sequence[str]) -> tuple[str, ...]:
        try:
            return EgressList.check_addresses(self, target, addresses)
        except EgressRefused as error:
            self._note(error)
            raise

    def _note(self, error: EgressRefused) -> None:
        if len(self.notes) < _NOTES:
            self.notes[shown(str(error))] = None


class WayOut:
    """Implements `process.Egress`. Made by `open`, ended by `close`. `uid` is the sandbox's: nobody else can connect."""

    def __init__(
        self,
        hosts: Sequence[str],
        broker: Broker,
        uid: int,
        *,
        resolver: Resolver = resolve,
        sent_limit_bytes: int | None = None,
    ) -> None:
        """Raises: `UsageError` for an entry that is no exact host."""
        self._allowed = _NotingList(EgressList.of(hosts).targets)
        self._proxy = EgressProxy(
            self._allowed, broker, self._seen, resolver=resolver, sent_limit_bytes=sent_limit_bytes
        )
        self._uid = uid
        self._folder: Path | None = None
        self._alarm: CanarySeen | None = None

    @property
    def socket(self) -> Path:
        assert self._folder is not None, "open it first"
        return self._folder / "egress"

    @property
    def sent_bytes(self) -> int:
        return self._proxy.counters.sent_bytes

    @property
    def refused(self) -> tuple[str, ...]:
        return tuple(self._allowed.notes)

    @property
    def alarm(self) -> CanarySeen | None:
        return self._alarm

    async def open(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lw-out-"))
        self._folder.chmod(0o711)
        await self._proxy.serve_unix(self.socket, self._uid)

    async def close(self) -> None:
        await self._proxy.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _seen(self, canary: CanarySeen) -> None:
        self._alarm = canary
