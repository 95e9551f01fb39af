"""The broker: what an actor holds is a placeholder; the value is put in here, at the last moment, for one header of one host.

Values are fetched when they are first needed, live in no attribute that prints or pickles, and are known to the redactor before they
are used. What leaves is scanned first: a decoy in it ends the run, a real value anywhere but in its header is refused.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn

from loopwright.journal.redact import Redactor, Secret
from loopwright.policy.policy import SecretSpec
from loopwright.policy.values import Grant, Json, SecretUse
from loopwright.secrets import sources
from loopwright.secrets.canary import Decoy
from loopwright.secrets.errors import CanarySeen, SecretRefused, SecretUnavailable
from loopwright.secrets.placeholder import in_arguments, names_in, placeholder, placeholder_env
from loopwright.secrets.scan import EgressScan, StreamScan
from loopwright.secrets.sealed import Sealed
from loopwright.secrets.stream import StreamRedactor
from loopwright.secrets.target import BadTarget, Target, parse_target

__all__ = ["Broker", "Headers"]

Headers = tuple[tuple[str, str], ...]
"""Names and values in order; a name may stand several times."""


class Broker:
    """`env` is the operator's environment, for the sources. `redactor` is the journal's: it learns every value before it is used."""

    def __init__(self, specs: Sequence[SecretSpec], env: Mapping[str, str], redactor: Redactor) -> None:
        self._specs = {spec.name: spec for spec in specs}
        # In a closure, as the values: whoever prints the attributes of this object must not print the environment.
        self._load: Callable[[SecretSpec], str] = lambda spec: sources.load(spec, env)
        self._redactor = redactor
        self._values: dict[str, Sealed] = {}
        self._decoys: dict[str, Sealed] = {}
        self._lock = threading.RLock()
        self._scans: tuple[EgressScan, EgressScan] | None = None
        # What lies in our environment anyway is hidden from the start, whatever its variable is called. One that is not fit is said
        # when it is used.
        for spec in specs:
            if spec.source.kind == "env" and not spec.canary:
                with contextlib.suppress(SecretUnavailable):
                    self._value(spec)

    def __repr__(self) -> str:
        return f"<broker of {sorted(self._specs)}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a broker holds secrets: it cannot be copied or pickled")

    # --- what an actor gets ------------------------------------------------------------------------------------------------
    def actor_env(self, grant: Grant) -> Mapping[str, str]:
        """Variables with the placeholders of the secrets that `grant` holds."""
        return placeholder_env([use.name for use in grant.secrets if use.name in self._specs])

    def plant(self, decoys: Iterable[Decoy]) -> None:
        """From now on these values end the run when they are seen in anything that leaves."""
        with self._lock:
            self._decoys.update((decoy.name, Sealed(decoy.name, decoy.value)) for decoy in decoys)
            self._scans = None

    # --- on the way out ----------------------------------------------------------------------------------------------------
    def headers_for(self, host: str, port: int, scheme: str, requested: Headers, grant: Grant) -> Headers:
        """`requested` with its placeholders replaced by values; for this one request to this one host, never to be shown.

        May block: a source can be a command or a keyring that asks. Raises: `SecretRefused`, `SecretUnavailable`.
        """
        specs = self.check_headers(host, port, scheme, requested, grant)
        return tuple(
            (name, value if spec is None else spec.format.replace("{}", self._value(spec).reveal(), 1))
            for spec, (name, value) in zip(specs, requested, strict=True)
        )

    def check_headers(
        self, host: str, port: int, scheme: str, requested: Headers, grant: Grant
    ) -> tuple[SecretSpec | None, ...]:
        """Which secret goes into which of `requested`; no value is fetched. Raises: `SecretRefused`, `CanarySeen`."""
        names = [name.lower() for name, _ in requested]
        return tuple(
            self._wanted(Target(host, port), scheme, name, value, names.count(name.lower()), grant)
            for name, value in requested
        )

    def refuse_misplaced(self, arguments: Json, headers_at: str | None = None) -> None:
        """Raises: `SecretRefused` when a placeholder stands in `arguments` elsewhere than in a value of the object `headers_at`."""
        for path, name in in_arguments(arguments):
            if headers_at is None or not path.startswith(f"{headers_at}."):
                spec = self._specs.get(name)
                place = f"the header {spec.header!r} of a request to {spec.host!r}" if spec else "its declared header"
                raise SecretRefused(
                    "secret.misplaced",
                    f"secret {name!r}: its placeholder stands in {path or 'the arguments'}, where no value is ever put",
                    f"put {placeholder(name)} into {place}, or leave it out",
                )

    def scan_egress(self, data: bytes, where: str) -> None:
        """Look at what is about to leave. `where` says what it is (`url`, `body`, `header x-note`); injected headers are not given here.

        Raises: `CanarySeen` for a decoy, `SecretRefused` for a value, in any encoding; `SecretUnavailable` when a declared canary cannot
        be read, since then nothing can be told.
        """
        decoys, values = self._current_scans()
        if (name := decoys.find(data)) is not None:
            raise CanarySeen(name, where)
        if (name := values.find(data)) is not None:
            self._refuse_leak(name, where)

    def stream_scan(self, where: str) -> "EgressWatch":
        """The same for what leaves in pieces."""
        decoys, values = self._current_scans()
        return EgressWatch(StreamScan(decoys), StreamScan(values), where)

    # --- on the way back ---------------------------------------------------------------------------------------------------
    def redact(self, value: Json) -> Json:
        """`value` with every secret in its texts replaced by its name, keys of objects included."""
        if isinstance(value, str):
            return self._redactor.clean(value)
        if isinstance(value, list):
            return [self.redact(item) for item in value]
        if isinstance(value, dict):
            return {self._redactor.clean(key): self.redact(item) for key, item in value.items()}
        return value

    def redact_text(self, text: str, cut: bool = False) -> str:
        """`text` without secrets. `cut`: it may end in the middle of one, so as many characters as could be such a part are left out."""
        if cut:
            stream = self.stream()
            text = stream.feed(text.encode("utf-8", "replace")).decode()
        return self._redactor.clean(text)

    def stream(self) -> StreamRedactor:
        """For output that is shown while it comes."""
        return StreamRedactor(lambda: self._redactor.known)

    # --- inside ------------------------------------------------------------------------------------------------------------
    def _wanted(
        self, target: Target, scheme: str, header: str, value: str, times: int, grant: Grant
    ) -> SecretSpec | None:
        names = names_in(value)
        if names_in(header):
            self.refuse_misplaced({header: ""})
        if not names:
            return None
        name = names[0]
        spec = self._specs.get(name)
        if spec is None:
            known = ", ".join(sorted(n for n, s in self._specs.items() if not s.canary)) or "none"
            raise SecretRefused(
                "secret.unknown", f"secret {name!r}: not declared", f"declare it in the policy (declared: {known})"
            )
        if spec.canary:
            raise CanarySeen(name, f"header {header.lower()}")
        self._check_granted(spec, grant)
        if scheme != "https":
            raise SecretRefused(
                "secret.https", f"secret {name!r}: sent over https only, found {scheme!r}", "use an https URL"
            )
        if target != _declared(spec):
            raise SecretRefused(
                "secret.host",
                f"secret {name!r}: declared for {spec.host!r}, found a request to {str(target)!r}",
                f"send it to {spec.host!r}, or declare another secret for {str(target)!r}",
            )
        if header.lower() != spec.header.lower() or times != 1:
            found = "that header twice" if times != 1 else f"header {header!r}"
            raise SecretRefused(
                "secret.header",
                f"secret {name!r}: declared for the header {spec.header!r}, found {found}",
                f"put {placeholder(name)} into the header {spec.header!r}, once",
            )
        written = spec.format.replace("{}", placeholder(name), 1)
        if value not in (placeholder(name), written):
            raise SecretRefused(
                "secret.format",
                f"secret {name!r}: expected its header to be {written!r}, found other text around the placeholder",
                f"write {written!r}",
            )
        return spec

    def _check_granted(self, spec: SecretSpec, grant: Grant) -> None:
        wanted = SecretUse(spec.name, spec.host, spec.header)
        for use in grant.secrets:
            if (use.name, use.host.lower(), use.header.lower()) == (spec.name, spec.host.lower(), spec.header.lower()):
                return
        raise SecretRefused(
            "secret.grant",
            f"secret {spec.name!r}: not granted to this actor for {wanted.header!r} of {wanted.host!r}",
            f"add {spec.name!r} to the secrets of the loop's permit",
        )

    def _value(self, spec: SecretSpec) -> Sealed:
        with self._lock:
            sealed = self._values.get(spec.name)
            if sealed is None:
                sealed = Sealed(spec.name, self._load(spec))
                if spec.canary:
                    self._decoys[spec.name] = sealed
                else:
                    # Before it is used: the first answer may already echo it.
                    self._redactor.learn([Secret(spec.name, sealed.reveal())])
                self._values[spec.name] = sealed
                self._scans = None
            return sealed

    def _current_scans(self) -> tuple[EgressScan, EgressScan]:
        with self._lock:
            for spec in self._specs.values():
                if spec.canary:
                    self._value(spec)
            if self._scans is None:
                self._scans = (
                    EgressScan({name: sealed.reveal() for name, sealed in self._decoys.items()}, pieces=True),
                    EgressScan(
                        {name: sealed.reveal() for name, sealed in self._values.items() if name not in self._decoys},
                        pieces=False,
                    ),
                )
            return self._scans

    @staticmethod
    def _refuse_leak(name: str, where: str) -> NoReturn:
        raise SecretRefused(
            "secret.in_egress",
            f"secret {name!r}: its value was found in the {where} of a request, which was not sent",
            f"use {placeholder(name)} in its declared header; the value itself never belongs into a request",
        )


class EgressWatch:
    """Scans one stream; see `Broker.scan_egress`."""

    def __init__(self, decoys: StreamScan, values: StreamScan, where: str) -> None:
        self._decoys = decoys
        self._values = values
        self._where = where

    def feed(self, data: bytes) -> None:
        """Raises: `CanarySeen`, `SecretRefused`; then nothing of `data` may be sent."""
        if (name := self._decoys.feed(data)) is not None:
            raise CanarySeen(name, self._where)
        if (name := self._values.feed(data)) is not None:
            Broker._refuse_leak(name, self._where)


def _declared(spec: SecretSpec) -> Target | None:
    try:
        return parse_target(spec.host)
    except BadTarget:
        return None
