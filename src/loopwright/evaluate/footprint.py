"""Which files of a copy differ from its tree, without storing any of them."""

import hashlib

from loopwright.errors import BlobMissing, WorkspaceError
from loopwright.kernel.values import BlobRef
from loopwright.workspace.protocol import Candidate

__all__ = ["changed_paths"]


class _Hashes:
    """A blob store that keeps nothing: to compare contents their hashes are enough."""

    def put(self, data: bytes, media_type: str = "text/plain", *, exact: bool = False) -> BlobRef:
        return BlobRef(hashlib.sha256(data).hexdigest(), len(data), media_type)

    def get(self, ref: BlobRef) -> bytes:
        raise BlobMissing(f"blob {ref.sha256[:12]}: only its hash was wanted, so it was not stored")


def changed_paths(candidate: Candidate) -> frozenset[tuple[str, str]]:
    """`(path, hash)` of everything that differs, with "" for what was deleted; one odd entry where the copy cannot be read
    (a socket, too many files), for this is a remark and no verdict."""
    try:
        changes = candidate.harvest(_Hashes())
    except WorkspaceError as error:
        return frozenset({(str(error), "")})
    return frozenset((c.path, "" if c.content is None else c.content.sha256) for c in changes)
