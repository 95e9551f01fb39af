"""Tests that are known to be unreliable: they neither fail nor pass anything, for as long as somebody answers for that.

`loops/quarantine.toml` names each with its owner and the day on which it ends. From that day on the test counts again, whatever it does:
a quarantine that ends by itself cannot become a place where tests are forgotten. The day is an argument.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loopwright.errors import UsageError
from loopwright.kernel.values import Value
from loopwright.policy._toml import Table, nearest, quoted, read_toml
from loopwright.suite.report import SuiteReport
from loopwright.suite.subset import without
from loopwright.workspace.protocol import Workspace

__all__ = ["MAX_DAYS", "PATH", "Entry", "Quarantine", "add", "day_of", "parse", "quarantine_of", "remove"]

PATH = "loops/quarantine.toml"
MAX_DAYS = 90
"""The longest quarantine: long enough for a release cycle, too short to be forgotten."""
_WHOLE_FILE = "::*"
_HEADER = "# Tests that count for nothing until they expire; see `loopwright quarantine --help`.\n"


class Entry(Value, frozen=True):
    """`id` is one test by its exact name, or `file::*`. It counts for nothing up to and with the day `expires`. `added` is `None`
    where its author left it out."""

    id: str
    owner: str
    expires: dt.date
    why: str
    added: dt.date | None = None

    def covers(self, test_id: str) -> bool:
        if self.id.endswith(_WHOLE_FILE):
            return test_id.startswith(self.id.removesuffix("*"))
        return test_id == self.id

    def expired(self, today: dt.date) -> bool:
        return today > self.expires


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The entries of one file as they stand on `today`."""

    entries: tuple[Entry, ...]
    today: dt.date

    def entry_for(self, test_id: str) -> Entry | None:
        """The entry under which a test counts for nothing today."""
        return next((e for e in self.entries if e.covers(test_id) and not e.expired(self.today)), None)

    def expired_for(self, test_id: str) -> Entry | None:
        """The entry that did so once, where none does any more."""
        if self.entry_for(test_id) is not None:
            return None
        return next((e for e in self.entries if e.covers(test_id)), None)

    def set_aside(self, report: SuiteReport) -> SuiteReport:
        """The report as if no quarantined test had been run."""
        return without(report, lambda i: self.entry_for(i) is not None)

    def notes(self, report: SuiteReport, held: Callable[[str], bool] = lambda _: False) -> tuple[str, ...]:
        """What is to be said of `report`, as it came: the quarantined tests that fail, and the failing ones whose time is over. Of
        those that are `held` out only the number is said."""
        fails = sorted(report.ids("failed", "error"))
        notes = []
        kept = [i for i in fails if self.entry_for(i)]
        if kept:
            many = f"{len(kept)} quarantined test{' fails' if len(kept) == 1 else 's fail'}"
            notes.append(_with_names(many, kept, self.entry_for, "until", held))
        over = [i for i in fails if self.expired_for(i)]
        if over:
            many = f"the quarantine of {len(over)} failing test{' has' if len(over) == 1 else 's has'} expired"
            notes.append(_with_names(many, over, self.expired_for, "on", held))
        return tuple(notes)


def _with_names(
    many: str, ids: Sequence[str], entry_of: Callable[[str], Entry | None], when: str, held: Callable[[str], bool]
) -> str:
    named = []
    for test_id in [i for i in ids if not held(i)][:3]:
        entry = entry_of(test_id)
        assert entry is not None
        named.append(f"{test_id} ({entry.owner}, {when} {entry.expires.isoformat()})")
    more = f" and {len(ids) - len(named)} more" if len(ids) > len(named) else ""
    return f"{many}: {', '.join(named)}{more}" if named else many


def day_of(at_ms: int) -> dt.date:
    """The day, in UTC, of a time in milliseconds since 1970."""
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).date()


def quarantine_of(workspace: Workspace, tree: str, at_ms: int) -> Quarantine:
    """The quarantine of a tree, at a time; give it the base's tree, so that no proposal decides which tests count. Empty where the tree
    has no such file. Raises: `UsageError` for a faulty one."""
    today = day_of(at_ms)
    data = workspace.read(tree, PATH)
    return Quarantine(() if data is None else parse(data.decode("utf-8", "replace"), today), today)


def parse(text: str, today: dt.date, *, source: str = PATH) -> tuple[Entry, ...]:
    """The entries of a quarantine file; expired ones too.

    Raises: `UsageError` with every fault, one line each: file, line, key, expected, found.
    """

    def read(top: Table) -> tuple[Entry, ...]:
        return tuple(_entry(row, today) for row in top.rows("test"))

    entries = read_toml(source, text, read)
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise UsageError(
                f"{source}: {entry.id!r} stands there twice; expected one entry a test: remove one of them"
            )
        seen.add(entry.id)
    return entries


