"""Realistic streams of events for tests: a builder that reads like a run, and Hypothesis strategies over whole runs.

The digests chain as in a journal but are not those of the journal's codec; tests of the chain build their own.
"""

import hashlib
from collections.abc import Sequence

from hypothesis import strategies as st

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.kernel.loop import EvaluatePolicy, Loop, Permit, RepairRung, StopRules, TestsSource

__all__ = [
    "BASE_COMMIT",
    "BASE_TREE",
    "START_MS",
    "Stream",
    "blob",
    "hostile_text",
    "oid",
    "prefixes",
    "runs",
    "sample_loop",
]

START_MS = 1_760_000_000_000


def oid(text: str) -> str:
    """A git object id that stands for `text`."""
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


BASE_COMMIT = oid("base commit")
BASE_TREE = oid("base tree")


def blob(text: str, media_type: str = "text/plain") -> val.BlobRef:
    """A reference that carries its text inline."""
    data = text.encode()
    return val.BlobRef(hashlib.sha256(data).hexdigest(), len(data), media_type, text)


def sample_loop(**changes: object) -> Loop:
    """The fix loop; `changes` replace its fields."""
    tests = TestsSource(run="python -m pytest -q")
    fields: dict[str, object] = {
        "name": "fix",
        "goal": "Make the failing tests pass without changing what they mean.",
        "when": (),
        "observe": (tests,),
        "act": (RepairRung(),),
        "evaluate": EvaluatePolicy(tests=tests, protect=("tests/",)),
        "stop": StopRules(),
        "budget": val.Budget(usd_micros=2_000_000, tokens=500_000, wall_ms=1_800_000, iterations=20),
        "permit": Permit(write=("src/",)),
        "deliver": "branch",
    }
    fields.update(changes)
    return Loop(**fields)  # type: ignore[arg-type]  # the defaults above give every field its type


