"""Random lives of orders over a wire that loses, delays, repeats and cuts off, with deaths between.

Whatever happens, what the bot believes must bound what can happen at the exchange; and once the
trouble is over, both must agree.
"""

import logging
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from market_maker.clock import ManualClock
from market_maker.exchanges.base import ExchangeError
from market_maker.exchanges.desk import Desk
from market_maker.exchanges.gateway import GatewayRules
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal
from tests.exchanges.lossy import FATES, Died, LossyExchange

FATE = st.sampled_from((*FATES[:1] * 4, *FATES))
SIDE = st.sampled_from(["Buy", "Sell"])
QTY = st.integers(1, 9)
PICK = st.integers(0, 99)


class OrderMachine(RuleBasedStateMachine):
    """The real gateway, store and journal against a tiny exchange that judges them."""

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("root").setLevel(logging.CRITICAL)
        self.clock = ManualClock()
        self.journal = Journal(":memory:", self.clock)  # lives on, as a file does
        self.exchange = LossyExchange(self.clock)
        self.lives = 0
        self.begin()

    def begin(self) -> None:
        """A new process, on the journal that the last one left."""
        self.exchange.fate = "ok"
        self.lives += 1
        self.desk = Desk(
            self.exchange,
            clock=self.clock,
            journal=self.journal,
            budget=RateBudget(self.clock, 1e9, 1e9),
            rng=random.Random(self.lives),
            rules=GatewayRules,
        )
        self.desk.gateway.burst = RateBudget(self.clock, 1e9, 1e9)
        self.desk.open()

    def act(self, fate: str, action: Any, rows: list[Any]) -> None:
        self.exchange.fate = fate
        try:
            action(rows)
        except Died:
            self.begin()
        self.exchange.fate = "ok"

    def pick(self, number: int) -> Any:
        ours = self.desk.state.orders.open_orders()
        return ours[number % len(ours)] if ours else None

    # -- what the bot does --------------------------------------------------------------

    @rule(side=SIDE, away=st.integers(1, 6), qty=QTY, fate=FATE)
    def place(self, side: str, away: int, qty: int, fate: str) -> None:
        price = 100 - away / 2 if side == "Buy" else 100 + away / 2
        order = {"side": side, "price": price, "orderQty": qty}
        self.act(fate, self.desk.gateway.place, [order])

    @rule(number=PICK, qty=QTY, fate=FATE)
    def amend(self, number: int, qty: int, fate: str) -> None:
        row = self.pick(number)
        if row:
            change = {"orderID": row["orderID"], "orderQty": row["cumQty"] + qty}
            self.act(fate, self.desk.gateway.amend, [change])

    @rule(number=PICK, fate=FATE)
    def cancel(self, number: int, fate: str) -> None:
        row = self.pick(number)
        if row:
            self.act(fate, self.desk.gateway.cancel, [row["orderID"]])

    @rule(can_read=st.booleans())
    def look(self, can_read: bool) -> None:
        self.exchange.can_read = can_read
        try:
            self.desk.gateway.settle_unknown()
            self.desk.gateway.own_open_orders()
        except ExchangeError:
            assert not can_read
        self.exchange.can_read = True

    @rule()
    def crash(self) -> None:
        self.begin()

    # -- what happens to it -------------------------------------------------------------

    @precondition(lambda self: self.exchange.live())
    @rule(number=PICK, qty=QTY)
    def fill(self, number: int, qty: int) -> None:
        live = self.exchange.live()
        row = live[number % len(live)]
        self.exchange.fill(row, min(qty, row["leavesQty"]))

    @rule(count=st.integers(1, 9))
    def deliver(self, count: int) -> None:
        self.exchange.deliver(count)

    @precondition(lambda self: self.exchange.told)
    @rule(number=PICK)
    def repeat(self, number: int) -> None:
        self.exchange.repeat(number % len(self.exchange.told))

    @precondition(lambda self: self.exchange.under_way)
    @rule(number=PICK)
    def arrive(self, number: int) -> None:
        self.exchange.arrive(number % len(self.exchange.under_way))

    @rule(seconds=st.sampled_from([0.6, 2.0, 6.5]))
    def time_passes(self, seconds: float) -> None:
        self.exchange.tell_position()
        self.exchange.deliver(99)  # a stream is never seconds behind
        self.desk.state.drain()
        self.clock.sleep(seconds)

    @rule()
    def reconnect(self) -> None:
        self.exchange.reconnect()

    # -- what must hold -----------------------------------------------------------------

    @invariant()
    def belief_bounds_the_truth(self) -> None:
        state, exchange = self.desk.state, self.exchange
        state.drain()
        low, high = state.position_range()
        highest = exchange.position + exchange.worst("Buy")
        lowest = exchange.position - exchange.worst("Sell")
        assert high + state.orders.exposed("Buy") >= highest
        assert low - state.orders.exposed("Sell") <= lowest

    @invariant()
    def no_order_is_created_twice(self) -> None:
        assert len(set(self.exchange.created)) == len(self.exchange.created)

    def teardown(self) -> None:
        """The trouble ends: belief and truth become one, and the end leaves nothing."""
        exchange, desk = self.exchange, self.desk
        exchange.fate, exchange.can_read = "ok", True
        while exchange.under_way:
            exchange.arrive(0)
        exchange.deliver(999)
        for _ in range(4):
            self.time_passes(7)
            desk.gateway.settle_unknown()
            desk.state.position_range()  # as every round asks
        self.time_passes(7)
        desk.state.drain()
        believed = {r["orderID"]: r["leavesQty"] for r in desk.state.orders.open_orders()}
        assert believed == {row["orderID"]: row["leavesQty"] for row in exchange.live()}
        assert desk.state.orders.unproven() == []
        assert desk.state.position_range() == (exchange.position, exchange.position)
        desk.gateway.cancel_own()
        assert exchange.live() == []
        assert desk.journal.unsettled() == []
        desk.close()


def run(examples: int) -> None:
    run_state_machine_as_test(
        OrderMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_belief_bounds_the_truth_and_becomes_it() -> None:
    run(200)


@pytest.mark.slow
def test_and_so_in_ten_thousand_lives() -> None:
    run(10_000)
