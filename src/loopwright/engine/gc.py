"""`gc`: what can be made again is removed; journal events, kept commits and what they refer to are not touched."""

import contextlib
import re
from collections.abc import Iterator

from loopwright.engine import runs
from loopwright.engine.site import HOMES, Site
from loopwright.errors import BlobCorrupt, BlobMissing
from loopwright.journal.blobs import Blobs
from loopwright.kernel.values import BlobRef, Value
from loopwright.sandbox.remove import remove_tree
from loopwright.workspace.garbage import collect_garbage

__all__ = ["Freed", "collect"]

TREES_OLDER_THAN_S = 7 * 24 * 3600
BLOBS_OLDER_THAN_S = 24 * 3600

_REFERENCE = re.compile(rb'"sha256":\s*"([0-9a-f]{64})",\s*"size_bytes":\s*([0-9]{1,15})')


class Freed(Value, frozen=True):
    """`workspaces_kept`: some run is being driven, so no workspace was touched."""

    workspaces_bytes: int
    workspaces_kept: bool
    blobs: int
    blobs_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.workspaces_bytes + self.blobs_bytes


def collect(site: Site, *, blobs_older_than_s: int = BLOBS_OLDER_THAN_S) -> Freed:
    """Remove the workspaces that no driver uses, tree caches of a week ago, and blobs of a day ago that nothing refers to."""
    driven = any(runs.is_driven(site, head.run_id) for head in runs.run_heads(site))
    freed_bytes = 0
    if not driven:
        freed_bytes = collect_garbage(site.runtime_dir, (), trees_older_than_s=TREES_OLDER_THAN_S, now_ms=site.now_ms())
        remove_tree(site.runtime_dir / HOMES)
    blobs = site.journal.blobs
    count = size_bytes = 0
    if isinstance(blobs, Blobs):
        count, size_bytes = blobs.sweep(_referenced(site, blobs), older_than_s=blobs_older_than_s)
    return Freed(freed_bytes, driven, count, size_bytes)


def _referenced(site: Site, blobs: Blobs) -> frozenset[str]:
    """Every blob that an event refers to, or a blob that is itself referred to (what a rung remembers names others)."""
    found: dict[str, int] = {}
    waiting = [
        ref for head in site.journal.heads() for _, data, _ in site.journal.raw(head.run_id) for ref in _refs(data)
    ]
    while waiting:
        digest, size_bytes = waiting.pop()
        if digest in found:
            continue
        found[digest] = size_bytes
        # Inline content is in no store, and damaged content names nothing; both stay marked.
        with contextlib.suppress(BlobMissing, BlobCorrupt):
            waiting.extend(_refs(blobs.get(BlobRef(digest, size_bytes))))
    return frozenset(found)


def _refs(data: bytes) -> Iterator[tuple[str, int]]:
    return ((digest.decode(), int(size_bytes)) for digest, size_bytes in _REFERENCE.findall(data))
