"""Test modules with pytest's rewritten assertions, by their whole content: rewriting is the larger half of a cold start."""

import base64
import marshal
from typing import Any

__all__ = ["Codes"]


class Codes:
    """Once made, pytest asks here."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], Any] = {}
        try:
            from _pytest.assertion import rewrite

            original: Any = rewrite._rewrite_test
        except (ImportError, AttributeError):  # another pytest than we know: slower, and right
            return

        def rewritten(fn: Any, config: Any) -> Any:
            data = fn.read_bytes()
            found = self._known.get((str(fn), data))
            if found is None:
                found = original(fn, config)
                self._known[str(fn), data] = found
            return found

        rewrite._rewrite_test = rewritten

    def told(self) -> list[tuple[str, str, str]]:
        """For another process."""
        return [
            (path, base64.b64encode(data).decode(), base64.b64encode(marshal.dumps(found)).decode())
            for (path, data), found in self._known.items()
            if isinstance(found, tuple)
        ]

    def learn(self, told: list[list[str]]) -> None:
        """`told` by a fork of this process."""
        for path, data, code in told:
            self._known[path, base64.b64decode(data)] = marshal.loads(base64.b64decode(code))  # noqa: S302

    def forget(self) -> None:
        self._known.clear()
