"""Whose model is whose: the families of judges and makers, and whether a judge is independent of a maker. Pure.

Failures of one family go together (the correlation is .64 within one and .57 across): a judge of the maker's family overlooks what the
maker overlooked, so `independent` refuses it, and refuses too where nobody can say.
"""

import re

from loopwright.kernel.loop import AgentRung, CliRung, CommandRung, Loop, RepairRung, Review, Rung, TuneRung

__all__ = ["NO_MODEL", "dependence", "judge_family", "model_family", "not_independent", "rung_family"]

NO_MODEL = "none"
"""The family of what asks no model."""

_SAME = {"claude": "anthropic", "gpt": "openai", "chatgpt": "openai", "codex": "openai", "gemini": "google"}
_CLIS = {"claude": "anthropic", "codex": "openai", "gemini": "google"}
# A reseller's name says nothing of who made the model that it sells: the model's own name does.
_MODELS = (
    (re.compile(r"\bclaude"), "anthropic"),
    (re.compile(r"\b(gpt|chatgpt|codex|o[1-9])\b"), "openai"),
    (re.compile(r"\b(gemini|gemma)"), "google"),
    (re.compile(r"\b(mistral|mixtral|codestral|devstral)"), "mistral"),
    (re.compile(r"\bllama"), "meta"),
    (re.compile(r"\bqwen"), "qwen"),
    (re.compile(r"\bdeepseek"), "deepseek"),
)


def model_family(model: str) -> str | None:
    """The family of a model's name (`anthropic:claude-x`, `reseller:openai/gpt-x`); `None` for a bare name that is not known."""
    name = model.casefold()
    for pattern, family in _MODELS:
        if pattern.search(name):
            return family
    provider, mark, _ = name.partition(":")
    return _canonical(provider) if mark else None


def rung_family(rung: Rung) -> str | None:
    """The family of what a rung offers: `none` = no model makes it, `None` = nobody said."""
    match rung:
        case RepairRung() | TuneRung():
            return NO_MODEL
        case CommandRung(family=family):
            return _canonical(family)
        case AgentRung(model=model):
            return model_family(model)
        case CliRung(name=name, model=model):
            said = None if model is None else model_family(model)
            return said or _CLIS.get(name.casefold())


def judge_family(review: Review) -> str | None:
    """`None` where the loop's author did not say; a `model` judge's is that of its model."""
    if review.run is None and review.model is not None:
        return model_family(review.model)
    return _canonical(review.family)


def dependence(review: Review, made_by: str | None, where: str = "evaluate.review") -> str | None:
    """Why a judge that must be independent must not judge what the family `made_by` made, with the next move; `None` when it may.

    `made_by` as `Proposal.family`. Where no model is on one of the two sides, there is nothing to share.
    """
    if not review.independent:
        return None
    judge, maker = judge_family(review), _canonical(made_by)
    if NO_MODEL in (judge, maker):
        return None
    if judge is None:
        return f"the judge's family is not known; name it in {where}.family (none = it asks no model)"
    if maker is None:
        return f"the maker's family is not known, the judge's is {judge}; name it in the rung's family (none = it asks no model)"
    if judge == maker:
        return f"the judge is of the maker's family ({judge}); name another one in {where}"
    return None


def not_independent(loop: Loop) -> str | None:
    """Why an independent judge of this loop could never judge what its rungs make, so that `run` can refuse before anything is spent.

    A rung that does not say its family is no reason: its proposals may say it.
    """
    reviews = loop.evaluate.review or ()
    for at, review in enumerate(reviews):
        where = "evaluate.review" if len(reviews) == 1 else f"evaluate.review[{at}]"
        for number, rung in enumerate(loop.act):
            made_by = rung_family(rung)
            why = None if made_by is None else dependence(review, made_by, where)
            if why is not None:
                return f"act[{number}]: {why}"
    return None


def _canonical(family: str | None) -> str | None:
    name = (family or "").strip().casefold()
    return _SAME.get(name, name) or None
