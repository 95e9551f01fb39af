"""What the scanner looks for in a line of a skill. Each rule is a name, a pattern and the words for a person."""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["BLOCKING", "FETCH", "Pattern"]

FETCH: Final = r"\b(?:curl|wget|fetch|iwr|invoke-webrequest)\b"
_RUNNER: Final = r"(?:sudo\s+)?(?:env\s+)?(?:/\S*/)?(?:(?:ba|z|da|k|fi)?sh|python[0-9.]*|perl|ruby|node|php|iex)\b"
_SUBSHELL: Final = r"(?:\bbash|\bsh|\bzsh|\bsource|\beval|(?:^|\s)\.)\s[^#]{0,80}[<$`(]\(?\s*"


@dataclass(frozen=True, slots=True)
class Pattern:
    """`prose`: a sentence, looked for in whole paragraphs too, since a line end hides nothing from its reader."""

    rule: str
    expression: re.Pattern[str]
    why: str
    prose: bool = False


def _near(verbs: str, most: int, objects: str) -> str:
    return rf"\b(?:{verbs})\b.{{0,{most}}}\b(?:{objects})\b"


def _pattern(rule: str, expression: str, why: str, *, prose: bool = False) -> Pattern:
    return Pattern(rule, re.compile(expression, re.I), why, prose)


BLOCKING: Final = (
    _pattern("shell.pipe", FETCH + r"[^|]{0,500}\|\s*" + _RUNNER, "runs what it fetches"),
    _pattern("shell.pipe", _SUBSHELL + FETCH, "runs what it fetches"),
    _pattern("shell.decoded", r"base64\s+(?:-d|--decode)[^|]{0,200}\|\s*" + _RUNNER, "runs what it decodes"),
    _pattern(
        "shell.decoded",
        r"\b(?:exec|eval)\s*\(.{0,80}(?:b64decode|fromhex|decompress|atob)\b",
        "runs what it decodes",
    ),
    _pattern(
        "policy.override",
        _near("ignore|disregard|forget", 40, r"(?:previous|prior|above|earlier|system)\b.{0,20}\binstructions?"),
        "tells the reader to drop its instructions",
        prose=True,
    ),
    _pattern(
        "policy.override",
        _near(
            "disable|bypass|turn off|switch off|circumvent|get around",
            60,
            "sandbox|policy|policies|approvals?|guardrails?|safety|gate",
        ),
        "tells the reader to get around the boundary",
        prose=True,
    ),
    _pattern(
        "policy.override",
        r"--(?:unsandboxed|dangerously-[a-z-]+|no-sandbox|yolo)\b",
        "asks for a run without the boundary",
    ),
    _pattern(
        "policy.override",
        _near(
            "edit|change|write|append|modify|add",
            60,
            r"policy\.toml|skills\.lock|mcp\.lock|AGENTS\.md|CLAUDE\.md",
        ),
        "tells the reader to change what binds it",
        prose=True,
    ),
    _pattern(
        "policy.secrecy",
        _near(
            "do not|don't|never|without",
            30,
            r"(?:tell|mention|inform|ask|notify|show|alert)(?:ing)?\b.{0,30}\b(?:user|human|operator|person|owner)",
        ),
        "tells the reader to keep something from its user",
        prose=True,
    ),
    _pattern(
        "secret.read",
        r"~/\.(?:ssh|aws|gnupg|netrc|config/gh|docker/config)|\bid_(?:rsa|ed25519)\b|/proc/(?:self|\d+)/environ\b",
        "reads where secrets lie",
    ),
)
