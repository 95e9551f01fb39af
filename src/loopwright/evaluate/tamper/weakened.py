"""Assertions that say less than before: dropped, loosened, made circular, or given another expected value."""

import ast
from collections.abc import Iterable, Iterator

from loopwright.evaluate.tamper.code import walk
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject
from loopwright.evaluate.tamper.suites import Check, TestFunction

__all__ = ["weakened_checks"]

_LOOSE = frozenset({"Exception|", "BaseException|"})
_SAYS = ("nothing", "little", "something", "what exactly")


def weakened_checks(subject: Subject, scene: Scene) -> Iterable[Finding]:
    if not subject.python or subject.kind not in ("test", "config"):
        return
    for old, new in subject.changed:
        yield from _compared(subject, scene, old, new)


def _compared(subject: Subject, scene: Scene, old: TestFunction, new: TestFunction) -> Iterator[Finding]:
    had = [c.key for c in old.checks]
    removed, added = list(old.checks), []
    for check in new.checks:
        same = next((c for c in removed if c.key == check.key), None)
        if same is None:
            added.append(check)
            continue
        removed.remove(same)
        if check.strength == 0 and same.strength:
            yield _vacuous(subject, new, check)
    for check in [c for c in added if c.strength == 0 or (c.circular and c.key not in had)]:
        if check.strength == 0:
            yield _vacuous(subject, new, check)
        else:
            says = f"{new.qualname} compares the code under test with itself; write the expected value down"
            yield subject.found("tests.circular", check.line, says, "sure")
        added.remove(check)
        _drop_partner(check, removed)
    elsewhere = scene.checks
    removed = [c for c in removed if c.key not in elsewhere]
    for check in list(removed):
        partner = _partner(check, added)
        if partner is None:
            continue
        removed.remove(check)
        added.remove(partner)
        yield from _pair(subject, new, check, partner)
    lost = len(removed) - len(added)
    if lost > 0 and not _handed_over(old, new):
        gone = removed[0]
        none_left = not new.checks
        what = "all its assertions" if none_left else f"{lost} assertion{'s' if lost > 1 else ''}"
        says = f"{new.qualname} loses {what}; put {'them' if lost > 1 or none_left else 'it'} back"
        line = new.node.lineno if none_left else gone.line
        yield subject.found("tests.assertion_dropped", line, says, "sure" if none_left else "likely")


def _pair(subject: Subject, test: TestFunction, old: Check, new: Check) -> Iterator[Finding]:
    if old.raises and new.raises != old.raises and (new.raises in _LOOSE or _lost_match(old.raises, new.raises)):
        says = f"{test.qualname} accepts {_error(new.raises)} where it wanted {_error(old.raises)}; keep the narrow one"
        yield subject.found("tests.raises_widened", new.line, says)
    elif new.strength < old.strength:
        says = f"an assertion of {test.qualname} says {_SAYS[new.strength]} now, and said {_SAYS[old.strength]}; restore it"
        yield subject.found("tests.assertion_weakened", new.line, says)
    elif _looser(old.slack, new.slack):
        yield subject.found(
            "tests.tolerance_widened", new.line, f"{test.qualname} allows a larger difference; restore it"
        )
    elif old.strength == new.strength and old.about == new.about and set(new.values) != set(old.values):
        gone = [v for v in old.values if v not in new.values] or list(old.values)
        come = [v for v in new.values if v not in old.values]
        if come:
            says = f"{test.qualname} expects {_short(come)} where it expected {_short(gone)}; change the code instead"
            yield subject.found("tests.expectation_edited", new.line, says)


def _partner(check: Check, added: list[Check]) -> Check | None:
    """The new assertion that most likely took the place of `check`."""

    def alike(other: Check) -> float:
        shared = len(check.about & other.about) + 0.5 * len(set(check.values) & set(other.values))
        return shared + (0.1 if bool(check.raises) == bool(other.raises) else 0.0)

    scored = [(alike(other), -at) for at, other in enumerate(added)]
    if not scored:
        return None
    best, at = max(scored)
    return added[-at] if best >= 0.5 or len(added) == 1 else None


def _drop_partner(check: Check, removed: list[Check]) -> None:
    partner = _partner(check, removed)
    if partner is None and removed:
        partner = removed[0]
    if partner is not None:
        removed.remove(partner)


def _vacuous(subject: Subject, test: TestFunction, check: Check) -> Finding:
    says = f"an assertion of {test.qualname} cannot fail; assert what the code must do"
    return subject.found("tests.assertion_vacuous", check.line, says, "sure")


def _handed_over(old: TestFunction, new: TestFunction) -> bool:
    """Whether the test calls a helper now that it did not call before and that asserts: `check(…)`, `self._verify(…)`."""
    words = ("assert", "check", "verify", "expect", "validate", "compare", "ensure")
    had, has = _calls(old), _calls(new)
    return any(name.lstrip("_").startswith(words) for name in has - had)


def _calls(test: TestFunction) -> frozenset[str]:
    return frozenset(
        n.func.attr if isinstance(n.func, ast.Attribute) else n.func.id
        for n in walk(test.node.body)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute | ast.Name)
    )


def _looser(old: tuple[float, ...], new: tuple[float, ...]) -> bool:
    return bool(old) and len(old) == len(new) and any(n > o for o, n in zip(old, new, strict=True))


def _lost_match(old: str, new: str) -> bool:
    had, has = old.partition("|"), new.partition("|")
    return had[0] == has[0] and bool(had[2]) and not has[2]


def _error(raises: str) -> str:
    kind, _, match = raises.partition("|")
    return f"{kind or 'anything'}{f' ({match})' if match else ''}"


def _short(values: list[str]) -> str:
    text = ", ".join(dict.fromkeys(values))
    return text if len(text) <= 60 else text[:59] + "…"
