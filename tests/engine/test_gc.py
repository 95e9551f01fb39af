"""gc: what can be made again goes, what anything refers to stays."""

import os
import time
from pathlib import Path

import msgspec

from loopwright.engine import gc, runs
from loopwright.engine.site import Site, open_site
from loopwright.kernel import events as ev
from loopwright.kernel.values import BlobRef, Spend
from loopwright.testing.noop import noop_start
from support.command_line import repository
from support.stores import Store
from support.two_faults import UNSANDBOXED


def site_in(root: Path, store: Store) -> Site:
    repository(root, {"a.txt": "a\n"})
    return open_site(
        root, {"PATH": os.environ["PATH"], **UNSANDBOXED, **({"LOOPWRIGHT_JOURNAL": store.url} if store.url else {})}
    )


def test_only_blobs_that_nothing_refers_to_are_removed(store: Store, tmp_path: Path) -> None:
    site = site_in(tmp_path / "r", store)
    blobs = site.journal.blobs
    deep = blobs.put(b"deep " * 1000)
    # What a rung remembers is itself a blob, and names another one.
    memory = blobs.put(msgspec.json.encode({"of": deep, "pad": "x" * 5000}), "application/json")
    lost = blobs.put(b"lost " * 1000)
    site.journal.append("r", [noop_start(1)], expect_seq=0, at_ms=1)
    failed = ev.ActionFailed("a1", "error", "m", "s", Spend(), memory)
    site.journal.append("r", [failed], expect_seq=1, at_ms=2)

    assert gc.collect(site).blobs == 0, "a blob of today may belong to an event that is about to be written"
    freed = gc.collect(site, blobs_older_than_s=-1)
    assert freed.blobs == 1
    assert freed.blobs_bytes > 0
    assert blobs.get(deep) == b"deep " * 1000
    assert blobs.get(memory)
    assert not found(site, lost)
    site.journal.close()


def test_a_blob_that_is_put_again_counts_as_new(tmp_path: Path) -> None:
    site = site_in(tmp_path / "r", Store(tmp_path, None))
    ref = site.journal.blobs.put(b"again " * 1000)
    (path,) = (site.runtime_dir / "blobs").glob("??/*.zst")
    old_s = time.time() - 10 * 24 * 3600
    os.utime(path, (old_s, old_s))
    site.journal.blobs.put(b"again " * 1000)
    assert gc.collect(site).blobs == 0
    assert found(site, ref)
    os.utime(path, (old_s, old_s))
    assert gc.collect(site).blobs == 1
    site.journal.close()


def test_workspaces_go_unless_a_run_is_driven(tmp_path: Path) -> None:
    site = site_in(tmp_path / "r", Store(tmp_path, None))
    left = site.runtime_dir / "work" / "evaluate-x1" / "tree"
    left.mkdir(parents=True)
    (left / "big").write_bytes(b"x" * 10_000)
    site.journal.append("r", [noop_start(1)], expect_seq=0, at_ms=1)
    with site.journal.lease("r"):
        freed = gc.collect(site)
        assert (freed.workspaces_kept, freed.workspaces_bytes) == (True, 0)
        assert left.exists()
    assert not runs.is_driven(site, "r")
    assert gc.collect(site).workspaces_bytes >= 10_000
    assert not left.exists()
    site.journal.close()


def found(site: Site, ref: BlobRef) -> bool:
    from loopwright.errors import BlobMissing

    try:
        site.journal.blobs.get(ref)
    except BlobMissing:
        return False
    return True
