"""Values whose grammar is not ours: cron lines, time zones, branch names, hosts, models."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from loopwright.loopfile._front import Node
from loopwright.loopfile._kinds import Text, text_of
from loopwright.loopfile._report import Report, nearest, quoted
from loopwright.loopfile._table import Schema

__all__ = ["BRANCH", "CLI_NAME", "CRON", "HOST", "HTTP_PATH", "MODEL", "SECRET", "TIMEZONE"]

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# Any fixed day will do to ask whether an expression ever fires; this one makes the answer the same on every day.
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def _cron(text: str) -> str | None:
    if (five := _MACROS.get(text.strip().lower())) is not None:
        return f"is not a cron line of five fields; write '{five}'"
    fields = text.split()
    if len(fields) != 5:
        return f"has {len(fields)} fields; a cron line has five: minute, hour, day of month, month, day of week"
    from cronsim import CronSim, CronSimError  # lazy: only loops with a schedule pay for it

    try:
        # A day that none of the months has is refused by cronsim like a typo; asked with every month it is a good line.
        CronSim(" ".join([*fields[:3], "*", fields[4]]), _SOME_DAY)
        CronSim(" ".join(["0", "0", "*", fields[3], "*"]), _SOME_DAY)
    except (CronSimError, ValueError, AssertionError) as error:
        return f"is not a cron line: {str(error).lower().replace('bad ', 'the field does not read: ')}"
    try:
        next(CronSim(text, _SOME_DAY))
    except (CronSimError, StopIteration):
        return "never fires: no month that it names has such a day"
    return None


def _branch(text: str) -> str | None:
    """git-check-ref-format(1), for a branch."""
    bad = re.search(r"[\s~^:?*\[\\\x00-\x20\x7f]|\.\.|@\{|//", text)
    if bad:
        return f"is no branch name: it holds {quoted(bad[0])}"
    if text.startswith(("-", "/")) or text.endswith(("/", ".")) or text == "@":
        return "is no branch name: it starts or ends with a character that git refuses"
    if any(part.startswith(".") or part.endswith(".lock") for part in text.split("/")):
        return "is no branch name: a part starts with '.' or ends with '.lock'"
    return None


_HOST = r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[1-9][0-9]{0,4})?"
_SECRET = "[A-Za-z_][A-Za-z0-9_]*"  # noqa: S105  the shape of an environment variable's name
_HTTP_PATH = r"/[A-Za-z0-9._~/-]*"


def _host(text: str) -> str | None:
    return (
        None
        if re.fullmatch(_HOST, text)
        else "is no exact host name like 'api.example.com' or '127.0.0.1:8080' (no scheme, path or '*')"
    )


def _secret(text: str) -> str | None:
    return (
        None
        if re.fullmatch(_SECRET, text)
        else "is no name of an environment variable; a secret's value never stands here"
    )


def _http_path(text: str) -> str | None:
    return None if re.fullmatch(_HTTP_PATH, text) and ".." not in text else "is no path like '/hooks/build'"


class Timezone:
    words = "an IANA time zone like 'Europe/Berlin'"

    def read(self, node: Node, at: str, report: Report) -> str:
        name = text_of(node, at, report, self.words)
        if name == "UTC":
            return name
        from zoneinfo import available_timezones  # lazy: it walks the time zone database

        known = available_timezones()
        if name not in known:
            # The city alone is what people write; its folder is what they leave out.
            ends = {zone.rpartition("/")[2].lower(): zone for zone in sorted(known)}
            near = nearest(name, sorted(known)) if name in {zone.lower() for zone in known} else None
            near = near or _near_zone(name, known) or ends.get(name.lower().replace(" ", "_"))
            hint = f"; did you mean {near!r}?" if near else f", such as {sorted(known)[0]!r}" if known else ""
            raise report.refused(node.line, at, f"unknown time zone {quoted(name)}{hint}")
        return name

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1}


def _near_zone(name: str, known: set[str]) -> str | None:
    lowered = {zone.lower(): zone for zone in sorted(known)}
    near = nearest(name, lowered)
    return lowered[near] if near else None


@dataclass(frozen=True)
class Configured:
    """A name that is one of `known` or one that the user configured. A near miss of a known one is a typo, not a configuration."""

    noun: str
    known: tuple[str, ...]

    def fault(self, name: str) -> str | None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            return f"names no {self.noun}; expected one of a-z, 0-9 and '-' like {self.known[0]!r}"
        if name in self.known:
            return None
        from difflib import get_close_matches

        close = get_close_matches(name, self.known, n=1, cutoff=0.75)
        # `openai-west` is somebody's own; `opena` and `antropic` are nobody's.
        if close and not name.startswith(close[0]):
            return f"names the unknown {self.noun} {quoted(name)}; did you mean {close[0]!r}?"
        return None


_PROVIDERS = Configured("provider", ("anthropic", "openai"))
_CLIS = Configured("agent CLI", ("claude", "codex"))


def _model(text: str) -> str | None:
    provider, colon, name = text.partition(":")
    if not colon or not name.strip() or not provider:
        return "is no model; expected provider:name, as in 'anthropic:claude-sonnet-4-5'"
    if re.search(r"\s", text):
        return "is no model: it holds a space"
    return _PROVIDERS.fault(provider)


CRON = Text("a cron line of five fields", _cron, shape=r"^\s*(\S+\s+){4}\S+\s*$", longest=200)
TIMEZONE = Timezone()
BRANCH = Text("a branch name", _branch, shape=r"^[^\s~^:?*\[\\]+$", longest=200)
HOST = Text("a host name", _host, shape=f"^{_HOST}$", longest=253)
SECRET = Text("the name of an environment variable", _secret, shape=f"^{_SECRET}$", longest=100, hidden=True)
HTTP_PATH = Text("a path like '/hooks/build'", _http_path, shape=f"^{_HTTP_PATH}$", longest=200)
MODEL = Text("a model as provider:name", _model, shape=r"^[a-z0-9][a-z0-9-]*:\S+$", longest=200)
CLI_NAME = Text("the name of an agent CLI", _CLIS.fault, shape="^[a-z0-9][a-z0-9-]*$", longest=40)
