"""A run, or all of them, in one file that anybody can verify with the public key and nothing else of ours.

The file is a zip: `manifest.json`; per stream `events/<n>.jsonl`, its canonical bytes as they are stored, one event a line;
`checkpoint.note`, the last signed checkpoint; and, if wanted, `blobs/<sha256>`. The manifest holds for each stream the statement of
the checkpoints about it and the proof that it is among those that the note signs. Other streams appear by nothing but the names in
the note's own lines.
"""

import contextlib
import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from loopwright.errors import BlobCorrupt, BlobMissing, JournalCorrupt, UsageError
from loopwright.journal.chain import ChainReport
from loopwright.journal.checkpoint import CheckpointLog, open_checkpoint, read_statement
from loopwright.journal.codec import decode, digest_of
from loopwright.journal.history import check_stream
from loopwright.journal.merkle import verify_inclusion
from loopwright.journal.note import NoteKey
from loopwright.journal.protocol import BlobStore, Head, Journal
from loopwright.journal.refs import blob_refs
from loopwright.journal.stream import Row
from loopwright.kernel.values import BlobRef, Value

__all__ = ["ExportReport", "ExportedStream", "StreamCheck", "export_streams", "verify_export"]

FORMAT: Final = 1
MAX_BYTES: Final = 8 << 30
"""An export that unpacks to more is not looked at: its sizes are a stranger's word."""

_MANIFEST: Final = "manifest.json"
_NOTE: Final = "checkpoint.note"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class ExportedStream(Value, frozen=True):
    """`statement` is the checkpoints' line about the stream, entry `index` of the signed tree, `proof` (hex) leads there; empty
    when no checkpoint knows the stream yet."""

    stream: str
    head: Head
    statement: str
    index: int
    proof: tuple[str, ...]
    missing_blobs: tuple[str, ...]


class _Manifest(Value, frozen=True):
    format: int
    origin: str
    blobs: bool
    streams: tuple[ExportedStream, ...]


class StreamCheck(Value, frozen=True):
    """`signed` events of `chain.count` are vouched for by the checkpoint; `problems` are one line each; `missing_blobs` were
    gone (or erased) when the export was made, by its own word."""

    stream: str
    chain: ChainReport
    signed: int
    problems: tuple[str, ...]
    missing_blobs: tuple[str, ...]


class ExportReport(Value, frozen=True):
    """`at_ms` is when the checkpoint was signed, `None` without one."""

    ok: bool
    origin: str
    at_ms: int | None
    streams: tuple[StreamCheck, ...]
    problems: tuple[str, ...]


def export_streams(
    journal: Journal, log: CheckpointLog, streams: Sequence[str], target: Path, *, blobs: bool
) -> tuple[ExportedStream, ...]:
    """Write these streams into the new file `target`, with the blobs that they refer to when `blobs`.

    Make a checkpoint first: events after it are exported unsigned. A blob that is gone is named in the manifest; of an erasable value
    only the salted hash is taken along. Raises: `UsageError` for a stream or target that does not do; `JournalCorrupt`.
    """
    try:
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as file:
            stored: set[str] = set()
            made = [
                _export_one(file, journal, log, stream, number, stored if blobs else None)
                for number, stream in enumerate(streams, 1)
            ]
            if log.notes:
                _add(file, _NOTE, log.notes[-1].encode())
            _add(file, _MANIFEST, msgspec.json.encode(_Manifest(FORMAT, log.origin, blobs, tuple(made))))
    except FileExistsError:
        raise UsageError(f"export {str(target)!r}: expected a new file, found one: choose another name") from None
    except OSError as error:
        raise UsageError(f"export {str(target)!r}: cannot be written ({error.strerror})") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return tuple(made)


def _export_one(
    file: zipfile.ZipFile, journal: Journal, log: CheckpointLog, stream: str, number: int, stored: set[str] | None
) -> ExportedStream:
    head = journal.head(stream)
    if head is None:
        raise UsageError(f"stream {stream!r}: expected one of the journal, found no events: see `loopwright ls`")
    missing: list[str] = []
    refs: dict[str, BlobRef] = {}
    with file.open(_entry(f"events/{number}.jsonl"), "w", force_zip64=True) as out:
        for seq, data, digest in journal.raw(stream):
            if seq > head.seq:
                break
            if b"\n" in data:
                raise JournalCorrupt(f"stream {stream!r}: event {seq} is not canonical JSON: it was changed")
            out.write(data + b"\n")
            if stored is not None:
                refs.update((ref.sha256, ref) for ref in blob_refs(decode(data, digest)))
    for sha256, ref in refs.items():
        if stored is not None and sha256 not in stored and ref.inline is None:
            content = _content(journal.blobs, ref)
            if content is None:
                missing.append(sha256)
            else:
                _add(file, f"blobs/{sha256}", content)
                stored.add(sha256)
    statement = log.latest().get(stream)
    if statement is None:
        return ExportedStream(stream, head, "", 0, (), tuple(missing))
    index, proof = log.inclusion(statement)
    return ExportedStream(stream, head, statement.line(), index, tuple(p.hex() for p in proof), tuple(missing))


