"""The Merkle tree of RFC 6962 section 2.1: one hash for a whole list, short proofs for its items and for its growth.

Leaves and inner nodes are hashed under different prefixes, so no inner node can be passed off as an entry. A tree over n leaves
splits at the largest power of two below n; the empty tree's hash is that of the empty string. Verification follows RFC 9162
section 2.1.3.2 and 2.1.4.2. All hashes are SHA-256, 32 bytes.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows at its right edge and holds one hash for each set bit of its size: appending costs no memory of old leaves."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._size = 0
        self._perfect: list[bytes] = []
        """Roots of the perfect subtrees from the left, largest first."""
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        return self._size

    def append(self, leaf: bytes) -> None:
        """`leaf` is a leaf's hash, not its entry."""
        node, carry = leaf, self._size
        while carry & 1:
            node = _node_hash(self._perfect.pop(), node)
            carry >>= 1
        self._perfect.append(node)
        self._size += 1

    def root(self) -> bytes:
        """The tree's hash now; the tree can still grow."""
        if not self._perfect:
            return EMPTY_ROOT
        node = self._perfect[-1]
        for left in reversed(self._perfect[:-1]):
            node = _node_hash(left, node)
        return node


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The hash of the tree over these leaf hashes."""
    return Frontier(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes that lead from leaf `index` (from 0) to the root of the tree over `leaves`, the lowest first.

    Raises: `IndexError` for a leaf that is not there.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index}: the tree has {len(leaves)} leaves")
    return _path(leaves, index)


def _path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    if index < split:
        return (*_path(leaves[:split], index), root_of(leaves[split:]))
    return (*_path(leaves[split:], index - split), root_of(leaves[:split]))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """The hashes that show that the tree over the first `old_size` leaves grew into the tree over all `leaves`.

    Empty for an old tree that was empty or is the same. Raises: `IndexError` for an old tree that is larger.
    """
    if not 0 <= old_size <= len(leaves):
        raise IndexError(f"old size {old_size}: the tree has {len(leaves)} leaves")
    if old_size in (0, len(leaves)):
        return ()
    return _growth(leaves, old_size, True)


def _growth(leaves: Sequence[bytes], old_size: int, old_root_is_known: bool) -> tuple[bytes, ...]:
    if old_size == len(leaves):
        return () if old_root_is_known else (root_of(leaves),)
    split = _split(len(leaves))
    if old_size <= split:
        return (*_growth(leaves[:split], old_size, old_root_is_known), root_of(leaves[split:]))
    return (*_growth(leaves[split:], old_size - split, False), root_of(leaves[:split]))


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` leads from the leaf hash at `index` to `root`, the hash of a tree of `size` leaves."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = _node_hash(part, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = _node_hash(node, part)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `new_size` leaves begins with the tree of `old_size` leaves."""
    if not 0 <= old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        # Everything grows out of nothing; there is nothing to prove but that the old hash is that of nothing.
        return not proof and old_root == EMPTY_ROOT
    if not proof:
        return False
    # An old tree that is a perfect subtree of the new one is its own first hash, and the proof leaves it out.
    parts = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_node = new_node = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_node, new_node = _node_hash(part, old_node), _node_hash(part, new_node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new_node = _node_hash(new_node, part)
        at, last = at >> 1, last >> 1
    return last == 0 and old_node == old_root and new_node == new_root
