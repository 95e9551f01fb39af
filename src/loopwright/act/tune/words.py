"""What the names in a program say of a literal: whether turning it is honest, and how much it is likely to change. Pure.

Only whole words decide (`lr` in `base_lr`, not in `already`). When in doubt a literal is left alone: its author can mark it with a
`# tune:` comment. Seeds are never turned, marked or not: a better metric from another seed is luck, not progress.
"""

import re

__all__ = ["expected_effect", "is_probability", "is_seed", "is_width", "why_callee", "why_name", "words"]


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def _calls(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})\Z")


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SEED = _words("seed seeds rng randomstate randstate")
_SEED_CALLS = _words("default_rng randomstate seed manual_seed manual_seed_all set_seed seed_everything prngkey random")

_MEASURES = "it says what the metric is measured on or how"
_DATA = "it says how much data there is, not how it is learned from"
_SHAPE = "it is an index, an axis or a shape"

_NAMES = (
    (
        _MEASURES,
        _words(
            """test tests val valid validation eval evaluation holdout held heldout split splits fold folds cv kfold metric metrics score
            scoring scorer average shuffle stratify label labels target targets baseline"""
        ),
    ),
    (_DATA, _words("samples dataset data rows nrows vocab classes vocabulary categories")),
    (
        "it is a limit of time",
        _words(
            "timeout timeouts deadline seconds secs minutes hours duration wait sleep delay interval ms millis wall time"
        ),
    ),
    ("it is a version", _words("version versions revision")),
    ("it is an address", _words("port ports host hostname url uri address")),
    (
        "it is a path or a name",
        _words(
            """path paths file files filename dir directory folder root prefix suffix name names title description help encoding
            ext extension dest metavar nargs action"""
        ),
    ),
    ("it is a date", _words("date year month day weekday hour tz timezone")),
    (
        _SHAPE,
        _words(
            "axis axes index idx offset shape ndim ndims dims keepdims rank position pos col column columns row dtype"
        ),
    ),
    (
        "it only changes what is printed",
        _words(
            """verbose verbosity debug log logging logger loglevel print quiet silent progress report plot figsize dpi color colour
            fmt format indent precision digits ndigits decimals sep end flush"""
        ),
    ),
    ("it is an exit code", _words("exit code exitcode returncode status errno")),
    (
        "it is about the machine, not about what is learned",
        _words(
            """jobs njobs workers threads device devices gpu gpus cuda cpu cores pin memory cache checkpoint resume copy inplace
            check strict mode daemon compile"""
        ),
    ),
)
_SIZES_OF_DATA = _words("test_size train_size val_size n_samples num_samples n_informative n_redundant n_repeats")
_SHAPES = _words(
    """in_features out_features n_features num_features n_inputs num_inputs n_outputs num_outputs input_dim output_dim input_size
    output_size in_channels"""
)

_CALLS = (
    (
        "it is part of what is printed",
        _calls(
            "print|pprint|log|debug|info|warning|warn|error|exception|critical|basicConfig|format|join|write|writelines"
        ),
    ),
    ("it is an exit code", _calls("exit|_exit|SystemExit|quit")),
    (
        "it belongs to a file",
        _calls(r"open|Path|read_\w+|to_\w+|load\w*|save\w*|dump\w*|fetch_\w+|genfromtxt|savetxt|mkdir"),
    ),
    (
        "it makes or splits the data",
        _calls(r"make_(?!pipeline)\w+|train_test_split|\w*KFold|\w*Split|cross_val_\w+|cross_validate|permutation"),
    ),
    (
        "it is part of how the metric is computed",
        _calls(r"\w+_score|\w+_error|\w+_report|\w+_matrix|round|perf_counter|monotonic|mean|median|std"),
    ),
    ("it is a limit of time", _calls("sleep|alarm|timeout|wait|wait_for")),
    ("it is a date", _calls("date|datetime|timedelta|timezone|strftime|strptime")),
    (
        "it is not about what is learned",
        _calls(
            "range|enumerate|sorted|zip|sum|int|float|str|isinstance|getattr|setattr|run|Popen|check_output|namedtuple|dataclass|"
            "TypeVar|lru_cache|compile|reshape|astype|array|zeros|ones|arange|linspace|ArgumentParser|set_num_threads|"
            "setrecursionlimit|filterwarnings"
        ),
    ),
)
_MODULES = ("logging.", "logger.", "log.", "plt.", "warnings.", "subprocess.", "os.", "sys.", "time.")

_PROBABILITY = _words(
    """dropout momentum beta betas beta1 beta2 b1 b2 p prob probability subsample colsample bagging fraction frac smoothing ema mix
    mixup ratio keep rho discount quantile"""
)
_WIDTH = _words(
    "width hidden units dim embd embed embedding channels filters size batch model ff mlp bins leaves block neurons"
)

_EFFECTS = (
    _words("lr learning eta step"),
    _words(
        """decay alpha lambda l1 l2 reg regularization regularisation penalty c gamma dropout wd depth layers estimators iter iters
        iterations epochs steps rounds temperature"""
    ),
    _words(
        """width hidden units dim embd batch heads leaves leaf bins neighbors neighbours k momentum beta warmup noise scale
        subsample"""
    ),
)
_LAST = _words("eps epsilon tol tolerance jitter")


def words(name: str) -> tuple[str, ...]:
    """`baseLR_max2` → base, lr, max, 2."""
    return tuple(part.lower() for part in _WORD.findall(name))


def is_seed(name: str, callee: str = "") -> bool:
    """Whether the literal is, or is given to, the source of randomness."""
    joined = "".join(words(name))
    function = callee.rpartition(".")[2].lower()
    return bool(_SEED & {*words(name), joined}) or "randomstate" in joined or function in _SEED_CALLS


def why_name(name: str) -> str | None:
    """Why a literal of this name is no knob; `None` when nothing speaks against it."""
    lower, parts = name.lower(), set(words(name))
    if lower.startswith("__") or lower == "_":
        return "it is Python's own"
    if lower in _SIZES_OF_DATA:
        return _DATA
    if lower in _SHAPES:
        return _SHAPE
    if parts & {"learning", "lr", "smoothing"}:
        return None
    return next((why for why, stop in _NAMES if parts & stop), None)


def why_callee(callee: str) -> str | None:
    """Why what is given to this function is no knob; `None` when nothing speaks against it."""
    if callee.startswith(_MODULES):
        return "it is not about what is learned"
    function = callee.rpartition(".")[2]
    return next((why for why, pattern in _CALLS if pattern.match(function)), None)


def is_probability(name: str) -> bool:
    parts = words(name)
    # `learning_rate` is multiplied, it is no share of something.
    if "rate" in parts and "learning" not in parts:
        return True
    return bool(_PROBABILITY & {*parts, "".join(parts)})


def is_width(name: str) -> bool:
    return bool(set(words(name)) & _WIDTH)


def expected_effect(name: str) -> int:
    """0 = turn it first: what usually moves a metric most, from the practice of training models."""
    parts = {*words(name), "".join(words(name))}
    if parts & _LAST:
        return len(_EFFECTS) + 1
    found = next((i for i, listed in enumerate(_EFFECTS) if parts & listed), len(_EFFECTS))
    return 2 if found == 0 and "size" in parts else found
