"""A small network that learns to read digits, in plain numpy. This is the one file that the research may edit.

`fit` is what the evaluator calls. The work is fixed: `passes` over the training data, then the network is judged as it is.
"""

from collections.abc import Callable

import numpy as np

# COOL_DOWN lets the learning rate fall to nothing until the end; JITTER is the standard deviation of the noise added to the pixels.
HIDDEN = 20  # tune: HIDDEN in [8, 256] log
LEARNING_RATE = 0.3  # tune: LEARNING_RATE in [0.001, 1.0] log
MOMENTUM = 0.8  # tune: MOMENTUM in [0.0, 0.95]
COOL_DOWN = False  # tune: COOL_DOWN in {True, False}
BATCH = 64  # tune: BATCH in {16, 32, 64, 128}
DROPOUT = 0.0  # tune: DROPOUT in [0.0, 0.5]
WEIGHT_DECAY = 0.0  # tune: WEIGHT_DECAY in [0.0, 0.003]
JITTER = 0.0  # tune: JITTER in [0.0, 0.4]

Predict = Callable[[np.ndarray], np.ndarray]


def fit(images: np.ndarray, labels: np.ndarray, passes: int, rng: np.random.Generator) -> Predict:
    """A function from images (n, 64) to scores (n, 10), the highest for the digit that is most likely."""
    targets = np.eye(10)[labels]
    weights = [
        rng.normal(0.0, np.sqrt(2.0 / images.shape[1]), (images.shape[1], HIDDEN)),
        np.zeros(HIDDEN),
        rng.normal(0.0, np.sqrt(1.0 / HIDDEN), (HIDDEN, 10)),
        np.zeros(10),
    ]
    speed = [np.zeros_like(w) for w in weights]
    steps_per_pass = -(-len(images) // BATCH)
    step, steps = 0, passes * steps_per_pass
    for _ in range(passes):
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            rate = LEARNING_RATE * (1.0 - step / steps) if COOL_DOWN else LEARNING_RATE
            gradients = slopes(weights, images[chosen], targets[chosen], rng)
            for weight, moving, slope in zip(weights, speed, gradients, strict=True):
                moving *= MOMENTUM
                moving -= rate * (slope + WEIGHT_DECAY * weight)
                weight += moving
            step += 1
    return lambda unseen: np.maximum(unseen @ weights[0] + weights[1], 0.0) @ weights[2] + weights[3]


def slopes(
    weights: list[np.ndarray], images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """The gradient of the mean log-loss of one batch."""
    if JITTER:
        images = images + rng.normal(0.0, JITTER, images.shape)
    hidden = np.maximum(images @ weights[0] + weights[1], 0.0)
    if DROPOUT:
        hidden = hidden * (rng.random(hidden.shape) >= DROPOUT) / (1.0 - DROPOUT)
    scores = hidden @ weights[2] + weights[3]
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    back = (shares - targets) / len(images)
    into_hidden = (back @ weights[2].T) * (hidden > 0.0)
    if DROPOUT:
        into_hidden /= 1.0 - DROPOUT
    return [images.T @ into_hidden, into_hidden.sum(axis=0), hidden.T @ back, back.sum(axis=0)]
