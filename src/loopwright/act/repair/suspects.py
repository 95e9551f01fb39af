"""What may be edited and where to look first, from what is known: spectra where there are some, else what the failures print."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from loopwright.act.repair.localise import Suspicion
from loopwright.act.repair.source import Source
from loopwright.kernel.loop import Loop
from loopwright.suite.report import SuiteReport
from loopwright.workspace.patterns import matches

__all__ = ["editable", "from_failures", "read_sources"]

_TEST_FILE = re.compile(r"(^|/)(tests?/|test_[^/]*\.py$|[^/]*_test\.py$|conftest\.py$)")
_MENTION = re.compile(r'(?:File "([^"\n]+\.py)", line (\d+))|(?:^|[\s(])([\w./-]+\.py):(\d+)', re.MULTILINE)
_MENTIONED, _NEAR, _ELSEWHERE = 0.6, 0.2, 0.05
_MAX_FILES = 60
_MAX_BYTES = 1 << 20


def editable(loop: Loop, test_ids: Iterable[str]) -> Callable[[str], bool]:
    """Whether repair may edit a path: Python, permitted, not protected, and not a test."""
    tests = {test.partition("::")[0] for test in test_ids}
    protected, permitted = loop.evaluate.protect, loop.permit.write

    def allowed(path: str) -> bool:
        if not path.endswith(".py") or path in tests or _TEST_FILE.search(path):
            return False
        return not matches(path, protected) and (not permitted or matches(path, permitted))

    return allowed


def read_sources(paths: Iterable[str], read: Callable[[str], bytes | None]) -> dict[str, Source]:
    """The parsed files; those that are not Python in UTF-8, or larger than 1 MiB, are left out."""
    found: dict[str, Source] = {}
    for path in dict.fromkeys(paths):
        data = read(path)
        if data is None or len(data) > _MAX_BYTES:
            continue
        try:
            found[path] = Source(path, data)
        except (SyntaxError, ValueError, RecursionError):
            continue
    return found


def from_failures(report: SuiteReport, paths: Sequence[str], sources: Mapping[str, Source]) -> tuple[Suspicion, ...]:
    """Lines that the failures mention, then the rest of those files, then every other file, `paths` in their order."""
    texts = [c.detail for c in report.cases if c.status in {"failed", "error"}] + [report.output_tail]
    mentioned: set[tuple[str, int]] = set()
    for found in _MENTION.finditer("\n".join(texts)):
        name, line = found[1] or found[3], int(found[2] or found[4])
        path = next((p for p in paths if name == p or name.endswith("/" + p)), None)
        if path is not None:
            mentioned.add((path, line))
    near = {path for path, _ in mentioned}
    scored: list[Suspicion] = []
    for path in list(paths)[:_MAX_FILES]:
        if path in sources:
            for line in range(1, sources[path].data.count(b"\n") + 2):
                score = _MENTIONED if (path, line) in mentioned else _NEAR if path in near else _ELSEWHERE
                scored.append(Suspicion(path, line, score, 0, 0))
    return tuple(sorted(scored, key=lambda s: (-s.score, s.path, s.line)))
