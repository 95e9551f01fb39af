"""The reports of a run: what a reviewer needs is there, and nothing that anybody wrote can act upon the reader."""

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from loopwright.keep.facts import REASONS, Facts, gather
from loopwright.keep.html import render_html
from loopwright.keep.markdown import render_markdown
from loopwright.keep.markup import code, fenced, prose
from loopwright.keep.plot import plot_of
from loopwright.keep.report import write_report
from loopwright.keep.results import results_tsv
from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.suite.report import SuiteReport, TestCase
from loopwright.testing.memory import MemoryBlobs
from loopwright.views.run import run_view
from support.streams import BASE_TREE, Stream, hostile_text, oid, prefixes, sample_loop

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
OURS = {"heading_open", "paragraph_open", "bullet_list_open", "list_item_open", "fence", "table_open"}


def facts_of(events: list[ev.Event]) -> Facts:
    return gather(run_view(events, driven=False), events, MemoryBlobs())


def suite(*statuses: str, flaky: tuple[str, ...] = ()) -> str:
    cases = tuple(
        TestCase(f"test_{n}", status, 1, "" if status == "passed" else f"message {n}")  # type: ignore[arg-type]
        for n, status in enumerate(statuses)
    )
    status = "green" if set(statuses) == {"passed"} else "red"
    return msgspec.json.encode(SuiteReport(("pytest",), status, 0, 800, cases, flaky, "")).decode()  # type: ignore[arg-type]


def fixed_run(sandbox: str = "bubblewrap, no network") -> Stream:
    """Four proposals: one crashes, one fails, one is kept, one passes as well."""
    stream = Stream()
    stream.start(ticket="tickets/7.md", notes=["notes.txt is uncommitted"])
    stream.driver(sandbox)
    stream.observe(content=suite("passed", "failed", "failed"), summary="2 of 3 tests fail")
    stream.plan(1)
    crash, fail, good, other = (stream.proposal(f"edit {n}", content=f"x = {n}\n") for n in range(4))
    stream.propose(crash, fail, good, other)
    stream.judge(crash, "crash", summary="the suite could not be collected")
    stream.judge(fail, "fail", summary="breaks test 0", score=0.0, evidence=suite("failed", "failed", "failed"))
    stream.judge(good, "pass", summary="fixes 1 of 2", score=2.0, evidence=suite("passed", "passed", "failed"))
    stream.judge(other, "pass", summary="fixes 1 of 2", score=2.0, evidence=suite("passed", "passed", "failed"))
    commit = stream.keep(good, 1)
    stream.observe(
        oid(commit), content=suite("passed", "passed", "failed", flaky=("test_1",)), summary="1 of 3 tests fails"
    )
    stream.decide(val.Stop("plateau"), "nothing better in 5 iterations")
    stream.deliver(commit)
    stream.finish("plateau", 5, "")
    return stream


class TestResults:
    def test_every_judged_proposal_has_a_row_with_one_of_four_statuses(self) -> None:
        stream = fixed_run()
        commit = run_view(stream.events, driven=False).kept[0].commit[:12]
        assert results_tsv(run_view(stream.events, driven=False)).splitlines() == [
            "commit\tmetric\tstatus\tdescription",
            "-\t\tcrash\tedit 0",
            "-\t0\tchecks_failed\tedit 1",
            f"{commit}\t2\tkeep\tedit 2",
            "-\t2\tdiscard\tedit 3",
        ]

    def test_no_better_is_discarded_and_breaking_something_is_a_failed_check(self) -> None:
        stream = Stream()
        stream.start()
        stream.plan(1)
        worse, breaks, unjudged = (stream.proposal(str(n), content=str(n)) for n in range(3))
        stream.propose(worse, breaks, unjudged)
        stream.judge(worse, "fail", verifier="metric", score=-0.25)
        stream.judge(breaks, "fail", verifier="guard")
        rows = [r.split("\t")[1:3] for r in results_tsv(run_view(stream.events, driven=False)).splitlines()[1:]]
        assert rows == [["-0.25", "discard"], ["", "checks_failed"]]

    def test_a_proposal_that_could_never_be_judged_is_a_crash_without_a_metric(self) -> None:
        stream = Stream()
        stream.start()
        stream.plan(1)
        proposal = stream.proposal("hangs")
        stream.propose(proposal)
        stream.fail(val.Evaluate(BASE_TREE, proposal.id), "timeout", "no answer")
        assert results_tsv(run_view(stream.events, driven=False)).splitlines()[1] == "-\t\tcrash\thangs"

    @given(prefixes())
    def test_every_row_has_four_cells_whatever_titles_say(self, events: list[ev.Event]) -> None:
        lines = results_tsv(run_view(events, driven=False)).split("\n")
        assert lines.pop() == ""
        for line in lines:
            assert line.count("\t") == 3
            assert not {unicodedata.category(c) for c in line if c != "\t"} & HIDDEN


