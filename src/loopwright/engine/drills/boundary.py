"""`drill boundary`: a hijacked agent that no model plays tries every class of probe against the user's own configuration.

Nothing of the user's is touched: the tools are of memory, the secrets, keys, servers, skills and payments are the drill's, the journal
lies in a temporary folder, and nothing leaves this machine. Only the policy and the sandbox are the user's own.
"""

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from loopwright.engine.drills.approvals import approvals
from loopwright.engine.drills.destruction import destructions
from loopwright.engine.drills.injection import injections
from loopwright.engine.drills.leaks import leaks
from loopwright.engine.drills.payments import payments
from loopwright.engine.drills.programs import programs
from loopwright.engine.drills.records import records
from loopwright.engine.drills.report import SECTIONS, DrillReport, Section, SectionName, Tried, Verdict
from loopwright.engine.drills.servers import servers
from loopwright.engine.drills.skilled import skills
from loopwright.engine.drills.stage import Lab
from loopwright.engine.drills.trial import Attack, Progress, try_attacks
from loopwright.engine.site import Site
from loopwright.errors import SandboxError
from loopwright.journal.opening import open_journal
from loopwright.journal.redact import Redactor
from loopwright.policy.file import policy_digest
from loopwright.policy.policy import Policy
from loopwright.sandbox.bwrap import interpreter
from loopwright.sandbox.escapes.catalogue import Probe, catalogue
from loopwright.sandbox.escapes.trial import Trial, try_probes
from loopwright.sandbox.protocol import ExecSpec, Sandbox

__all__ = ["drill_boundary"]

_ATTACKS: dict[SectionName, Callable[[Lab], list[Attack]]] = {
    "policy": injections,
    "approvals": approvals,
    "secrets": leaks,
    "mcp": servers,
    "skills": skills,
    "exec": programs,
    "destructive": destructions,
    "payment": payments,
    "audit": records,
}
_SYSTEM_PYTHON = "/usr/bin/python3"


async def drill_boundary(
    site: Site,
    policy: Policy | None,
    progress: Progress = lambda line: None,
    *,
    sections: Collection[SectionName] = SECTIONS,
    escapes: Sequence[Probe] | None = None,
) -> DrillReport:
    """Try everything in `sections` over the sandbox of `site` and `policy`; `None` is the built-in one, which denies everything.
    `escapes` are the probes of the sandbox, `None` = the whole catalogue.

    Raises: `SandboxError` when the sandbox cannot run anything: then there is no boundary to drill.
    """
    with tempfile.TemporaryDirectory(prefix="loopwright-drill-", ignore_cleanup_errors=True) as scratch:
        root = _reachable(scratch)
        python = await _python(site.sandbox, root)
        now_ms = site.now_ms()
        journal = open_journal(root, None, now_ms=lambda: now_ms, redactor=Redactor())
        lab = Lab(root, journal, policy or Policy(), site.sandbox, python, now_ms)
        try:
            found: list[Section] = []
            for name in SECTIONS:
                if name not in sections:
                    continue
                if name == "sandbox":
                    found.append(
                        await _sandbox(site.sandbox, catalogue() if escapes is None else escapes, python, progress)
                    )
                else:
                    found.append(await try_attacks(name, _ATTACKS[name](lab), progress))
        finally:
            journal.close()
    whose = "built-in: nothing is granted" if policy is None else f"sha256 {policy_digest(policy)[:16]}"
    return DrillReport(whose, site.sandbox.description, tuple(found))


def _reachable(scratch: str) -> Path:
    """Commands may be another user, who must get to the folders that are made for them."""
    root = Path(scratch).resolve()
    root.chmod(0o755)
    return root


async def _sandbox(sandbox: Sandbox, escapes: Sequence[Probe], python: str, progress: Progress) -> Section:
    trials = await try_probes(sandbox, escapes, python=python, progress=lambda line: progress(f"sandbox: {line}"))
    return Section("sandbox", tuple(_as_tried(trial, sandbox.description) for trial in trials))


def _as_tried(trial: Trial, where: str) -> Tried:
    verdicts: dict[str, Verdict] = {"held": "held", "escaped": "let_through", "not_possible": "not_possible"}
    remedy = "report it, and use another sandbox until then" if trial.verdict == "escaped" else ""
    return Tried(
        trial.name,
        f"{trial.group}: {trial.name.replace('_', ' ')}",
        verdicts[trial.verdict],
        trial.open or "",
        trial.inside or "",
        f"sandbox.{trial.group}",
        trial.why or f"it got nowhere in {where}",
        remedy,
    )


async def _python(sandbox: Sandbox, root: Path) -> str:
    """An interpreter that the sandbox's commands can run: ours, or the system's where ours lies in somebody's home.

    Raises: `SandboxError` when there is none.
    """
    tried: list[str] = []
    for program in dict.fromkeys((interpreter()[0], _SYSTEM_PYTHON)):
        spec = ExecSpec((program, "-I", "-S", "-c", "print('here')"), root, 30.0, f"drill-{os.getpid()}/python")
        done = await sandbox.run(spec)
        if done.stdout.strip() == b"here":
            return program
        tried.append(f"{program!r}: {done.status}, {done.stderr.decode('utf-8', 'replace').strip()[:150]}")
    raise SandboxError(
        f"drill: expected an interpreter that runs in {sandbox.description}, found "
        f"{'; '.join(tried) or 'none'}; install python3 of the system"
    )
