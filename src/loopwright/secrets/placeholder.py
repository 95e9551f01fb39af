"""What an actor sees in the place of a secret: text that names it, worth nothing anywhere but in its declared header.

Nothing is substituted here; the broker does that at the boundary, and a placeholder anywhere else is refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from loopwright.policy.values import Json

__all__ = ["ENV_PREFIX", "in_arguments", "names_in", "placeholder", "placeholder_env"]

ENV_PREFIX: Final = "LOOPWRIGHT_SECRET_"

_PLACEHOLDER: Final = re.compile(r"\{\{secret:([A-Za-z0-9_.-]{1,64})\}\}")


def placeholder(name: str) -> str:
    return f"{{{{secret:{name}}}}}"


def placeholder_env(names: Sequence[str]) -> Mapping[str, str]:
    """Environment variables for an actor: `LOOPWRIGHT_SECRET_GITHUB={{secret:github}}`."""
    return {ENV_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper()): placeholder(name) for name in names}


def names_in(text: str) -> tuple[str, ...]:
    """The secrets that `text` has placeholders of, in order, repetitions kept."""
    return tuple(_PLACEHOLDER.findall(text))


def in_arguments(arguments: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, secret name) of every placeholder in a call's arguments, keys of objects included; a path is like `headers.accept`."""
    if isinstance(arguments, str):
        yield from ((path, name) for name in names_in(arguments))
    elif isinstance(arguments, list):
        for i, item in enumerate(arguments):
            yield from in_arguments(item, f"{path}[{i}]")
    elif isinstance(arguments, dict):
        for key, item in arguments.items():
            inner = f"{path}.{key}" if path else key
            yield from ((f"{path or 'arguments'} (a key)", name) for name in names_in(key))
            yield from in_arguments(item, inner)
