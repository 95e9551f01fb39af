"""A value that does not show itself: not in `repr`, a pickle, a copy, an exception or a comparison."""

from collections.abc import Callable
from typing import NoReturn

__all__ = ["Sealed"]


class Sealed:
    """Holds `value` for the one who calls `reveal`. Two are equal only when they are the same object."""

    # A closure: `vars()`, `__slots__` walkers and serialisers that look at attributes find a function.
    __slots__ = ("_reveal", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        return self._reveal()

    def __repr__(self) -> str:
        return f"<secret {self.name!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"secret {self.name!r}: cannot be copied or pickled")
