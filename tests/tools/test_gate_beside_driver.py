"""The gate and the driver write to one run at the same time: neither stops the other, and an ask lets the run wait."""

import asyncio

from loopwright.engine.drive import Driver
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.state import State
from loopwright.kernel.values import Action, Budget, Propose, Spend
from loopwright.policy.values import Json, Rule
from loopwright.testing.clock import FakeClock
from loopwright.testing.noop import NoopPerformer, noop_loop, noop_start
from loopwright.tools.results import CallResult
from support.gates import PAY, SEND, Desk, FakeTool, desk

BOB: dict[str, Json] = {"to": "bob@example.org"}


class Calling(NoopPerformer):
    """Proposes nothing, and makes calls meanwhile."""

    def __init__(self, journal: Journal, tools: tuple[FakeTool, ...], clock: FakeClock, calls: int) -> None:
        self.journal = journal
        self.tools = tools
        self.clock = clock
        self.calls = calls
        self.results: list[CallResult] = []

    async def perform(self, state: State, action: Action) -> ev.Body:
        if isinstance(action.work, Propose):
            at = self.desk()
            for n in range(self.calls):
                more = [at.gate.call("agent", "api.ask", {"query": f"{action.id} {n} {m}"}) for m in range(3)]
                self.results += await asyncio.gather(*more)
                await asyncio.sleep(0)
            self.results.append(await at.gate.call("agent", "mail.send", BOB, action_id=action.id))
        return await super().perform(state, action)

    def desk(self) -> Desk:
        return desk(self.journal, *self.tools, run_id="run", rules=(Rule("ask", "mail.send"),), clock=self.clock)


def drive(journal: Journal, performer: Calling) -> State:
    driver = Driver(journal, "run", performer, driver_id="driver", now_ms=performer.clock, poll_s=0.001)
    return asyncio.run(driver.drive())


def test_a_run_waits_for_an_answer_and_goes_on_after_it_with_the_call_that_was_approved(journal: Journal) -> None:
    clock = FakeClock(step_ms=1)
    journal.append("run", [noop_start(3)], expect_seq=0, at_ms=clock())
    mail = FakeTool(SEND)
    performer = Calling(journal, (mail, FakeTool(PAY)), clock, calls=0)

    waiting = drive(journal, performer)
    assert waiting.finished is None
    assert [ask.ask_id for ask in waiting.asks] == ["q1"]
    assert waiting.inflight == ()
    assert [r.status for r in performer.results] == ["asked"]

    performer.desk().approve("q1")
    again = drive(journal, performer)  # the second iteration makes the same call, the third asks anew
    assert [r.status for r in performer.results] == ["asked", "ok", "asked"]
    assert len(mail.done) == 1
    assert [ask.ask_id for ask in again.asks] == ["q2"]

    performer.desk().deny("q2")
    done = drive(journal, performer)
    assert done.finished is not None
    assert len(mail.done) == 1


def test_many_calls_at_once_beside_a_driver_that_looks_all_the_time_stay_in_the_budget(journal: Journal) -> None:
    import msgspec

    clock = FakeClock(step_ms=1)
    start = noop_start(1)
    loop = msgspec.structs.replace(noop_loop(1), budget=Budget(usd_micros=1_000, iterations=1))
    journal.append("run", [msgspec.structs.replace(start, loop=loop)], expect_seq=0, at_ms=clock())
    ask = FakeTool(PAY, spend=Spend(usd_micros=70))
    performer = Calling(journal, (FakeTool(SEND), ask), clock, calls=8)
    drive(journal, performer)
    statuses = [r.status for r in performer.results]
    assert statuses.count("ok") == 14
    state = fold(journal.read("run"))
    assert state is not None
    assert (state.spent.usd_micros, len(ask.done)) == (980, 14)
