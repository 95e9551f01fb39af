"""The governed HTTP tools: `http.get` reads, `http.send` changes something out there. Both reach exactly the granted hosts.

A call is checked, looked at for secrets and decoys, resolved once and sent to the very address that was checked. Redirects are taken
by hand: each is a new request with the same checks, and none carries a secret to another host.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from loopwright.errors import ActionError
from loopwright.kernel.calls import CallStatus
from loopwright.policy.values import Grant, Json, ToolSpec
from loopwright.secrets.broker import Broker, Headers
from loopwright.secrets.errors import SecretRefused, SecretUnavailable
from loopwright.secrets.placeholder import names_in
from loopwright.tools.egress.allow import EgressList, Resolver, resolve
from loopwright.tools.egress.errors import EgressRefused
from loopwright.tools.egress.exchange import Answer, ExchangeFailed, Progress, exchange, system_tls
from loopwright.tools.egress.text import as_json
from loopwright.tools.egress.url import Url, join, parse_url
from loopwright.tools.http_spec import DEFAULT_LIMITS, GET, SEND, HttpLimits
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput

__all__ = ["GET", "SEND", "HttpLimits", "HttpTool", "http_tools"]

_METHODS: Final = {GET.name: ("GET", "HEAD"), SEND.name: ("POST", "PUT", "PATCH", "DELETE")}
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?|")
_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"}
    | {"accept-encoding", "idempotency-key", "proxy-authorization", "proxy-connection", "x-http-method-override"}
    | {"forwarded", "x-forwarded-for", "x-forwarded-host"}
)
"""Headers that say where a request goes, where it ends or who sends it."""
_BOUND_TO_HOST: Final = frozenset({"authorization", "cookie", "x-api-key"})
_SHOWN_HEADERS: Final = (
    "content-type",
    "last-modified",
    "etag",
    "location",
    "link",
    "retry-after",
    "x-ratelimit-remaining",
)
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class _Ask:
    method: str
    url: Url
    headers: Headers
    body: bytes


@dataclass(slots=True)
class _Trail:
    """What happened so far, for an answer that does not come."""

    progress: Progress
    sent: bool = False
    sent_bytes: int = 0

    def next_hop(self) -> Progress:
        self.sent = self.sent or self.progress.sent
        self.progress = Progress()
        return self.progress


def http_tools(
    grant: Grant,
    broker: Broker,
    *,
    resolver: Resolver = resolve,
    tls: Callable[[], ssl.SSLContext] = system_tls,
    limits: HttpLimits = DEFAULT_LIMITS,
) -> tuple["HttpTool", "HttpTool"]:
    """`http.get` and `http.send` for an actor that holds `grant`. Raises: `UsageError` for a host that is not an exact one."""
    allowed = EgressList.of(grant.hosts)
    get, send = (HttpTool(spec, grant, allowed, broker, resolver, tls, limits) for spec in (GET, SEND))
    return get, send


class HttpTool:
    """`resolver` and `tls` are where names and trust come from."""

    def __init__(
        self,
        spec: ToolSpec,
        grant: Grant,
        allowed: EgressList,
        broker: Broker,
        resolver: Resolver,
        tls: Callable[[], ssl.SSLContext],
        limits: HttpLimits,
    ) -> None:
        self._spec = spec
        self._grant = grant
        self._allowed = allowed
        self._broker = broker
        self._resolver = resolver
        self._make_tls = tls
        self._limits = limits

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading the system's authorities takes long enough to do it once, and not before it is needed.
        return self._make_tls()

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        try:
            ask = self._checked(arguments)
        except (EgressRefused, SecretRefused) as error:
            raise ActionError(str(error), signature=error.rule, status="denied") from None
        head = "".join(f"{name}: {value}\n" for name, value in ask.headers)
        text = f"{ask.method} {ask.url}\n{head}\n{ask.body.decode()}"
        return Preview(diff=text, notes=(f"{len(ask.body)} bytes of body",) if ask.body else ())

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        """Raises: `CanarySeen` when a decoy was about to leave, which must end the run."""
        trail = _Trail(Progress())
        try:
            ask = self._checked(arguments)
            async with asyncio.timeout(context.timeout_s):
                return await self._follow(ask, context, trail)
        except (EgressRefused, SecretRefused, SecretUnavailable) as error:
            return self._failed("denied", str(error), trail)
        except ActionError as error:
            return self._failed("error", str(error), trail)
        except TimeoutError:
            return self._failed("timeout", f"no whole answer within {context.timeout_s:g} s", trail)
        except (ExchangeFailed, OSError) as error:
            return self._failed("error", str(error), trail)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        """Reading changes nothing; whether a request that was sent had its effect, no general protocol says."""
        if self._spec is GET:
            return Happened("no", message="reading again is harmless")
        return Happened("unknown", message=f"ask the service for the idempotency key {context.key!r}")

    # --- before anything leaves ----------------------------------------------------------------------------------------------
    def _checked(self, arguments: Mapping[str, Json]) -> _Ask:
        """Raises: `EgressRefused`, `SecretRefused`, `ActionError` for arguments that make no request."""
        self._broker.refuse_misplaced(dict(arguments), headers_at="headers")
        methods = _METHODS[self._spec.name]
        url, method, body = arguments.get("url"), arguments.get("method", methods[0]), arguments.get("body", "")
        if not isinstance(url, str) or not isinstance(body, str) or method not in methods:
            raise ActionError(f"{self._spec.name}: expected a url, a method of {', '.join(methods)} and a text as body")
        if len(data := body.encode("utf-8", "replace")) > self._limits.body_bytes:
            raise ActionError(
                f"{self._spec.name}: expected a body of at most {self._limits.body_bytes} bytes, found {len(data)}"
            )
        ask = _Ask(str(method), parse_url(url), self._headers(arguments.get("headers", {})), data)
        self._allowed.check(ask.url.scheme, ask.url.target)
        target = ask.url.target
        self._broker.check_headers(target.host, target.port, ask.url.scheme, ask.headers, self._grant)
        return ask

    def _headers(self, value: Json) -> Headers:
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise ActionError(f"{self._spec.name}: expected headers as an object of texts")
        headers = tuple((name, str(text)) for name, text in value.items())
        for name, text in headers:
            if name.lower() in _OURS:
                raise EgressRefused("egress.header", f"header {name!r}: set by the runtime only", "leave it out")
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
                raise EgressRefused(
                    "egress.header", f"header {name[:64]!r}: expected printable ASCII on one line", "correct it"
                )
        if len({name.lower() for name, _ in headers}) != len(headers):
            raise EgressRefused("egress.header", "a header stands twice in different letter case", "leave one out")
        if sum(len(name) + len(text) + 4 for name, text in headers) > self._limits.header_bytes:
            raise EgressRefused(
                "egress.header", f"headers: expected at most {self._limits.header_bytes} bytes", "shorten them"
            )
        return headers

    def _scan(self, ask: _Ask) -> None:
        self._broker.scan_egress(str(ask.url).encode(), "url")
        for name, value in ask.headers:
            self._broker.scan_egress(f"{name}: {value}".encode(), f"header {name.lower()}")
        if ask.body:
            self._broker.scan_egress(ask.body, "body")

    # --- on the wire ---------------------------------------------------------------------------------------------------------
    async def _follow(self, ask: _Ask, context: ToolContext, trail: _Trail) -> ToolOutput:
        for hop in range(self._limits.redirects + 1):
            answer = await self._exchange(ask, context, trail)
            location = answer.header("location") if answer.status in _REDIRECTS else None
            if location is None:
                return self._output(ask, answer, trail)
            if hop == self._limits.redirects:
                break
            try:
                ask = self._redirected(ask, answer.status, location)
            except EgressRefused as error:
                if self._spec is GET:
                    raise
                # What was sent has been answered: that is known, and the answer says where it leads.
                return self._output(ask, answer, trail, f"the redirect was not followed: {error}")
        return self._failed("error", f"more than {self._limits.redirects} redirects, the last to {ask.url}", trail)

    async def _exchange(self, ask: _Ask, context: ToolContext, trail: _Trail) -> Answer:
        # Off the loop: a source may be a command or a keyring that asks, a scan of a large body takes a while.
        await asyncio.to_thread(self._scan, ask)
        addresses = await self._allowed.pinned(ask.url.target, self._resolver)
        target = ask.url.target
        headers = await asyncio.to_thread(
            self._broker.headers_for, target.host, target.port, ask.url.scheme, ask.headers, self._grant
        )
        ours: Headers = (("Accept-Encoding", "gzip"), ("Connection", "close"))
        if not any(name.lower() == "user-agent" for name, _ in headers):
            ours += (("User-Agent", "loopwright"),)
        if ask.method in _METHODS[SEND.name]:
            ours += (("Idempotency-Key", context.key),)
        trail.sent_bytes += len(ask.method) + len(str(ask.url)) + len(ask.body)
        trail.sent_bytes += sum(len(name) + len(value) + 4 for name, value in (*headers, *ours))
        return await exchange(
            ask.method,
            ask.url,
            addresses,
            (*headers, *ours),
            ask.body,
            tls=self._tls if ask.url.scheme == "https" else None,
            timeout_s=context.timeout_s,
            limit_bytes=self._limits.answer_bytes,
            progress=trail.next_hop(),
        )

    def _redirected(self, ask: _Ask, status: int, location: str) -> _Ask:
        """The next request. Raises: `EgressRefused`, also when it would send the same content to somebody else than was asked for."""
        url = join(ask.url, location)
        self._allowed.check(url.scheme, url.target)
        same_origin = url.origin == ask.url.origin
        reads = ask.method in _METHODS[GET.name]
        if not reads and status in (307, 308) and not same_origin:
            raise EgressRefused(
                "egress.redirect",
                f"host {str(url.target)!r}: a redirect asks to send the same content to it",
                "send it there in a call of its own",
            )
        following = replace(ask, url=url)
        if not reads and status not in (307, 308):
            kept = tuple((n, v) for n, v in ask.headers if not n.lower().startswith("content-"))
            following = _Ask("GET", url, kept, b"")
        if not same_origin:
            kept = tuple((n, v) for n, v in following.headers if n.lower() not in _BOUND_TO_HOST and not names_in(v))
            following = replace(following, headers=kept)
        return following

    # --- what the actor gets -------------------------------------------------------------------------------------------------
    def _output(self, ask: _Ask, answer: Answer, trail: _Trail, message: str = "") -> ToolOutput:
        clean = self._broker.redact_text
        # Redacted, and only then cut.
        shown: dict[str, Json] = {n: clean(v)[:1024] for n in _SHOWN_HEADERS if (v := answer.header(n)) is not None}
        kind = answer.header("content-type") or ""
        content = as_json(answer.body, kind, self._limits.text_chars, answer.truncated, clean)
        value: Json = {"status": answer.status, "url": clean(str(ask.url)), "headers": shown, **content}
        status: CallStatus = "ok" if answer.status < 400 else "error"
        if status == "error":
            message = f"HTTP status {answer.status}"
        return ToolOutput(status, value, message, sent_bytes=trail.sent_bytes)

    def _failed(self, status: CallStatus, why: str, trail: _Trail) -> ToolOutput:
        if self._spec is SEND and (trail.sent or trail.progress.sent):
            # It may have had its effect; who asks again must be told that.
            status, why = "unknown", f"sent, and then: {why}"
        return ToolOutput(
            status, None, self._broker.redact_text(f"{self._spec.name}: {why}"), sent_bytes=trail.sent_bytes
        )
