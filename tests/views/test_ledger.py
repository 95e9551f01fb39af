"""What `loopwright cost` says."""

from hypothesis import given

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.kernel.calls import ToolCall
from loopwright.views.cost import cost_view
from loopwright.views.run import run_view
from support.streams import BASE_TREE, Stream, prefixes


@given(prefixes())
def test_the_rows_add_up_to_the_totals_and_to_the_runs_view(events: list[ev.Event]) -> None:
    view, run = cost_view(events), run_view(events, driven=False)
    assert (view.own, view.inherited) == (run.spend, run.inherited)
    assert sum(r.usd_micros for r in view.rows) == view.own.usd_micros + view.inherited.usd_micros
    for lines in (view.by_beat, view.by_rung):
        assert sum(line.wall_ms for line in lines) == view.own.wall_ms
        assert sum(line.tokens for line in lines) == view.own.tokens


def test_a_row_says_what_the_money_was_for() -> None:
    view = cost_view(Stream().fixed().events)
    (row,) = [r for r in view.rows if r.usd_micros]
    assert (row.beat, row.rung, row.iteration, row.status, row.tokens) == ("propose", 0, 1, "ok", 3_210)
    assert [line.name for line in view.by_beat] == ["observe", "plan", "propose", "evaluate", "keep", "deliver"]


def test_a_failed_action_costs_what_it_cost() -> None:
    stream = Stream()
    stream.start()
    stream.fail(val.Propose(BASE_TREE, 0, 4), "timeout")
    (row,) = cost_view(stream.events).rows
    assert (row.status, row.wall_ms) == ("timeout", 30)


def test_a_reserve_shows_until_its_action_ends_and_is_never_spend() -> None:
    stream = Stream()
    stream.start()
    stream.intend(val.Propose(BASE_TREE, 0, 4), val.Spend(usd_micros=70_000))
    view = cost_view(stream.events)
    assert (view.open_reserve.usd_micros, view.own.usd_micros, view.rows) == (70_000, 0, ())


def test_before_the_fork_is_inherited() -> None:
    stream = Stream().fixed()
    before = cost_view(stream.events).own
    stream.add(ev.RunForked("run-1", len(stream.events), "", "loopwright/fix/run-2"))
    stream.observe()
    view = cost_view(stream.events)
    assert view.inherited == before
    assert view.own == val.Spend(wall_ms=900)
    assert [line.name for line in view.by_beat] == ["observe"]


def test_a_tool_call_is_a_row_of_the_ledger_and_its_reserve_shows_until_it_ends() -> None:
    arguments = val.BlobRef("0" * 64, 2, "application/json", inline="{}")
    call = ToolCall("c1", "", "agent", "api.ask", "net_read", arguments, "", "d" * 64)
    held, paid = val.Spend(usd_micros=100, tokens=7), val.Spend(usd_micros=60, tokens=5, wall_ms=30)
    bodies: list[ev.Body] = [
        ev.CallRequested(call, ()),
        ev.CallDecided("c1", "allow", "plan", "it is in the plan", "", ()),
        ev.CallIntended("c1", "k1", held),
        ev.CallEnded("c1", "ok", "", None, paid),
    ]
    events = [ev.Event("r1", seq, 1_000, "", body, "") for seq, body in enumerate(bodies, 1)]
    open_view = cost_view(events[:3])
    assert (open_view.open_reserve, open_view.own, open_view.rows) == (held, val.Spend(), ())
    view = cost_view(events)
    (row,) = view.rows
    assert (row.action_id, row.beat, row.subject, row.status, row.usd_micros) == ("c1", "call", "api.ask", "ok", 60)
    assert (view.own, view.open_reserve) == (paid, val.Spend())
    assert [(line.name, line.actions, line.usd_micros) for line in view.by_beat] == [("call", 1, 60)]
