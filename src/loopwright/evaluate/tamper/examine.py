"""All detectors over one proposal. Pure: bytes in, findings out."""

from loopwright.evaluate.tamper.bypassed import bypassed_tests
from loopwright.evaluate.tamper.faked import faked_code
from loopwright.evaluate.tamper.finding import RANK, Finding
from loopwright.evaluate.tamper.foreign import foreign_tests
from loopwright.evaluate.tamper.gone import gone_tests
from loopwright.evaluate.tamper.numbers import forged_numbers
from loopwright.evaluate.tamper.scene import Detector, Scene
from loopwright.evaluate.tamper.settings import changed_settings
from loopwright.evaluate.tamper.skipped import skipped_tests
from loopwright.evaluate.tamper.smells import source_smells
from loopwright.evaluate.tamper.special import special_cases
from loopwright.evaluate.tamper.startup import startup_files
from loopwright.evaluate.tamper.weakened import weakened_checks

__all__ = ["DETECTORS", "examine"]

DETECTORS: tuple[Detector, ...] = (
    gone_tests, weakened_checks, skipped_tests, bypassed_tests, faked_code, foreign_tests,
    changed_settings, startup_files,
    source_smells, special_cases, forged_numbers,
)  # fmt: skip


def examine(scene: Scene) -> tuple[Finding, ...]:
    """What there is to say of the edits, the gravest first, each place and rule once."""
    seen: dict[tuple[str, str, int], Finding] = {}
    for subject in scene.subjects:
        for detect in DETECTORS:
            for finding in detect(subject, scene):
                seen.setdefault((finding.rule, finding.path, finding.line), finding)
    return tuple(sorted(seen.values(), key=lambda f: (RANK[f.severity], f.path, f.line, f.rule)))
