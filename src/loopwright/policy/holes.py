"""What an argument of a planned step may be. A pinned value must be equal, a template keeps its fixed words, everything else goes by
what the argument means (`by_role`).

Where a value was seen is not enough to trust it: a hijacked actor simply picks another trusted value. What counts is that the user
named it, or named the thing that it belongs to.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from loopwright.policy.budget import amount_minor, as_number
from loopwright.policy.case import DONE, SENDING, Case, Finding, Part
from loopwright.policy.content import content, odd_text, public
from loopwright.policy.identifiers import identifiers
from loopwright.policy.outputs import Seen, seen_in
from loopwright.policy.paths import inside
from loopwright.policy.remedy import for_hole
from loopwright.policy.said import days
from loopwright.policy.values import Hole, Json, PastCall, PlanStep

__all__ = ["broken", "fits_pins", "pinned_equal"]

_URL = re.compile(r"^(?:https?://|www\.)", re.I)
_TIME_WORDS = frozenset(
    [f"{d}{s}" for d in ("mon", "tues", "wednes", "thurs", "fri", "satur", "sun") for s in ("day", "")]
    + [
        "tue",
        "wed",
        "thu",
        "sat",
        "am",
        "pm",
        "utc",
        "t",
        "z",
        "st",
        "nd",
        "rd",
        "th",
        "today",
        "tomorrow",
        "noon",
        "midnight",
    ]
    + [
        "jan",
        "feb",
        "mar",
        "apr",
        "may",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "january",
        "february",
        "march",
    ]
    + ["april", "june", "july", "august", "september", "october", "november", "december"]
)


def broken(case: Case, step: PlanStep) -> Finding | None:
    """The first argument that does not keep to its hole in `step`; `None` when the call is what was planned."""
    holes = {hole.argument: hole for hole in step.holes}
    for name, hole in holes.items():
        assert case.arguments is not None
        if hole.kind != "open" and name in case.arguments and not _keeps(case, hole, case.arguments[name]):
            return _ask(case, hole.kind, name, _short(case.arguments[name]), ())
    for part in case.parts:
        hole_kind = holes[part.argument.name].kind if part.argument.name in holes else "open"
        if hole_kind != "pinned":
            found = _by_role(case, step, part, templated=hole_kind == "template")
            if found is not None:
                return found
    return None


def fits_pins(step: PlanStep, arguments: Mapping[str, Json]) -> bool:
    """Whether a past call kept to the pinned values of `step`: which of several steps of one tool it used up."""
    given = arguments
    return all(
        hole.argument in given and pinned_equal(hole.value, given[hole.argument])
        for hole in step.holes
        if hole.kind == "pinned"
    )


def pinned_equal(pinned: str, value: Json) -> bool:
    """Equality with a pinned JSON text. A list keeps to a pinned single value when each of its items does; one full stop or space at the
    end of a text is no difference, and neither is `50` against `50.0`."""
    try:
        wanted = msgspec.json.decode(pinned)
    except msgspec.DecodeError:
        return False
    if isinstance(value, list) and not isinstance(wanted, list):
        return bool(value) and all(_equal(wanted, item) for item in value)
    return _equal(wanted, value)


def _equal(wanted: Json, value: Json) -> bool:
    if isinstance(wanted, str) and isinstance(value, str):
        return wanted.strip().rstrip(".") == value.strip().rstrip(".") or (
            "@" in wanted and wanted.strip().casefold() == value.strip().casefold()
        )
    return type(wanted) is type(value) and wanted == value if isinstance(wanted, bool | None) else wanted == value


def _keeps(case: Case, hole: Hole, value: Json) -> bool:
    if hole.kind == "pinned":
        return pinned_equal(hole.value, value)
    if not isinstance(value, str):
        return False
    wanted = msgspec.json.decode(hole.value) if hole.value.startswith('"') else hole.value
    fixed = [re.escape(part) for part in str(wanted).split("{}")]
    match = re.fullmatch("(.{0,200}?)".join(fixed), value, re.S)
    return match is not None and all(public(case, fill) is None for fill in match.groups())


# --- by what the argument means -----------------------------------------------------------------------------------------------
def _by_role(case: Case, step: PlanStep, part: Part, *, templated: bool) -> Finding | None:
    role, text = part.argument.role, part.leaf.text
    if role == "target":
        return None if _target(case, text) else _ask(case, role, part.leaf.path, text, case.seen(text))
    if role == "object":
        return None if _object(case, text) else _ask(case, role, part.leaf.path, text, case.seen(text))
    if role == "amount":
        return None if _amount(case, step, part) else _ask(case, role, part.leaf.path, text, case.seen(text))
    if role == "secret":
        named = case.said.names(text) or any(use.name == text for use in case.now.grant.secrets)
        return None if named else _ask(case, role, part.leaf.path, text, case.seen(text))
    if role == "time" and _is_time(text):
        return _day(case, part)
    if role == "flag" and odd_text(part):
        return _ask(case, role, part.leaf.path, text, case.seen(text))
    return None if templated else content(case, part)


def _target(case: Case, text: str) -> bool:
    """Named by the user, the user's own account, a field of an item that the user named, or a directory entry whose name the user wrote.

    Who wrote a mail that the user named may be answered, and that is all: to share something with them is a decision of the user's.
    """
    if case.said.names(text) or _granted_page(case, text):
        return True
    shares = case.spec is not None and case.spec.effect == "share"
    return any(
        _own(seen) or (not shares and _of_named_item(case, seen)) or _in_directory(case, seen)
        for seen in case.seen(text)
    )


def _object(case: Case, text: str) -> bool:
    """Named by the user, created in this run, of an item that the user named, or a path that the grant lets the run write."""
    if case.said.names_item(text) or case.said.names(text):
        return True
    if (
        case.spec is not None
        and case.spec.effect == "write_own"
        and any(inside(text, folder) for folder in case.now.grant.write)
    ):
        return True
    return any(_created(case, seen) or _of_named_item(case, seen) for seen in case.seen(text))


def _amount(case: Case, step: PlanStep, part: Part) -> bool:
    """In the user's text, or below the cap that the policy set for a payee that the user fixed."""
    value = as_number(part.leaf.text)
    if value is None:
        return False
    if value in case.said.sums:
        return True
    cap = case.now.grant.budget.amount_minor
    assert case.spec is not None
    targets = [a.name for a in case.spec.arguments if a.role == "target"]
    fixed = bool(targets) and all(
        any(h.argument == name and h.kind == "pinned" for h in step.holes) for name in targets
    )
    return cap is not None and fixed and 0 < amount_minor(case.spec, case.call.arguments) <= cap


