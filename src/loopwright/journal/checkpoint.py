"""Signed checkpoints of a whole journal: what its streams were, in a form that nobody can take back.

A checkpoint states for every stream that grew since the last one how many events it has and the Merkle root over their stored
bytes. All statements ever made are the entries of one append-only tree (RFC 6962), and each checkpoint signs that tree as a note
(C2SP tlog-checkpoint: origin, size, root; then the new statements as extension lines). Whoever rewrites a stream, with every digest
and the head recomputed, contradicts a statement; whoever drops or changes a statement contradicts every later signature.
"""

import base64
import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from loopwright.errors import JournalCorrupt
from loopwright.journal.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash, verify_consistency
from loopwright.journal.note import NoteKey, SigningKey, open_note, sign_note
from loopwright.kernel.values import Value

__all__ = [
    "Checkpoint",
    "CheckpointLog",
    "Statement",
    "journal_origin",
    "open_checkpoint",
    "read_statement",
    "verify_growth",
]

_NUMBER: Final = r"(0|[1-9][0-9]{0,15})"
_ROOT: Final = r"([A-Za-z0-9+/]{43}=)"
_HEAD: Final = re.compile(rf"([^\n]+)\n{_NUMBER}\n{_ROOT}\nat {_NUMBER}\n")
_STATEMENT: Final = re.compile(rf"stream ([^ \n]+) {_NUMBER} {_ROOT} ([0-9a-f]{{64}})")


class Statement(Value, frozen=True):
    """`stream` had `size` events; `root` (hex) is the tree over their canonical bytes, `digest` that of the last one."""

    stream: str
    size: int
    root: str
    digest: str

    def line(self) -> str:
        """Its extension line; these bytes are the entry in the tree of statements."""
        return f"stream {urllib.parse.quote(self.stream, safe=':')} {self.size} {_base64(self.root)} {self.digest}"

    def leaf(self) -> bytes:
        return leaf_hash(self.line().encode())


class Checkpoint(Value, frozen=True):
    """`size` statements were made up to here, those in `statements` since the checkpoint before; `root` (hex) is over all of them."""

    origin: str
    size: int
    root: str
    at_ms: int
    statements: tuple[Statement, ...]

    def text(self) -> str:
        lines = [self.origin, str(self.size), _base64(self.root), f"at {self.at_ms}"]
        return "\n".join([*lines, *(statement.line() for statement in self.statements)]) + "\n"


def journal_origin(place: str) -> str:
    """The name of the journal at `place` (an absolute path, or a URL without credentials) in all its checkpoints.

    It follows from the place alone: nothing in the journal's folder can be changed to make earlier checkpoints forgotten.
    """
    return f"loopwright.journal/{hashlib.sha256(place.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"


def read_statement(line: str) -> Statement:
    """The statement in an extension line. Raises: `JournalCorrupt` for anything that would not be written exactly so."""
    found = _STATEMENT.fullmatch(line)
    if found is not None:
        quoted, size, root, digest = found.groups()
        try:
            statement = Statement(urllib.parse.unquote(quoted, errors="strict"), int(size), _hex(root), digest)
        except UnicodeDecodeError:
            statement = None
        if statement is not None and statement.size > 0 and statement.line() == line:
            return statement
    raise JournalCorrupt(f"checkpoint: expected 'stream <name> <size> <root> <digest>', found {line[:100]!r}")


def open_checkpoint(note: str, keys: Sequence[NoteKey], origin: str | None = None) -> Checkpoint:
    """The checkpoint in a signed note. With `origin` it must be of that journal.

    Raises: `JournalCorrupt` for a bad signature, another journal, or a text that is not a checkpoint.
    """
    text = open_note(note, keys)
    head = _HEAD.match(text)
    if head is None:
        raise JournalCorrupt(
            f"checkpoint: expected lines with origin, size, root and time, found {text.splitlines()[:4]!r}"
        )
    statements = tuple(read_statement(line) for line in text[head.end() :].split("\n")[:-1])
    of, size, root, at_ms = head.groups()
    if origin is not None and of != origin:
        raise JournalCorrupt(f"checkpoint: expected one of journal {origin!r}, found one of {of!r}")
    return Checkpoint(of, int(size), _hex(root), int(at_ms), statements)


