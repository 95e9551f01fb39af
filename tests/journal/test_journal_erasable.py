"""An erased value is gone for good, and the log that refers to it verifies as before."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

from loopwright.errors import BlobCorrupt, BlobMissing
from loopwright.journal.chain import verify
from loopwright.journal.erasable import ErasableStore, envelope_of, is_erasable
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.journal.refs import blob_refs
from loopwright.kernel.events import Body, CallEnded
from loopwright.kernel.values import BlobRef, Spend
from support.bodies import bodies

VALUE = b"name: Ada Lovelace, born 1815-12-10"


@pytest.fixture
def erasables(tmp_path: Path) -> ErasableStore:
    return ErasableStore(tmp_path / "values", tmp_path / "keys", Redactor())


def everything_in(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


def test_a_value_comes_back_and_the_log_holds_none_of_it(erasables: ErasableStore, tmp_path: Path) -> None:
    ref = erasables.put(VALUE, "text/x-person")
    assert is_erasable(ref) and envelope_of(ref).media_type == "text/x-person"
    assert erasables.get(ref) == VALUE
    assert erasables.status(ref) == "present"
    assert b"Lovelace" not in msgspec.json.encode(ref) + everything_in(tmp_path)
    again = erasables.put(VALUE)
    assert envelope_of(again).commitment != envelope_of(ref).commitment, (
        "the same value must not be recognised in the log"
    )
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))


def test_an_erased_value_is_gone_and_the_chain_still_verifies(
    journal: Journal, erasables: ErasableStore, tmp_path: Path
) -> None:
    ref = erasables.put(VALUE)
    other = erasables.put(b"another")
    journal.append(
        "r", [CallEnded("c1", "ok", "", ref, Spend()), CallEnded("c2", "ok", "", other, Spend())], expect_seq=0
    )
    before = list(journal.raw("r"))
    record = erasables.erase(ref, by="ada", why="she asked", at_ms=7)
    assert erasables.status(ref) == "erased" and erasables.status(other) == "present"
    with pytest.raises(BlobMissing, match=r"was erased by 'ada' \(she asked\)"):
        erasables.get(ref)
    assert list(journal.raw("r")) == before and verify(before, journal.head("r")).ok
    logged = [found for event in journal.read("r") for found in blob_refs(event)]
    assert logged == [ref, other]
    assert [erasables.status(found) for found in logged] == ["erased", "present"]
    assert envelope_of(ref).id + ".key" not in os.listdir(tmp_path / "keys")
    assert envelope_of(ref).id + ".value" not in os.listdir(tmp_path / "values")
    # The journal's own store serves the envelope for ever, so that nothing that reads blobs trips over an erasure.
    assert journal.blobs.get(ref) == (ref.inline or "").encode()
    assert erasables.erase(ref, by="eve", why="again", at_ms=9) == record


@pytest.mark.parametrize("left", ["key", "value", "both"])
def test_an_erasure_that_a_crash_cut_short_counts_and_is_finished(
    erasables: ErasableStore, tmp_path: Path, left: str
) -> None:
    ref = erasables.put(VALUE)
    name = envelope_of(ref).id
    key, value = tmp_path / "keys" / f"{name}.key", tmp_path / "values" / f"{name}.value"
    contents = {path: path.read_bytes() for path in (key, value)}
    erasables.erase(ref, by="ada", why="", at_ms=7)
    for path in (key, value):
        if left == "both" or path.suffix == f".{left}":
            path.write_bytes(contents[path])
    assert erasables.status(ref) == "erased"
    erasables.erase(ref, by="ada", why="", at_ms=8)
    assert not key.exists() and not value.exists()


@pytest.mark.parametrize("kind", ["key", "value"])
def test_a_value_that_was_lost_is_not_called_erased(erasables: ErasableStore, tmp_path: Path, kind: str) -> None:
    ref = erasables.put(VALUE)
    next(tmp_path.rglob(f"*.{kind}")).unlink()
    assert erasables.status(ref) == "missing"
    with pytest.raises(BlobMissing, match="nobody recorded an erasure"):
        erasables.get(ref)


def test_a_ciphertext_that_was_changed_or_exchanged_is_corrupt(erasables: ErasableStore, tmp_path: Path) -> None:
    ref, other = erasables.put(VALUE), erasables.put(b"another")
    path = tmp_path / "values" / f"{envelope_of(ref).id}.value"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert erasables.status(ref) == "corrupt"
    for folder, kind in (("values", "value"), ("keys", "key")):
        source = tmp_path / folder / f"{envelope_of(other).id}.{kind}"
        (tmp_path / folder / f"{envelope_of(ref).id}.{kind}").write_bytes(source.read_bytes())
    assert erasables.status(ref) == "corrupt"
    path.write_bytes(b"")
    assert erasables.status(ref) == "corrupt"


def test_another_value_under_the_same_id_is_not_what_was_logged(tmp_path: Path) -> None:
    """Who holds both folders can seal another value as well as we can: the salted hash in the log gives it away."""
    numbers = iter(range(100))

    def same_id(count: int) -> bytes:
        return b"i" * 16 if count == 16 else bytes([next(numbers)]) * count

    store = ErasableStore(tmp_path / "v", tmp_path / "k", Redactor(), random_bytes=same_id)
    ref = store.put(VALUE)
    store.put(b"a lie")
    with pytest.raises(BlobCorrupt, match="it was replaced"):
        store.get(ref)


def test_an_envelope_that_was_changed_is_refused(erasables: ErasableStore) -> None:
    ref = erasables.put(VALUE)
    inline = ref.inline or ""
    climbing = inline.replace(envelope_of(ref).id, "../../../../../../../../../../x1")
    for changed in (
        msgspec.structs.replace(ref, inline=None),
        msgspec.structs.replace(ref, inline="{}"),
        msgspec.structs.replace(ref, inline=inline.replace("text", "tixt")),
        msgspec.structs.replace(ref, inline=inline + " "),
        msgspec.structs.replace(ref, inline=climbing),
        msgspec.structs.replace(ref, media_type="text/plain"),
    ):
        with pytest.raises(BlobCorrupt):
            erasables.get(changed)


def test_what_was_never_here_cannot_be_erased(erasables: ErasableStore, tmp_path: Path) -> None:
    ref = ErasableStore(tmp_path / "a", tmp_path / "b", Redactor()).put(VALUE)
    with pytest.raises(BlobMissing, match="found neither"):
        erasables.erase(ref, by="ada", why="", at_ms=1)
    assert erasables.status(ref) == "missing"


def test_secrets_are_redacted_before_they_are_sealed(tmp_path: Path) -> None:
    secret = "hunter" + "2" * 20
    store = ErasableStore(tmp_path / "v", tmp_path / "k", Redactor([secret]))
    assert secret.encode() not in store.get(store.put(f"password is {secret}".encode()))


@given(bodies())
def test_every_reference_of_every_event_is_found(body: Body) -> None:
    def plain(value: object) -> int:
        if isinstance(value, dict):
            return ("sha256" in value and "size_bytes" in value) + sum(plain(item) for item in value.values())
        return sum(plain(item) for item in value) if isinstance(value, list | tuple) else 0

    found = list(blob_refs(body))
    assert all(isinstance(ref, BlobRef) for ref in found)
    assert len(found) == plain(msgspec.to_builtins(body))
