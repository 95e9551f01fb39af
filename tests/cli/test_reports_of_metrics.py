"""The reports of metric loops as a user finds them: after a run, while it waits for a person, and with a proposer that means harm."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from support.command_line import Ended, git, loopwright, repository
from support.evaluating import branch, program, report, rows, run, untouched
from support.two_faults import UNSANDBOXED

MODEL = "X = 2  # tune: X in [0, 10] int\nY = 1  # tune: Y in [0, 4] int\n"
SCORE = "import model\nprint(f'METRIC loss={(model.X - 7) ** 2 + (model.Y - 3) ** 2}')\n"
NOISY = "import model, os\nnoise = int.from_bytes(os.urandom(4)) / 2**32\nprint(f'METRIC loss={10 * abs(model.X - 7) + noise}')\n"
HOSTILE = "<script>alert(1)</script> `x` | y |\n\n# Pwned [a](javascript:b) <!-- &amp; ![i](http://e.example/i.png)"
PROPOSALS = f"""\
step = task['iteration']
edit('model.py', 'X = ', f'X = {{({{1: 5, 2: 1, 3: 0}}).get(step)}} #')
if step == 3:
    edit('model.py', 'X = 0', 'X = 1 / 0')
if step > 3:
    edit('model.py', 'X = None #', 'X = ')
    says(impossible={HOSTILE!r})
else:
    says(title=str(step) + {HOSTILE!r}, rationale={HOSTILE!r})
"""


class Page(HTMLParser):
    """What a browser would make of it: tags, attributes, text. Fails on tags that do not match."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "circle", "line", "polyline", "polygon", "rect", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.cells: list[int] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += 1
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the Markdown table whose first cell is `heading`, its own row left out; cells as they are written."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            break
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def verb(where: Path, *argv: str) -> Ended:
    return loopwright(*argv, cwd=where, env=UNSANDBOXED)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A noisy metric loop with one proposal of each kind (kept, discarded, crashed), that now waits for a person."""
    where = tmp_path_factory.mktemp("hostile") / "repo"
    repository(where, {"model.py": MODEL, "score.py": NOISY, ".gitignore": "__pycache__/\n"})
    metric = f"metric: {{run: '{sys.executable} score.py', name: loss, goal: min}}, protect: [score.py]"
    text = (
        f'---\nname: better\nact: [{{command: "{program(where, PROPOSALS)}"}}]\nevaluate: {{{metric}}}\n'
        "stop: {iterations: 9, minutes: 5}\ndeliver: branch\n---\nLower the loss.\n"
    )
    return where, run(where, text)


def check_reports(where: Path) -> None:
    """The same in all three files, whatever a proposer called its work."""
    text = report(where)
    assert re.search(r"\*\*.*loss is better by \d+\.?\d*: with 95 % between", text)
    heads = table(text, "state")
    assert [len(row) for row in heads] == [4, 4]
    assert [row[0].split(":")[0].strip("`") for row in heads] == ["the base", "iteration 1"]
    base, kept = (float(row[1]) for row in heads)
    assert 50 <= base <= 51
    assert 20 <= kept <= 21
    assert "Runs of the same code differ by 0." in text
    assert "# Pwned" not in text.splitlines()
    assert not [line for line in text.splitlines() if line.startswith("# ") and not line.startswith("# Run ")]
    assert "ZeroDivisionError" in text

    found = rows(where)
    assert [(len(row), row[2]) for row in found] == [(4, "keep"), (4, "discard"), (4, "crash")]
    assert 20 <= float(found[0][1]) <= 21
    assert 60 <= float(found[1][1]) <= 61
    assert found[2][:2] == ["-", ""], "a crash is a status, not a number"

    page = report(where, "report.html")
    seen = Page(page)
    assert not {"script", "img", "iframe", "object"} & set(seen.tags)
    assert not [link for link in seen.links if not link.startswith("#")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "polygon" in seen.tags, "the noise is drawn as a band"
    assert seen.tags.count("circle") + seen.tags.count("rect") + seen.tags.count("path") >= 3


def test_the_report_of_a_run_that_waits_says_all_that_is_known(waiting: tuple[Path, Ended]) -> None:
    where, done = waiting
    assert (done.code, done.json()["stop_reason"]) == (3, "waiting"), done
    assert Path(str(done.json()["report"])) == where / ".loopwright/runs" / str(done.json()["run"]) / "report.md"
    for file in (where / ".loopwright/runs").glob("*/report.*"):
        file.unlink()
    shown = verb(where, "show")
    assert shown.code == 0, shown
    assert "waiting for a person's answer" in shown.out
    assert "Open question `q1`" in shown.out
    check_reports(where)


def test_a_proposer_that_means_harm_breaks_no_report(waiting: tuple[Path, Ended]) -> None:
    """Its words stand in the title of a table's row, in a commit, in a picture and in a question."""
    where, _ = waiting
    check_reports(where)
    for line in verb(where, "log", "last").out.splitlines():
        assert re.match(r" *\d+  \d{4}-\d\d-\d\d ", line), "one line an event"
    assert len(verb(where, "approvals").out.splitlines()) <= 4
    subject, *_ = git(where, "log", "-1", "--format=%s", branch(where)).splitlines()
    assert subject.startswith("better: 1<script>")
    assert untouched(where)


