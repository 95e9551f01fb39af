"""What a proposing program may say of itself, strictly read. Pure. None of it is evidence: the files it changed are."""

import re
from decimal import ROUND_CEILING, Context, Decimal

import msgspec

from loopwright.errors import ActionError
from loopwright.kernel.values import Spend

__all__ = ["RESULT_BYTES", "CommandResult", "parse_result"]

RESULT_BYTES = 1 << 20
_TITLE_CHARS = 100
_MAX_USD = Decimal(1_000_000)
_MAX_TOKENS = 10**12
_EXACT = Context(prec=100)
_NUMBER = re.compile(r"\d{1,20}(\.\d{1,30})?([eE][+-]?\d{1,3})?")


class CommandResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All optional. `usd` is dollars as a number or, exactly, as text; `tokens` a whole number. `impossible` says why the goal cannot be
    met; `exhausted` that the program has nothing more to offer for this head; `done` is a claim that requests a check."""

    title: str = ""
    rationale: str = ""
    usd: msgspec.Raw = msgspec.Raw(b"0")
    tokens: int = 0
    impossible: str | None = None
    exhausted: bool = False
    done: bool = False

    def spend(self) -> Spend:
        """Raises: `ActionError` for numbers that are no cost."""
        if not 0 <= self.tokens <= _MAX_TOKENS:
            raise _refusal(f"tokens is {self.tokens}; expected a whole number from 0 to {_MAX_TOKENS}")
        return Spend(usd_micros=_micros(bytes(self.usd).decode("utf-8", "replace")), tokens=self.tokens)


def parse_result(data: bytes) -> CommandResult:
    """Raises: `ActionError` for everything that is not one JSON object with these keys. An empty file says nothing, as none does."""
    if not data.strip():
        return CommandResult()
    try:
        result = msgspec.json.decode(data, type=CommandResult)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(
            f"{error}; expected one JSON object with title, rationale, usd, tokens, impossible, exhausted, done"
        ) from error
    title = " ".join(result.title.split())[:_TITLE_CHARS]
    return msgspec.structs.replace(result, title=title, impossible=(result.impossible or "").strip() or None)


def _micros(usd: str) -> int:
    """Exact decimal, a part of a millionth counts as a whole one: a cost is never rounded away."""
    text = usd[1:-1] if len(usd) > 1 and usd[0] == usd[-1] == '"' else usd
    value = Decimal(text) if _NUMBER.fullmatch(text) else None
    if value is None or value > _MAX_USD:
        raise _refusal(f"usd is {usd[:40]}; expected dollars from 0 to {_MAX_USD} like 0.0125")
    # scaled by moving the point: a multiplication would round to the context's digits first
    return int(value.scaleb(6, _EXACT).to_integral_value(ROUND_CEILING, _EXACT))


def _refusal(why: str) -> ActionError:
    return ActionError(
        f"command: the result file cannot be used: {why}", signature="command: the result file cannot be used"
    )
