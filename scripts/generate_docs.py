"""Write the pages of `docs/reference` that the code itself can tell, or with `--check` say which of them are out of date."""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec

from loopwright import errors
from loopwright.kernel import events, stop, transitions
from loopwright.loopfile import json_schema, reference

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<!-- Written by `make docs` from the code; edit the code instead. -->\n\n"
SELF_SAID = {"loop-file.md", "loop-file.schema.json"}
"""Pages that say by themselves where they come from, or cannot."""


def sections(source: str) -> Iterator[tuple[int, str]]:
    """Line numbers and titles of the `# --- title ---` lines that divide a module."""
    for number, line in enumerate(source.splitlines(), start=1):
        if match := re.match(r"# --- (.+?) -{3,}$", line):
            yield number, match[1]


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def type_name(annotation: object) -> str:
    name = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=\w)", "", name).replace("NoneType", "None")


def events_page() -> str:
    """Every event with its fields, grouped as `kernel/events.py` groups them."""
    titles = list(sections(inspect.getsource(events)))
    lines = [
        "# Events",
        "",
        f"{cell(inspect.getdoc(events) or '')}",
        "",
        f"Schema version {events.SCHEMA_VERSION}.",
    ]
    shown = ""
    for body in get_args(events.Body):
        line = inspect.getsourcelines(body)[1]
        title = [title for number, title in titles if number < line][-1]
        if title != shown:
            lines += ["", f"## {title[0].upper()}{title[1:]}"]
            shown = title
        lines += ["", f"### `{body.__struct_config__.tag}`"]
        # A struct without a docstring of its own would show its base's.
        if body.__doc__ and body.__doc__ != events.Event.__base__.__doc__:
            lines += ["", cell(body.__doc__)]
        lines += ["", "| field | type |", "|---|---|"]
        hints = get_type_hints(body)
        lines += [f"| `{f.name}` | `{cell(type_name(hints[f.name]))}` |" for f in msgspec.structs.fields(body)]
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """The exception tree with the exit code of each."""
    documentation = inspect.getdoc(errors) or ""
    first, _, tree = documentation.partition("\n\n")
    reasons = "\n".join(f"| `{reason}` | {code} |" for reason, code in stop.EXIT_CODES.items())
    return (
        f"# Errors and exit codes\n\n{cell(first)}\n\n```text\n{tree}\n```\n\n"
        "## How a run ends\n\nThe exit code of `loopwright run` by the `stop_reason` that the run ended with.\n\n"
        f"| stop reason | exit |\n|---|---|\n{reasons}\n"
    )


def states_page() -> str:
    """The transition table as a diagram and as a table."""
    rows = "\n".join(f"| `{at}` | `{label}` | `{to}` |" for (at, label), to in transitions.TABLE.items())
    overlay = ", ".join(f"`{label}`" for label in sorted(transitions.OVERLAY))
    return (
        "# The states of a run\n\nAn event that is not in this table is refused in that phase, when it is written and when it is read.\n\n"
        f"```mermaid\n{transitions.diagram()}```\n\n| phase | event | next phase |\n|---|---|---|\n{rows}\n\n"
        f"In every phase between the first and the last, and without leaving it: {overlay}.\n"
    )


def schema_page() -> str:
    return json_schema().decode()


PAGES: dict[str, Callable[[], str]] = {
    "exit-codes.md": errors_page,
    "events.md": events_page,
    "loop-file.md": reference.markdown,
    "loop-file.schema.json": schema_page,
    "states.md": states_page,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is out of date")
    check = parser.parse_args().check
    stale = []
    for name, render in PAGES.items():
        path = ROOT / "docs" / "reference" / name
        page = render() if name in SELF_SAID else NOTE + render()
        if path.exists() and path.read_text() == page:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page)
    for name in stale:
        print(
            f"docs/reference/{name}: "
            + ("out of date, expected what the code says; run `make docs`" if check else "written")
        )
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
