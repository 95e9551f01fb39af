"""Opening, locking and checking skills: what `loopwright skills lock` and `loopwright skills check` do, and what a run does first."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loopwright.policy.policy import SkillGrant
from loopwright.policy.values import Grant
from loopwright.tools.skills.errors import SkillRefused
from loopwright.tools.skills.lock import LOCK_NAME, SkillPin, pin_of, read_lock, write_lock
from loopwright.tools.skills.read import Declared, read_skill
from loopwright.tools.skills.rights import rights_of
from loopwright.tools.skills.scan import Finding, scan
from loopwright.tools.skills.tree import SkillTree, changes_between, read_tree

__all__ = ["Skill", "SkillReport", "check_skills", "discover", "lock_skills", "open_skill"]


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill that may be followed. `trust` is `trusted` only for a pinned one; `rights` is all that its follower may do, nothing at all
    for an unpinned one. `tree` holds the files that were checked: use those, not the folder."""

    declared: Declared
    tree: SkillTree
    trust: Literal["trusted", "untrusted"]
    rights: Grant
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class SkillReport:
    """How a skill stands. `lines` say what is wrong and what to type; `findings` are the scanner's."""

    name: str
    status: Literal["ok", "changed", "unlocked", "refused", "missing"]
    lines: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def discover(root: Path) -> tuple[Path, ...]:
    """The folders in `root` that hold a SKILL.md, by name; none when `root` is not there. Links are not followed."""
    if not root.is_dir():
        return ()
    return tuple(f for f in sorted(root.iterdir()) if not f.is_symlink() and f.is_dir() and (f / "SKILL.md").is_file())


def open_skill(
    folder: Path,
    pins: Collection[SkillPin],
    *,
    allowed: SkillGrant | None,
    actor: Grant,
    loop: Grant,
) -> Skill:
    """The skill in `folder`, checked, with its rights.

    Raises: `SkillRefused` when it changed since it was locked, when a finding blocks it, when it is not valid.
    """
    tree = read_tree(folder)
    declared = read_skill(folder, tree)
    pin = next((p for p in pins if p.name == declared.name), None)
    wanted = allowed.tree_sha256 if allowed is not None and allowed.tree_sha256 else None
    if pin is not None and pin.tree_sha256 != tree.sha256:
        changed = ", ".join(changes_between(pin.files, tree.files))
        raise SkillRefused(
            "skill.changed", f"skill {declared.name!r} is not what was locked: {changed}", _relock(folder)
        )
    if wanted is not None and wanted != tree.sha256:
        raise SkillRefused(
            "skill.changed",
            f"skill {declared.name!r}: the policy pins tree {wanted[:16]}, found {tree.sha256[:16]}",
            f'look at it, then write tree_sha256 = "{tree.sha256}" into [skills.{declared.name}]',
        )
    findings = scan(tree, declared)
    _refuse_blocked(folder, findings, pin.accepted if pin is not None else ())
    if pin is None:
        return Skill(declared, tree, "untrusted", Grant(), findings)
    return Skill(declared, tree, "trusted", rights_of(pin, allowed, actor, loop), findings)


def lock_skills(
    root: Path, lock: Path | None = None, *, names: Collection[str] = (), accept: Collection[str] = ()
) -> tuple[SkillReport, ...]:
    """Pin skills in `root` as they are and write `lock` (default: `skills.lock` in `root`).

    Without `names` new ones are pinned and changed ones reported; a changed one is accepted by its name only. `accept` are rules
    whose findings a person allows for the `names`. Refused skills keep the pin that they had.
    """
    path = root / LOCK_NAME if lock is None else lock
    pins = {pin.name: pin for pin in read_lock(path)}
    reports: list[SkillReport] = []
    present: set[str] = set()
    for folder in discover(root):
        present.add(folder.name)
        if names and folder.name not in names:
            continue
        try:
            tree = read_tree(folder)
            declared = read_skill(folder, tree)
            findings = scan(tree, declared)
            accepted = _accepted(findings, accept if names else ())
            _refuse_blocked(folder, findings, accepted)
        except SkillRefused as error:
            reports.append(SkillReport(folder.name, "refused", (str(error),)))
            continue
        before = pins.get(declared.name)
        if before is not None and before.tree_sha256 != tree.sha256 and not names:
            # Locking everything must not be a way to accept a change that nobody looked at.
            changed = ", ".join(changes_between(before.files, tree.files))
            reports.append(SkillReport(declared.name, "changed", (f"{changed}; {_relock(folder)}",), findings))
            continue
        pins[declared.name] = pin_of(tree, declared, accepted)
        reports.append(
            SkillReport(
                declared.name, "ok", changes_between(() if before is None else before.files, tree.files), findings
            )
        )
    write_lock(path, (pin for name, pin in pins.items() if name in present))
    return tuple(reports)


def check_skills(root: Path, lock: Path | None = None) -> tuple[SkillReport, ...]:
    """How every skill in `root`, and every locked one, stands; nothing is written."""
    pins = {pin.name: pin for pin in read_lock(root / LOCK_NAME if lock is None else lock)}
    reports: list[SkillReport] = []
    for folder in discover(root):
        pin = pins.pop(folder.name, None)
        try:
            skill = open_skill(folder, () if pin is None else (pin,), allowed=None, actor=Grant(), loop=Grant())
        except SkillRefused as error:
            status: Literal["changed", "refused"] = "changed" if error.rule == "skill.changed" else "refused"
            reports.append(SkillReport(folder.name, status, (str(error),)))
            continue
        if pin is None:
            line = f"not locked, so its text is untrusted and it has no rights; look at it, then `{_command(folder)}`"
            reports.append(SkillReport(folder.name, "unlocked", (line,), skill.findings))
        else:
            reports.append(SkillReport(folder.name, "ok", (), skill.findings))
    gone = "is locked and not there; take it out with `loopwright skills lock`"
    return (*reports, *(SkillReport(name, "missing", (f"skill {name!r} {gone}",)) for name in pins))


def _accepted(findings: tuple[Finding, ...], accept: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted({finding.rule for finding in findings if finding.rule in accept}))


def _refuse_blocked(folder: Path, findings: tuple[Finding, ...], accepted: Collection[str]) -> None:
    blocked = [f for f in findings if f.severity == "block" and f.rule not in accepted]
    if not blocked:
        return
    first = blocked[0]
    others = f" and {len(blocked) - 1} more" if len(blocked) > 1 else ""
    flags = " ".join(f"--accept {rule}" for rule in sorted({f.rule for f in blocked}))
    raise SkillRefused(
        "skill.finding",
        f"skill {folder.name!r}, {first.path}:{first.line}: {first.why}: {first.excerpt!r} ({first.rule}){others}",
        f"take it out, or look at it and accept it for exactly these files: `{_command(folder)} {flags}`",
    )


def _relock(folder: Path) -> str:
    return f"look at the change, and if it is meant: `{_command(folder)}`"


def _command(folder: Path) -> str:
    return f"loopwright skills lock {folder.name}"
