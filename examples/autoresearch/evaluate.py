"""Measures `train.py`, and is not to be edited: what it prints last is the number that the loop goes by.

One run trains FOLDS networks, each from its own random start and without one twentieth of the research part, on which it is then judged;
the number is their mean loss. The twentieths and the starts are the system's own randomness, so two runs of the same code differ.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy: on matrices this small, threads cost more than they bring

import numpy as np

import train
from digits import error_rate, log_loss, research_part

FOLDS = 20
PASSES = 60


def main() -> None:
    images, labels = research_part()
    losses, errors = [], []
    rng = np.random.default_rng()
    for left_out in np.array_split(rng.permutation(len(labels)), FOLDS):
        rest = np.setdiff1d(np.arange(len(labels)), left_out)
        predict = train.fit(images[rest], labels[rest], PASSES, rng)
        scores = predict(images[left_out])
        losses.append(log_loss(scores, labels[left_out]))
        errors.append(error_rate(scores, labels[left_out]))
    print(f"METRIC val_error={np.mean(errors):.5f}")
    print(f"METRIC val_loss={np.mean(losses):.5f}")


if __name__ == "__main__":
    main()
