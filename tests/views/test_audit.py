"""An honest run has no finding; each fact that is left out, put in, or turned round is named with its event and rule."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.errors import JournalCorrupt
from loopwright.journal.checkpoint import journal_origin
from loopwright.journal.erasable import ErasableStore, envelope_of
from loopwright.journal.history import make_checkpoint
from loopwright.journal.note import make_key
from loopwright.journal.notes_file import NotesFile
from loopwright.journal.protocol import Head
from loopwright.journal.redact import Redactor
from loopwright.journal.stream import seal
from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallAsk, ToolCall
from loopwright.kernel.fold import fold
from loopwright.kernel.state import State
from loopwright.kernel.values import Spend, Stop
from loopwright.policy.values import CallBudget, Grant
from loopwright.views.audit import MEANINGS, Finding, audit
from loopwright.views.verify import VerifyReport, verify_all
from support.stores import NOW_MS, Store
from support.streams import START_MS, Stream, blob, runs, sample_loop
from support.worlds import World, play

GRANT = Grant(tools=("mail.send", "pay"), effects=("send",), budget=CallBudget(calls=5))
EXPIRES_MS = START_MS + 10**9
ORIGIN = journal_origin("/a/repository")
KEY = make_key("loopwright.audit", bytes(range(32)))


def bound(actor: str = "agent", grant: Grant = GRANT) -> ev.PolicyBound:
    return ev.PolicyBound(actor, blob("{}"), blob(msgspec.json.encode(grant).decode()), blob("{}"))


def requested(n: int, digest: str = "", actor: str = "agent", arguments: str = "{}") -> ev.CallRequested:
    return ev.CallRequested(
        ToolCall(f"c{n}", "", actor, "mail.send", "send", blob(arguments), "", digest or f"digest{n}"), ()
    )


def decided(n: int, verdict: Literal["allow", "ask", "deny"] = "allow") -> ev.CallDecided:
    return ev.CallDecided(f"c{n}", verdict, "r", "", "", ())


def asked(n: int, call: int, digest: str, expires_at_ms: int = EXPIRES_MS) -> ev.Asked:
    return ev.Asked(
        f"q{n}", "may it?", "call", CallAsk(f"c{call}", digest, f"nonce{n}", expires_at_ms, False, blob("card"))
    )


def intended(n: int, approval: str | None = None, usd: int = 0, key: str = "") -> ev.CallIntended:
    return ev.CallIntended(f"c{n}", key or f"key{n}", Spend(usd_micros=usd), approval)


def ended(n: int, usd: int = 0) -> ev.CallEnded:
    return ev.CallEnded(f"c{n}", "ok", "", None, Spend(usd_micros=usd))


HONEST: list[ev.Body] = [
    bound(),
    requested(1),
    decided(1),
    intended(1, usd=500),
    ended(1, usd=300),
    requested(2, "the same call"),
    decided(2, "ask"),
    asked(1, 2, "the same call"),
    ev.Answered("q1", "approve", "ada", "", "the same call"),
    requested(3, "the same call"),
    decided(3),
    intended(3, approval="q1"),
    ended(3),
    requested(4),
    decided(4, "deny"),
    bound("agent/helper", Grant(tools=("pay",), budget=CallBudget(calls=2))),
]
FINISHED = ev.RunFinished("goal", 0, "")


def run_of(bodies: list[ev.Body], *, finish: bool = True) -> list[ev.Event]:
    stream = Stream()
    stream.start()
    stream.driver()
    stream.observe(goal_met=True)
    for body in bodies:
        stream.add(body)
    if finish:
        stream.add(ev.Decided(Stop("goal"), "done"))
        stream.add(FINISHED)
    return stream.events


def findings(bodies: list[ev.Body], **how: bool) -> list[tuple[str, str]]:
    return [(found.rule, found.subject) for found in audit(run_of(bodies, **how)).findings]


def without(*places: int) -> list[ev.Body]:
    return [body for n, body in enumerate(HONEST) if n not in places]


def changed(place: int, body: ev.Body, *more: ev.Body) -> list[ev.Body]:
    return [*HONEST[:place], body, *more, *HONEST[place + 1 :]]


def test_an_honest_run_has_no_finding_and_is_counted() -> None:
    report = audit(run_of(HONEST))
    assert report.findings == () and report.ok
    assert (report.calls, report.effects, report.approvals) == (4, 2, 1)
    assert report.spent.usd_micros == 300


@given(runs())
@settings(max_examples=60, deadline=None)
def test_runs_without_calls_have_no_finding_at_any_point(events: list[ev.Event]) -> None:
    state = fold(events)
    assert audit(events).findings == ()
    assert state is not None and audit(events).spent == state.spent
    assert audit(events[: len(events) // 2]).findings == ()


@given(st.integers(0, 10**9), st.integers(1, 4), st.sampled_from([0.0, 0.3]))
@settings(max_examples=80, deadline=None)
def test_no_run_that_the_kernel_plays_has_a_finding(seed: int, jobs: int, trouble: float) -> None:
    """With failures, lost drivers, people who stop it at any moment, and actions beside each other."""
    rng = random.Random(seed)
    world = World(
        rng, green_after=rng.randint(0, 4), fail_rate=trouble, unknown_rate=trouble / 3, exhaust_rate=0.1,
        spend=lambda r: Spend(usd_micros=r.randrange(900), tokens=r.randrange(50)),
    )  # fmt: skip
    stop_at = rng.randrange(60)

    def meddle(state: State, _: random.Random) -> list[ev.Body]:
        return (
            [ev.StopRequested("ada", "enough")]
            if state.seq > stop_at and state.stop_requested is None and state.ending is None
            else []
        )

    state, events = play(sample_loop(), world, jobs=jobs, meddle=meddle if seed % 2 else lambda state, rng: ())
    report = audit(events)
    assert report.findings == ()
    assert report.spent == state.spent


CASES: dict[str, tuple[list[ev.Body], list[tuple[str, str]]]] = {
    "no request": (
        without(1),
        [("call.unrequested", "c1")] * 3 + [("call.gap", "c2"), ("call.gap", "c3"), ("call.gap", "c4")],
    ),
    "no decision": (without(2), [("call.undecided", "c1")]),
    "no intent": (without(3), [("run.illegal", "call_ended"), ("call.unintended", "c1")]),
    "no outcome": (without(4), [("call.no_outcome", "c1")]),
    "a denied call is done": (changed(2, decided(1, "deny")), [("call.denied_effect", "c1")]),
    "an asked call is done": (changed(2, decided(1, "ask")), [("call.unapproved", "c1")]),
    "a no becomes a yes": (
        changed(14, decided(4, "deny"), decided(4), intended(4), ended(4)),
        [("call.decided_twice", "c4"), ("call.denied_effect", "c4")],
    ),
    "a gap in the calls": (
        changed(13, requested(5), decided(5, "deny")),
        [("call.gap", "c5"), ("call.unrequested", "c4")],
    ),
    "no policy": (without(0), [("policy.unbound", "agent")] * 3),
    "a wider grant": (
        [*HONEST, bound(grant=Grant(tools=("mail.send", "pay", "shell"), budget=CallBudget(calls=5)))],
        [("grant.widened", "agent")],
    ),
    "a helper with more": (
        changed(15, bound("agent/helper", Grant(tools=("shell",)))),
        [("grant.widened", "agent/helper")],
    ),
    "a helper of a helper with more": (
        [*HONEST, bound("agent/helper/third", Grant(tools=("mail.send",), budget=CallBudget(calls=1)))],
        [("grant.widened", "agent/helper/third")],
    ),
    "a larger budget": (
        [*HONEST, bound(grant=Grant(tools=("pay",), budget=CallBudget(calls=6)))],
        [("grant.widened", "agent")],
    ),
    "a grant that cannot be read": (
        [*HONEST, ev.PolicyBound("other", blob(""), blob("?"), blob(""))],
        [("grant.unreadable", "other")],
    ),
    "an approval of nothing": (changed(11, intended(3, approval="q9")), [("approval.unknown", "c3")]),
    "an approval twice": (
        [*HONEST[:13], requested(4, "the same call"), decided(4), intended(4, approval="q1"), ended(4)],
        [("approval.consumed_twice", "c4")],
    ),
    "nobody answered": (without(8), [("approval.unanswered", "c3")]),
    "the answer was no": (
        changed(8, ev.Answered("q1", "deny", "ada", "", "the same call")),
        [("approval.denied", "c3")],
    ),
    "the answer was to another call": (
        changed(8, ev.Answered("q1", "approve", "ada", "", "another")),
        [("approval.other_call", "c3")],
    ),
    "the answer was to no call": (changed(8, ev.Answered("q1", "approve", "ada", "")), [("approval.other_call", "c3")]),
    "the arguments were swapped": (changed(9, requested(3, "another call")), [("approval.other_call", "c3")] * 2),
    "the approval was too old": (changed(7, asked(1, 2, "the same call", START_MS)), [("approval.expired", "c3")]),
    "a question out of nothing": (changed(6, decided(2)), [("ask.unexplained", "q1")]),
    "a question about another call": (
        changed(7, asked(1, 2, "another")),
        [("ask.unexplained", "q1"), ("approval.other_call", "c3")],
    ),
    "a question bound to no call": ([*HONEST, ev.Asked("q2", "?", "call")], [("ask.unexplained", "q2")]),
    "a nonce twice": (
        changed(14, decided(4, "ask"), msgspec.structs.replace(asked(1, 4, "digest4"), ask_id="q2")),
        [("ask.nonce_reused", "q2")],
    ),
    "two outcomes": (
        changed(4, ended(1, 300), ended(1, 300)),
        [("run.illegal", "call_ended"), ("call.ended_twice", "c1")],
    ),
    "two intents": (
        changed(3, intended(1, usd=500), intended(1, usd=500)),
        [("run.illegal", "call_intended"), ("call.intended_twice", "c1")],
    ),
    "more than was held": (changed(4, ended(1, 501)), [("call.over_reserve", "c1")]),
    "money comes back": (changed(4, ended(1, -1)), [("spend.negative", "c1")]),
    "one key for two calls": (
        [
            *HONEST[:9],
            requested(3, "the same call", arguments="[1]"),
            decided(3),
            intended(3, "q1", key="key1"),
            *HONEST[12:],
        ],
        [("key.reused", "c3")],
    ),
    "an action without intent": (
        [*HONEST, ev.ActionFailed("a9", "error", "", "", Spend())],
        [("run.illegal", "action_failed"), ("action.unintended", "a9")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_out_of_order_is_named(case: str) -> None:
    bodies, expected = CASES[case]
    assert findings(bodies) == expected


def test_every_rule_is_tried_and_says_what_it_means() -> None:
    tried = {rule for _, expected in CASES.values() for rule, _ in expected}
    # A sum that differs cannot be made of events: the kernel's fold and this one would have to disagree.
    assert tried | {"spend.differs", "action.no_outcome"} == set(MEANINGS)
    found = audit(run_of(CASES["the arguments were swapped"][0])).findings[0]
    assert isinstance(found, Finding) and found.meaning == MEANINGS["approval.other_call"]
    assert found.line().startswith(
        f"event {found.seq}: approval.other_call: c3: a call was done on an approval of a different"
    )


def test_the_reference_lists_every_rule_with_its_meaning() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "audit.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("| `") and "." in line.split("`")[1]]
    assert table == [f"| `{rule}` | {meaning} |" for rule, meaning in MEANINGS.items()]


def test_an_action_that_was_left_open_at_the_end_is_named() -> None:
    events = run_of([], finish=False)
    intent = next(e.body for e in events if isinstance(e.body, ev.ActionIntended))
    again = msgspec.structs.replace(intent, action=msgspec.structs.replace(intent.action, id="a9"))
    assert findings([again]) == [("run.illegal", "action_intended"), ("action.no_outcome", "a9")]


def test_calls_in_flight_at_a_fork_belong_to_the_parent() -> None:
    bodies: list[ev.Body] = [bound(), requested(1), decided(1), intended(1), ev.RunForked("p", 1, "", "b")]
    stream = Stream()
    stream.start()
    stream.driver()
    for body in bodies:
        stream.add(body)
    stream.add(ev.StopRequested("ada", "enough"))
    assert audit(stream.events).findings == ()


# --- the whole verification ---------------------------------------------------------------------------------------------
class Site:
    def __init__(self, root: Path) -> None:
        self.store = Store(root, None)
        self.notes = NotesFile(root / "state" / "x.notes")
        self.erasables = ErasableStore(root / "values", root / "keys", Redactor())

    def write(self, run_id: str, bodies: list[ev.Body]) -> None:
        journal = self.store.open()
        events = run_of(bodies)
        journal.append(run_id, [e.body for e in events], expect_seq=0, at_ms=[e.at_ms for e in events])

    def sign(self, at_ms: int = 5) -> str:
        made = make_checkpoint(self.store.open(), self.notes, ORIGIN, KEY, at_ms)
        assert made is not None
        return made[0]

    def verify(self, streams: list[str] | None = None, *, copies: tuple[bytes, ...] = ()) -> VerifyReport:
        return verify_all(
            self.store.open(),
            ORIGIN,
            self.notes,
            [KEY.verifier],
            streams=streams,
            copies=copies,
            erasables=self.erasables,
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.store.close()


def text(report: VerifyReport) -> str:
    assert not report.ok and report.exit_code == 7
    return "\n".join(report.lines())


def test_a_good_journal_verifies_and_says_how_much_of_it_is_signed(site: Site) -> None:
    site.write("r1", HONEST)
    unsigned = site.verify()
    assert unsigned.ok and "nothing was signed yet" in unsigned.notes[0] and unsigned.streams[0].signed == 0
    site.sign()
    site.write("r2", HONEST)
    site.store.open().append("loop:fix", [ev.TriggerSkipped("t", "s", 1, "missed", "", "")], expect_seq=0)
    report = site.verify()
    assert report.ok and report.exit_code == 0 and report.notes == ()
    found = {s.stream: (s.signed == s.chain.count, s.audit is not None) for s in report.streams}
    assert found == {"r1": (True, True), "r2": (False, True), "loop:fix": (False, False)}
    assert report.checkpoints.count == 1 and report.checkpoints.last_at_ms == 5
    assert [s.stream for s in site.verify(["r2"]).streams] == ["r2"]


def test_a_run_that_is_out_of_order_fails_though_its_chain_is_whole(site: Site) -> None:
    site.write("r1", CASES["a denied call is done"][0])
    assert "call.denied_effect: c1: a call was done although it was denied" in text(site.verify())


def test_a_finding_that_was_tidied_away_is_found_by_the_checkpoint(site: Site) -> None:
    site.write("r1", CASES["a denied call is done"][0])
    site.sign()
    events = run_of(HONEST)
    _, rows, head = seal("r1", [e.body for e in events], None, [e.at_ms for e in events], Redactor())
    site.store.execute("DELETE FROM events")
    for row in rows:
        site.store.execute("INSERT INTO events (run_id, seq, bytes, digest) VALUES ('r1', ?, ?, ?)", row)
    site.store.execute("UPDATE heads SET seq = ?, digest = ?", (head.seq, head.digest))
    report = site.verify()
    assert report.streams[0].chain.ok and report.streams[0].audit is not None and report.streams[0].audit.ok
    assert "not the ones that a checkpoint signed: the stream was rewritten" in text(report)


def test_tampering_in_the_middle_is_named_by_the_chain(site: Site) -> None:
    site.write("r1", HONEST)
    site.sign()
    site.store.execute("UPDATE events SET bytes = CAST(replace(bytes, 'ada', 'eve') AS BLOB) WHERE seq = 13")
    assert "event 13 is changed" in text(site.verify())


@pytest.mark.parametrize("value", ["'text'", "7", "bytes || ''"])
def test_a_row_of_another_type_is_a_change_and_no_crash(site: Site, value: str) -> None:
    """A column of SQLite takes any type: what is no blob must be named like any other change."""
    site.write("r1", HONEST)
    site.sign()
    site.store.execute(f"UPDATE events SET bytes = {value} WHERE seq = 13")
    assert "event 13 is changed: it is not stored as bytes" in text(site.verify())
    site.store.execute("UPDATE heads SET seq = seq + 1")
    with pytest.raises(JournalCorrupt, match="nothing was signed"):
        site.sign()


def test_a_run_that_grows_while_it_is_verified_is_no_break(site: Site) -> None:
    site.write("r1", HONEST)
    journal = site.store.open()
    heads = [msgspec.structs.replace(head, seq=head.seq - 1) for head in journal.heads()]

    class Growing:
        """The first look at the head comes before the last event, all others after it."""

        def __getattr__(self, name: str) -> object:
            return getattr(journal, name)

        def head(self, run_id: str) -> Head | None:
            return heads.pop() if heads else journal.head(run_id)

    assert verify_all(Growing(), ORIGIN, site.notes, [KEY.verifier]).ok  # type: ignore[arg-type]
    site.store.execute("UPDATE heads SET seq = seq - 1")
    assert "was put behind it" in text(site.verify())


def test_a_journal_that_was_deleted_is_not_an_empty_one(site: Site) -> None:
    site.write("r1", HONEST)
    site.sign()
    site.store.execute("DELETE FROM events")
    site.store.execute("DELETE FROM heads")
    assert "stream 'r1': a checkpoint signed" in text(site.verify())
    assert site.verify(["other"]).problems == ()


def test_a_machine_that_was_set_back_is_found_by_the_copy_that_was_pushed(site: Site) -> None:
    site.write("r1", HONEST)
    copy = site.sign().encode() + b"\n"
    site.notes.path.unlink()
    site.store.execute("DELETE FROM events")
    site.store.execute("DELETE FROM heads")
    assert site.verify().ok, "on its own the machine knows of nothing"
    found = text(site.verify(copies=(copy,)))
    assert "copy 1: rolled_back" in found and "the stream was deleted" in found
    site.write("r1", HONEST[:5])
    site.sign()
    assert "copy 1: forked: stream 'r1'" in text(site.verify(copies=(copy,)))


def test_notes_that_were_forged_are_a_problem_of_the_journal(site: Site) -> None:
    site.write("r1", HONEST)
    note = site.sign()
    site.notes.path.write_text(note.replace("at 5", "at 6") + "\n")
    assert "does not fit the text" in text(site.verify())
    site.notes.path.write_text(note)
    assert site.verify().ok and "never finished" in site.verify().notes[0]


def test_an_erased_value_is_told_and_a_lost_one_is_a_problem(site: Site, tmp_path: Path) -> None:
    ref, other = site.erasables.put(b"Ada, born 1815"), site.erasables.put(b"Charles, born 1791")
    bodies = changed(4, msgspec.structs.replace(ended(1), output=ref))
    bodies[12] = msgspec.structs.replace(ended(3), output=other)
    site.write("r1", bodies)
    site.sign()
    assert site.verify().ok
    site.erasables.erase(ref, by="ada", why="asked", at_ms=NOW_MS)
    report = site.verify()
    assert report.ok and report.streams[0].erased == 1
    assert "1 values were erased" in "\n".join(report.lines())
    (tmp_path / "keys" / f"{envelope_of(other).id}.key").unlink()
    assert "the erasable value that it refers to is missing" in text(site.verify())


def test_a_blob_that_is_gone_is_named(site: Site, tmp_path: Path) -> None:
    output = site.store.open().blobs.put(b"long output " * 1000)
    site.write("r1", changed(4, msgspec.structs.replace(ended(1), output=output)))
    next((tmp_path / ".loopwright" / "blobs").rglob("*.zst")).unlink()
    assert f"blob {output.sha256}" in text(site.verify())
