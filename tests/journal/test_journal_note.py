"""Notes are those of C2SP: the published example comes out byte for byte, and nothing that differs by a character is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import JournalCorrupt, UsageError
from loopwright.journal.note import make_key, open_note, parse_key, parse_signing_key, sign_note

# The example of the Go package golang.org/x/mod/sumdb/note, which the specification was written from.
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "PRIVATE+" + "KEY+PeterNeumann+c74f20a3+" + "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_published_example_is_signed_and_opened() -> None:
    key = parse_signing_key(PRIVATE)
    assert key.text == PRIVATE
    assert key.verifier.text == PUBLIC
    assert sign_note(TEXT, key) == NOTE
    assert open_note(NOTE, [parse_key(PUBLIC)]) == TEXT


def test_an_unknown_signature_is_passed_over_and_a_known_one_is_needed() -> None:
    other = make_key("witness.example", bytes(range(32)))
    both = NOTE + sign_note(TEXT, other).removeprefix(TEXT + "\n")
    assert open_note(both, [parse_key(PUBLIC)]) == TEXT
    assert open_note(both, [other.verifier]) == TEXT
    with pytest.raises(JournalCorrupt, match=r"expected a signature by 'witness.example' .* found 'PeterNeumann'"):
        open_note(NOTE, [other.verifier])
    with pytest.raises(JournalCorrupt, match="expected a signature by no key at all"):
        open_note(NOTE, [])


def test_a_key_of_the_same_name_is_another_key() -> None:
    impostor = make_key("PeterNeumann", bytes(32))
    with pytest.raises(JournalCorrupt, match="expected a signature by"):
        open_note(sign_note(TEXT, impostor), [parse_key(PUBLIC)])


@given(st.data())
def test_no_character_of_a_note_can_be_changed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(NOTE) - 1))
    char = data.draw(st.characters(exclude_characters=NOTE[at], exclude_categories=["Cs"]))
    with pytest.raises(JournalCorrupt):
        open_note(NOTE[:at] + char + NOTE[at + 1 :], [parse_key(PUBLIC)])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("— ", "- "),
        NOTE.replace("— ", "—"),
        NOTE.replace("— P", "—  P"),
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("AM=", "AN="),
        NOTE.replace("\n", "\r\n"),
        NOTE + NOTE.removeprefix(TEXT + "\n"),
        NOTE + "\udc80\n",
    ],
)
def test_what_is_not_exactly_a_note_is_refused(note: str) -> None:
    with pytest.raises(JournalCorrupt, match=r"^signed note: "):
        open_note(note, [parse_key(PUBLIC)])


@pytest.mark.parametrize("text", ["", "no newline", "a tab\t\n", "carriage\r\n", "lone \udc80\n"])
def test_text_that_no_note_can_carry_is_not_signed(text: str) -> None:
    with pytest.raises(UsageError, match="note text"):
        sign_note(text, make_key("k", bytes(32)))


@pytest.mark.parametrize("name", ["", "two words", "a+b", "tab\tname", "nbsp\u00a0name", "line\n"])
def test_a_name_that_no_note_can_carry_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="note key name"):
        make_key(name, bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a+b",
        PUBLIC.replace("c74f", "c74e"),
        PUBLIC[:-1],
        PUBLIC.replace("+AR", "+AQ"),
        PUBLIC.replace("P", "p", 1),
    ],
)
def test_a_public_key_that_was_changed_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="public key"):
        parse_key(text)


def test_a_private_key_stands_in_no_message() -> None:
    secret = PRIVATE.rpartition("+")[2]
    key = parse_signing_key(PRIVATE)
    assert secret not in repr(key) and repr(key.seed) not in repr(key)
    for broken in (PRIVATE[1:], PRIVATE[:-2], PRIVATE.replace("c74f", "c74e")):
        with pytest.raises(UsageError) as caught:
            parse_signing_key(broken)
        assert secret[:8] not in str(caught.value)
