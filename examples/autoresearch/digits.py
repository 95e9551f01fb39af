"""The data: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, one quarter of which nobody trains or chooses on."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

_HELD_OUT_SHARE = 4


def research_part() -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 64) with pixels in 0..1, and labels (n,): three quarters, for training and validation."""
    return _part(held_out=False)


def held_out_part() -> tuple[np.ndarray, np.ndarray]:
    """The last quarter, in the same form."""
    return _part(held_out=True)


def _part(*, held_out: bool) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _all()
    # The same quarter in every run and on every machine.
    last = np.random.RandomState(20260302).permutation(len(labels)) % _HELD_OUT_SHARE == 0
    chosen = last if held_out else ~last
    return images[chosen] / 16.0, labels[chosen]


def _all() -> tuple[np.ndarray, np.ndarray]:
    """The file behind `sklearn.datasets.load_digits`. To import that takes two seconds, more than a run of the training."""
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise SystemExit("scikit-learn is not installed; its digits are the data: pip install scikit-learn")
    table = np.loadtxt(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return table[:, :64], table[:, 64].astype(int)


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood in nats; `scores` (n, 10) are normalised here, so that no model can claim more than 100 %."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_shares[np.arange(len(labels)), labels].mean())


def error_rate(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(axis=1) != labels).mean())
