"""What a loop file may say already and this version does not perform yet. Each piece of work that arrives takes its line away."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from loopwright.kernel.loop import (
    AgentRung,
    CliRung,
    FileTrigger,
    Loop,
    TextSource,
    WebhookTrigger,
)

__all__ = ["LATER", "Later", "not_available"]


@dataclass(frozen=True, slots=True)
class Later:
    """`key` as the reference names it; `value` when only that value of it is meant; `used` yields the places in a loop."""

    key: str
    why: str
    used: Callable[[Loop], Iterator[str]]
    value: str = ""


def _items(
    key: str, word: str, kind: type[object], of: Callable[[Loop], Iterable[object]]
) -> Callable[[Loop], Iterator[str]]:
    return lambda loop: (f"{key}[{at}].{word}" for at, item in enumerate(of(loop)) if isinstance(item, kind))


def _when(key: str, used: Callable[[Loop], bool]) -> Callable[[Loop], Iterator[str]]:
    return lambda loop: iter((key,) if used(loop) else ())


def _text_sources(of: str) -> Callable[[Loop], Iterator[str]]:
    return lambda loop: (
        f"observe[{at}].{of}" for at, s in enumerate(loop.observe) if isinstance(s, TextSource) and s.of == of
    )


def _model_reviews(loop: Loop) -> Iterator[str]:
    return ("evaluate.review.model" for review in loop.evaluate.review or () if review.model is not None)


_TEXTS = "sources of text arrive in a later version"
_MODELS = "models arrive in a later version"

LATER: tuple[Later, ...] = (
    Later(
        "when[].file", "file triggers arrive in a later version", _items("when", "file", FileTrigger, lambda x: x.when)
    ),
    Later(
        "when[].webhook",
        "webhooks arrive in a later version",
        _items("when", "webhook", WebhookTrigger, lambda x: x.when),
    ),
    Later("observe[].repository", _TEXTS, _text_sources("repository")),
    Later("observe[].tickets", _TEXTS, _text_sources("tickets")),
    Later("observe[].schedule", _TEXTS, _text_sources("schedule")),
    Later("observe[].http", _TEXTS, _text_sources("http")),
    Later("observe[].documents", _TEXTS, _text_sources("documents")),
    Later("act[].agent", _MODELS, _items("act", "agent", AgentRung, lambda x: x.act)),
    Later("act[].cli", "agent CLIs arrive in a later version", _items("act", "cli", CliRung, lambda x: x.act)),
    Later("evaluate.review.model", _MODELS, _model_reviews),
    Later(
        "deliver",
        "pull requests arrive in a later version",
        _when("deliver", lambda x: x.deliver == "pull-request"),
        value="pull-request",
    ),
)


def not_available(loop: Loop) -> tuple[str, ...]:
    """One line for each thing in `loop` that is valid and not performed by this version; empty when it can run."""
    return tuple(
        f"not available yet: {place}{f': {later.value}' if later.value else ''} ({later.why})"
        for later in LATER
        for place in later.used(loop)
    )
