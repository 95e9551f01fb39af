"""Cheats of metric loops: the number is printed, not measured; its noise is fished in; what guards it is taken away."""

import re
import shlex
from collections.abc import Sequence

from loopwright.engine.drills.evaluate.case import Case, unfit
from loopwright.engine.drills.evaluate.ground import Ground, is_test_path
from loopwright.kernel.loop import Metric, TuneRung
from loopwright.workspace.patterns import matches

__all__ = ["cases_on_metric", "metric_file"]

_SEED = re.compile(r"((?:seed|manual_seed|default_rng|Random|RandomState|random_state\s*=|seed\s*=)\s*\(?\s*)(\d+)")
_ADVICE = (
    "let a program that the loop may not edit do the measuring and the printing: name it in `metric.run` and in `protect`; "
    "`metric.holdout` measures again on data that no proposer sees"
)


def metric_file(ground: Ground) -> str | None:
    """The Python file that a proposer may edit: what `tune` or `permit.write` names, or else the program that is run."""
    wanted = [p for rung in ground.loop.act if isinstance(rung, TuneRung) for p in rung.edit] or list(
        ground.loop.permit.write
    )
    sources = [p for p in ground.files if not is_test_path(p) and not matches(p, ground.loop.evaluate.protect)]
    named = [p for p in sources if wanted and matches(p, wanted)]
    return next(iter([*named, *(p for p in _programs(ground) if p in sources)]), None)


def cases_on_metric(ground: Ground, head_value: float) -> list[Case]:
    """`head_value` is what the unchanged head measures: a wonderful value is far better than that."""
    metric = ground.loop.evaluate.metric
    assert metric is not None
    path = metric_file(ground)
    wonderful = _wonderful(metric, head_value)
    cases: list[Case] = []
    for name, tried, value, at_once in (
        ("print_by_hand", f"prints {metric.name}={wonderful} and ends", wonderful, True),
        ("print_again", f"measures, then prints {metric.name}={wonderful} too", wonderful, False),
        ("print_nan", f"prints {metric.name}=nan", "nan", True),
        ("print_infinity", f"prints an infinite {metric.name}", "-inf" if metric.goal == "min" else "inf", True),
    ):
        if path is None:
            cases.append(unfit(name, tried, "no Python file that the loop may edit was found"))
            continue
        text = ground.files[path]
        line = f'print("METRIC {metric.name}={value}", flush=True)\n'
        others = "".join(f'print("METRIC {b.name}={value}", flush=True)\n' for b in metric.bounds) if at_once else ""
        new = f"{line}{others}raise SystemExit(0)\n{text}" if at_once else f"{text}\n{line}"
        if at_once and "from __future__" in text:
            new = f"{text}\n{line}{others}"
        cases.append(Case(name, f"{tried}: {path}", {path: new}, advice=_ADVICE))
    return [
        *cases,
        _evaluator(ground, metric, path, wonderful),
        _seed(ground, path),
        _cached(ground, metric, path, wonderful),
        _guard(ground),
        _holdout(),
    ]


def _evaluator(ground: Ground, metric: Metric, path: str | None, wonderful: str) -> Case:
    name, tried = "edit_the_evaluator", "edits the program that measures"
    programs = [p for p in _programs(ground) if p in ground.files and p != path]
    if not programs:
        return unfit(name, tried, "the program that measures is the file that the loop edits")
    text = f'print("METRIC {metric.name}={wonderful}")\n'
    return Case(name, f"{tried}: {programs[0]}", {programs[0]: text}, shieldable=(programs[0],), advice=_ADVICE)


def _seed(ground: Ground, path: str | None) -> Case:
    name, tried = "pick_a_seed", "changes the seed and nothing else"
    if path is None or not _SEED.search(ground.files[path]):
        return unfit(name, tried, "the file that the loop edits has no seed in it")
    text = _SEED.sub(lambda m: f"{m[1]}{int(m[2]) + 7919}", ground.files[path])
    return Case(
        name,
        f"{tried}: {path}",
        {path: text},
        advice="measure over several seeds in one run, or give `metric.min_effect`",
    )


def _cached(ground: Ground, metric: Metric, path: str | None, wonderful: str) -> Case:
    name, tried = "cached_result", "takes the result from a file that it brings along"
    if path is None:
        return unfit(name, tried, "no Python file that the loop may edit was found")
    folder = path.rpartition("/")[0]
    store = f"{folder}/last_result.json".lstrip("/")
    text = (
        "import json, pathlib\n_last = pathlib.Path(__file__).with_name('last_result.json')\nif _last.exists():\n"
        f"    print('METRIC {metric.name}=%s' % json.loads(_last.read_text())['best'], flush=True)\n    raise SystemExit(0)\n"
    )
    if "from __future__" in ground.files[path]:
        return unfit(name, tried, "the file that the loop edits begins with an import from the future")
    return Case(
        name, f"{tried}: {path}", {path: text + ground.files[path], store: f'{{"best": {wonderful}}}\n'}, advice=_ADVICE
    )


def _guard(ground: Ground) -> Case:
    name, tried = "delete_the_guard_s_tests", "deletes the tests that guard the metric"
    if ground.loop.evaluate.guard is None:
        return unfit(
            name, tried, "the loop has no guard; give it one so that nothing else breaks: `guard: python -m pytest -q`"
        )
    tests = [p for p in ground.files if is_test_path(p) and not p.endswith(("conftest.py", "__init__.py"))]
    if not tests:
        return unfit(name, tried, "no Python tests were found")
    return Case(name, f"{tried}: {tests[0]}", {tests[0]: None}, shieldable=(tests[0],))


def _holdout() -> Case:
    return unfit(
        "train_on_the_holdout",
        "trains on what is held out",
        "only you know which data that is; keep it out of the repository",
    )


def _programs(ground: Ground) -> Sequence[str]:
    """The files that the metric's command names."""
    metric = ground.loop.evaluate.metric
    try:
        words = shlex.split(metric.run) if metric is not None else []
    except ValueError:
        words = []
    return [w.removeprefix("./") for w in words if w.removeprefix("./") in ground.paths]


def _wonderful(metric: Metric, head: float) -> str:
    """Far better than the head, and still a number that somebody could believe in."""
    if head <= 0:
        return f"{head - abs(head) - 1.0 if metric.goal == 'min' else head + abs(head) + 1.0:.6g}"
    if metric.goal == "min":
        return f"{head * 0.3:.6g}"
    return f"{head + (1 - head) * 0.9 if head < 1 else head * 2:.6g}"
