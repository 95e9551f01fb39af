"""`audit verify`: the whole answer to whether a journal can be believed, stream by stream and against everything that was signed."""

from collections.abc import Iterable, Sequence
from typing import Final

from loopwright.errors import BlobCorrupt, BlobMissing, JournalCorrupt, JournalError
from loopwright.journal.chain import ChainReport
from loopwright.journal.checkpoint import CheckpointLog
from loopwright.journal.erasable import ErasableStore, is_erasable
from loopwright.journal.history import check_stream, deleted_streams, find_fork
from loopwright.journal.note import NoteKey
from loopwright.journal.notes_file import NotesFile, split_notes
from loopwright.journal.protocol import Journal
from loopwright.journal.refs import blob_refs
from loopwright.kernel import events as ev
from loopwright.kernel.values import Value
from loopwright.views.audit import AuditReport, audit

__all__ = ["CheckpointSummary", "StreamReport", "VerifyReport", "verify_all"]


_ATTEMPTS: Final = 5


class CheckpointSummary(Value, frozen=True):
    """`last_at_ms` is `None` without a checkpoint; `copies` were compared with them."""

    count: int
    statements: int
    last_at_ms: int | None
    copies: int


class StreamReport(Value, frozen=True):
    """`signed` of `chain.count` events are vouched for by a checkpoint. `audit` is `None` for a stream that is no run or cannot be
    read. `erased` values were destroyed on purpose; `problems` are one line each."""

    stream: str
    chain: ChainReport
    signed: int
    audit: AuditReport | None
    erased: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.chain.ok and not self.problems and (self.audit is None or self.audit.ok)


class VerifyReport(Value, frozen=True):
    """`problems` are those of the journal as a whole: forged, forked or rolled-back checkpoints, deleted streams. `notes` are no faults."""

    streams: tuple[StreamReport, ...]
    checkpoints: CheckpointSummary
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems and all(stream.ok for stream in self.streams)

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 7

    def lines(self) -> list[str]:
        """What a person reads."""
        found = [f"BROKEN  {problem}" for problem in self.problems]
        for stream in self.streams:
            mark = "ok     " if stream.ok else "BROKEN "
            signed = f"{stream.signed} signed"
            found.append(f"{mark} {stream.stream}  {stream.chain.count} events, {signed}  {stream.chain.message}")
            found += [f"          {problem}" for problem in stream.problems]
            found += [f"          {finding.line()}" for finding in (stream.audit.findings if stream.audit else ())]
            if stream.erased:
                found.append(
                    f"          {stream.erased} values were erased: their salted hashes stay, the chain is whole"
                )
        found += [f"note    {note}" for note in self.notes]
        if not self.streams and not self.problems:
            found.append("the journal is empty")
        return found


def verify_all(
    journal: Journal,
    origin: str,
    notes: NotesFile,
    keys: Sequence[NoteKey],
    *,
    streams: Sequence[str] | None = None,
    copies: Sequence[bytes] = (),
    erasables: ErasableStore | None = None,
    blobs: bool = True,
) -> VerifyReport:
    """Check these streams of the journal (`None` = all) by chain, checkpoints and audit; `copies` are notes that were pushed away.

    `keys` are public keys: no private one is needed. `blobs`: what events refer to must be there, too. Raises: `JournalTooNew`.
    """
    problems: list[str] = []
    said: list[str] = []
    log, others = _logs(origin, notes, keys, copies, problems, said)
    heads = journal.heads()
    wanted = [head.run_id for head in heads] if streams is None else list(streams)
    logs = [*others] if log is None else [log, *others]
    for one in logs:
        gone = [b.message for b in deleted_streams(one, heads) if streams is None or b.stream in wanted]
        problems += [message for message in gone if message not in problems]
    reports = tuple(_stream(journal, stream, logs, erasables, blobs) for stream in wanted)
    last = None if log is None or not log.checkpoints else log.checkpoints[-1]
    return VerifyReport(
        streams=reports,
        checkpoints=CheckpointSummary(
            0 if log is None else len(log.checkpoints),
            0 if log is None else len(log.statements),
            None if last is None else last.at_ms,
            len(copies),
        ),
        problems=tuple(problems),
        notes=tuple(said),
    )


def _logs(
    origin: str,
    notes: NotesFile,
    keys: Sequence[NoteKey],
    copies: Sequence[bytes],
    problems: list[str],
    said: list[str],
) -> tuple[CheckpointLog | None, list[CheckpointLog]]:
    log = None
    try:
        texts, rest = notes.read()
        log = CheckpointLog(origin, texts, keys)
        if rest:
            said.append(
                f"the last {len(rest)} bytes of {str(notes.path)!r} are a note that was never finished: it does not count"
            )
        if not texts and not copies:
            said.append(
                "nothing was signed yet, so a rewrite of a whole stream would not show: `loopwright audit checkpoint`"
            )
    except JournalError as error:
        problems.append(str(error))
    others = []
    for number, data in enumerate(copies, 1):
        try:
            other = CheckpointLog(origin, split_notes(data)[0], keys)
        except JournalCorrupt as error:
            problems.append(f"copy {number}: {error}")
            continue
        others.append(other)
        fork = None if log is None else find_fork(log, other)
        if fork is not None:
            problems.append(f"copy {number}: {fork.kind}: {fork.message}")
    return log, others


def _stream(
    journal: Journal, stream: str, logs: Sequence[CheckpointLog], erasables: ErasableStore | None, blobs: bool
) -> StreamReport:
    statements = list({statement for log in logs for statement in log.about(stream)})
    for _ in range(_ATTEMPTS):
        head = journal.head(stream)
        chain, broken, signed = check_stream(stream, journal.raw(stream), head, statements)
        # A run that is being driven may grow between its head and its events: what looks put behind the head was not.
        if chain.ok or journal.head(stream) == head:
            break
    problems = [] if broken is None else [broken.message]
    if not chain.ok:
        return StreamReport(stream, chain, signed, None, 0, tuple(problems))
    events = list(journal.read(stream))
    erased = 0
    if blobs:
        erased = _blobs(journal, events, erasables, problems)
    is_run = bool(events) and isinstance(events[0].body, ev.RunStarted)
    report = audit(events, journal.blobs.get) if is_run else None
    return StreamReport(stream, chain, signed, report, erased, tuple(problems))


def _blobs(journal: Journal, events: Iterable[ev.Event], erasables: ErasableStore | None, problems: list[str]) -> int:
    """How many values were erased; what is lost or damaged goes to `problems`."""
    erased = 0
    seen: set[str] = set()
    for event in events:
        for ref in blob_refs(event.body):
            if ref.sha256 in seen:
                continue
            seen.add(ref.sha256)
            try:
                journal.blobs.get(ref)
            except (BlobMissing, BlobCorrupt) as error:
                problems.append(f"event {event.seq}: {error}")
                continue
            if is_erasable(ref) and erasables is not None:
                status = erasables.status(ref)
                erased += status == "erased"
                if status in ("missing", "corrupt"):
                    problems.append(f"event {event.seq}: the erasable value that it refers to is {status}, not erased")
    return erased
