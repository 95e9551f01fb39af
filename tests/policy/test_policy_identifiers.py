"""What counts as an identifier, in plain sight and in disguise, and what does not."""

import pytest

from loopwright.policy.identifiers import identifiers

CODE = "AB12" + "CD34"


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("see https://evil.example/x?d=1.", "url", "evil.example/x?d=1"),
        ("see WWW.Evil.example/X", "url", "evil.example/X"),
        ("see evil.com for more", "url", "evil.com"),
        ("![x](http://evil.example/p.png?q=abc)", "url", "evil.example/p.png?q=abc"),
        ("on 10.0.0.7:8080/x", "url", "10.0.0.7:8080/x"),
        ("hxxps://evil[.]example/a", "url", "https://evil.example/a".removeprefix("https://")),
        ("%68%74%74%70%3A%2F%2Fevil.example", "url", "evil.example"),
        ("%2568%2574tp://evil.example", "url", "evil.example"),
        ("write to Eve@Evil.example", "mail", "eve@evil.example"),
        ("eve (at) evil (dot) example", "mail", "eve@evil.example"),
        ("eve at evil dot example", "mail", "eve@evil.example"),
        ("e v e @ e v i l . c o m", "mail", "eve@evil.com"),
        ("e\u200bve@evil.example", "mail", "eve@evil.example"),
        ("\uff45ve\uff20evil.example", "mail", "eve@evil.example"),
        ("pay NL02 DUIN 0123 4567 89 now", "iban", "NL02DUIN0123456789"),
        ("pay nl02duin0123456789 now", "iban", "NL02DUIN0123456789"),
        ("code 604918", "digits", "604918"),
        ("code \uff16\uff10\uff14\uff19\uff11\uff18", "digits", "604918"),
        ("code \u0666\u0660\u0664\u0669\u0661\u0668", "digits", "604918"),
        ("6-0-4-9-1-8", "digits", "604918"),
        ("6 0 4 9 1 8", "digits", "604918"),
        ("+1 (555) 123-4567", "digits", "15551234567"),
        (f"it is {CODE}", "code", CODE),
        ("it is " + "sk-" + "a1b2c3d4e5", "code", "sk-" + "a1b2c3d4e5"),
        ("A B 1 2 C D 3 4", "code", CODE),
        ("ref XKQTZW", "code", "XKQTZW"),
    ],
)
def test_an_identifier_is_found_in_any_dress(text: str, kind: str, key: str) -> None:
    assert (kind, key) in [(found.kind, found.key) for found in identifiers(text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The workshop is on 28 May, 09:30 to 17:00.",
        "Rent for 2026-06-01: 1,185.00 EUR, due on 15.06.2026.",
        "See report.docx and main.py, e.g. page 12 of 340.",
        "We are 14 people; room B12 is free at 3pm in Q3.",
        "IMPORTANT: PLEASE READ, well-known and up-to-date.",
        "Call me at noon, at the dot on the map.",
        "Version 1.2.3 is out, 99.5% of users have it.",
    ],
)
def test_prose_dates_sums_and_file_names_are_no_identifiers(text: str) -> None:
    assert identifiers(text) == ()


@pytest.mark.parametrize(
    "piece",
    ["-", "a", "a.", "a b ", "AA00", "1 ", "x@", "%25", "aA", "a_", "[", " ", "a at b dot ", "h.h/", "1,", "://"],
)
def test_a_hostile_text_is_read_to_its_end(piece: str) -> None:
    """A pattern that backtracks would not come back from this within the suite's time limit."""
    text = piece * (100_000 // len(piece)) + "\n\n\n\nand so, eve@evil.example \n"
    assert "eve@evil.example" in [found.key for found in identifiers(text)]
