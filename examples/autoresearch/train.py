"""A small network that learns to read digits, in plain numpy. This is the one file that the research may edit.

`fit` is what the evaluator calls. The work is fixed: `passes` over the training data, then the network is judged as it is.
"""

from collections.abc import Callable

import numpy as np

# COOL_DOWN lets the learning rate fall to nothing until the end; PIXEL_NOISE is the standard deviation of what is added to the pixels.
HIDDEN = 24  # tune: HIDDEN in [8, 256] log
LEARNING_RATE = 0.05  # tune: LEARNING_RATE in [0.001, 1.0] log
PIXEL_NOISE = 0.0  # tune: PIXEL_NOISE in [0.0, 0.6]
MOMENTUM = 0.5  # tune: MOMENTUM in [0.0, 0.95]
COOL_DOWN = False  # tune: COOL_DOWN in {True, False}
BATCH = 64  # tune: BATCH in {16, 32, 64, 128}
DROPOUT = 0.0  # tune: DROPOUT in [0.0, 0.5]

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
                moving -= rate * slope
                weight += moving
            step += 1
    return lambda unseen: np.maximum(unseen @ weights[0] + weights[1], 0.0) @ weights[2] + weights[3]


def slopes(
    weights: list[np.ndarray], images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """The gradient of the mean log-loss of one batch."""
    if PIXEL_NOISE:
        images = images + rng.normal(0.0, PIXEL_NOISE, images.shape)
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
