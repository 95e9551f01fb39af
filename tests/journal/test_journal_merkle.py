"""The tree is RFC 6962's: the published vectors of the Certificate Transparency project, and properties over all small sizes."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.journal.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): (),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {
    (1, 1): (),
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def by_definition(entries: list[bytes]) -> bytes:
    """The recursive definition of RFC 6962, word for word and without any sharing."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = max(2**k for k in range(32) if 2**k < len(entries))
    return hashlib.sha256(b"\x01" + by_definition(entries[:split]) + by_definition(entries[split:])).digest()


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of([]) == EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots_come_out(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs_come_out_and_hold(index: int, size: int) -> None:
    proof = inclusion_proof(LEAVES[:size], index)
    assert tuple(part.hex() for part in proof) == INCLUSION[index, size]
    assert verify_inclusion(LEAVES[index], index, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs_come_out_and_hold(old: int, new: int) -> None:
    proof = consistency_proof(LEAVES[:new], old)
    assert tuple(part.hex() for part in proof) == CONSISTENCY[old, new]
    assert verify_consistency(old, bytes.fromhex(ROOTS[old - 1]), new, bytes.fromhex(ROOTS[new - 1]), proof)


@given(st.lists(st.binary(max_size=3), max_size=70))
def test_growing_leaf_by_leaf_gives_the_tree_of_the_definition(entries: list[bytes]) -> None:
    grown = Frontier()
    for count, entry in enumerate(entries, 1):
        grown.append(leaf_hash(entry))
        assert grown.size == count
    assert grown.root() == by_definition(entries)


def test_every_proof_of_every_small_tree_holds() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(20)]
    for size in range(1, 21):
        root = root_of(leaves[:size])
        for index in range(size):
            assert verify_inclusion(leaves[index], index, size, inclusion_proof(leaves[:size], index), root)
        for old in range(size + 1):
            proof = consistency_proof(leaves[:size], old)
            assert verify_consistency(old, root_of(leaves[:old]), size, root, proof)


@given(st.data())
def test_an_inclusion_proof_holds_for_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 40))
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(leaves, index), root_of(leaves)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index))
    assert not verify_inclusion(leaves[other], index, size, proof, root)
    assert not verify_inclusion(leaves[index], other, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, proof[:-1], root)
    assert not verify_inclusion(leaves[index], index, size, (*proof, root), root)
    assert not verify_inclusion(leaves[index], size, size, proof, root)
    assert not verify_inclusion(leaves[index], -1, size, proof, root)
    at = data.draw(st.integers(0, len(proof) - 1))
    assert not verify_inclusion(leaves[index], index, size, (*proof[:at], bytes(32), *proof[at + 1 :]), root)


def test_a_proof_that_ends_below_the_root_of_so_large_a_tree_is_too_short() -> None:
    proof = inclusion_proof(LEAVES[:2], 0)
    assert verify_inclusion(LEAVES[0], 0, 2, proof, root_of(LEAVES[:2]))
    assert not verify_inclusion(LEAVES[0], 0, 3, proof, root_of(LEAVES[:2]))


@given(st.data())
def test_a_history_that_was_changed_has_no_consistency_proof(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 40))
    old = data.draw(st.integers(1, new - 1))
    leaves = [leaf_hash(bytes([n])) for n in range(new)]
    changed = data.draw(st.integers(0, old - 1))
    forged = [leaf_hash(b"forged") if n == changed else leaf for n, leaf in enumerate(leaves)]
    old_root = root_of(leaves[:old])
    proof = consistency_proof(forged, old)
    assert not verify_consistency(old, old_root, new, root_of(forged), proof)
    # Nor does the honest tree's own proof fit the forged one.
    assert not verify_consistency(old, old_root, new, root_of(forged), consistency_proof(leaves, old))
    assert not verify_consistency(new, root_of(leaves), old, old_root, proof)


def test_a_smaller_or_equal_tree_is_only_consistent_with_itself() -> None:
    root = root_of(LEAVES)
    assert verify_consistency(8, root, 8, root, ())
    assert not verify_consistency(8, root, 8, root, (root,))
    assert not verify_consistency(8, root, 8, root_of(LEAVES[:7]), ())
    assert not verify_consistency(3, root_of(LEAVES[:3]), 8, root, ())
    assert not verify_consistency(0, root, 8, root, ())


def test_a_leaf_that_is_not_there_has_no_proof() -> None:
    with pytest.raises(IndexError, match="leaf 8: the tree has 8 leaves"):
        inclusion_proof(LEAVES, 8)
    with pytest.raises(IndexError, match="old size 9"):
        consistency_proof(LEAVES, 9)
