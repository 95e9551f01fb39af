"""`report.html`: one file that needs no network and runs nothing, for a browser or a phone.

The style sheet is allowed by its hash and nothing else is: what a proposal or a test printed could not load or run anything even
if it got past the escaping.
"""

import base64
import functools
import hashlib
from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from loopwright.keep.facts import CALLS_SHOWN, Facts
from loopwright.keep.measured import measured_rows, measured_sentences
from loopwright.keep.plot import HEIGHT, WIDTH, plot_of
from loopwright.views.describe import duration
from loopwright.views.text import one_line, plain, short_id, usd

__all__ = ["render_html"]


def render_html(facts: Facts) -> str:
    """The whole page."""
    environment = _environment()
    style = environment.get_template("report.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        facts=facts,
        view=facts.view,
        plot=plot_of(facts),
        sentences=() if facts.metric is None else tuple(measured_sentences(facts.metric)),
        rows=tuple(measured_rows(facts)),
        width=WIDTH,
        height=HEIGHT,
        style=style,
        style_digest=digest,
        diff_lines=_diff_lines,
        calls_shown=CALLS_SHOWN,
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("loopwright.keep"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        line=lambda text: one_line(text, 600), plain=plain, short=short_id, usd=usd, duration=duration
    )
    return environment


def _diff_lines(diff: str) -> Iterator[tuple[str, str]]:
    """Each line of a diff with what it is: `add`, `del`, `hunk`, `file` or `same`."""
    for line in diff.split("\n"):
        if line.startswith(("+++", "---", "diff ", "index ")):
            yield "file", line
        elif line.startswith("@@"):
            yield "hunk", line
        elif line.startswith("+"):
            yield "add", line
        elif line.startswith("-"):
            yield "del", line
        else:
            yield "same", line