def _content(blobs: BlobStore, ref: BlobRef) -> bytes | None:
    try:
        return blobs.get(ref)
    except (BlobMissing, BlobCorrupt):
        return None


def verify_export(path: Path, key: NoteKey, origin: str | None = None) -> ExportReport:
    """Check an exported file with the public key alone; with `origin` it must be of that journal.

    Raises: `JournalCorrupt` when it is not an export at all. What is wrong inside an export is in the report.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return _Check(file, key, origin).report()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise JournalCorrupt(f"export {str(path)!r}: expected a zip file that is whole, found {error}") from None


class _Check:
    def __init__(self, file: zipfile.ZipFile, key: NoteKey, origin: str | None) -> None:
        self._file = file
        self._problems: list[str] = []
        names = [entry.filename for entry in file.infolist()]
        if len(set(names)) < len(names) or sum(entry.file_size for entry in file.infolist()) > MAX_BYTES:
            raise JournalCorrupt(f"export: expected every name once and at most {MAX_BYTES} bytes, found otherwise")
        try:
            self._manifest = msgspec.json.decode(file.read(_MANIFEST), type=_Manifest)
        except (KeyError, msgspec.DecodeError) as error:
            raise JournalCorrupt(f"export: expected {_MANIFEST} of an export, found {error}") from None
        if self._manifest.format != FORMAT:
            raise JournalCorrupt(f"export: expected format {FORMAT}, found {self._manifest.format}: upgrade loopwright")
        if origin is not None and self._manifest.origin != origin:
            self._problems.append(f"the export is of journal {self._manifest.origin!r}, not of {origin!r}")
        self._names = frozenset(names)
        self._unused = set(names) - {_MANIFEST, _NOTE}
        self._checkpoint = None
        if _NOTE in names:
            try:
                note = file.read(_NOTE).decode()
                self._checkpoint = open_checkpoint(note, [key], self._manifest.origin)
            except (JournalCorrupt, UnicodeDecodeError) as error:
                self._problems.append(f"the checkpoint does not count: {error}")
        else:
            self._problems.append("there is no checkpoint: nothing is signed")

    def report(self) -> ExportReport:
        checks = tuple(self._stream(number, item) for number, item in enumerate(self._manifest.streams, 1))
        self._problems += [f"{name!r} belongs to no stream of the manifest" for name in sorted(self._unused)]
        ok = not self._problems and all(check.chain.ok and not check.problems for check in checks)
        at_ms = None if self._checkpoint is None else self._checkpoint.at_ms
        return ExportReport(ok, self._manifest.origin, at_ms, checks, tuple(self._problems))

    def _stream(self, number: int, item: ExportedStream) -> StreamCheck:
        problems: list[str] = []
        statements = []
        try:
            statements = [read_statement(item.statement)] if item.statement else []
        except JournalCorrupt as error:
            problems.append(str(error))
        for statement in statements:
            if self._checkpoint is None or statement.stream != item.stream:
                problems.append("its statement is about another stream, or no checkpoint signs it")
            elif not verify_inclusion(
                statement.leaf(),
                item.index,
                self._checkpoint.size,
                _bytes(item.proof),
                bytes.fromhex(self._checkpoint.root),
            ):
                problems.append("its statement is not among those that the checkpoint signs")
        refs: dict[str, BlobRef] = {}
        head = msgspec.structs.replace(item.head, run_id=item.stream)
        chain, broken, covered = check_stream(item.stream, self._rows(f"events/{number}.jsonl", refs), head, statements)
        if broken is not None:
            problems.append(broken.message)
        if not statements:
            problems.append("no checkpoint knows this stream: nothing of it is signed")
        if self._manifest.blobs:
            problems += self._blobs(refs, item.missing_blobs)
        return StreamCheck(
            item.stream, chain, 0 if problems or not chain.ok else covered, tuple(problems), item.missing_blobs
        )

    def _rows(self, name: str, refs: dict[str, BlobRef]) -> Iterator[Row]:
        if name not in self._unused:
            return
        self._unused.discard(name)
        with self._file.open(name) as lines:
            for seq, stored in enumerate(lines, 1):
                line = stored.removesuffix(b"\n")
                digest = digest_of(line)
                # What is no event is named by the chain's check.
                with contextlib.suppress(JournalCorrupt):
                    refs.update((ref.sha256, ref) for ref in blob_refs(decode(line, digest)))
                yield seq, line, digest

    def _blobs(self, refs: dict[str, BlobRef], missing: Sequence[str]) -> list[str]:
        found = []
        for sha256, ref in refs.items():
            name = f"blobs/{sha256}"
            if name in self._names:
                self._unused.discard(name)
                if hashlib.sha256(self._file.read(name)).hexdigest() != sha256:
                    found.append(f"blob {sha256[:12]} is not the one that an event refers to")
            elif ref.inline is None and sha256 not in missing:
                found.append(f"blob {sha256[:12]} was taken out of the export")
        return found


def _bytes(proof: Sequence[str]) -> tuple[bytes, ...]:
    try:
        return tuple(bytes.fromhex(part) for part in proof)
    except ValueError:
        return ()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _add(file: zipfile.ZipFile, name: str, data: bytes) -> None:
    file.writestr(_entry(name), data)
