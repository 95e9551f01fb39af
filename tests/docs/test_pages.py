"""The hand-written pages say what the code does: their tables are compared with it, their examples are run, their links lead somewhere."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from loopwright.evaluate.review.answer import parse_answer
from loopwright.keep.results import HEADER, ResultStatus
from loopwright.kernel.loop import Metric, StopRules
from loopwright.kernel.stop import EXIT_CODES
from loopwright.kernel.stop.plateau import patience
from loopwright.loopfile import parse as parse_loop
from loopwright.suite.metric import parse_metric
from loopwright.suite.quarantine import parse as parse_quarantine

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("README.md")]
)


def rows(page: Path, columns: int) -> list[list[str]]:
    """The rows of the tables of a page that have so many columns, their heads aside."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if len(row) == columns]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def block(page: Path, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t]
    assert [t for t in targets if t and not (page.parent / t).exists()] == []


def test_the_index_names_every_page() -> None:
    text = (DOCS / "README.md").read_text()
    pages = [p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md") if p != DOCS / "README.md"]
    assert [p for p in pages if f"({p})" not in text] == []


def test_the_guide_has_every_reason_with_its_exit_code() -> None:
    told = {reason: int(row[1]) for row in rows(DOCS / "guide/stopping.md", 6)[1:] for reason in code(row[0])}
    assert told == EXIT_CODES


def test_the_guide_has_the_defaults_of_the_rules() -> None:
    loop = parse_loop("---\nname: x\nact: [repair]\nevaluate: {tests: pytest}\n---\nx\n", source="x.md").loop
    assert loop.budget.iterations is not None and loop.budget.wall_ms is not None
    expected = {
        f"stop.{name}": value
        for name, value in msgspec.structs.asdict(StopRules()).items()
        if name != "worth_usd_micros"
    } | {"stop.iterations": loop.budget.iterations, "stop.minutes": loop.budget.wall_ms // 60_000}
    told = {
        code(row[4])[0]: row[3].strip("`") for row in rows(DOCS / "guide/stopping.md", 6)[1:] if row[3] and code(row[4])
    }
    assert {key: told.get(key) for key in expected} == {key: str(value) for key, value in expected.items()}


def test_the_guide_has_the_patience_before_the_first_keep() -> None:
    assert f"Before the first keep that is {patience(0, 0)}," in (DOCS / "guide/stopping.md").read_text()


def test_every_rule_that_the_guide_switches_off_can_be_switched_off() -> None:
    off = [code(row[4])[0].removeprefix("stop.") for row in rows(DOCS / "guide/stopping.md", 6) if row[5] == "`none`"]
    keys = ", ".join(f"{key}: none" for key in off)
    text = f"---\nname: x\nact: [repair]\nevaluate: {{tests: pytest}}\nstop: {{{keys}}}\n---\nx\n"
    rules = msgspec.structs.asdict(parse_loop(text, source="x.md").loop.stop)
    assert len(off) == 7
    assert [rules[key] for key in off] == [None] * 7


def test_the_page_of_the_metric_loop_has_its_defaults() -> None:
    metric, text = Metric("run", "name", "min"), (DOCS / "guide/improve.md").read_text()
    assert f"measured {metric.calibrate} times (`calibrate`)" in text
    assert f"{metric.pairs} pairs (`pairs`)" in text
    assert f"`false_keeps: {metric.false_keeps}`" in text
    assert metric.simpler


def test_the_lines_that_the_metric_page_shows_are_read() -> None:
    text = (DOCS / "reference/metric-command.md").read_text()
    shown = re.findall(r"^    (.*val_loss.*)$", text, re.MULTILINE)
    assert len(shown) == 3
    assert {parse_metric(line, "val_loss").value for line in shown} == {0.9932}
    several = parse_metric("METRIC val_loss=0.99 peak_mb=512", "val_loss", ("peak_mb",))
    assert (several.value, several.others[0].value) == (0.99, 512.0)


def test_what_the_metric_page_says_is_refused_is_refused() -> None:
    page = DOCS / "reference/metric-command.md"
    refused = [v for row in rows(page, 3) if row[1] and not code(row[1]) for v in code(row[0])]
    assert len(refused) == 8
    assert {parse_metric(f"METRIC x={value}", "x").status for value in refused} == {"invalid"}


def test_the_metric_page_has_every_status() -> None:
    told = {word for row in rows(DOCS / "reference/metric-command.md", 3) for word in code(row[1])}
    assert {"ok", "crash", "timeout", "missing", "invalid"} == told


def test_the_quarantine_that_is_shown_can_be_read() -> None:
    page = DOCS / "reference/quarantine.md"
    (entry,) = parse_quarantine(block(page, "toml"), dt.date(2026, 11, 22))
    assert {key for row in rows(page, 2)[1:] for key in code(row[0])} == set(msgspec.structs.asdict(entry))


def test_the_results_that_are_shown_have_the_columns_and_statuses() -> None:
    page = DOCS / "reference/reports.md"
    head, *lines = [line.split("\t") for line in block(page, "text").splitlines()]
    assert tuple(head) == HEADER
    statuses = set(ResultStatus.__args__)  # type: ignore[attr-defined]
    assert {line[2] for line in lines} <= statuses
    assert statuses <= set(code(next(row[1] for row in rows(page, 2) if row[0] == "`status`")))


@pytest.mark.parametrize(("removed", "verdict"), [("-    raise ValueError(x)", "object"), ("-    return 1", "unsure")])
def test_the_judge_that_is_shown_gives_an_answer(tmp_path: Path, removed: str, verdict: str) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"diff": f"--- a/x.py\n+++ b/x.py\n@@ -1 +0,0 @@\n{removed}\n"}))
    told = {"LOOPWRIGHT_REVIEW": str(tmp_path / "request.json"), "LOOPWRIGHT_RESULT": str(tmp_path / "result.json")}
    program = block(DOCS / "reference/judges.md", "python")
    subprocess.run([sys.executable, "-c", program], env={**os.environ, **told}, check=True, timeout=60)
    assert parse_answer((tmp_path / "result.json").read_bytes()).verdict == verdict


def test_the_page_of_the_judges_has_every_key_that_they_are_given() -> None:
    given = re.findall(
        r'^            "(\w+)": ', (ROOT / "src/loopwright/evaluate/review/request.py").read_text(), re.MULTILINE
    )
    told = code((DOCS / "reference/judges.md").read_text())
    assert len(given) > 10
    assert [key for key in given if key not in told] == []
