"""The ticket folder: what is open, what is no ticket, and what a hostile one cannot do."""

import os
from pathlib import Path

import pytest

from loopwright.engine.triggers.tickets import MOST_TICKETS, TicketFault, TicketFolder, parse_ticket


@pytest.mark.parametrize(
    ("text", "is_open", "title"),
    [
        ("---\ntitle: Broken\nstatus: open\n---\nx", True, "Broken"),
        ("---\ntitle: Broken\n---\n", True, "Broken"),
        ("# Broken login\n\nIt does.", True, "Broken login"),
        ("---\nstatus: closed\n---\nx", False, "x"),
        ("---\nstatus: Done\nlabels: [a, b]\n---\nx", False, "x"),
        ("", True, "t.md"),
        ("---\r\ntitle: Broken\r\nstatus: open\r\n---\r\n", True, "Broken"),
        ('---\ntitle: "\\e[2Jgone"\n---\n', True, "\\x1b[2Jgone"),
    ],
)
def test_a_ticket_is_open_unless_it_says_otherwise(text: str, is_open: bool, title: str) -> None:
    ticket = parse_ticket(text.encode(), "t.md")
    assert (ticket.is_open, ticket.title) == (is_open, title)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"---\nstatus: opne\n---\n", "expected open, closed or done, found 'opne'"),
        (b"---\ntitle: [\n---\n", "does not read as YAML"),
        (b"---\n- a\n---\n", "key: value"),
        (b"---\ntitle: a\n", "never closed"),
        (b"---\n" + b"[" * 5000 + b"\n---\n", "does not read as YAML"),
        (b"---\nstatus: " + b"x" * 10_000 + b"\n---\n", "at most 8192 characters"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_cannot_be_understood_is_no_ticket_and_says_why(data: bytes, says: str) -> None:
    with pytest.raises(TicketFault, match=says.replace("[", r"\[")):
        parse_ticket(data, "t.md")


def looked(folder: TicketFolder) -> list[str]:
    """Two looks: a file counts when it stood still between them."""
    folder.look()
    return [sighting.path for sighting in folder.look()]


def test_only_regular_markdown_files_of_the_folder_are_tickets(tmp_path: Path) -> None:
    tickets = tmp_path / "tickets"
    (tickets / "sub").mkdir(parents=True)
    for name in ("b.md", "a.md", ".hidden.md", "README.md", "note.txt", "sub/c.md"):
        (tickets / name).write_text("# A\n")
    (tmp_path / "outside.md").write_text("# Outside\n")
    (tickets / "link.md").symlink_to(tmp_path / "outside.md")
    os.mkfifo(tickets / "pipe.md")
    (tickets / "folder.md").mkdir()
    said: list[str] = []
    assert looked(TicketFolder(tmp_path, "tickets/", said.append)) == ["tickets/a.md", "tickets/b.md"]
    assert said == []


def test_a_folder_that_is_a_link_is_said_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.md").write_text("# A\n")
    root = tmp_path / "root"
    root.mkdir()
    (root / "tickets").symlink_to(tmp_path / "elsewhere")
    said: list[str] = []
    assert looked(TicketFolder(root, "tickets", said.append)) == []
    assert len(said) == 1 and "without following a link" in said[0]


def test_a_folder_that_is_not_there_has_no_tickets(tmp_path: Path) -> None:
    said: list[str] = []
    assert looked(TicketFolder(tmp_path, "a/b/tickets", said.append)) == [] == said


def test_a_file_that_is_being_written_is_no_ticket_yet(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    folder = TicketFolder(tmp_path, "t")
    ticket = tmp_path / "t" / "a.md"
    for text in ("---\n", "---\ntitle: half", "---\ntitle: whole\n---\nPlease.\n"):
        ticket.write_text(text)
        assert folder.look() == ()
    assert [sighting.path for sighting in folder.look()] == ["t/a.md"]


def test_a_fault_is_said_once_for_each_content(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    said: list[str] = []
    folder = TicketFolder(tmp_path, "t", said.append)
    ticket = tmp_path / "t" / "a.md"
    ticket.write_text("---\nstatus: opne\n---\n")
    for _ in range(5):
        folder.look()
    assert said == ["t/a.md: status: expected open, closed or done, found 'opne'"]
    ticket.write_text("---\nstatus: opened\n---\n")
    folder.look()
    assert len(said) == 2
    ticket.write_text("---\nstatus: open\n---\n")
    assert looked(folder) == ["t/a.md"]


def test_too_many_tickets_are_said_and_cut_off(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for number in range(MOST_TICKETS + 5):
        (tmp_path / "t" / f"{number:05}.md").touch()
    said: list[str] = []
    assert len(looked(TicketFolder(tmp_path, "t", said.append))) == MOST_TICKETS
    assert len(said) == 1 and f"holds {MOST_TICKETS + 5} tickets" in said[0]