def verify_growth(
    old_note: str, new_note: str, proof: Sequence[bytes], keys: Sequence[NoteKey], origin: str | None = None
) -> bool:
    """Whether the journal of the new note grew out of that of the old one: for who holds notes and nothing of the journal.

    Raises: `JournalCorrupt` when one of them is not a checkpoint signed by a key of `keys`.
    """
    old, new = open_checkpoint(old_note, keys, origin), open_checkpoint(new_note, keys, origin)
    roots = bytes.fromhex(old.root), bytes.fromhex(new.root)
    return old.origin == new.origin and verify_consistency(old.size, roots[0], new.size, roots[1], proof)


class CheckpointLog:
    """All checkpoints of one journal, each with a good signature and each grown out of the one before."""

    def __init__(self, origin: str, notes: Sequence[str], keys: Sequence[NoteKey]) -> None:
        """Raises: `JournalCorrupt` naming the first note that does not fit."""
        self.origin = origin
        self.notes = tuple(notes)
        self.checkpoints: list[Checkpoint] = []
        self.statements: list[Statement] = []
        self._leaves: list[bytes] = []
        self._tree = Frontier()
        self._latest: dict[str, Statement] = {}
        for number, note in enumerate(notes, 1):
            try:
                self._take(open_checkpoint(note, keys, origin))
            except JournalCorrupt as error:
                raise JournalCorrupt(f"checkpoint {number} of journal {origin!r}: {error}") from None

    def _take(self, checkpoint: Checkpoint) -> None:
        for statement in checkpoint.statements:
            before = self._latest.get(statement.stream)
            if before is not None and before.size >= statement.size:
                raise JournalCorrupt(
                    f"expected stream {statement.stream!r} to grow past {before.size} events, found {statement.size}: two"
                    " histories were signed"
                )
            self._add(statement)
        if checkpoint.size != len(self.statements) or checkpoint.root != self._tree.root().hex():
            raise JournalCorrupt(
                f"expected it to sign {len(self.statements)} statements, those of the notes before it and its own, found that"
                f" it signs {checkpoint.size} others: a checkpoint before it was removed, changed or put in"
            )
        self.checkpoints.append(checkpoint)

    def _add(self, statement: Statement) -> None:
        leaf = statement.leaf()
        self.statements.append(statement)
        self._leaves.append(leaf)
        self._tree.append(leaf)
        self._latest[statement.stream] = statement

    def latest(self) -> Mapping[str, Statement]:
        """The last statement about each stream."""
        return self._latest

    def about(self, stream: str) -> tuple[Statement, ...]:
        """Every statement about `stream`, in the order in which they were made."""
        return tuple(statement for statement in self.statements if statement.stream == stream)

    def next_note(self, statements: Iterable[Statement], at_ms: int, key: SigningKey) -> str:
        """The note that adds these statements. Raises: `JournalCorrupt` when one says that a stream did not grow."""
        fresh = tuple(sorted(statements, key=lambda statement: statement.stream))
        tree = Frontier([*self._leaves, *(statement.leaf() for statement in fresh)])
        note = sign_note(Checkpoint(self.origin, tree.size, tree.root().hex(), at_ms, fresh).text(), key)
        # What is about to be published must pass the very check that everybody else will make.
        CheckpointLog(self.origin, [*self.notes, note], [key.verifier])
        return note

    def inclusion(self, statement: Statement) -> tuple[int, tuple[bytes, ...]]:
        """The place of `statement` in the tree of the last checkpoint and its proof. Raises: `ValueError` when it was never made."""
        index = self.statements.index(statement)
        return index, inclusion_proof(self._leaves, index)

    def proof_from(self, old_size: int) -> tuple[bytes, ...]:
        """That the last checkpoint grew out of the one with `old_size` statements: for `verify_growth`."""
        return consistency_proof(self._leaves, old_size)


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _hex(root: str) -> str:
    data = base64.b64decode(root, validate=True)
    if base64.b64encode(data).decode() != root:
        raise JournalCorrupt(f"checkpoint: expected the base64 of 32 bytes, found {root!r}")
    return data.hex()
