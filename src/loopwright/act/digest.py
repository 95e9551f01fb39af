"""The identity of a proposal: what it changes, whoever offers it and in whatever order it lists its files."""

import hashlib
import json
from collections.abc import Iterable

from loopwright.kernel.values import Change

__all__ = ["changes_digest"]


def changes_digest(changes: Iterable[Change]) -> str:
    """SHA-256 (hex) over path, mode and content hash of every change; a deletion has no content hash.

    How the content is stored (inline or not, media type) does not matter. Escaped JSON keeps the parts apart, so no path can
    be made to look like another change, and takes file names that are not UTF-8 (surrogates).
    """
    rows = sorted((c.path, c.mode, "" if c.content is None else c.content.sha256) for c in changes)
    return hashlib.sha256(json.dumps(rows, ensure_ascii=True, separators=(",", ":")).encode("ascii")).hexdigest()
