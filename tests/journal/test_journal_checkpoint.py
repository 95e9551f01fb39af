"""What was signed once cannot be taken back: every rewrite, cut, deletion and fork is found, also with the whole chain recomputed."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from loopwright.errors import JournalCorrupt, JournalError, UsageError
from loopwright.journal.chain import verify
from loopwright.journal.checkpoint import CheckpointLog, journal_origin, open_checkpoint, read_statement, verify_growth
from loopwright.journal.history import Fork, HistoryBreak, StreamWatch, deleted_streams, find_fork, make_checkpoint
from loopwright.journal.keys import audit_places, journal_place, load_key, load_or_make_key
from loopwright.journal.note import SigningKey, make_key, sign_note
from loopwright.journal.notes_file import NotesFile, push, split_notes
from loopwright.journal.protocol import Head, Journal
from loopwright.journal.redact import Redactor
from loopwright.journal.stream import seal
from loopwright.kernel.events import RunPaused
from support.stores import NOW_MS, Store

ORIGIN = journal_origin("/a/repository")
KEY = make_key("loopwright.audit", bytes(range(32)))


def write(journal: Journal, stream: str, count: int, word: str = "honest") -> None:
    head = journal.head(stream)
    journal.append(stream, [RunPaused(f"{word} {n}") for n in range(count)], expect_seq=0 if head is None else head.seq)


def rewrite(store: Store, stream: str, count: int, word: str = "forged") -> None:
    """A whole new history of `count` events in place of the stored one, every digest and the head recomputed."""
    _, rows, head = seal(stream, [RunPaused(f"{word} {n}") for n in range(count)], None, NOW_MS, Redactor())
    store.execute("DELETE FROM events WHERE run_id = ?", (stream,))
    for seq, data, digest in rows:
        store.execute(
            "INSERT INTO events (run_id, seq, bytes, digest) VALUES (?, ?, ?, ?)", (stream, seq, data, digest)
        )
    store.execute("UPDATE heads SET seq = ?, digest = ? WHERE run_id = ?", (head.seq, head.digest, stream))


def history(journal: Journal, log: CheckpointLog, stream: str) -> HistoryBreak | None:
    watch = StreamWatch(stream, log.about(stream))
    assert verify(watch.rows(journal.raw(stream)), journal.head(stream)).ok, "the chain alone shall see nothing here"
    return watch.result()


def log_of(notes: NotesFile, key: SigningKey = KEY) -> CheckpointLog:
    return CheckpointLog(ORIGIN, notes.read()[0], [key.verifier])


@pytest.fixture
def notes(tmp_path: Path) -> NotesFile:
    return NotesFile(tmp_path / "state" / "journal.notes")


def test_streams_that_grow_are_stated_once_and_fit_for_ever(journal: Journal, notes: NotesFile) -> None:
    write(journal, "b", 3)
    write(journal, "a", 5)
    made = make_checkpoint(journal, notes, ORIGIN, KEY, 10)
    assert made is not None
    note, checkpoint = made
    assert [(s.stream, s.size) for s in checkpoint.statements] == [("a", 5), ("b", 3)]
    assert open_checkpoint(note, [KEY.verifier], ORIGIN) == checkpoint
    assert make_checkpoint(journal, notes, ORIGIN, KEY, 11) is None
    write(journal, "a", 4)
    write(journal, "loop:fix me\n", 1)
    again = make_checkpoint(journal, notes, ORIGIN, KEY, 12)
    assert again is not None
    assert [(s.stream, s.size) for s in again[1].statements] == [("a", 9), ("loop:fix me\n", 1)]
    log = log_of(notes)
    assert (len(log.checkpoints), len(log.statements)) == (2, 4)
    write(journal, "a", 2)
    for stream in ("a", "b", "loop:fix me\n"):
        assert history(journal, log, stream) is None
    assert deleted_streams(log, journal.heads()) == []


def test_a_rewrite_with_every_digest_and_the_head_recomputed_is_named(
    store: Store, journal: Journal, notes: NotesFile
) -> None:
    write(journal, "r", 3)
    make_checkpoint(journal, notes, ORIGIN, KEY, 1)
    write(journal, "r", 4)
    make_checkpoint(journal, notes, ORIGIN, KEY, 2)
    rewrite(store, "r", 7)
    broken = history(store.open(), log_of(notes), "r")
    assert broken is not None
    assert (broken.kind, broken.first_seq, broken.last_seq) == ("rewritten", 1, 3)
    with pytest.raises(JournalCorrupt, match=r"stream 'r': events 1 to 3 .* rewritten: nothing was signed"):
        make_checkpoint(store.open(), notes, ORIGIN, KEY, 3)
    assert len(notes.read()[0]) == 2


def test_a_rewritten_tail_is_narrowed_down_to_what_lies_between_two_checkpoints(
    store: Store, journal: Journal, notes: NotesFile
) -> None:
    write(journal, "r", 3)
    make_checkpoint(journal, notes, ORIGIN, KEY, 1)
    write(journal, "r", 4, "late")
    make_checkpoint(journal, notes, ORIGIN, KEY, 2)
    bodies = [RunPaused(f"honest {n}") for n in range(3)] + [RunPaused(f"forged {n}") for n in range(5)]
    _, rows, head = seal("r", bodies, None, NOW_MS, Redactor())
    watch = StreamWatch("r", log_of(notes).about("r"))
    assert verify(watch.rows(rows), head).ok
    broken = watch.result()
    assert broken is not None
    assert (broken.kind, broken.first_seq, broken.last_seq, watch.covered) == ("rewritten", 4, 7, 3)


def test_a_reordered_stream_is_named(store: Store, journal: Journal, notes: NotesFile) -> None:
    write(journal, "r", 4)
    make_checkpoint(journal, notes, ORIGIN, KEY, 1)
    _, rows, head = seal("r", [RunPaused(f"honest {n}") for n in (0, 2, 1, 3)], None, NOW_MS, Redactor())
    watch = StreamWatch("r", log_of(notes).about("r"))
    assert verify(watch.rows(rows), head).ok
    broken = watch.result()
    assert broken is not None and broken.kind == "rewritten"


def test_a_truncated_stream_with_its_head_moved_back_is_named(store: Store, journal: Journal, notes: NotesFile) -> None:
    write(journal, "r", 6)
    make_checkpoint(journal, notes, ORIGIN, KEY, 1)
    kept = list(journal.raw("r"))[3]
    store.execute("DELETE FROM events WHERE run_id = ? AND seq > 4", ("r",))
    store.execute("UPDATE heads SET seq = 4, digest = ? WHERE run_id = ?", (kept[2], "r"))
    broken = history(store.open(), log_of(notes), "r")
    assert broken is not None
    assert (broken.kind, broken.first_seq, broken.last_seq) == ("truncated", 5, 6)
    with pytest.raises(JournalCorrupt, match="events 5 to 6 were cut off: nothing was signed"):
        make_checkpoint(store.open(), notes, ORIGIN, KEY, 2)


def test_a_deleted_stream_is_named(store: Store, journal: Journal, notes: NotesFile) -> None:
    write(journal, "gone", 2)
    write(journal, "there", 2)
    make_checkpoint(journal, notes, ORIGIN, KEY, 1)
    store.execute("DELETE FROM events WHERE run_id = ?", ("gone",))
    store.execute("DELETE FROM heads WHERE run_id = ?", ("gone",))
    broken = deleted_streams(log_of(notes), store.open().heads())
    assert [(b.stream, b.kind, b.last_seq) for b in broken] == [("gone", "deleted", 2)]
    with pytest.raises(JournalCorrupt, match=r"stream 'gone': .* deleted: nothing was signed"):
        make_checkpoint(store.open(), notes, ORIGIN, KEY, 2)


def test_events_that_were_changed_under_a_true_head_are_not_signed(
    store: Store, journal: Journal, notes: NotesFile
) -> None:
    write(journal, "r", 3)
    store.execute("UPDATE events SET digest = ? WHERE run_id = ? AND seq = 2", ("0" * 64, "r"))
    with pytest.raises(JournalCorrupt, match=r"stream 'r': event 2 is not what was written"):
        make_checkpoint(store.open(), notes, ORIGIN, KEY, 1)
    assert notes.read() == ([], b"")


def test_a_run_that_grows_meanwhile_is_stated_as_its_head_said(journal: Journal, notes: NotesFile) -> None:
    write(journal, "r", 4)
    heads = journal.heads()
    write(journal, "r", 3)

    class Behind:
        """A journal whose heads were read a moment ago."""

        def __getattr__(self, name: str) -> object:
            return getattr(journal, name)

        def heads(self) -> list[Head]:
            return heads

    made = make_checkpoint(Behind(), notes, ORIGIN, KEY, 1)  # type: ignore[arg-type]
    assert made is not None and made[1].statements[0].size == 4
    assert history(journal, log_of(notes), "r") is None


# --- the notes themselves ---------------------------------------------------------------------------------------------
def three_notes(tmp_path: Path, word: str = "honest", later: str = "honest") -> list[str]:
    store = Store(tmp_path, None)
    journal = store.open()
    notes = NotesFile(tmp_path / "x.notes")
    for count in range(3):
        write(journal, "r", 2, word if count == 0 else later)
        write(journal, f"s{count}", 1)
        make_checkpoint(journal, notes, ORIGIN, KEY, count)
    store.close()
    return notes.read()[0]


@pytest.mark.parametrize("kept", [(0, 2), (1, 2), (0, 2, 1), (0, 0, 1, 2), (0, 1, 2, 1)])
def test_notes_that_were_removed_reordered_or_repeated_are_found(tmp_path: Path, kept: tuple[int, ...]) -> None:
    made = three_notes(tmp_path)
    with pytest.raises(JournalCorrupt, match=r"^checkpoint \d of journal .* (removed, changed|two histories)"):
        CheckpointLog(ORIGIN, [made[n] for n in kept], [KEY.verifier])


def test_notes_of_two_histories_do_not_make_one(tmp_path: Path) -> None:
    """Every note is signed by the right key, and every stream grows: only the tree over all statements tells."""
    for name in "ab":
        (tmp_path / name).mkdir()
    made, other = three_notes(tmp_path / "a"), three_notes(tmp_path / "b", word="forged")
    with pytest.raises(JournalCorrupt, match=r"^checkpoint 2 of journal .* was removed, changed or put in"):
        CheckpointLog(ORIGIN, [made[0], *other[1:]], [KEY.verifier])


def test_a_note_that_was_changed_or_signed_by_another_key_is_found(tmp_path: Path) -> None:
    made = three_notes(tmp_path)
    changed = made[1].replace("stream r 4", "stream r 5")
    assert changed != made[1]
    with pytest.raises(JournalCorrupt, match=r"^checkpoint 2 of journal .*does not fit the text"):
        CheckpointLog(ORIGIN, [made[0], changed, made[2]], [KEY.verifier])
    impostor = make_key("loopwright.audit", bytes(32))
    forged = sign_note(made[1][: made[1].index("\n\n") + 1], impostor)
    with pytest.raises(JournalCorrupt, match=r"^checkpoint 2 of journal .*expected a signature by"):
        CheckpointLog(ORIGIN, [made[0], forged], [KEY.verifier])
    with pytest.raises(JournalCorrupt, match="expected one of journal"):
        CheckpointLog(journal_origin("/another"), made, [KEY.verifier])


def test_a_statement_signed_by_a_stolen_key_cannot_say_that_a_stream_shrank(tmp_path: Path) -> None:
    log = CheckpointLog(ORIGIN, three_notes(tmp_path), [KEY.verifier])
    with pytest.raises(JournalCorrupt, match="two histories were signed"):
        log.next_note([log.about("r")[0]], 9, KEY)


def test_a_copy_that_was_pushed_away_tells_of_a_fork_and_of_a_rollback(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    pushed = three_notes(tmp_path / "a")
    other = three_notes(tmp_path / "b", later="forged")
    copy = CheckpointLog(ORIGIN, pushed, [KEY.verifier])

    def here(made: list[str]) -> Fork | None:
        return find_fork(CheckpointLog(ORIGIN, made, [KEY.verifier]), copy)

    assert here(pushed) is None
    forked = here(other)
    assert forked is not None and (forked.kind, forked.stream, forked.size) == ("forked", "r", 4)
    back = here(pushed[:1])
    assert back is not None and (back.kind, back.stream, back.size) == ("rolled_back", "r", 4)
    none = here([])
    assert none is not None and none.kind == "rolled_back"
    # The copy lags behind: nothing is wrong with that.
    assert find_fork(copy, CheckpointLog(ORIGIN, pushed[:1], [KEY.verifier])) is None


def test_two_notes_and_a_proof_show_the_growth_to_who_has_nothing_else(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    made, other = three_notes(tmp_path / "a"), three_notes(tmp_path / "b", word="forged")
    log = CheckpointLog(ORIGIN, made, [KEY.verifier])
    proof = log.proof_from(log.checkpoints[0].size)
    assert verify_growth(made[0], made[2], proof, [KEY.verifier], ORIGIN)
    assert not verify_growth(other[0], made[2], proof, [KEY.verifier], ORIGIN)
    assert not verify_growth(made[0], other[2], proof, [KEY.verifier], ORIGIN)
    assert not verify_growth(made[2], made[0], proof, [KEY.verifier], ORIGIN)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "stream r 0 {root} {digest}",
        "stream r 01 {root} {digest}",
        "stream r  1 {root} {digest}",
        "stream r 1 {root} {digest} ",
        "stream r 1 {root} {digest}\n",
        "stream r 1 {other} {digest}",
        "stream %72 1 {root} {digest}",
        "stream %ff 1 {root} {digest}",
        "stream r 1 {root} ABCDEF",
        "Stream r 1 {root} {digest}",
    ],
)
def test_a_statement_has_one_form_only(line: str) -> None:
    root, digest = "A" * 43 + "=", "0" * 64
    assert read_statement(f"stream r 1 {root} {digest}").size == 1
    with pytest.raises(JournalCorrupt, match=r"checkpoint: expected"):
        read_statement(line.format(root=root, digest=digest, other="A" * 42 + "B="))


@pytest.mark.parametrize(
    "text", ["x\n", "{o}\n1\nnot base64\nat 1\n", "{o}\n-1\n{r}\nat 1\n", "{o}\n1\n{r}\nat 1\nextra\n"]
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    note = sign_note(text.format(o=ORIGIN, r="A" * 43 + "="), KEY)
    with pytest.raises(JournalCorrupt, match=r"^checkpoint: expected"):
        open_checkpoint(note, [KEY.verifier])


# --- the file and the push ----------------------------------------------------------------------------------------------
def test_a_note_that_a_power_cut_left_half_written_gives_way_to_the_next(tmp_path: Path) -> None:
    made = three_notes(tmp_path)
    whole = (tmp_path / "x.notes").read_bytes()
    after_two = len((made[0] + "\n" + made[1] + "\n").encode())
    for cut in range(after_two, len(whole)):
        found, rest = split_notes(whole[:cut])
        assert found == made[:2]
        assert rest == whole[after_two:cut]
    file = NotesFile(tmp_path / "x.notes")
    file.path.write_bytes(whole[:-40])
    with file.locked():
        file.append(made[2])
    assert file.path.read_bytes() == whole
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_notes_are_no_link_and_are_text(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"\xff\n\n\xff\n\n")
    (tmp_path / "x.notes").symlink_to(tmp_path / "real")
    with pytest.raises(JournalCorrupt, match="not UTF-8"):
        NotesFile(tmp_path / "x.notes").read()
    with pytest.raises(JournalError, match="cannot be written"):
        NotesFile(tmp_path / "x.notes").append("note\n")


def test_a_place_that_cannot_be_locked_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.notes.lock").mkdir()
    with (
        pytest.raises(JournalError, match=r"cannot be locked \(Is a directory\)"),
        NotesFile(tmp_path / "x.notes").locked(),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be locked"), NotesFile(tmp_path / "file" / "x.notes").locked():
        pass


def test_checkpoints_made_at_the_same_time_are_one_history(journal: Journal, tmp_path: Path) -> None:
    notes = NotesFile(tmp_path / "x.notes")
    for n in range(8):
        write(journal, f"r{n}", 2)

    def make() -> None:
        for n in range(3):
            write(journal, f"{threading.get_ident()}.{n}", 1)
            make_checkpoint(journal, NotesFile(notes.path), ORIGIN, KEY, n)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = log_of(notes)
    assert len(log.statements) == 8 + 12
    assert all(history(journal, log, head.run_id) is None for head in journal.heads())


def test_a_note_is_pushed_on_standard_input_and_a_failure_is_told(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    copy = [sys.executable, "-c", f"import sys; open({str(target)!r}, 'wb').write(sys.stdin.buffer.read())"]
    push(copy, "a note — signed\n")
    assert target.read_text() == "a note — signed\n"
    with pytest.raises(JournalError, match=r"ended with 3 \(no route\)"):
        push([sys.executable, "-c", "import sys; sys.stderr.write('no route'); sys.exit(3)"], "x\n")
    with pytest.raises(JournalError, match="cannot be started"):
        push([str(tmp_path / "nothing")], "x\n")
    with pytest.raises(JournalError, match=r"took longer than 0\.1 s"):
        push([sys.executable, "-c", "import time; time.sleep(60)"], "x\n", timeout_s=0.1)


# --- the key ------------------------------------------------------------------------------------------------------------
def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "config" / "audit.key"
    key, made = load_or_make_key(path, outside=())
    assert made and stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_make_key(path, outside=()) == (key, False)
    assert load_key(path) == key
    assert os.listdir(path.parent) == ["audit.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_reach_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "audit.key"
    load_or_make_key(path, outside=())
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"expected a file of this user with mode 0600, found mode {mode:04o}"):
        load_or_make_key(path, outside=())


def test_a_key_inside_the_repository_is_neither_made_nor_used(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (tmp_path / "link").symlink_to(repository)
    for path in (repository / "keys" / "audit.key", tmp_path / "link" / "audit.key"):
        with pytest.raises(UsageError, match="expected a place that no run can reach"):
            load_or_make_key(path, outside=[repository])
    assert os.listdir(repository) == []
    load_or_make_key(tmp_path / "real.key", outside=[repository])
    (tmp_path / "linked.key").symlink_to(tmp_path / "real.key")
    with pytest.raises(JournalError, match="cannot be read"):
        load_key(tmp_path / "linked.key")


def test_many_first_uses_at_once_make_one_key(tmp_path: Path) -> None:
    path, found = tmp_path / "audit.key", []
    start = threading.Barrier(8)

    def use() -> None:
        start.wait()
        found.append(load_or_make_key(path, outside=())[0])

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1 and os.listdir(tmp_path) == ["audit.key"]


def test_audit_files_lie_where_the_user_keeps_such_files() -> None:
    places = audit_places({"HOME": "/home/u", "XDG_STATE_HOME": "relative"})
    assert places.key == Path("/home/u/.config/loopwright/keys/audit.key")
    assert places.checkpoints == Path("/home/u/.local/state/loopwright/checkpoints")
    assert audit_places({"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}).key == Path("/c/loopwright/keys/audit.key")
    assert places.notes_of(ORIGIN).name == ORIGIN.rpartition("/")[2] + ".notes"
    with pytest.raises(UsageError, match="expected HOME or XDG_CONFIG_HOME"):
        audit_places({})


def test_the_place_of_a_journal_holds_no_credentials(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert journal_place(tmp_path / "link", None) == journal_place(tmp_path, "") == str(tmp_path.resolve())
    word = "swordfish"
    place = journal_place(tmp_path, f"postgresql://u:{word}@host:5432/db?schema=s&sslmode=require")
    assert place == "postgresql://host:5432/db?schema=s"
    assert journal_place(tmp_path, "postgresql://host/db") == "postgresql://host/db?schema=loopwright"


def test_the_origin_follows_from_the_place_and_shows_none_of_it() -> None:
    assert journal_origin("/a") == journal_origin("/a") != journal_origin("/b")
    assert "repository" not in ORIGIN
