"""Which settings to try next. Deterministic: the same knobs, history and seed give the same answer, and nothing is remembered between
calls.

First one thing at a time: a step with each knob, what usually matters most first, further in a direction that was kept, and back
the other way where the first step did not help. Then Optuna's multivariate TPE over all knobs, which sees every known point;
of a dozen settings that it names the one that a smooth picture of all points expects most of.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright.act.tune.history import History, Point
from loopwright.act.tune.knobs import Knob
from loopwright.act.tune.places import Setting
from loopwright.act.tune.space import Space, same
from loopwright.act.tune.surrogate import best_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

__all__ = ["Idea", "Search", "following"]

Settings = Mapping[str, Setting]

SHARE = 0.25
"""A step of the sweep: a quarter of a knob's space, a factor of about 3 for what is multiplied and of 2 for whole numbers."""
_ASKS, _NAMED, _LISTED = 60, 12, 4096
_NEAR = 0.06


@dataclass(frozen=True, slots=True)
class Idea:
    """The values of the knobs that differ from the head's, and how the search came to it."""

    settings: Settings
    how: str


@dataclass(frozen=True, slots=True)
class Search:
    """`left`: settings of a finite space that were not tried yet; `None` = more than can be listed."""

    ideas: tuple[Idea, ...]
    left: int | None


def following(
    knobs: Sequence[Knob],
    history: History,
    *,
    batch: int,
    seed: int,
    is_new: Callable[[Settings], bool],
) -> Search:
    """At most `batch` settings, each new and different from the head.

    `is_new` says of whole settings whether they can be written and were never tried; it is asked of nothing twice in a call.
    """
    spaces = {
        k.key: k.space.widened([k.value, *(p.settings[k.key] for p in history.points if k.key in p.settings)])
        for k in knobs
    }
    head = {k.key: k.value for k in knobs}
    accept = _Accept(head, is_new)
    ideas = list(itertools.islice(accept.of(_one_at_a_time(knobs, spaces, head, history)), batch))
    if len(ideas) < batch:
        sampled = _sampled(knobs, spaces, head, history, [i.settings for i in ideas], seed)
        ideas += itertools.islice(accept.of(sampled), batch - len(ideas))
    if len(ideas) < batch and _size(spaces) is not None:
        ideas += itertools.islice(accept.of(_listed(knobs, spaces, head)), batch - len(ideas))
    return Search(tuple(ideas), None if _size(spaces) is None or ideas else 0)


class _Accept:
    """Lets through what differs from the head and from everything known."""

    def __init__(self, head: Settings, is_new: Callable[[Settings], bool]) -> None:
        self._head = head
        self._is_new = is_new
        self._asked: set[tuple[tuple[str, str], ...]] = set()

    def of(self, ideas: Iterator[Idea]) -> Iterator[Idea]:
        for idea in ideas:
            moved = {k: v for k, v in idea.settings.items() if not same(v, self._head[k])}
            name = tuple(sorted((k, repr(v)) for k, v in moved.items()))
            if not moved or name in self._asked:
                continue
            self._asked.add(name)
            if self._is_new({**self._head, **moved}):
                yield Idea(moved, idea.how)


def _one_at_a_time(
    knobs: Sequence[Knob], spaces: Mapping[str, Space], head: Settings, history: History
) -> Iterator[Idea]:
    singles = [p for p in history.points if p.only_knobs and len(p.moved) == 1]
    if history.points and history.points[-1] in singles and history.points[-1].status == "kept":
        yield from _further(spaces, head, history.points[-1])
    ordered = sorted(knobs, key=lambda k: k.effect)
    tried = {k.key: [p for p in singles if k.key in p.moved] for k in knobs}
    for knob in ordered:
        if not tried[knob.key]:
            for value in spaces[knob.key].moves(head[knob.key], SHARE)[:1]:
                yield Idea({knob.key: value}, "the first step with it")
    for knob in ordered:
        if not any(p.gain is not None and p.gain > 0 for p in tried[knob.key]):
            for value in spaces[knob.key].moves(head[knob.key], SHARE):
                if not any(_same_way(spaces[knob.key], p, knob.key, head[knob.key], value) for p in tried[knob.key]):
                    yield Idea({knob.key: value}, "the other way")


def _further(spaces: Mapping[str, Space], head: Settings, kept: Point) -> Iterator[Idea]:
    """What helped may help again."""
    (key,) = kept.moved
    space = spaces.get(key)
    if space is None or not space.ordered or not (space.takes(kept.before[key]) and space.takes(head[key])):
        return
    up = space.unit(kept.settings[key]) > space.unit(kept.before[key])
    for value in space.moves(head[key], SHARE):
        if (space.unit(value) > space.unit(head[key])) == up:
            yield Idea({key: value}, "further in the direction that was kept")


