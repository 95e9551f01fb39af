"""A coarse picture of how the value depends on the knobs: for each a parabola around the head, fitted with ridge regression. Pure.

TPE says where good settings are likely; of the several that it names this picks the one to spend a run on. Against noise a smooth
picture of all points is worth more than the rank of each (measured in docs/design/019-tune.md).
"""

from collections.abc import Mapping, Sequence
from statistics import median

from loopwright.act.tune.places import Setting
from loopwright.act.tune.space import Space, same

__all__ = ["best_of"]

Settings = Mapping[str, Setting]

_RIDGE = 0.1
"""Keeps a knob flat that few points say something of; distances are shares of a knob's space, 0 to 1."""
_WINSOR = 3.0


def best_of(
    offered: Sequence[Settings],
    known: Sequence[tuple[Settings, float]],
    spaces: Mapping[str, Space],
    head: Settings,
) -> Settings:
    """The one of `offered` with the lowest expected value, the first of equals. `known`: whole settings and their values."""
    import numpy as np

    if not known:
        return offered[0]
    values = np.array([value for _, value in known])
    # A run that diverged is bad, however bad: it must not bend the picture of all the others.
    middle = median(values.tolist())
    values = np.minimum(values, middle + _WINSOR * (middle - values.min() + 1e-9))
    rows = np.array([_features(settings, spaces, head) for settings, _ in known])
    weights = np.linalg.solve(rows.T @ rows + _RIDGE * np.eye(rows.shape[1]), rows.T @ (values - values.mean()))
    expected = [float(np.array(_features(settings, spaces, head)) @ weights) for settings in offered]
    return offered[expected.index(min(expected))]


def _features(settings: Settings, spaces: Mapping[str, Space], head: Settings) -> list[float]:
    found = [1.0]
    for key, space in spaces.items():
        value = settings[key]
        # As many columns for every setting: whether a choice is seen as a number depends on the head alone.
        if space.kind == "choice" and not (space.ordered and space.holds(head[key])):
            found += [float(same(value, choice)) for choice in space.choices[1:]]
        else:
            distance = space.unit(value) - space.unit(head[key])
            found += [distance, distance * distance]
    return found
