"""The same numbers on the quarter of the data that nothing was trained or chosen on. It is asked now and then, and decides no keep."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

import train
from digits import error_rate, held_out_part, log_loss, research_part
from evaluate import PASSES

NETWORKS = 5


def main() -> None:
    images, labels = research_part()
    unseen, answers = held_out_part()
    losses, errors = [], []
    for rng in np.random.default_rng().spawn(NETWORKS):
        scores = train.fit(images, labels, PASSES, rng)(unseen)
        losses.append(log_loss(scores, answers))
        errors.append(error_rate(scores, answers))
    print(f"METRIC val_error={np.mean(errors):.5f}")
    print(f"METRIC val_loss={np.mean(losses):.5f}")


if __name__ == "__main__":
    main()
