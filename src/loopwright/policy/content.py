"""Free text that leaves or stays: it may say anything, but name no place, person or account that is neither the user's nor public."""

import msgspec

from loopwright.policy.case import Case, Finding, Part
from loopwright.policy.identifiers import Identifier, identifiers, keyed
from loopwright.policy.outputs import seen_in
from loopwright.policy.paths import inside
from loopwright.policy.remedy import for_identifier

__all__ = ["content", "odd_text", "public"]

_LONGEST_FLAG = 40


def content(case: Case, part: Part) -> Finding | None:
    """An identifier in `part` that may not be there; `None` when there is none.

    Files below the folders that the grant lets the run write are exempt: they go nowhere before a verifier and a person saw them.
    """
    if case.spec is None or _own_file(case):
        return None
    found = public(case, part.leaf.text)
    if found is None:
        return None
    calls = tuple(dict.fromkeys(s.call.call_id for s in case.seen(found.text)))
    why, remedy = for_identifier(part.leaf.path, found, case.call.tool)
    return Finding("ask", "ask.content.identifier", why, remedy, calls)


def public(case: Case, text: str) -> Identifier | None:
    """The first identifier of `text` that is neither the user's nor from a public system field."""
    for found in identifiers(text):
        if found.key not in case.said.keys and not case.said.names(found.text) and not _from_system(case, found):
            return found
    return None


def odd_text(part: Part) -> bool:
    """Whether a switch holds text that is no switch: long, or with identifiers in it, where its schema lists no values."""
    text = part.leaf.text
    try:
        schema = msgspec.json.decode(part.argument.schema)
    except msgspec.DecodeError:
        return True
    listed = isinstance(schema, dict) and ("enum" in schema or "const" in schema)
    return not listed and (len(text) > _LONGEST_FLAG or bool(identifiers(text)))


def _from_system(case: Case, found: Identifier) -> bool:
    """Whether a tool's own system wrote it, in a field that is not private."""
    for seen in case.seen(found.text):
        if seen.field.trust == "system" and not seen.field.private:
            return True
    # Written differently here and there: an account number in groups, a page without its scheme.
    return found.kind in ("iban", "url", "digits") and any(
        seen.field.trust == "system" and not seen.field.private and keyed(found.kind, seen.leaf.text) == found.key
        for call in case.now.past
        if call.output and (found.kind != "url" or found.key[:8] in call.output)
        for seen in seen_in(call, case.specs.get(call.tool))
    )


def _own_file(case: Case) -> bool:
    if case.spec is None or case.spec.effect != "write_own":
        return False
    paths = [part.leaf.text for part in case.parts if part.argument.role in ("object", "target")]
    return bool(paths) and all(any(inside(path, folder) for folder in case.now.grant.write) for path in paths)
