"""A proposal's digest names its edit: the same edit has the same digest, another edit another."""

from hypothesis import given
from hypothesis import strategies as st

from loopwright.act.digest import changes_digest
from loopwright.kernel.values import BlobRef, Change

REF = BlobRef("a" * 64, 3)

changes = st.builds(
    Change,
    path=st.text(min_size=1, max_size=8),
    mode=st.sampled_from(["100644", "100755", "120000"]),
    content=st.none() | st.builds(BlobRef, st.text("0123456789abcdef", min_size=64, max_size=64), st.just(3)),
)


def test_a_change_of_path_mode_content_or_deletion_changes_the_digest() -> None:
    one = Change("src/a.py", "100644", REF)
    others = [
        Change("src/b.py", "100644", REF),
        Change("src/a.py", "100755", REF),
        Change("src/a.py", "100644", BlobRef("b" * 64, 3)),
        Change("src/a.py", "100644", None),
    ]
    assert len({changes_digest([c]) for c in [one, *others]}) == 5


def test_how_the_content_is_stored_does_not_change_the_digest() -> None:
    stored = Change("a", "100644", BlobRef("a" * 64, 3, media_type="application/octet-stream", inline="abc"))
    assert changes_digest([stored]) == changes_digest([Change("a", "100644", REF)])


@given(st.lists(changes, max_size=5, unique_by=lambda c: c.path))
def test_the_order_of_the_files_does_not_change_the_digest(some: list[Change]) -> None:
    assert changes_digest(some) == changes_digest(reversed(some))


@given(st.lists(changes, max_size=3), st.lists(changes, max_size=3))
def test_different_edits_have_different_digests(left: list[Change], right: list[Change]) -> None:
    def key(some: list[Change]) -> list[tuple[str, str, str]]:
        return sorted((c.path, c.mode, c.content.sha256 if c.content else "") for c in some)

    assert (changes_digest(left) == changes_digest(right)) == (key(left) == key(right))


def test_a_file_name_that_is_not_utf8_has_a_digest() -> None:
    assert len(changes_digest([Change("caf\udce9.py", "100644", REF)])) == 64
