"""Blobs in both stores: what goes in comes out, or the error says which one is missing or damaged."""

import hashlib

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.errors import BlobCorrupt, BlobMissing
from loopwright.journal.blobs import INLINE_BYTES
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.kernel.events import RunPaused
from loopwright.kernel.values import BlobRef
from support.stores import Store

SECRET = "correct-horse-battery"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=4000) | st.text(max_size=1000).map(str.encode) | st.integers(2046, 2050).map(lambda n: b"x" * n)
)
def test_what_is_put_comes_back_byte_for_byte(journal: Journal, data: bytes) -> None:
    ref = journal.blobs.put(data, "x/y", exact=True)
    assert (ref.sha256, ref.size_bytes, ref.media_type) == (hashlib.sha256(data).hexdigest(), len(data), "x/y")
    assert journal.blobs.get(ref) == data
    assert journal.blobs.put(data, "x/y", exact=True) == ref


@pytest.mark.parametrize(
    ("data", "inline"),
    [
        (b"", True),
        (("é" * (INLINE_BYTES // 2)).encode(), True),
        (b"x" * INLINE_BYTES, True),
        (b"x" * (INLINE_BYTES + 1), False),
        (b"\xff", False),
    ],
)
def test_small_text_travels_in_the_reference_and_the_rest_does_not(journal: Journal, data: bytes, inline: bool) -> None:
    ref = journal.blobs.put(data)
    assert (ref.inline is not None) is inline
    assert journal.blobs.get(ref) == data


def test_a_stored_blob_is_found_by_another_process(store: Store) -> None:
    ref = store.open().blobs.put(b"\x00" * 10_000)
    assert store.open().blobs.get(ref) == b"\x00" * 10_000


def test_secrets_are_redacted_unless_the_content_must_be_exact(store: Store) -> None:
    blobs = store.open(redactor=Redactor([SECRET])).blobs
    assert blobs.put(f"a {SECRET}".encode()).inline == "a [redacted:secret]"
    long = (f"a {SECRET}" + "x" * 5000).encode()
    assert blobs.get(blobs.put(long)) == long.replace(SECRET.encode(), b"[redacted:secret]")
    assert blobs.get(blobs.put(long, exact=True)) == long


def test_exact_content_with_a_secret_stays_out_of_the_events(store: Store) -> None:
    """Inline it would be redacted with its event, and a proposal's file would come back changed."""
    blobs = store.open(redactor=Redactor([SECRET])).blobs
    ref = blobs.put(SECRET.encode(), exact=True)
    assert ref.inline is None
    assert blobs.get(ref) == SECRET.encode()


def test_a_missing_blob_is_named(journal: Journal) -> None:
    ref = BlobRef("ab" * 32, 3000)
    with pytest.raises(
        BlobMissing, match=rf"blob {ref.sha256} \(3000 bytes, text/plain\): expected it in .*: restore"
    ) as raised:
        journal.blobs.get(ref)
    assert "\n" not in str(raised.value)


def test_a_reference_whose_text_was_changed_is_refused(journal: Journal) -> None:
    ref = msgspec.structs.replace(journal.blobs.put(b"hello"), inline="hullo")
    with pytest.raises(BlobCorrupt, match=ref.sha256):
        journal.blobs.get(ref)


def damaged(store: Store, ref: BlobRef, change: bytes) -> None:
    if store.url is None:
        path = store.root / ".loopwright" / "blobs" / ref.sha256[:2] / f"{ref.sha256}.zst"
        path.write_bytes(change)
    else:
        store.execute("UPDATE blobs SET bytes = ? WHERE sha256 = ?", (change, ref.sha256))


def test_a_damaged_blob_is_named(store: Store) -> None:
    import zstandard

    blobs = store.open().blobs
    data = b"line\n" * 1000
    ref = blobs.put(data)
    frame = zstandard.ZstdCompressor().compress(data)
    wrong = zstandard.ZstdCompressor().compress(b"Line\n" + data[5:])
    bomb = zstandard.ZstdCompressor().compress(b"\0" * 50_000_000)
    for change in (b"", b"junk", frame[:-3], frame[:20] + b"\xff" + frame[21:], wrong, bomb):
        damaged(store, ref, change)
        with pytest.raises(BlobCorrupt, match=rf"blob {ref.sha256}: expected 5000 bytes with that hash, found "):
            blobs.get(ref)
    with pytest.raises(BlobCorrupt, match="found a frame of 50000000 bytes"):
        blobs.get(ref)
    damaged(store, ref, frame)
    assert blobs.get(ref) == data


def test_a_reference_survives_its_event(store: Store) -> None:
    journal = store.open()
    ref = journal.blobs.put(b"\xfe" * 3000)
    journal.append("r", [RunPaused(ref.sha256)], expect_seq=0)
    (event,) = store.open().read("r")
    assert isinstance(event.body, RunPaused) and event.body.why == ref.sha256


def test_files_lie_under_their_hash_and_no_temporary_one_is_left(store: Store) -> None:
    ref = store.open().blobs.put(b"\xfe" * 3000)
    folder = store.root / ".loopwright" / "blobs"
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert found == ([] if store.url else [f"{ref.sha256[:2]}/{ref.sha256}.zst"])
