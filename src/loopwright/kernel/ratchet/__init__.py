"""The keep rule of metric loops, pure: what to measure next, and what the measurements amount to.

`measured`, `settled` and `moved` fold the journal's facts into a `Ratchet`; everything else reads it. See docs/design/017-ratchet.md.
"""

from loopwright.kernel.ratchet.claim import Claim, claim, head_mean, head_summary, noise_sd
from loopwright.kernel.ratchet.contradicted import contradicted
from loopwright.kernel.ratchet.fold import measured, moved, settled
from loopwright.kernel.ratchet.holdout import holdout_falls
from loopwright.kernel.ratchet.record import Ratchet, start
from loopwright.kernel.ratchet.trouble import hopeless
from loopwright.kernel.ratchet.wanted import wanted_of_end, wanted_of_head, wanted_of_trial
from loopwright.kernel.ratchet.weigh import weigh

__all__ = [
    "Claim",
    "Ratchet",
    "claim",
    "contradicted",
    "head_mean",
    "head_summary",
    "holdout_falls",
    "hopeless",
    "measured",
    "moved",
    "noise_sd",
    "settled",
    "start",
    "wanted_of_end",
    "wanted_of_head",
    "wanted_of_trial",
    "weigh",
]
