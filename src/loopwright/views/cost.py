"""The ledger: what every action and every tool call cost, and what the run cost in all.

A row an outcome, from the event that ended the action or the call; what an action reserved and did not use never shows. Everything before
a fork's marker was paid by the parent run: it is listed as inherited and not part of the fork's own totals.
"""

from collections.abc import Callable, Iterable

import msgspec

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.views.text import one_line
from loopwright.views.work import beat_of, subject_of

__all__ = ["CostLine", "CostRow", "CostView", "cost_view"]


class CostRow(val.Value, frozen=True):
    """`status` is `ok` or that of the failure; `rung` the place on the ladder while it ran, `None` before the first plan.

    A tool call has the beat `call`, its id as `action_id` and its tool as `subject`.
    """

    seq: int
    at_ms: int
    action_id: str
    iteration: int
    rung: int | None
    beat: str
    subject: str
    status: str
    usd_micros: int
    tokens: int
    wall_ms: int
    inherited: bool


class CostLine(val.Value, frozen=True):
    """A total over the rows of one beat or one rung."""

    name: str
    actions: int
    usd_micros: int
    tokens: int
    wall_ms: int


class CostView(val.Value, frozen=True):
    """`own` and `inherited` never overlap. `open_reserve` is set aside for actions and calls without outcome; it is not spent."""

    run_id: str
    rows: tuple[CostRow, ...]
    own: val.Spend
    inherited: val.Spend
    open_reserve: val.Spend
    by_beat: tuple[CostLine, ...]
    by_rung: tuple[CostLine, ...]


def cost_view(events: Iterable[ev.Event]) -> CostView:
    """The ledger after these events; any prefix of a run will do."""
    rows: list[CostRow] = []
    flying: dict[str, ev.ActionIntended] = {}
    tools: dict[str, str] = {}
    calling: dict[str, ev.CallIntended] = {}
    run_id, iteration, rung, own_from, iterations_before = "", 0, None, 0, 0
    for event in events:
        run_id = event.run_id
        match event.body:
            case ev.RunForked():
                own_from, iterations_before = len(rows), iteration
                flying.clear()
                calling.clear()
            case ev.ActionIntended() as intent:
                flying[intent.action.id] = intent
            case ev.CallRequested(call=call):
                tools[call.call_id] = call.tool
            case ev.CallIntended() as intent:
                calling[intent.call_id] = intent
            case ev.CallEnded() as ended:
                calling.pop(ended.call_id, None)
                rows.append(_call_row(event, ended, tools.get(ended.call_id, ""), iteration, rung))
            case ev.RunFinished():
                flying.clear()
                calling.clear()
            case outcome if isinstance(outcome, ev.Outcome):
                if isinstance(outcome, ev.Planned):
                    iteration, rung = outcome.iteration, outcome.rung
                rows.append(_row(event, outcome, flying.pop(outcome.action_id, None), iteration, rung))
    rows = [_as_inherited(row) if n < own_from else row for n, row in enumerate(rows)]
    own = [row for row in rows if not row.inherited]
    return CostView(
        run_id=run_id,
        rows=tuple(rows),
        own=_total(own, max(0, iteration - iterations_before)),
        inherited=_total([row for row in rows if row.inherited], iterations_before),
        open_reserve=_reserved([*flying.values(), *calling.values()]),
        by_beat=_lines(own, lambda row: row.beat),
        by_rung=_lines(own, lambda row: "before the first plan" if row.rung is None else f"rung {row.rung + 1}"),
    )


def _row(
    event: ev.Event,
    outcome: ev.Outcome,
    intent: ev.ActionIntended | None,
    iteration: int,
    rung: int | None,
) -> CostRow:
    return CostRow(
        seq=event.seq,
        at_ms=event.at_ms,
        action_id=outcome.action_id,
        iteration=iteration,
        rung=rung,
        beat=beat_of(intent.action.work) if intent else ev.kind_of(outcome),
        subject=subject_of(intent.action.work) if intent else "",
        status=outcome.status if isinstance(outcome, ev.ActionFailed) else "ok",
        usd_micros=outcome.spend.usd_micros,
        tokens=outcome.spend.tokens,
        wall_ms=outcome.spend.wall_ms,
        inherited=False,
    )


def _call_row(event: ev.Event, ended: ev.CallEnded, tool: str, iteration: int, rung: int | None) -> CostRow:
    return CostRow(
        seq=event.seq,
        at_ms=event.at_ms,
        action_id=ended.call_id,
        iteration=iteration,
        rung=rung,
        beat="call",
        subject=one_line(tool),
        status=ended.status,
        usd_micros=ended.spend.usd_micros,
        tokens=ended.spend.tokens,
        wall_ms=ended.spend.wall_ms,
        inherited=False,
    )


def _as_inherited(row: CostRow) -> CostRow:
    return msgspec.structs.replace(row, inherited=True)


def _total(rows: list[CostRow], iterations: int) -> val.Spend:
    return val.Spend(
        sum(r.usd_micros for r in rows), sum(r.tokens for r in rows), sum(r.wall_ms for r in rows), iterations
    )


def _reserved(intents: Iterable[ev.ActionIntended | ev.CallIntended]) -> val.Spend:
    total = val.Spend()
    for intent in intents:
        total = total.plus(intent.reserve)
    return total


def _lines(rows: list[CostRow], name_of: Callable[[CostRow], str]) -> tuple[CostLine, ...]:
    lines: dict[str, CostLine] = {}
    for row in rows:
        name = name_of(row)
        was = lines.get(name, CostLine(name, 0, 0, 0, 0))
        lines[name] = CostLine(
            name, was.actions + 1, was.usd_micros + row.usd_micros, was.tokens + row.tokens, was.wall_ms + row.wall_ms
        )
    return tuple(lines.values())
