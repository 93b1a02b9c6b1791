"""Fills that no message told of: read back to the last one that is booked, and no further."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.exchanges.base import ExchangeError
from market_maker.exchanges.missed_fills import MissedFills
from market_maker.exchanges.throttle import RateBudget
from market_maker.model.rows import Row
from tests.exchanges.venues import VENUES


class History:
    """An account with *count* fills, a page at a time, the newest page first."""

    def __init__(self, count: int, pages_work: bool = True) -> None:
        self.asked = self.fails = self.fails_on = 0
        self._rows: list[Row] = [
            {"execType": "Trade", "symbol": "XBTUSD", "execID": str(n), "orderID": f"o{n}"}
            | {"transactTime": f"2026-11-28T00:{n // 60:02}:{n % 60:02}.000Z"}
            for n in reversed(range(count))
        ]
        self._pages_work = pages_work

    def fetch_rows(self, table: str, count: int, start: int = 0, **_: Any) -> list[Row]:
        self.asked += 1
        if self.fails or self.asked == self.fails_on:
            self.fails = max(0, self.fails - 1)
            raise ExchangeError(0, "timed out")
        start = start if self._pages_work else 0
        return self._rows[start : start + count]


class State:
    symbol = "XBTUSD"


class Quiet(State):
    """Nothing is missed in this run."""

    connections = 1
    booked_qty = 0.0

    class orders:
        traded_qty = 0.0


def watching(
    history: History,
    state: Any,
    clock: ManualClock,
    budget: RateBudget | None = None,
    is_booked: Callable[[Row], bool] = lambda row: False,
) -> MissedFills:
    connector: Any = history
    return MissedFills(connector, state, budget or RateBudget(clock, 300, 1.0), clock, is_booked)


@pytest.mark.parametrize(
    ("count", "booked", "pages_work", "budget", "found", "asked"),
    [
        (0, 0, True, 300, 0, 1),
        (99, 0, True, 300, 99, 1),
        (250, 0, True, 300, 250, 3),  # all of them are news
        (250, 160, True, 300, 100, 1),  # the page ends in what is known
        (450, 200, True, 300, 300, 3),
        (250, 0, False, 300, 100, 2),  # a venue that knows no pages
        (250, 0, True, 2, 0, 2),  # no more than the rate budget allows, and then anew
        (5_000, 0, True, 300, 1_000, 10),
    ],
)
def test_the_history_is_read_back_to_what_is_booked(
    count: int, booked: int, pages_work: bool, budget: float, found: int, asked: int
) -> None:
    history, clock = History(count, pages_work), ManualClock()
    missed = watching(
        history,
        State(),
        clock,
        RateBudget(clock, budget, 1.0),
        lambda row: int(row["execID"]) < booked,
    )
    rows: list[Row] = []
    missed.look_back(rows.extend)
    assert len(rows) == found
    assert history.asked == asked
    numbers = [int(row["execID"]) for row in rows]
    assert numbers == sorted(numbers), "oldest first"


@pytest.mark.parametrize("trouble", ["no answer", "no budget"])
def test_a_page_that_does_not_come_leaves_nothing_out(trouble: str) -> None:
    """What is booked of a part of the history would end the next search in it."""
    history, clock, booked = History(250), ManualClock(), set[str]()
    budget = RateBudget(clock, 5, 1.0)
    budget.take(0 if trouble == "no answer" else 3)
    missed = watching(history, Quiet(), clock, budget, lambda row: row["execID"] in booked)
    history.fails_on = 2 if trouble == "no answer" else 0
    missed.look_back(lambda rows: booked.update(row["execID"] for row in rows))
    for _ in range(30):
        clock.sleep(1)
        missed.step()
    assert len(booked) == 250


def test_a_venue_may_tell_the_oldest_first() -> None:
    history, clock = History(60), ManualClock()
    history._rows.reverse()
    missed = watching(history, State(), clock)
    rows: list[Row] = []
    missed.look_back(rows.extend)
    assert [int(row["execID"]) for row in rows] == list(range(60))


@pytest.mark.parametrize("trouble", ["no budget", "no answer"])
def test_a_look_back_that_cannot_be_made_at_the_start_is_made_later(trouble: str) -> None:
    history, clock = History(60), ManualClock()
    budget, rows = RateBudget(clock, 300, 1.0), list[Row]()
    missed = watching(history, Quiet(), clock, budget)
    if trouble == "no budget":
        while budget.take(1):
            pass
    else:
        history.fails = 1
    missed.look_back(rows.extend)
    assert rows == []
    clock.sleep(30)
    missed.step()
    missed.step()
    assert len(rows) == 60, "and once"


def test_a_venue_that_never_answers_is_not_asked_in_every_round() -> None:
    history, clock = History(60), ManualClock()
    missed = watching(history, Quiet(), clock)
    history.fails = 1_000
    missed.look_back(lambda _: None)
    for _ in range(200):
        clock.sleep(1)
        missed.step()
    assert history.asked == 10, "after 2, 4, 8, 16, and then every 32 s"


class Shaken(Quiet):
    """A connection was lost while an order was filled, and its row has told so since."""

    connections = 2

    def __init__(self) -> None:
        self.orders, self.traded_qty = self, 100.0

    def has_seen(self, _: str) -> bool:
        return True

    def take_fills(self, rows: list[Row], _: Any) -> None:
        self.booked_qty = 100.0 * len(rows)


@pytest.mark.parametrize("fails", [1, 3, 6])
def test_a_history_that_does_not_come_is_asked_for_until_it_does(fails: int) -> None:
    history, clock, state = History(1), ManualClock(), Shaken()
    state.connections, state.traded_qty = 1, 0.0
    missed = watching(history, state, clock)
    missed.step()
    state.connections, state.traded_qty, history.fails = 2, 100.0, fails
    for _ in range(120):
        clock.sleep(1)
        missed.step()
    assert (state.booked_qty, history.asked) == (100.0, fails + 1)


def test_a_history_that_does_not_come_for_a_day_ends_nothing() -> None:
    history, clock = History(1), ManualClock()
    missed, booked = watching(history, Quiet(), clock), list[Row]()
    history.fails = 2_000
    missed.look_back(booked.extend)
    for _ in range(2_000):
        clock.sleep(43)
        missed.step()
    assert history.asked == 2_001 and len(booked) == 1


def test_a_difference_that_the_history_does_not_explain_is_asked_for_three_times() -> None:
    history, clock, state = History(0), ManualClock(), Shaken()
    missed = watching(history, state, clock)
    for _ in range(120):
        clock.sleep(1)
        missed.step()
    assert history.asked == 3


def test_after_a_reconnect_the_history_is_asked_for_at_once_and_once() -> None:
    history, clock, state = History(0), ManualClock(), Quiet()
    missed = watching(history, state, clock)
    for connections, asked in [(1, 0), (1, 0), (2, 1), (2, 1), (3, 2)]:
        state.connections = connections
        missed.step()
        assert history.asked == asked


@pytest.mark.parametrize("told", [True, False])
def test_at_the_end_the_last_fills_are_waited_for_and_then_asked_for(told: bool) -> None:
    history, clock, state = History(1), ManualClock(), Ending()
    missed = watching(history, state, clock)
    state.told_by = 2 if told else 1_000
    missed.end()
    assert state.booked_qty == 100.0
    assert history.asked == (0 if told else 1)


def test_at_the_end_they_are_asked_for_from_what_was_kept_for_cancels() -> None:
    history, clock, state = History(1), ManualClock(), Ending()
    budget = RateBudget(clock, 300, 1.0, reserve=20)
    while budget.take(1):
        pass
    watching(history, state, clock, budget).end()
    assert (state.booked_qty, history.asked) == (100.0, 1)


class Ending(State):
    """An order is filled; the stream tells of it in the drain number `told_by`."""

    connections = 1

    def __init__(self) -> None:
        self.wake, self.orders, self.booked_qty = threading.Event(), self, 0.0
        self.traded_qty, self.told_by, self.drains = 100.0, 0, 0

    def drain(self) -> None:
        self.drains += 1
        if self.drains == self.told_by:
            self.booked_qty = 100.0

    def has_seen(self, _: str) -> bool:
        return True

    def take_fills(self, rows: list[Row], _: Any) -> None:
        self.booked_qty += 100.0 * len(rows)


@pytest.mark.parametrize(
    "name", ["bitmex classic", "okx by rest", "hitbtc by rest", "binance by rest"]
)
def test_the_history_goes_back_further_than_a_page(name: str) -> None:
    venue = VENUES[name]
    world = venue.world(seed=1, **venue.options)
    for index in range(230):
        order = {"symbol": world.symbol, "side": "Buy" if index % 2 else "Sell", "orderQty": 100}
        world.engine.place(world.account.number, {**order, "ordType": "Market"})
        world.clock.sleep(0.1)
    connector, found = world.connector(world.settings(), venue.profile, None), set[str]()
    for start in range(0, 1_000, 100):
        asked = {"count": 100, "reverse": "true", "start": start}
        rows = connector.fetch_rows("execution/tradeHistory", **asked)
        found |= {row["execID"] for row in rows}
        if len(rows) < 100:
            break
    executions = world.engine.executions(world.account.number)
    assert len(found) == len([e for e in executions if e.fill is not None]) >= 230