def _same_way(space: Space, point: Point, key: str, head: Setting, value: Setting) -> bool:
    """Whether a step was already tried: of ordered values its direction, of others the value itself."""
    if not space.ordered:
        return same(point.settings[key], value)
    if not all(space.takes(v) for v in (point.before[key], point.settings[key])):
        return False
    return (space.unit(point.settings[key]) > space.unit(point.before[key])) == (space.unit(value) > space.unit(head))


def _sampled(
    knobs: Sequence[Knob],
    spaces: Mapping[str, Space],
    head: Settings,
    history: History,
    offered: Sequence[Settings],
    seed: int,
) -> Iterator[Idea]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=1)
    study = optuna.create_study(sampler=sampler, storage=None)
    distributions = {key: _distribution(space) for key, space in spaces.items()}
    known = list(_known(spaces, head, history))
    _tell(study, distributions, spaces, known)
    for settings in offered:
        # What is offered beside it counts as no better than the worst, so that a batch spreads.
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.PRUNED,
                params=_params(spaces, {**head, **settings}),
                distributions=distributions,
            )
        )
    told = [(s, value) for s, value in known if value is not None]
    for _ in range(_ASKS // _NAMED):
        named = [_settings(spaces, head, study.ask(distributions).params) for _ in range(_NAMED)]
        yield Idea(best_of(named, told, spaces, head), "from all that is known")
    # Near the end of a small space most of what is named is known already: then whatever is new.
    for _ in range(_ASKS):
        yield Idea(_settings(spaces, head, study.ask(distributions).params), "from all that is known")


def _known(spaces: Mapping[str, Space], head: Settings, history: History) -> Iterator[tuple[Settings, float | None]]:
    """The head first, then every point of the history that says something of a knob and lies in the space; `None` = it failed."""
    yield head, history.head_value
    for point in history.points:
        whole = {k: point.settings.get(k, head[k]) for k in spaces}
        # A comment's range is the author's word: what was tried outside of it cannot be placed in it.
        inside = all(spaces[k].holds(v) or same(v, head[k]) for k, v in whole.items())
        if point.moved and inside and (point.value is not None or point.failed):
            yield whole, point.value


def _tell(
    study: "Study",
    distributions: "dict[str, BaseDistribution]",
    spaces: Mapping[str, Space],
    known: Sequence[tuple[Settings, float | None]],
) -> None:
    import optuna

    for settings, value in known:
        # Pruned rather than failed: Optuna passes over failures, and keeps away from what was pruned.
        state = optuna.trial.TrialState.PRUNED if value is None else optuna.trial.TrialState.COMPLETE
        params = _params(spaces, settings)
        study.add_trial(optuna.trial.create_trial(state=state, value=value, params=params, distributions=distributions))


def _distribution(space: Space) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space.kind == "choice":
        last = len(space.choices) - 1
        return IntDistribution(0, last) if space.ordered else CategoricalDistribution(list(range(last + 1)))
    return FloatDistribution(0.0, 1.0)


def _params(spaces: Mapping[str, Space], settings: Settings) -> dict[str, int | float]:
    return {k: _param(space, settings[k]) for k, space in spaces.items()}


def _param(space: Space, value: Setting) -> int | float:
    if space.kind != "choice":
        return space.unit(value)
    # The head may have a value that is none of its comment's; the first choice stands in for it.
    return next((i for i, c in enumerate(space.choices) if same(c, value)), 0)


def _settings(spaces: Mapping[str, Space], head: Settings, params: Mapping[str, int | float]) -> Settings:
    result: dict[str, Setting] = {}
    for key, space in spaces.items():
        if space.kind == "choice":
            result[key] = space.choices[int(params[key])]
        elif abs(params[key] - space.unit(head[key])) < _NEAR and space.holds(head[key]):
            # A step too small to be seen against noise only makes the edit harder to understand.
            result[key] = head[key]
        else:
            result[key] = space.at(float(params[key]))
    return result


def _size(spaces: Mapping[str, Space]) -> int | None:
    """How many settings there are; `None` when they cannot all be listed."""
    sizes = [space.size for space in spaces.values()]
    known = [s for s in sizes if s is not None]
    total = math.prod(known)
    return total if len(known) == len(sizes) and total <= _LISTED else None


def _listed(knobs: Sequence[Knob], spaces: Mapping[str, Space], head: Settings) -> Iterator[Idea]:
    """Every setting of a finite space, those that differ from the head in the fewest knobs first."""
    keys = [k.key for k in knobs]
    every = itertools.product(*(tuple(spaces[key].values()) for key in keys))
    all_settings = [dict(zip(keys, values, strict=True)) for values in every]
    all_settings.sort(key=lambda s: sum(not same(s[k], head[k]) for k in keys))
    yield from (Idea(s, "one of the few that are left") for s in all_settings)
