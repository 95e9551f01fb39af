"""How long a decision takes in a run with 200 past calls: `.venv/bin/python bench/policy.py [--json]`.

The bar is 1 ms at the median. The mix is what an agent does: reads, planned sends, sends that are asked about, unknown tools; outputs are
new for each run, so that nothing is remembered from an earlier decision of another run.
"""

import argparse
import json
import statistics
import time

from loopwright.kernel.values import Value
from loopwright.policy.decide import decide
from loopwright.policy.values import (
    Argument,
    CallBudget,
    CallView,
    Grant,
    OutputField,
    PastCall,
    PlanStep,
    Situation,
    Task,
    TaskPlan,
    ToolSpec,
)

BAR_MS = 1.0
PAST = 200
ROUNDS = 400
PROSE = "Words that say little. " * 8


class Figures(Value, frozen=True):
    call: str
    verdict: str
    median_ms: float
    p99_ms: float
    worst_ms: float


def situation(number: int) -> Situation:
    fields = (
        OutputField("[].id", "system", "item"),
        OutputField("[].sender", "system", "address"),
        OutputField("[].body", "free", private=True),
    )
    specs = (
        ToolSpec("list_mails", "read", (Argument("folder", "query", '{"type":"string"}'),), fields),
        ToolSpec(
            "send_mail", "send", (Argument("to", "target"), Argument("subject", "content"), Argument("body", "content"))
        ),
    )
    past = tuple(
        PastCall(
            f"c{i}", "agent", "list_mails", json.dumps({"folder": f"f{i}"}), f"d{i}", "allow", "ok", "both", i, 0,
            json.dumps([
                {"id": f"m{number}-{i}-{k}", "sender": f"p{k}@firm{i}.example", "body": f"Mail {k} of page {i}. {PROSE}"}
                for k in range(5)
            ]),
        )
        for i in range(PAST)
    )  # fmt: skip
    return Situation(
        Task("Read my mails and send a summary with the subject 'Summary' to bob@firm.example."),
        TaskPlan((PlanStep("send_mail", 1),)),
        Grant(("list_mails", "send_mail"), ("read", "send"), budget=CallBudget(calls=1000, per_minute=None)),
        specs, past, 10_000_000,
    )  # fmt: skip


def view(tool: str, **arguments: str) -> CallView:
    return CallView("agent", tool, json.dumps(arguments), "digest")


CALLS = {
    "read": view("list_mails", folder="inbox"),
    "planned send": view(
        "send_mail", to="bob@firm.example", subject="Summary", body="Five mails a page, none of them urgent. " * 10
    ),
    "send to a stranger": view(
        "send_mail", to="p3@firm150.example", subject="Summary", body="See m1-150-3 and call 555 123 4567."
    ),
    "a tool that is not there": view("drop_mail", id="m1"),
}


def measure(name: str, call: CallView) -> Figures:
    taken: list[float] = []
    verdict = ""
    fresh = max(1, ROUNDS // 40)
    for number in range(fresh):
        now = situation(number)
        for _ in range(ROUNDS // fresh):
            start = time.perf_counter_ns()
            verdict = decide(call, now).verdict
            taken.append((time.perf_counter_ns() - start) / 1e6)
    taken.sort()
    return Figures(name, verdict, statistics.median(taken), taken[int(len(taken) * 0.99) - 1], taken[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows = [measure(name, call) for name, call in CALLS.items()]
    worst = max(row.median_ms for row in rows)
    if chosen.json:
        table = [{field: getattr(row, field) for field in row.__struct_fields__} for row in rows]
        print(json.dumps({"past_calls": PAST, "bar_ms": BAR_MS, "ratio": worst / BAR_MS, "rows": table}))
    else:
        for row in rows:
            print(
                f"{row.call:<26} {row.verdict:<6} median {row.median_ms:.3f} ms   p99 {row.p99_ms:.3f} ms   worst {row.worst_ms:.3f} ms"
            )
        print(
            f"slowest median {worst:.3f} ms over {PAST} past calls = {worst / BAR_MS:.2f} of the bar of {BAR_MS:.0f} ms"
        )
    return 0 if worst <= BAR_MS else 1


if __name__ == "__main__":
    raise SystemExit(main())
