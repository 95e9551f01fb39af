"""Which tools the user's own words call for: verbs and things as clusters of words that people use for each other.

It errs on the side of leaving out what acts on others: a tool that is not in the plan is asked about, once.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from loopwright.kernel.calls import ToolEffect
from loopwright.policy.values import ToolSpec

__all__ = ["Words", "called_for", "many", "words_of"]

_VERBS: Final[dict[str, str]] = {
    "send": "send mail email e-mail reply respond forward answer write message notify inform tell confirm remind thank text dm ping let"
    " submit contact line ask say congratulate greet wish complain",
    "create": "create add make schedule set book new put write draft save store note enter plan arrange prepare record open organise"
    " organize jot block start log paste upload copy register start keep forget",
    "update": "update change edit modify reschedule move rename set mark adjust correct append extend raise lower increase decrease"
    " replace turn shift postpone push label archive tag switch complete put add freeze unfreeze cap limit close reopen resolve finish",
    "delete": "delete remove cancel clear erase wipe discard drop trash unsubscribe close revoke",
    "pay": "pay transfer wire settle refund reimburse send return repay remit owe give donate",
    "buy": "buy purchase order book reserve rent subscribe",
    "share": "share publish grant give invite upload expose paste show send let access",
    "invite": "invite add include bring ask join let welcome",
    "post": "post publish announce share tell write say reply answer message ask let put congratulate remind inform line",
    "assign": "assign give hand delegate take put appoint",
    "visit": "visit browse open fetch look read check summarise summarize download see go find say what when how which",
    "search": "search find look list show get read check which what who when how",
}
_THINGS: Final[dict[str, str]] = {
    "mail": "mail email e-mail mails emails inbox reply message letter send forward write tell answer ask thank inform let @",
    "event": "event meeting appointment calendar call lunch dinner breakfast session invite invitation slot visit diary hour interview"
    " workshop review",
    "file": "file document doc note notes spreadsheet report list folder text draft page copy",
    "money": "money payment transaction bill invoice rent refund amount euro euros dollar dollars pound pounds usd eur gbp salary fee share"
    " transfer pay iban account $",
    "standing": "standing scheduled recurring monthly weekly regularly every automatically subscription order",
    "channel": "channel chat slack team everybody everyone room group #",
    "direct": "dm direct directly message private privately tell let ask write ping remind send answer reply thank",
    "web": "web website webpage page link url site blog article online internet ://",
    "booking": "hotel room restaurant table flight car taxi booking reservation ticket trip stay night nights seat train",
    "reminder": "reminder remind alarm alert forget",
    "note": "note notes jot memo write diary entry record",
    "label": "label tag mark archive folder category",
    "password": "password passcode pin credential login",
    "address": "address home street move moved profile details contact phone",
    "contact": "contact contacts friend person people payee payees directory",
    "card": "card debit credit limit freeze unfreeze",
    "task": "task todo to-do ticket issue",
    "member": "member user people person colleague somebody someone workspace team",
    "state": "state status close closed open reopen done resolve resolved finish progress mark",
    "post": "post announcement message channel #",
}
_SAME: Final = {
    "diary": "event", "calendar": "event", "appointment": "event", "email": "mail", "message": "direct", "payment": "money",
    "transaction": "money", "payee": "contact", "invoice": "money", "document": "file", "doc": "file", "url": "web", "page": "web",
    "website": "web", "webpage": "web", "hotel": "booking", "restaurant": "booking", "flight": "booking", "reservation": "booking",
    "recurring": "standing", "scheduled": "standing", "profile": "address", "user": "member", "dm": "direct", "ticket": "task",
    "issue": "task", "meeting": "event", "status": "state",
}  # fmt: skip
_SAME_VERBS: Final = {
    "reply": "send", "forward": "send", "email": "send", "mail": "send", "notify": "send", "answer": "send", "add": "create",
    "append": "update", "write": "create", "schedule": "create", "save": "create", "put": "create", "edit": "update", "set": "update",
    "move": "update", "reschedule": "update", "rename": "update", "change": "update", "modify": "update", "mark": "update",
    "archive": "update", "remove": "delete", "cancel": "delete", "transfer": "pay", "refund": "pay", "book": "buy", "reserve": "buy",
    "order": "buy", "purchase": "buy", "publish": "post", "upload": "share", "paste": "share", "fetch": "visit", "browse": "visit",
    "open": "visit", "get": "search", "list": "search", "read": "search", "find": "search", "make": "create", "new": "create",
}  # fmt: skip
_BY_EFFECT: Final[dict[ToolEffect, tuple[str, ...]]] = {
    "net_read": ("visit", "search"),
    "write_own": ("create", "update"),
    "share": ("share", "invite"),
    "send": ("send", "post", "pay"),
    "spend": ("pay", "buy"),
    "destroy": ("delete",),
    "credential": ("update", "create"),
    "exec": ("create", "update", "search"),
    "read": ("search",),
}
_SIGNS: Final = {
    "@": re.compile(r"[\w.+-]+@[\w-]+\."),
    "#": re.compile(r"(?<!\w)#[^\W\d]"),
    "://": re.compile(r"https?://|\bwww\."),
    "$": re.compile(r"[$€£¥]\s?\d|\d\s?[$€£¥]|\b[A-Z]{2}\d{2}[A-Z0-9]{8}"),
}
"""What a text is about without a word for it: a mail address, a channel, a page, a sum or an account."""

_MANY_WORDS: Final = "all each every both them everybody everyone attendees participants invitees members several any"
_MANY: Final = frozenset(_MANY_WORDS.split())
_NUMBERS: Final = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twice": 2,
}
_GLUE_WORDS: Final = "a an the of to in on for by and or with my your own is one from at this that it its be"
_GLUE: Final = frozenset(_GLUE_WORDS.split())


_BOTH: Final = (
    "mail email e-mail message text dm post book order share note record plan draft label log contact answer reply block rent limit"
    " schedule list tag file flag review return check show look start transfer drop return record register copy open"
)
_NOUN_BEFORE: Final = (
    "my the a an this that these those his her their our your its all any some no new unread last latest recent every each of from in"
    " about by first next old other"
)
_OCCURRENCE: Final = re.compile(
    rf"(?:\b({_NOUN_BEFORE.replace(' ', '|')})\s+|('s\s+))?(?<![\w-])({_BOTH.replace(' ', '|')})(s?)(?![\w-])", re.I
)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text in lower case, with their plain forms (`mails` also as `mail`, `sending` also as `send`). `verbs` leaves out
    those that the text uses as nouns alone: who summarises "my mails" does not ask to mail anybody."""

    all: frozenset[str]
    verbs: frozenset[str]


