"""What a judge may answer, strictly read. Pure. Its words are of somebody else: they are made harmless before anybody sees them."""

import re
from decimal import ROUND_CEILING, Context, Decimal
from typing import Annotated, Literal

import msgspec

from loopwright.errors import LoopwrightError
from loopwright.kernel.values import Spend, Value
from loopwright.views.text import one_line

__all__ = ["ANSWER_BYTES", "Answer", "Finding", "NoAnswer", "parse_answer"]

ANSWER_BYTES = 256 << 10
MOST_FINDINGS = 100
_REASON_CHARS = 1_000
_SAYS_CHARS = 500
_PATH_CHARS = 300
_MAX_USD = Decimal(1_000_000)
_MAX_TOKENS = 10**12
_EXACT = Context(prec=100)
_NUMBER = re.compile(r"\d{1,20}(\.\d{1,30})?([eE][+-]?\d{1,3})?")
_KEYS = "verdict (accept, object or unsure), reason, findings, usd, tokens"


class NoAnswer(LoopwrightError):
    """Why what the judge left is no answer, in words that follow "the judge"."""


class Finding(Value, frozen=True):
    """`line` is of the changed file, from 1; `None` = the whole file. All text is on one line."""

    path: str
    line: int | None
    says: str


class Answer(Value, frozen=True):
    verdict: Literal["accept", "object", "unsure"]
    reason: str
    findings: tuple[Finding, ...]
    spend: Spend


class _SaidFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str = ""
    line: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    says: str = ""


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verdict: Literal["accept", "object", "unsure"]
    reason: str = ""
    findings: Annotated[tuple[_SaidFinding, ...], msgspec.Meta(max_length=MOST_FINDINGS)] = ()
    usd: msgspec.Raw = msgspec.Raw(b"0")
    tokens: Annotated[int, msgspec.Meta(ge=0, le=_MAX_TOKENS)] = 0


def parse_answer(data: bytes) -> Answer:
    """Raises: `NoAnswer` for everything that is not one JSON object with these keys and these values."""
    try:
        said = msgspec.json.decode(data, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer(f"answered what cannot be used: {one_line(str(error), 200)}; expected {_KEYS}") from error
    return Answer(
        verdict=said.verdict,
        reason=one_line(said.reason, _REASON_CHARS),
        findings=tuple(
            Finding(one_line(f.path, _PATH_CHARS), f.line, one_line(f.says, _SAYS_CHARS)) for f in said.findings
        ),
        spend=Spend(usd_micros=_micros(bytes(said.usd).decode("utf-8", "replace")), tokens=said.tokens),
    )


def _micros(usd: str) -> int:
    """Exact decimal, a part of a millionth counts as a whole one: a cost is never rounded away."""
    text = usd[1:-1] if len(usd) > 1 and usd[0] == usd[-1] == '"' else usd
    value = Decimal(text) if _NUMBER.fullmatch(text) else None
    if value is None or value > _MAX_USD:
        raise NoAnswer(
            f"answered what cannot be used: usd is {one_line(usd, 40)}; expected dollars from 0 to {_MAX_USD} like 0.0125"
        )
    return int(value.scaleb(6, _EXACT).to_integral_value(ROUND_CEILING, _EXACT))
