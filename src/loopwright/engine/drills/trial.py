"""Every probe is performed twice: with nothing in its way, so that it is seen to reach its goal, and then against the boundary."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from loopwright.engine.drills.report import Section, SectionName, Tried, Verdict

__all__ = ["Attack", "Attempt", "Perform", "Progress", "try_attacks"]

Progress = Callable[[str], None]
"""Is told of each probe as it begins: `section: name`."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """`got` is what the attacker reached, as text, or `None`. The others are of whatever refused or allowed it."""

    got: str | None
    rule: str = ""
    why: str = ""
    remedy: str = ""


Perform = Callable[[bool], Awaitable[Attempt]]


@dataclass(frozen=True, slots=True)
class Attack:
    """`perform(guarded)` tries it once in a world of its own: `False` is the open door, `True` the boundary."""

    name: str
    tried: str
    perform: Perform


async def try_attacks(section: SectionName, attacks: Iterable[Attack], progress: Progress) -> Section:
    """The section with the verdict on each attack, in their order."""
    probes = []
    for attack in attacks:
        progress(f"{section}: {attack.name}")
        probes.append(await _tried(attack))
    return Section(section, tuple(probes))


async def _tried(attack: Attack) -> Tried:
    opened = await _performed(attack, False)
    guarded = await _performed(attack, True)
    verdict: Verdict
    if isinstance(opened, Exception) and isinstance(guarded, Exception) and str(opened) == str(guarded):
        # Neither way begins here: a part that is not installed, for instance.
        verdict, guarded = "not_possible", Attempt(None, "drill.not_here", str(opened)[:300])
    elif isinstance(guarded, Exception):
        # What broke proves nothing: it is reported as if it had been let through.
        verdict = "let_through"
        guarded = Attempt("nothing is known", "drill.broken", f"{type(guarded).__name__}: {guarded}"[:300], "report it")
    elif guarded.got is not None:
        verdict = "let_through"
    elif isinstance(opened, Exception):
        verdict, guarded = "not_possible", Attempt(None, "drill.broken", f"{type(opened).__name__}: {opened}"[:300])
    else:
        verdict = "held" if opened.got is not None else "not_possible"
    reached = "" if isinstance(opened, Exception) else opened.got or ""
    return Tried(
        attack.name,
        attack.tried,
        verdict,
        reached[:300],
        (guarded.got or "")[:300],
        guarded.rule,
        guarded.why[:500],
        guarded.remedy[:300],
    )


async def _performed(attack: Attack, guarded: bool) -> Attempt | Exception:
    try:
        return await attack.perform(guarded)
    except Exception as error:
        return error