class Stream:
    """Appends facts and keeps seq, clock and chain. Every method returns what the next step needs; `events` is the run so far."""

    def __init__(self, run_id: str = "run-1", at_ms: int = START_MS, step_ms: int = 1_000) -> None:
        self.run_id = run_id
        self.at_ms = at_ms
        self.step_ms = step_ms
        self.events: list[ev.Event] = []
        self.actions = 0
        self.proposals = 0

    def add(self, body: ev.Body, *, after_ms: int | None = None) -> ev.Event:
        self.at_ms += self.step_ms if after_ms is None else after_ms
        prev = self.events[-1].digest if self.events else ""
        seq = len(self.events) + 1
        digest = hashlib.sha256(
            f"{prev}|{self.run_id}|{seq}|{self.at_ms}|{body!r}".encode(errors="replace")
        ).hexdigest()
        event = ev.Event(self.run_id, seq, self.at_ms, prev, body, digest)
        self.events.append(event)
        return event

    def start(self, loop: Loop | None = None, *, notes: Sequence[str] = (), ticket: str | None = None) -> None:
        branch = f"loopwright/{(loop or sample_loop()).name}/{self.run_id}"
        self.add(
            ev.RunStarted(
                loop=loop or sample_loop(),
                loop_digest="0" * 64,
                base_commit=BASE_COMMIT,
                base_tree=BASE_TREE,
                branch=branch,
                jobs=2,
                trigger="hand",
                ticket=ticket,
                notes=tuple(notes),
                seed=7,
                version="0.1.0",
            )
        )

    def driver(self, sandbox: str = "bubblewrap, no network", *, after_ms: int | None = None) -> None:
        self.add(ev.DriverStarted("driver", "host", 4242, "0.1.0", sandbox), after_ms=after_ms)

    def intend(self, work: val.Work, reserve: val.Spend | None = None) -> str:
        self.actions += 1
        action_id = f"a{self.actions}"
        effect: val.Effect = "read" if isinstance(work, val.Observe | val.MakePlan) else "write"
        self.add(ev.ActionIntended(val.Action(action_id, effect, work, 600), reserve or val.Spend()))
        return action_id

    def observe(
        self, tree: str = BASE_TREE, *, goal_met: bool = False, summary: str = "1 of 3 tests fail", content: str = "{}"
    ) -> None:
        action_id = self.intend(val.Observe(tree))
        seen = val.Observation(
            action_id, "tests", self.at_ms, blob(content, "application/json"), "untrusted", summary, goal_met
        )
        self.add(ev.Observed(action_id, (seen,), goal_met, val.Spend(wall_ms=900)))

    def plan(self, iteration: int, *, rung: int = 0, tree: str = BASE_TREE, rationale: str = "look at add()") -> None:
        action_id = self.intend(val.MakePlan(tree, rung))
        self.add(ev.Planned(action_id, iteration, rung, val.Plan(("look",), rationale), val.Spend(wall_ms=1)))

    def proposal(
        self,
        title: str = "use + instead of -",
        *,
        content: str = "x = 1\n",
        path: str = "src/add.py",
        diff: str | None = None,
    ) -> val.Proposal:
        self.proposals += 1
        change = val.Change(path, "100644", blob(content))
        shown = diff if diff is not None else f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-x = 0\n+{content}"
        return val.Proposal(
            f"p{self.proposals}", "repair", title, "the sign is wrong", (change,), oid(path + content), blob(shown)
        )

    def propose(self, *proposals: val.Proposal, rung: int = 0, tree: str = BASE_TREE, exhausted: bool = False) -> None:
        action_id = self.intend(val.Propose(tree, rung, 8), val.Spend(usd_micros=50_000, tokens=9_000))
        self.add(
            ev.Proposed(
                action_id,
                proposals,
                exhausted,
                None,
                None,
                f"{len(proposals)} edits at 2 places",
                val.Spend(usd_micros=12_345, tokens=3_210, wall_ms=2_000),
            )
        )

    def judge(
        self,
        proposal: val.Proposal,
        status: str = "pass",
        *,
        summary: str = "3 of 3 tests pass",
        score: float | None = None,
        verifier: str = "tests",
        evidence: str | None = None,
        tree: str = BASE_TREE,
    ) -> None:
        action_id = self.intend(val.Evaluate(tree, proposal.id))
        verdict = val.Verdict(verifier, status, summary, score, blob(evidence) if evidence is not None else None)  # type: ignore[arg-type]
        self.add(ev.Judged(action_id, proposal.id, (verdict,), val.Spend(wall_ms=1_500)))

    def decide(self, decision: val.Decision, why: str = "3 of 3 tests pass, none broke") -> None:
        self.add(ev.Decided(decision, why))

    def keep(self, proposal: val.Proposal, iteration: int, *, parent: str = BASE_COMMIT) -> str:
        """Returns the commit."""
        self.decide(val.Keep(proposal.id))
        action_id = self.intend(val.KeepProposal(proposal.id, iteration, parent, self.at_ms))
        commit = oid(f"{self.run_id} {proposal.id}")
        self.add(ev.Kept(action_id, proposal.id, iteration, commit, oid(commit), val.Spend(wall_ms=20)))
        return commit

    def fail(self, work: val.Work, status: str = "error", message: str = "no such command: 'pytets'") -> None:
        action_id = self.intend(work)
        self.add(ev.ActionFailed(action_id, status, message, message, val.Spend(wall_ms=30)))  # type: ignore[arg-type]

    def deliver(self, head: str = BASE_COMMIT, places: tuple[str, ...] = ("branch loopwright/fix/run-1",)) -> None:
        action_id = self.intend(val.Deliver("branch", head))
        self.add(ev.Delivered(action_id, "branch", places, val.Spend(wall_ms=2)))

    def finish(self, reason: val.StopReason = "goal", exit_code: int = 0, summary: str = "all tests pass") -> None:
        self.add(ev.RunFinished(reason, exit_code, summary))

    def fixed(self) -> "Stream":
        """A whole run: one edit crashes, one fails, the third is kept and reaches the goal."""
        self.start()
        self.driver()
        self.observe()
        self.plan(1)
        offered = [self.proposal(title, content=f"x = {n}\n") for n, title in enumerate(("drop it", "use *", "use +"))]
        self.propose(*offered)
        self.judge(offered[0], "crash", summary="the suite could not be collected")
        self.judge(offered[1], "fail", summary="test_add still fails", score=2.0)
        self.judge(offered[2], "pass", score=3.0)
        commit = self.keep(offered[2], 1)
        self.observe(oid(commit), goal_met=True, summary="3 of 3 tests pass")
        self.decide(val.Stop("goal"), "every source says that the goal is met")
        self.deliver(commit)
        self.finish()
        return self


# --- strategies -------------------------------------------------------------------------------------------------------
hostile_text: st.SearchStrategy[str] = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "",
            "\x1b[2J\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
            "\u202etxt.exe\u2066",
            "![x](http://evil.example/?q) <img src=x onerror=alert(1)> [a](javascript:alert(1))",
            "```\n# heading\n</pre><script>alert(1)</script>",
            "a | b | c\n\n- item\n> quote\n\tcode",
            "http://evil.example www.evil.example a@b.example @someone #12",
            "`" * 7,
            "--- a\n+++ b\ndiff --git a b\nFrom x\n-- >8 --",
            "&lt;b&gt; &#60;",
            "\r\nLoopwright-Run: forged\r\n",
        ]
    ),
)


