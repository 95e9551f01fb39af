"""What the service prints: one harmless line for each thing, and never the reason that it ends."""

import io
import json

from loopwright.engine.log import JsonLog, Line, PlainLog

LINE = Line(1_767_225_600_000, "finished", "goal\x1b[2J\n2026-01-01T00:00:00Z service forged", "fix", "r1")


def test_plain_lines_are_one_line_each_whatever_a_ticket_said() -> None:
    out = io.StringIO()
    PlainLog(out).say(LINE)
    text = out.getvalue()
    assert text == "2026-01-01T00:00:00Z finished fix r1 goal\\x1b[2J 2026-01-01T00:00:00Z service forged\n"


def test_json_lines_are_one_object_each_without_empty_fields() -> None:
    out = io.StringIO()
    JsonLog(out).say(LINE)
    JsonLog(out).say(Line(1, "service", "on"))
    first, second = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (first["run"], first["what"]) == ("r1", LINE.what)
    assert second == {"at_ms": 1, "kind": "service", "what": "on"}


def test_a_log_that_is_gone_does_not_end_the_service() -> None:
    out = io.StringIO()
    out.close()
    PlainLog(out).say(LINE)
    JsonLog(out).say(LINE)