def test_the_report_of_the_same_run_once_it_has_ended(waiting: tuple[Path, Ended]) -> None:
    where, done = waiting
    status = verb(where, "status", "--json").json()
    if status["status"] != "finished":
        agreed = verb(where, "approve", f"{done.json()['run']}:q1", "--json")
        assert (agreed.code, agreed.json()["stop_reason"]) == (1, "impossible"), agreed
    check_reports(where)
    assert "Open question" not in report(where)
    assert f"`{branch(where)}`" in report(where)
    assert untouched(where)


# --- held out -----------------------------------------------------------------------------------------------------------------
def improve(where: Path, hold: str, *more: str) -> Ended:
    repository(where, {"model.py": MODEL, "score.py": SCORE, "hold.py": hold, ".gitignore": "__pycache__/\n"})
    argv = ("improve", "--run", "python score.py", "--metric", "loss", "--goal", "min", "--edit", "model.py")
    return verb(where, *argv, "--holdout", "python hold.py", "--json", *more)


def test_a_gain_that_holds_on_what_is_held_out_is_shown_beside_it(tmp_path: Path) -> None:
    where = tmp_path / "repo"
    done = improve(where, SCORE.replace("loss={", "loss={1000 + "), "--target", "0")
    assert (done.code, done.json()["stop_reason"]) == (0, "goal"), done
    text = report(where)
    assert "On what is held out: 1029 at the base, 1000 at the end (better by 29)." in text
    heads = table(text, "state")
    assert (heads[0][1], heads[0][3], heads[-1][1], heads[-1][3]) == ("29", "1029", "0", "1000")
    for _, value, _, held in heads:
        assert float(held) == float(value) + 1000
    assert "1029" in report(where, "report.html")


def test_a_metric_that_rises_while_what_is_held_out_falls_ends_the_run(tmp_path: Path) -> None:
    """After two keeps in a row; what was kept stays, and the report says what became of the rest."""
    where = tmp_path / "repo"
    done = improve(where, "import model\nprint(f'METRIC loss={abs(model.X - 2) + abs(model.Y - 1)}')\n")
    told = done.json()
    assert (done.code, told["stop_reason"], told["kept"]) == (5, "drift", 2), done
    assert "the holdout fell in 2 keeps in a row while loss got better" in str(told["summary"])
    text = report(where)
    assert re.search(r"On what is held out: 0 at the base, \d+ at the end \(worse by \d+\)", text)
    heads = table(text, "state")
    assert [float(row[3]) for row in heads] == sorted(float(row[3]) for row in heads)
    assert len(heads) == 3
    assert untouched(where)
