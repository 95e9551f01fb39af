"""Names of tools, servers and skills as one spelling: two names that look alike to a person are the same name here.

A server could otherwise offer `send_mаil` (Cyrillic а) beside the user's `send_mail`, or hide a character in a name that a person
approves. The table of look-alikes holds the letters that are drawn like Latin ones in common fonts (Unicode TR 39 calls the result a
skeleton); what it misses stays a different, visible name.
"""

import unicodedata
from collections.abc import Iterable

from loopwright.errors import UsageError

__all__ = ["duplicates", "fold", "hidden"]

_CYRILLIC = dict(zip("аеорсухіјѕԁһӏԛԝкмтвнгп", "aeopcyxijsdhlqwkmtbhrn", strict=True))
_GREEK = dict(zip("αεονρτυχικωγη", "aeovptuxikwyn", strict=True))
_OTHER = {
    "ı": "i",
    "ɡ": "g",
    "ɑ": "a",
    "ℓ": "l",
    "ո": "n",
    "օ": "o",
    "ս": "u",
    "ց": "g",
    "հ": "h",
    "ք": "p",
    "ʟ": "l",
    "ɴ": "n",
}
_LOOKALIKES = str.maketrans({**_CYRILLIC, **_GREEK, **_OTHER})
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LONGEST = 200


def fold(name: str) -> str:
    """The one spelling of `name`: compatibility forms, case and look-alike letters are gone.

    Raises: `UsageError` for an empty or over-long name, and for one with a character that does not show (control, bidirectional,
    zero-width): such a name is refused, never cleaned, since nobody writes one by accident.
    """
    if not name or name != name.strip() or len(name) > _LONGEST:
        shown = ascii(name[:40])
        raise UsageError(
            f"name {shown}: expected 1 to {_LONGEST} characters without spaces around; give it a plain name"
        )
    for character in name:
        if unicodedata.category(character) in _HIDDEN:
            raise UsageError(
                f"name {name!a}: expected characters that show, found U+{ord(character):04X}; refuse what offers it"
            )
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_LOOKALIKES)
    # Accents over a Latin letter look alike too, and decomposing may bring a look-alike to light.
    bare = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    return unicodedata.normalize("NFKC", bare.translate(_LOOKALIKES))


def duplicates(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of `names` that fold to the same spelling, the earlier one first. Raises: `UsageError` as `fold`."""
    seen: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for name in names:
        folded = fold(name)
        if folded in seen:
            found.append((seen[folded], name))
        else:
            seen[folded] = name
    return tuple(found)


def hidden(text: str) -> str | None:
    """The first character of `text` that does not show and is no line end or tab, as `U+XXXX`; `None` when all show."""
    for character in text:
        if character not in "\n\r\t" and unicodedata.category(character) in _HIDDEN:
            return f"U+{ord(character):04X}"
    return None
