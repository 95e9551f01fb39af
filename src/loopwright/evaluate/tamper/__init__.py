"""Signs of tampering in a proposal's edits: of tests, of what steers them, of source that cheats. Detectors are pure and run nothing."""

from loopwright.evaluate.tamper.examine import examine
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Edit, Scene
from loopwright.evaluate.tamper.verifier import TamperVerifier

__all__ = ["Edit", "Finding", "Scene", "TamperVerifier", "examine"]
