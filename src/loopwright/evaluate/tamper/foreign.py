"""Tests in other languages and recorded expectations, by their text: deleted, skipped, the only one left."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject

__all__ = ["foreign_tests"]

_SCRIPT = (".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs")
_TESTS = {
    "script": re.compile(r"""\b(?:test|it)(?:\.\w+)*\(\s*['"`]([^'"`]+)"""),
    "go": re.compile(r"^func (Test\w+|Fuzz\w+|Example\w*)\(", re.MULTILINE),
    "rust": re.compile(r"#\[(?:tokio::)?test[^\]]*\](?:\s*#\[[^\]]*\])*\s*(?:async\s+)?fn\s+(\w+)"),
}
_SKIPS = {
    "script": re.compile(
        r"\b(?:(?:test|it|describe)\.(?:skip|only|todo|fails)\b|x(?:it|describe|test)\(|f(?:it|describe)\()"
    ),
    "go": re.compile(r"\b[tb]\.(?:Skip(?:f|Now)?)\(|^//go:build\b.*", re.MULTILINE),
    "rust": re.compile(r"#\[ignore[^\]]*\]|#\[should_panic[^\]]*\]"),
}
_RECORDED = ("__snapshots__", "snapshots", "golden", "goldens", "expected", "cassettes", "approved", "baseline_images")
_RECORDED_NAMES = (".snap", ".ambr", ".approved.txt", ".golden", ".expected")


def foreign_tests(subject: Subject, scene: Scene) -> Iterable[Finding]:
    language = _language(subject.path)
    if language is not None and (subject.kind == "test" or language == "rust"):
        yield from _compared(subject, language)
    elif _is_recorded(subject.path) and not subject.created:
        what = "deleted" if subject.deleted else "changed"
        says = f"a recorded expectation is {what}; look whether the new one is right, or put it back"
        yield subject.found("tests.recording_edited", 0, says)


def _compared(subject: Subject, language: str) -> Iterator[Finding]:
    names = _TESTS[language]
    lost = Counter(names.findall(subject.before_text)) - Counter(names.findall(subject.after_text))
    for name in lost:
        yield subject.found("tests.deleted", 0, f"the test {name!r} is deleted; put it back", "sure")
    if subject.created:
        return
    had = Counter(m[0] for m in _SKIPS[language].finditer(subject.before_text))
    for match in _SKIPS[language].finditer(subject.after_text):
        if had[match[0]]:
            had[match[0]] -= 1
            continue
        line = subject.after_text.count("\n", 0, match.start()) + 1
        yield subject.found("tests.skipped", line, f"{match[0].strip()!r} is new; take it out and make the tests pass")


def _language(path: str) -> str | None:
    if path.endswith(_SCRIPT):
        return "script"
    return "go" if path.endswith("_test.go") else "rust" if path.endswith(".rs") else None


def _is_recorded(path: str) -> bool:
    return path.endswith(_RECORDED_NAMES) or not set(_RECORDED).isdisjoint(path.split("/")[:-1])
