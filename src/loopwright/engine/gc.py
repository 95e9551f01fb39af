"""`gc`: what can be made again is removed; journal events, kept commits and what they refer to are not touched."""

from loopwright.engine import runs
from loopwright.engine.site import Site
from loopwright.kernel.values import Value
from loopwright.workspace.garbage import collect_garbage

__all__ = ["Freed", "collect"]

TREES_OLDER_THAN_S = 7 * 24 * 3600


class Freed(Value, frozen=True):
    workspaces_bytes: int
    blobs: int
    blobs_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.workspaces_bytes + self.blobs_bytes


def collect(site: Site) -> Freed:
    """Remove the workspaces of runs that nobody drives, tree caches of a week ago, and blobs that no event refers to."""
    driven = [head.run_id for head in runs.run_heads(site) if runs.is_driven(site, head.run_id)]
    freed = collect_garbage(site.runtime_dir, driven, trees_older_than_s=TREES_OLDER_THAN_S, now_ms=site.now_ms())
    return Freed(freed, 0, 0)
