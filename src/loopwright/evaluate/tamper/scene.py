"""A proposal as the detectors see it: its edits, and what of the head they need beside them. Values; nothing is read here."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from loopwright.evaluate.tamper.chunks import differing
from loopwright.evaluate.tamper.code import Code, parse, statements
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.suites import TestFunction, helpers

__all__ = ["Detector", "Edit", "Kind", "Scene", "Subject", "Touched", "is_collected", "kind_of"]

Kind = Literal["test", "config", "source", "other"]

_CONFIG_NAMES = frozenset(
    {
        "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "setup.cfg", "tox.ini", "pyproject.toml", "conftest.py", "noxfile.py",
        ".coveragerc", "Makefile", "makefile", "GNUmakefile", "justfile", "package.json", ".gitlab-ci.yml", "azure-pipelines.yml",
        "Jenkinsfile", "jest.config.js", "jest.config.ts", "vitest.config.ts", "vitest.config.js", "sitecustomize.py",
        "usercustomize.py", "Taskfile.yml",
    }
)  # fmt: skip
_TEST_FOLDERS = frozenset({"tests", "test", "__tests__", "spec", "specs", "__snapshots__", "snapshots", "testdata"})
_CODE = (".py", ".pyi", ".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs", ".go", ".rs")


@dataclass(frozen=True, slots=True)
class Edit:
    """`before` is `None` for a new file, `after` for a deleted one."""

    path: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class Touched:
    """The statements (of the module and of its classes) that only one of the two versions has."""

    gone: tuple[ast.stmt, ...]
    new: tuple[ast.stmt, ...]


class Subject:
    """One edited file: its texts, each parsed at most once and only when somebody asks."""

    def __init__(self, edit: Edit) -> None:
        self.path = edit.path
        self.name = edit.path.rpartition("/")[2]
        self.kind = kind_of(edit.path)
        self.created = edit.before is None
        self.deleted = edit.after is None
        self.before_text = _text(edit.before)
        self.after_text = _text(edit.after)
        self.python = edit.path.endswith(".py")

    @cached_property
    def before(self) -> Code | None:
        """The old version, without the parts that the new one has as well (imports stay)."""
        return self._parsed[0]

    @cached_property
    def after(self) -> Code | None:
        return self._parsed[1]

    @cached_property
    def whole(self) -> tuple[Code | None, Code | None]:
        """Both versions with all their parts."""
        return parse(self.before_text) if not self.created else None, parse(
            self.after_text
        ) if not self.deleted else None

    @cached_property
    def _parsed(self) -> tuple[Code | None, Code | None]:
        if not self.python:
            return None, None
        if self.created or self.deleted:
            return (None if self.created else parse(self.before_text)), (
                None if self.deleted else parse(self.after_text)
            )
        old, new = (parse(text) for text in differing(self.before_text, self.after_text))
        if old is None or new is None:
            old, new = parse(self.before_text), parse(self.after_text)
        return old, new

    @cached_property
    def touched(self) -> Touched:
        old = () if self.before is None else tuple(statements(self.before))
        new = () if self.after is None else tuple(statements(self.after))
        had, has = {text for text, _ in old}, {text for text, _ in new}
        return Touched(
            tuple(node for text, node in old if text not in has), tuple(node for text, node in new if text not in had)
        )

    @cached_property
    def old_functions(self) -> dict[str, TestFunction]:
        return {} if self.before is None else {f.qualname: f for f in helpers(self.before)}

    @cached_property
    def new_functions(self) -> dict[str, TestFunction]:
        return {} if self.after is None else {f.qualname: f for f in helpers(self.after)}

    @cached_property
    def changed(self) -> tuple[tuple[TestFunction, TestFunction], ...]:
        """The functions that both versions have and that differ."""
        both = ((old, self.new_functions.get(name)) for name, old in self.old_functions.items())
        return tuple((old, new) for old, new in both if new is not None and old.text != new.text)

    def found(
        self, rule: str, line: int, says: str, severity: Literal["sure", "likely", "smell"] = "likely"
    ) -> Finding:
        return Finding(rule, self.path, line, says, severity)


@dataclass(frozen=True)
class Scene:
    """`paths` are the files of the head. `metrics` are the names that the loop's command prints. `tests` is the text of the head's
    test files, to tell a literal that only they know; empty = not looked at."""

    subjects: tuple[Subject, ...]
    paths: frozenset[str] = frozenset()
    metrics: tuple[str, ...] = ()
    tests: str = ""

    def of(self, *kinds: Kind) -> Iterator[Subject]:
        return (s for s in self.subjects if s.kind in kinds)

    @cached_property
    def written(self) -> tuple[TestFunction, ...]:
        """The tests that the edit brings or changes, in files that a runner looks into."""
        return tuple(
            new
            for s in self.subjects
            if s.kind in ("test", "config") and is_collected(s.path)
            for name, new in s.new_functions.items()
            if new.collected and (name not in s.old_functions or s.old_functions[name].text != new.text)
        )

    @cached_property
    def bodies(self) -> frozenset[str]:
        return frozenset(t.body_key for t in self.written)

    @cached_property
    def checks(self) -> frozenset[str]:
        """The assertions of all functions of test files that are new or changed."""
        return frozenset(
            c.key
            for s in self.of("test", "config")
            for name, new in s.new_functions.items()
            if name not in s.old_functions or s.old_functions[name].text != new.text
            for c in new.checks
        )

    @classmethod
    def of_edits(
        cls, edits: Iterable[Edit], *, paths: Iterable[str] = (), metrics: Iterable[str] = (), tests: str = ""
    ) -> "Scene":
        subjects = tuple(Subject(e) for e in edits if e.before != e.after)
        return cls(subjects, frozenset(paths), tuple(metrics), tests)


class Detector(Protocol):
    """One family of rules over one edited file. Pure."""

    def __call__(self, subject: Subject, scene: Scene) -> Iterable[Finding]: ...


def is_collected(path: str) -> bool:
    """Whether pytest or unittest would look into a file of this name, with their usual settings."""
    name = path.rpartition("/")[2]
    return name.endswith(".py") and (name.startswith("test") or name.endswith("_test.py"))


def kind_of(path: str) -> Kind:
    *folders, name = path.split("/")
    if name in _CONFIG_NAMES or name.endswith(".pth") or path.startswith((".github/", ".circleci/")):
        return "config"
    stem = name.partition(".")[0]
    named = name.endswith(_CODE) and (stem.startswith("test_") or stem.endswith("_test"))
    if (
        named
        or stem in ("test", "tests")
        or ".test." in name
        or ".spec." in name
        or not _TEST_FOLDERS.isdisjoint(folders)
    ):
        return "test"
    return "source" if name.endswith(_CODE) else "other"


def _text(data: bytes | None) -> str:
    return "" if data is None else data.decode("utf-8", "replace").replace("\r\n", "\n")