class TestMarkdown:
    def test_a_reviewer_finds_outcome_change_evidence_and_commands(self) -> None:
        text = render_markdown(facts_of(fixed_run().events))
        assert "**The goal is not reached: too many iterations in a row kept nothing; 1 change was kept.**" in text
        assert "- Ticket: `tickets/7.md`" in text
        assert "- Note: notes.txt is uncommitted" in text
        assert "### Iteration 1: edit 2" in text
        assert "```diff\n--- a/src/add.py\n+++ b/src/add.py\n@@ -1 +1 @@\n-x = 0\n+x = 2\n```" in text
        assert "| before | 1 | 2 | 0 | 0 | red | 800 ms |" in text
        assert "| after | 2 | 1 | 0 | 0 | red | 800 ms |" in text
        assert "Fixed: 1\n\n- `test_1`" in text
        assert "Failing at the end: 1\n\n- `test_2`: message 2" in text
        assert "Flaky (failed and then passed on the same files): `test_1`" in text
        assert "- Iteration 1, crash: edit 0: tests: the suite could not be collected" in text
        assert "### Other proposals that passed" in text
        assert "#### edit 3" in text
        assert "- Merge it: `git merge --no-ff loopwright/fix/run-1`" in text
        assert "- Throw it away: `git branch -D loopwright/fix/run-1`" in text

    def test_without_a_sandbox_it_says_so_plainly_and_with_one_it_does_not(self) -> None:
        warning = "Commands ran as plain processes: they were NOT sandboxed."
        bare = facts_of(fixed_run("plain processes, not sandboxed").events)
        assert warning in render_markdown(bare)
        assert warning in render_html(bare)
        boxed = facts_of(fixed_run().events)
        assert "NOT sandboxed" not in render_markdown(boxed) + render_html(boxed)

    def test_when_nothing_was_kept_there_is_nothing_to_merge(self) -> None:
        stream = Stream()
        stream.start()
        stream.driver()
        stream.observe()
        text = render_markdown(facts_of(stream.events))
        assert "**The run is interrupted, no process drives it; so far nothing was kept.**" in text
        assert "Nothing was kept, so there is no branch." in text
        assert "git merge" not in text
        assert "`loopwright resume run-1`" in text

    def test_a_fork_says_what_its_parent_spent(self) -> None:
        stream = fixed_run()
        stream.add(ev.RunForked("run-0", len(stream.events), "", "loopwright/fix/run-1"))
        text = render_markdown(facts_of(stream.events))
        assert "- Forked from run `run-0` at event" in text
        assert (
            "$0.01, 3,210 tokens and 1 iteration were spent by the run it was forked from, $0.00 and 0 tokens" in text
        )

    @given(prefixes())
    @settings(max_examples=60)
    def test_nothing_that_anybody_wrote_becomes_markup(self, events: list[ev.Event]) -> None:
        """No link, image, HTML, emphasis or heading but ours, in any renderer that follows CommonMark and tables."""
        text = render_markdown(facts_of(events))
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
        kinds = {
            t.type for t in tokens if t.nesting >= 0 and not t.type.startswith(("thead", "tbody", "tr_", "th_", "td_"))
        }
        assert kinds <= OURS | {"inline"}
        inline = {child.type for t in tokens for child in t.children or ()}
        assert inline <= {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
        assert not {unicodedata.category(c) for c in text if c not in "\n\t"} & HIDDEN
        headings = [tokens[n + 1].content for n, t in enumerate(tokens) if t.type == "heading_open" and t.tag == "h2"]
        assert headings == [
            "What was asked",
            "What was changed, and why",
            "Evidence",
            "What else was tried",
            "What it cost",
            "How it was isolated",
            "What you can do now",
        ]

    @given(hostile_text)
    def test_a_code_span_shows_exactly_its_text(self, text: str) -> None:
        (paragraph,) = [t for t in MarkdownIt().parse(f"x {code(text)} y") if t.type == "inline"]
        spans = [c.content for c in paragraph.children or () if c.type == "code_inline"]
        from loopwright.views.text import one_line

        assert spans == ([one_line(text, 400)] if one_line(text) else [])

    @given(hostile_text)
    def test_a_fenced_block_ends_where_it_should(self, text: str) -> None:
        tokens = MarkdownIt().parse(fenced(text) + "\nafter")
        assert [t.type for t in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]

    @pytest.mark.parametrize(
        "text",
        [
            "see http://evil.example",
            "www.evil.example",
            "a@b.example",
            "@someone",
            "#12",
            "1. x",
            "a_b_c",
            "x*y*",
            "$x$",
        ],
    )
    def test_what_renderers_turn_into_links_or_more_stands_in_a_code_span(self, text: str) -> None:
        assert prose(text) == f"`{text}`"

    def test_harmless_words_stay_prose(self) -> None:
        assert (
            prose("fixes 1 of 2 failing tests, breaks none (4 pass)")
            == "fixes 1 of 2 failing tests, breaks none (4 pass)"
        )


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


class TestHtml:
    @given(prefixes())
    @settings(max_examples=40)
    def test_nothing_that_anybody_wrote_becomes_a_tag_or_an_attribute(self, events: list[ev.Event]) -> None:
        source = render_html(facts_of(events))
        page = _Page(source)
        assert not set(page.tags) & {"script", "img", "a", "iframe", "link", "form", "object", "b1"}
        names = {name for name, _ in page.attributes}
        assert not [n for n in names if n.startswith("on") or n in ("href", "src", "style")]
        assert page.tags.count("style") == page.tags.count("main") == page.tags.count("h1") == 1
        assert not {unicodedata.category(c) for c in source if c not in "\n\t"} & HIDDEN

    def test_only_its_own_style_sheet_is_allowed(self) -> None:
        import base64
        import hashlib

        source = render_html(facts_of(fixed_run().events))
        style = re.search(r"<style>(.*)</style>", source, re.DOTALL)
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', source)
        assert style is not None
        assert policy is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert f"default-src 'none'; style-src 'sha256-{digest}'" in policy[1].replace("&#39;", "'").replace(
            "&#43;", "+"
        )
        assert "://" not in source

    def test_it_tells_the_same_as_the_markdown(self) -> None:
        facts = facts_of(fixed_run().events)
        words = " ".join(_Page(render_html(facts)).text.split())
        for part in (
            facts.headline,
            "Fixed: 1",
            "+x = 2",
            "git merge --no-ff loopwright/fix/run-1",
            "the suite could not be collected",
            "tickets/7.md",
        ):
            assert part in words


class TestPlot:
    def test_points_stand_in_order_and_higher_is_better(self) -> None:
        plot = plot_of(facts_of(fixed_run().events))
        assert plot is not None
        assert plot.measure == "Tests that pass"
        assert [p.status for p in plot.points] == ["crash", "checks_failed", "keep", "discard"]
        assert [p.x for p in plot.points] == sorted(p.x for p in plot.points)
        crash, fail, kept, other = (p.y for p in plot.points)
        assert crash == fail > kept == other

    def test_the_running_best_starts_at_the_base_and_rises_at_the_keep(self) -> None:
        plot = plot_of(facts_of(fixed_run().events))
        assert plot is not None
        ys = [float(corner.split(",")[1]) for corner in plot.best.split()]
        assert len(ys) == 4
        assert ys[0] == ys[1] > ys[2] == ys[3] == plot.points[2].y

    def test_without_any_value_there_is_no_picture(self) -> None:
        assert plot_of(facts_of([])) is None
        stream = Stream()
        stream.start()
        stream.plan(1)
        proposal = stream.proposal()
        stream.propose(proposal)
        stream.judge(proposal, "crash")
        facts = facts_of(stream.events)
        assert plot_of(facts) is None
        assert "<svg" not in render_html(facts)


def test_every_reason_to_stop_has_its_words() -> None:
    assert set(REASONS) == set(get_args(val.StopReason))


def test_the_diff_of_a_lost_blob_is_said_to_be_missing() -> None:
    stream = fixed_run()
    bodies = [e.body for e in stream.events]
    at = next(n for n, b in enumerate(bodies) if isinstance(b, ev.Proposed))
    offered = bodies[at]
    assert isinstance(offered, ev.Proposed)
    lost = tuple(msgspec.structs.replace(p, diff=val.BlobRef("0" * 64, 10)) for p in offered.proposals)
    stream.events[at] = msgspec.structs.replace(
        stream.events[at], body=msgspec.structs.replace(offered, proposals=lost)
    )
    text = render_markdown(facts_of(stream.events))
    assert "The diff is not stored; it changes `src/add.py`." in text


def test_a_long_diff_is_cut_and_says_so() -> None:
    stream = Stream()
    stream.start()
    stream.plan(1)
    proposal = stream.proposal(diff="".join(f"+line {n}\n" for n in range(1_000)))
    stream.propose(proposal)
    stream.keep(proposal, 1)
    text = render_markdown(facts_of(stream.events))
    assert "+line 399\n" in text
    assert "+line 400\n" not in text
    assert "601 more lines are left out here." in text


def test_the_three_files_are_written_and_written_again(tmp_path: Path) -> None:
    stream = fixed_run()
    view = run_view(stream.events, driven=False)
    for _ in range(2):
        paths = write_report(view, stream.events, MemoryBlobs(), tmp_path / "runs" / "run-1")
        assert [p.name for p in paths] == ["report.md", "report.html", "results.tsv"]
        assert sorted(p.name for p in paths[0].parent.iterdir()) == ["report.html", "report.md", "results.tsv"]
    assert paths[2].read_text().startswith("commit\tmetric\tstatus\tdescription\n")


def test_of_very_many_proposals_that_passed_a_few_are_shown() -> None:
    stream = Stream()
    stream.start()
    stream.plan(1)
    offered = [stream.proposal(f"edit {n}", content=str(n)) for n in range(9)]
    stream.propose(*offered)
    for proposal in offered:
        stream.judge(proposal, "pass")
    stream.keep(offered[0], 1)
    text = render_markdown(facts_of(stream.events))
    assert text.count("#### edit ") == 5
    assert text.count(", discard: edit ") == 8


def test_a_delivered_patch_is_named_with_the_command_that_applies_it() -> None:
    stream = Stream()
    stream.start(sample_loop(deliver="patch"))
    stream.plan(1)
    proposal = stream.proposal()
    stream.propose(proposal)
    commit = stream.keep(proposal, 1)
    stream.deliver(commit, ("runs/a b/fix.patch",))
    text = render_markdown(facts_of(stream.events))
    assert "- Delivered: `runs/a b/fix.patch`" in text
    assert "- Apply the patch elsewhere: `git am 'runs/a b/fix.patch'`" in text
    assert "Delivered" not in render_markdown(facts_of(fixed_run().events))