@lru_cache(maxsize=512)
def words_of(text: str) -> Words:
    found: set[str] = set()
    signs = {sign for sign, pattern in _SIGNS.items() if pattern.search(text)}
    text = re.sub(r"(?:https?://|www\.)\S+|[\w.+-]+@[\w.-]+", " ", text)
    for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)?", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).casefold()):
        found |= {word, *word.split("-"), *_plain(word)}
    nouns: set[str] = set()
    verbs: set[str] = set()
    for match in _OCCURRENCE.finditer(text):
        (nouns if match.group(1) or match.group(2) or match.group(4) else verbs).add(match.group(3).casefold())
    return Words(frozenset(found | signs), frozenset((found | signs) - (nouns - verbs)))


def called_for(spec: ToolSpec, task: Words) -> bool:
    """Whether the task's words call for this tool: for what it does and for what it does it to."""
    name = [
        w
        for w in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", spec.name).casefold())
        if w and w not in _GLUE
    ]
    if not name:
        return False
    head, rest = name[0], name[1:]
    if spec.effect == "net_read":
        acts = True  # any task may need reading; where it may read is a matter of hosts and of what the user named
        things = rest or name
    elif head in _VERBS or head in _SAME_VERBS:
        acts, things = _acts(head, spec.effect, task.verbs), rest
    elif head in _THINGS or head in _SAME:
        verbs = [word for word in rest if word in _VERBS]
        acts = (
            any(_acts(verb, spec.effect, task.verbs) for verb in verbs)
            if verbs
            else head in task.verbs or any(_says(task.verbs, _VERBS[verb]) for verb in _BY_EFFECT[spec.effect])
        )
        things = [word for word in name if word not in verbs]
    else:
        # A verb that no cluster knows (`merge_branch`) is called for by its own name alone.
        acts, things = head in task.verbs, rest
    return acts and (not things or any(_about(thing, task.all) for thing in things))


def many(text: str) -> int | None:
    """How often a step may be done at most by the task's words: `None` for "each" and "all", else the largest number word, else 1."""
    words = set(re.findall(r"[^\W\d_]+", text.casefold()))
    if words & _MANY:
        return None
    return max([1, *(count for word, count in _NUMBERS.items() if word in words)])


def _acts(verb: str, effect: ToolEffect, task: frozenset[str]) -> bool:
    if verb in task:
        return True
    cluster = verb if verb in _VERBS else _SAME_VERBS[verb]
    wanted = {cluster}
    if cluster == "create" and effect in ("send", "share", "spend"):
        wanted |= set(_BY_EFFECT[effect])  # `make_payment`, `add_to_channel`: what is made is what is done to others
    return any(_says(task, _VERBS[one]) for one in wanted)


def _about(thing: str, task: frozenset[str]) -> bool:
    if thing in task or _plain(thing) & task:
        return True
    cluster = thing if thing in _THINGS else next((_SAME[w] for w in (thing, *_plain(thing)) if w in _SAME), None)
    if cluster is None:
        cluster = next((w for w in _plain(thing) if w in _THINGS), None)
    return cluster is not None and _says(task, _THINGS[cluster])


def _says(task: frozenset[str], cluster: str) -> bool:
    return any(word in task for word in cluster.split())


def _plain(word: str) -> set[str]:
    """Plain forms by English endings; a wrong one is no word and matches nothing."""
    found = {word}
    for ending, instead in (
        ("ies", "y"),
        ("es", ""),
        ("s", ""),
        ("ing", ""),
        ("ing", "e"),
        ("ed", ""),
        ("ed", "e"),
        ("d", ""),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)] + instead
            found |= {stem, stem[:-1]} if len(stem) > 3 and stem[-1] == stem[-2:-1] else {stem}
    return found