@st.composite
def runs(draw: st.DrawFn, text: st.SearchStrategy[str] = hostile_text) -> list[ev.Event]:
    """A run from its start to any end, or to where its drivers stopped; drivers die, people interfere, forks happen."""
    stream = Stream(step_ms=draw(st.integers(0, 5_000)))
    stream.start(
        sample_loop(goal=draw(text), deliver=draw(st.sampled_from(["branch", "patch", "file"]))),
        notes=draw(st.lists(text, max_size=2)),
        ticket=draw(st.none() | text),
    )
    stream.driver(draw(st.sampled_from(["bubblewrap, no network", "plain processes, not sandboxed"])))
    stream.observe(goal_met=draw(st.booleans()), summary=draw(text))
    parent = BASE_COMMIT
    for iteration in range(1, draw(st.integers(0, 4)) + 1):
        _interfere(draw, stream, text)
        stream.plan(iteration, rung=draw(st.integers(0, 2)), rationale=draw(text))
        offered = [
            stream.proposal(draw(text), content=draw(text), diff=draw(st.none() | text))
            for _ in range(draw(st.integers(0, 3)))
        ]
        stream.propose(*offered, exhausted=draw(st.booleans()))
        for proposal in offered:
            if draw(st.integers(0, 5)) == 0:
                stream.fail(val.Evaluate(BASE_TREE, proposal.id), draw(_ENDS), draw(text))
            else:
                stream.judge(
                    proposal,
                    draw(st.sampled_from(["pass", "fail", "inconclusive", "crash"])),
                    summary=draw(text),
                    score=draw(st.none() | st.floats(-1e6, 1e6)),
                    verifier=draw(st.sampled_from(["tests", "metric", "guard", "review"])),
                    evidence=draw(st.none() | text),
                )
        keeps = draw(st.booleans())
        if offered and keeps:
            chosen = draw(st.sampled_from(offered))
            if draw(st.booleans()):
                stream.decide(val.Retry((chosen.id,)), draw(text))
                stream.judge(chosen, "pass")
            parent = stream.keep(chosen, iteration, parent=parent)
            stream.observe(oid(parent), goal_met=draw(st.booleans()))
        else:
            stream.decide(val.Revert(), draw(text))
            if draw(st.booleans()):
                stream.decide(val.Escalate(1), draw(text))
    if draw(st.booleans()):
        stream.decide(val.Stop("goal"), draw(text))
        stream.deliver(parent, tuple(draw(st.lists(text, max_size=2))))
        stream.finish(draw(st.sampled_from(["goal", "plateau", "usd", "stopped"])), draw(st.integers(0, 7)), draw(text))
    return stream.events


_ENDS = st.sampled_from(["error", "timeout", "denied", "unknown", "cancelled"])


def _interfere(draw: st.DrawFn, stream: Stream, text: st.SearchStrategy[str]) -> None:
    match draw(st.integers(0, 9)):
        case 0:  # killed in the middle of an action, taken over later
            action_id = stream.intend(val.MakePlan(BASE_TREE, 0))
            stream.driver(after_ms=draw(st.integers(0, 10**8)))
            stream.add(ev.ActionFailed(action_id, "unknown", draw(text), "unknown", val.Spend()))
        case 1:
            stream.add(ev.PauseRequested("ann", draw(text)))
            stream.add(ev.RunPaused(draw(text)))
            stream.add(ev.RunResumed("ann"), after_ms=draw(st.integers(0, 10**8)))
            stream.driver()
        case 2:
            stream.add(ev.Asked("q1", draw(text), "impossible"))
            if draw(st.booleans()):
                stream.add(ev.Answered("q1", "deny", "ann", draw(text)))
        case 3:
            parent, stream.run_id = stream.run_id, f"{stream.run_id}f"
            stream.events = [ev.Event(stream.run_id, e.seq, e.at_ms, e.prev, e.body, e.digest) for e in stream.events]
            stream.add(
                ev.RunForked(parent, len(stream.events), stream.events[-1].digest, f"loopwright/fix/{stream.run_id}")
            )
            stream.driver()
        case 4:
            stream.add(ev.LimitsChanged("ann", val.Budget(usd_micros=draw(st.integers(0, 10**9)))))
            stream.add(ev.Salvaged("refs/loopwright/salvage/1", draw(text)))
            stream.fail(val.MakePlan(BASE_TREE, 0), draw(_ENDS), draw(text))
        case _:
            pass


@st.composite
def prefixes(draw: st.DrawFn, text: st.SearchStrategy[str] = hostile_text) -> list[ev.Event]:
    """What is in the journal when a driver was killed at any moment of any run."""
    events = draw(runs(text))
    return events[: draw(st.integers(0, len(events)))]