def add(text: str | None, entry: Entry, today: dt.date, *, source: str = PATH) -> str:
    """The file with one more entry; `text` is `None` where there is none yet.

    Raises: `UsageError` where the file or the entry is not valid, and where the test is quarantined already.
    """
    known = () if text is None else parse(text, today, source=source)
    if any(e.id == entry.id for e in known):
        raise UsageError(f"test {entry.id!r} is in {source} already; `loopwright quarantine remove` it first")
    block = "".join(f"{key} = {value}\n" for key, value in _pairs(entry))
    before = _HEADER if text is None else text.rstrip("\n") + "\n" if text.strip() else ""
    made = f"{before}\n[[test]]\n{block}".lstrip("\n")
    parse(made, today, source=source)
    return made


def remove(text: str, test_id: str, today: dt.date, *, source: str = PATH) -> str:
    """The file without the entry of `test_id`; all else in it, comments too, stays. Raises: `UsageError` where it is not there."""
    ids = [e.id for e in parse(text, today, source=source)]
    if test_id not in ids:
        known = nearest(test_id, ids) or f"; it has {', '.join(ids[:3])}" * bool(ids)
        raise UsageError(f"test {test_id!r} is not in {source}{known}")
    lines = text.splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.strip().startswith("[[") and "test" in line.partition("]]")[0]]
    if len(starts) != len(ids):
        raise UsageError(f"{source}: {test_id!r} stands in a table that is not written as [[test]]; remove it by hand")
    at = ids.index(test_id)
    end = starts[at + 1] if at + 1 < len(starts) else len(lines)
    # Comments right above the next entry belong to that one.
    while end - 1 > starts[at] and end < len(lines) and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    return "".join([*lines[: starts[at]], *lines[end:]]).rstrip("\n") + "\n"


def _entry(row: Table, today: dt.date) -> Entry:
    row.need("id", "name one test as its runner does, or a file as `tests/test_net.py::*`")
    row.need("owner", "somebody must answer for it")
    row.need("expires", f"write a day, at most {MAX_DAYS} days ahead, such as {_in_days(today, 30)}")
    row.need("why", "say what is known of it")
    entry = Entry(
        id=_id(row),
        owner=_said(row, "owner", "a name"),
        expires=_day(row, "expires") or today,
        why=_said(row, "why", "a reason"),
        added=_day(row, "added"),
    )
    start = entry.added or today
    if entry.added is not None and entry.added > today:
        row.wrong("added", f"expected a day that has come, found {entry.added} (today is {today})")
    elif (entry.expires - start).days > MAX_DAYS:
        since = "`added`" if entry.added else "today"
        row.wrong(
            "expires",
            f"expected at most {MAX_DAYS} days from {since} ({_in_days(start, MAX_DAYS)}), found {entry.expires}",
        )
    row.close()
    return entry


def _id(row: Table) -> str:
    value = row.text("id")
    name = value.removesuffix(_WHOLE_FILE)
    if "id" in row.values and (not name.strip() or name != name.strip()):
        row.wrong("id", f"expected the exact name of a test, found {quoted(value)}")
    elif "*" in name.partition("[")[0]:
        row.wrong("id", f"expected an exact name or `file::*`, found the pattern {quoted(value)}")
    elif name != value and "::" in name:
        row.wrong("id", f"expected `::*` behind a file only, found {quoted(value)}; name its tests one by one")
    return value


def _said(row: Table, key: str, expected: str) -> str:
    value = row.text(key)
    if key in row.values and isinstance(row.values[key], str) and not value.strip():
        row.wrong(key, f"expected {expected}, found an empty text")
    return value


def _day(row: Table, key: str) -> dt.date | None:
    value: Any = row.any(key)
    if key not in row.values:
        return None
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        row.wrong(key, f"expected a day without quotes such as 2026-12-31, found {quoted(value)}")
        return None
    return value


def _in_days(day: dt.date, days: int) -> str:
    return (day + dt.timedelta(days=days)).isoformat()


def _pairs(entry: Entry) -> list[tuple[str, str]]:
    pairs = [("id", _quoted(entry.id)), ("owner", _quoted(entry.owner)), ("expires", entry.expires.isoformat())]
    if entry.added is not None:
        pairs.append(("added", entry.added.isoformat()))
    return [*pairs, ("why", _quoted(entry.why))]


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in _escape(text))
    return f'"{escaped}"'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