def _is_time(text: str) -> bool:
    """A date or a time and nothing else: at most 16 digits and the words that dates are made of."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    bare = re.sub(r"[\s:./,+-]|[^\W\d_]", "", text)
    return (
        len(text) <= 40
        and len(bare) <= 16
        and (bare.isdigit() or not bare)
        and all(word in _TIME_WORDS for word in words)
    )


def _day(case: Case, part: Part) -> Finding | None:
    """What others see or are paid happens on a day that the user wrote, when the user wrote any: a hijacked actor would move it first."""
    assert case.spec is not None
    named = case.said.days
    if case.spec.effect not in SENDING or not named or days(part.leaf.text) <= named:
        return None
    return _ask(case, "time", part.leaf.path, part.leaf.text, case.seen(part.leaf.text))


def _granted_page(case: Case, text: str) -> bool:
    """A page of a host that the policy grants, unless its address carries something that is neither the user's nor public."""
    if case.spec is None or case.spec.effect != "net_read" or not _URL.match(text):
        return False
    rest = re.sub(r"^(?:https?://)?[^/?#]*", "", text)
    return (
        granted_host(text, case.now.grant.hosts)
        and not identifiers(rest.replace("/", " "))
        and "?" not in rest
        and len(rest) <= 100
    )


def granted_host(url: str, hosts: Sequence[str]) -> bool:
    """Whether a grant names where a URL goes: the host, or the host with exactly this port. Which port a bare host stands for is the
    tool's to say."""
    host, port = address_of(url)
    return bool(host) and (host in hosts or (port != "" and f"{host}:{port}" in hosts))


def address_of(url: str) -> tuple[str, str]:
    """The host that a URL goes to, in lower case, and its port as it stands there; `""` where there is none to be sure of."""
    match = re.match(r"^(?:https?://)?([^/?#\\\s]*)", url, re.I)
    authority = match.group(1) if match else ""
    if "@" in authority:
        return "", ""  # `good.com@evil.com` goes to evil.com: nobody needs this form
    ported = re.search(r":(\d+)$", authority)
    host = authority[: ported.start()] if ported else authority
    return host.casefold().rstrip("."), ported.group(1) if ported else ""


def _own(seen: Seen) -> bool:
    return seen.field.trust == "system" and seen.field.kind == "own_account"


def _of_named_item(case: Case, seen: Seen) -> bool:
    """The value stands in an item whose identity, written by the tool's own system, the user wrote."""
    if seen.field.trust != "system":
        return False
    if seen.field.kind == "item" and case.said.names_item(seen.leaf.text):
        return True
    return any(
        s.field.trust == "system" and s.field.kind in ("item", "entry_name") and case.said.names_item(s.leaf.text)
        for s in case.siblings(seen)
    )


def _in_directory(case: Case, seen: Seen) -> bool:
    """The address of a directory entry whose name the user wrote; a part of the name is enough when one entry alone has it."""
    if seen.field.trust != "system" or seen.field.kind not in ("entry_address", "entry_name"):
        return False
    names = (
        [seen] if seen.field.kind == "entry_name" else [s for s in case.siblings(seen) if s.field.kind == "entry_name"]
    )
    for name in names:
        how = case.said.names_person(name.leaf.text)
        if how == "whole" or (how == "part" and _only_one(case)):
            return True
    return False


def _only_one(case: Case) -> bool:
    """Whether all entries whose name the user wrote in part are one and the same, over every directory that was read."""
    found = {
        seen.leaf.text.casefold()
        for call in case.now.past
        for seen in _entries(case, call)
        if case.said.names_person(seen.leaf.text) == "part"
    }
    return len(found) == 1


def _entries(case: Case, call: PastCall) -> list[Seen]:
    spec = case.specs.get(call.tool)
    if spec is None or not call.output or not any(field.kind == "entry_name" for field in spec.output):
        return []
    return [seen for seen in seen_in(call, spec) if seen.field.kind == "entry_name"]


def _created(case: Case, seen: Seen) -> bool:
    """An identity that the tool's own system gave to something that this run made."""
    spec = case.specs.get(seen.call.tool)
    made = spec is not None and (spec.effect == "write_own" or spec.effect in SENDING)
    return made and seen.call.status in DONE and seen.field.trust == "system" and seen.field.kind == "item"


def _ask(case: Case, kind: str, path: str, text: str, seen: Iterable[Seen]) -> Finding:
    why, remedy = for_hole(kind, path, text, case.call.tool)
    calls = tuple(dict.fromkeys(s.call.call_id for s in seen))
    return Finding("ask", f"ask.hole.{kind}", why, remedy, calls)


def _short(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
