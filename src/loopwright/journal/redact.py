"""Keep secrets out of everything that is written: known values in their usual disguises, and the shapes of well-known tokens.

The invariant: what `clean` would change, `hits` finds in the JSON of that text too. So the common case, nothing to hide, costs
one scan of bytes that exist anyway: a few microseconds for an event.
"""

import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loopwright.journal.disguises import Disguises
from loopwright.journal.walk import map_text
from loopwright.kernel.events import Body

__all__ = ["DEFAULT", "Pattern", "Redactor", "Secret"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """The shape of a token. One of `markers` stands literally in every match; `regex` must match no character that JSON escapes,
    other than through a class that excludes them or `[\\s\\S]`. Its first group, if it has one, is kept."""

    name: str
    markers: tuple[str, ...]
    regex: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must never be written; `name` stands in its place."""

    name: str
    value: str


# A letter before a short prefix makes it part of a word (`task-…`), unless it is the letter of an escaped line break.
_WORD_START: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"

DEFAULT: Final[tuple[Pattern, ...]] = (
    Pattern("anthropic-key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{16,}"),
    Pattern("api-key", ("sk-",), _WORD_START + r"sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}"),
    Pattern("stripe-key", ("k_live_", "k_test_"), r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    Pattern("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{20,}"),
    Pattern("github-token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{20,}"),
    Pattern("gitlab-token", ("glpat-",), r"glpat-[A-Za-z0-9_-]{16,}"),
    Pattern("aws-key", ("AKIA", "ASIA"), r"(?:AKIA|ASIA)[A-Z0-9]{16}"),
    Pattern("slack-token", ("xox",), r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    Pattern("google-key", ("AIza",), r"AIza[A-Za-z0-9_-]{30,}"),
    Pattern("huggingface-token", ("hf_",), _WORD_START + r"hf_[A-Za-z0-9]{30,}"),
    Pattern("npm-token", ("npm_",), _WORD_START + r"npm_[A-Za-z0-9]{30,}"),
    Pattern("pypi-token", ("pypi-",), r"pypi-[A-Za-z0-9_-]{32,}"),
    Pattern("jwt", ("eyJ",), r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    Pattern(
        "private-key",
        ("PRIVATE KEY",),
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
        r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    Pattern(
        "authorization",
        ("uthorization", "UTHORIZATION"),
        r"((?i:authorization)[^A-Za-z0-9]{1,8}(?i:bearer|basic|token) {1,4})[A-Za-z0-9._~+/=:-]{6,}",
    ),
    Pattern("bearer", ("earer ", "EARER "), r"((?i:bearer) {1,4})(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{16,}"),
    Pattern("url-password", ("://",), r"(://[^\s/:@\"'\\<>]*:)[^\s/@\"'\\<>]+(?=@)"),
)

_RARE: Final = "JKZSz/-_ "
"""Characters that seldom stand in an event, the rarest first."""

_SECRET_NAME: Final = re.compile(
    r"(?i)token|secret|passw(?:or)?d|passphrase|credential|(?:^|_)pass(?:$|_)|keys?(?:$|_)"
)


class Redactor:
    """Replaces secrets by `[redacted:<name>]`. `values` shorter than 8 characters are ignored: they would hit innocent text."""

    def __init__(self, values: Sequence[str | Secret] = (), patterns: Sequence[Pattern] = DEFAULT) -> None:
        secrets = [v if isinstance(v, Secret) else Secret("secret", v) for v in values]
        self._names = {s.value: s.name for s in secrets}
        self._known = Disguises(self._names)
        self._patterns = [(p, re.compile(p.regex)) for p in patterns]
        self._marker = (
            re.compile(_marker_regex([marker for p in patterns for marker in p.markers])).search if patterns else None
        )
        self._shapes = [re.compile(p.regex.replace(_WORD_START, "").encode()).search for p in patterns]

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Redactor":
        """A redactor that knows the values of the variables whose names look secret, and the passwords in URL values."""
        secrets = [Secret(name, value) for name, value in env.items() if _SECRET_NAME.search(name)]
        for name, value in env.items():
            password = _url_password(value)
            if password is not None:
                secrets.append(Secret(name, password))
        return cls(secrets)

    def learn(self, secrets: Iterable[Secret]) -> None:
        """From now on these are known too: for everything that holds this redactor, and in one step for other threads."""
        self._names = {**self._names, **{s.value: s.name for s in secrets}}
        self._known = Disguises(self._names)

    @property
    def known(self) -> Disguises:
        """The known values, without the token shapes; as they are now, later ones are not in it."""
        return self._known

    def hits(self, encoded: bytes) -> bool:
        """Whether `encoded`, JSON or plain UTF-8, may hold a secret. Never false for one that `clean` would remove."""
        if self._known.may_hold(encoded):
            return True
        if self._marker is None or self._marker(encoded) is None:
            return False
        return any(search(encoded) for search in self._shapes)

    def clean(self, text: str) -> str:
        """`text` without its secrets."""
        text = self._known.clean(text)
        for pattern, regex in self._patterns:
            if any(marker in text for marker in pattern.markers):
                kept = r"\1" if regex.groups else ""
                text = regex.sub(f"{kept}[redacted:{pattern.name}]", text)
        return text

    def clean_bytes(self, data: bytes) -> bytes:
        """`data` without its secrets; bytes that are no UTF-8 text come back as they were."""
        if not self.hits(data):
            return data
        return self.clean(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def clean_body(self, body: Body) -> Body:
        """`body` with every free text cleaned; it still decodes, and inline blobs keep a true hash."""
        return map_text(body, self.clean)


def _marker_regex(markers: Sequence[str]) -> bytes:
    """Finds any of `markers`, fast: it stops only at characters that are rare in the journal and looks around from there.

    Measured on a typical event of 380 bytes: 2 µs, against 13 µs for the plain alternation and 12 µs for one search a marker.
    """
    stops: dict[str, list[tuple[str, str]]] = {}
    for marker in dict.fromkeys(markers):
        at = min(range(1, len(marker)), key=lambda i: (_RARE.find(marker[i]) if marker[i] in _RARE else len(_RARE), -i))
        stops.setdefault(marker[at], []).append((marker[:at], marker[at + 1 :]))
    return "|".join(_look_around(stop, around) for stop, around in stops.items()).encode()


def _look_around(stop: str, around: Sequence[tuple[str, str]]) -> str:
    # The character before decides nearly always, in one step for all markers.
    before = "".join(re.escape(left[-1]) for left, _ in around)
    rest = "|".join(f"(?<={re.escape(left + stop)}){re.escape(right)}" for left, right in around)
    return f"{re.escape(stop)}(?<=[{before}]{re.escape(stop)})(?:{rest})"


def _url_password(value: str) -> str | None:
    if "://" not in value:
        return None
    try:
        return urllib.parse.urlsplit(value).password
    except ValueError:
        return None
