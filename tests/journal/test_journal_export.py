"""An export stands on its own: the file and the public key tell whether anything in it was changed."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loopwright.errors import JournalCorrupt, UsageError
from loopwright.journal.checkpoint import CheckpointLog, journal_origin
from loopwright.journal.erasable import ErasableStore
from loopwright.journal.export import ExportReport, export_streams, verify_export
from loopwright.journal.history import make_checkpoint
from loopwright.journal.note import make_key
from loopwright.journal.notes_file import NotesFile
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.journal.stream import seal
from loopwright.kernel.events import CallEnded, RunPaused
from loopwright.kernel.values import Spend
from support.stores import NOW_MS, Store

ORIGIN = journal_origin("/a/repository")
KEY = make_key("loopwright.audit", bytes(range(32)))
BIG = b"output of a tool " * 400


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Journal]:
    store = Store(tmp_path, None)
    yield store.open()
    store.close()


@pytest.fixture
def journal(empty: Journal) -> Journal:
    journal = empty
    output = journal.blobs.put(BIG)
    assert output.inline is None
    for run in ("a", "b", "c"):
        body = CallEnded("c1", "ok", "", output, Spend())
        journal.append(run, [RunPaused(f"{run} {n}") for n in range(4)] + [body], expect_seq=0)
    return journal


def exported(journal: Journal, root: Path, *streams: str, blobs: bool = True, name: str = "out.zip") -> Path:
    notes = NotesFile(root / "x.notes")
    make_checkpoint(journal, notes, ORIGIN, KEY, 5)
    log = CheckpointLog(ORIGIN, notes.read()[0], [KEY.verifier])
    export_streams(journal, log, streams, root / name, blobs=blobs)
    return root / name


def check(path: Path) -> ExportReport:
    return verify_export(path, KEY.verifier, ORIGIN)


def edited(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The export as an attacker would hand it on: members changed, sizes and checksums of the zip made good."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    target = path.with_name("edited.zip")
    with zipfile.ZipFile(target, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return target


def problems(report: ExportReport) -> str:
    assert not report.ok
    return "; ".join([*report.problems, *(line for s in report.streams for line in (s.chain.message, *s.problems))])


@pytest.mark.parametrize("blobs", [True, False])
def test_an_export_verifies_with_the_public_key_alone(journal: Journal, tmp_path: Path, blobs: bool) -> None:
    path = exported(journal, tmp_path, "a", "c", blobs=blobs)
    report = check(path)
    assert report.ok and report.problems == () and report.at_ms == 5
    assert [(s.stream, s.chain.count, s.signed, s.problems) for s in report.streams] == [
        ("a", 5, 5, ()),
        ("c", 5, 5, ()),
    ]
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        assert file.read("events/1.jsonl").splitlines() == [data for _, data, _ in journal.raw("a")]
    assert sum(name.startswith("blobs/") for name in names) == (1 if blobs else 0)


def test_the_same_export_made_again_is_the_same_file(journal: Journal, tmp_path: Path) -> None:
    one, two = (exported(journal, tmp_path, "a", name=name) for name in ("1.zip", "2.zip"))
    assert one.read_bytes() == two.read_bytes()


def test_the_proof_holds_after_later_checkpoints(journal: Journal, tmp_path: Path) -> None:
    make_checkpoint(journal, NotesFile(tmp_path / "x.notes"), ORIGIN, KEY, 1)
    for n in range(6):
        journal.append(f"later{n}", [RunPaused("x")], expect_seq=0)
        make_checkpoint(journal, NotesFile(tmp_path / "x.notes"), ORIGIN, KEY, 2 + n)
    report = check(exported(journal, tmp_path, "b"))
    assert report.ok and report.streams[0].signed == 5


def test_a_changed_event_is_named(journal: Journal, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["events/1.jsonl"] = members["events/1.jsonl"].replace(b'"a 2"', b'"a 9"')

    found = problems(check(edited(exported(journal, tmp_path, "a"), change)))
    assert "event 3 is changed" in found and "rewritten" in found


def test_a_rewritten_stream_with_a_good_chain_is_named(journal: Journal, tmp_path: Path) -> None:
    _, rows, head = seal("a", [RunPaused("forged")] * 5, None, NOW_MS, Redactor())

    def change(members: dict[str, bytes]) -> None:
        members["events/1.jsonl"] = b"".join(data + b"\n" for _, data, _ in rows)
        manifest = json.loads(members["manifest.json"])
        manifest["streams"][0]["head"].update(seq=head.seq, digest=head.digest)
        members["manifest.json"] = json.dumps(manifest).encode()

    report = check(edited(exported(journal, tmp_path, "a", blobs=False), change))
    assert report.streams[0].chain.ok
    assert "events 1 to 5 are not the ones that a checkpoint signed" in problems(report)
    assert report.streams[0].signed == 0


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("statement", "", "no checkpoint knows this stream"),
        ("statement", "stream a 5 nonsense", "checkpoint: expected"),
        ("index", 1, "not among those that the checkpoint signs"),
        ("proof", [], "not among those that the checkpoint signs"),
        ("proof", ["zz"], "not among those that the checkpoint signs"),
        ("stream", "b", "about another stream"),
    ],
)
def test_a_manifest_that_lies_is_found(journal: Journal, tmp_path: Path, where: str, value: object, said: str) -> None:
    def change(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        manifest["streams"][0][where] = value
        members["manifest.json"] = json.dumps(manifest).encode()

    assert said in problems(check(edited(exported(journal, tmp_path, "a"), change)))


def test_a_checkpoint_that_is_missing_forged_or_of_another_journal_does_not_count(
    journal: Journal, tmp_path: Path
) -> None:
    path = exported(journal, tmp_path, "a")

    def unsigned(members: dict[str, bytes]) -> None:
        del members["checkpoint.note"]

    assert "there is no checkpoint" in problems(check(edited(path, unsigned)))
    impostor = make_key("loopwright.audit", bytes(32))
    assert "the checkpoint does not count" in problems(verify_export(path, impostor.verifier))
    assert "not of 'loopwright.journal/" in problems(verify_export(path, KEY.verifier, journal_origin("/b")))


def test_blobs_are_checked_and_none_can_be_taken_out_or_put_in(journal: Journal, tmp_path: Path) -> None:
    path = exported(journal, tmp_path, "a")

    def name_of(members: dict[str, bytes]) -> str:
        return next(name for name in members if name.startswith("blobs/"))

    def change(members: dict[str, bytes]) -> None:
        members[name_of(members)] += b"!"

    def take_out(members: dict[str, bytes]) -> None:
        del members[name_of(members)]

    def put_in(members: dict[str, bytes]) -> None:
        members["blobs/" + "0" * 64] = b"extra"

    assert "is not the one that an event refers to" in problems(check(edited(path, change)))
    assert "was taken out of the export" in problems(check(edited(path, take_out)))
    assert "belongs to no stream" in problems(check(edited(path, put_in)))


def test_an_erasable_value_is_never_exported(empty: Journal, tmp_path: Path) -> None:
    journal = empty
    erasables = ErasableStore(tmp_path / "values", tmp_path / "keys", Redactor())
    ref = erasables.put(b"personal " * 1000)
    journal.append("a", [CallEnded("c1", "ok", "", ref, Spend())], expect_seq=0)
    path = exported(journal, tmp_path, "a")
    assert check(path).ok
    with zipfile.ZipFile(path) as file:
        assert file.namelist() == ["events/1.jsonl", "checkpoint.note", "manifest.json"]


def test_events_after_the_checkpoint_are_exported_unsigned(journal: Journal, tmp_path: Path) -> None:
    notes = NotesFile(tmp_path / "x.notes")
    make_checkpoint(journal, notes, ORIGIN, KEY, 5)
    journal.append("a", [RunPaused("late")], expect_seq=5)
    log = CheckpointLog(ORIGIN, notes.read()[0], [KEY.verifier])
    export_streams(journal, log, ["a"], tmp_path / "out.zip", blobs=False)
    report = check(tmp_path / "out.zip")
    assert report.ok and (report.streams[0].chain.count, report.streams[0].signed) == (6, 5)


def test_an_export_is_a_new_file_of_known_streams(journal: Journal, tmp_path: Path) -> None:
    path = exported(journal, tmp_path, "a")
    with pytest.raises(UsageError, match="expected a new file"):
        exported(journal, tmp_path, "a")
    assert check(path).ok
    with pytest.raises(UsageError, match="stream 'nobody'"):
        exported(journal, tmp_path, "nobody", name="other.zip")
    assert not (tmp_path / "other.zip").exists()


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(JournalCorrupt, match="expected a zip file"):
        check(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("other", b"")
    with pytest.raises(JournalCorrupt, match=r"expected manifest\.json"):
        check(path)
