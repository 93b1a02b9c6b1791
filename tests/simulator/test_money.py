"""Every satoshi of every account is explained: random flow over all instruments and currencies."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.simulator.accounts import CURRENCIES
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Engine, Refused
from market_maker.simulator.positions import Fees

START_S = 1_600_000_000.0  # 2020-09-13 12:26:40 UTC; the future expires on 2020-09-25
BOOKED = ("Trade", "Settlement", "Liquidation")


class House:
    """An exchange with three customers and a market that shows one level on each side."""

    def __init__(self) -> None:
        self.clock = ManualClock(START_S)
        self.engine = Engine(self.clock, seed=5)
        self.clock.attach(self.engine)
        rates = {"": Fees(0.0, 0.0005, 0.0003), "ETHUSD": Fees(-0.0001, 0.001, 0.0)}
        self.customers = [
            self.engine.open_account(20_000_000, balances={"USDt": 50_000_000}).number,
            self.engine.open_account(3_000_000, fees=rates, balances={"USDt": 3_000_000}).number,
            self.engine.open_account(10**10, fees={"": Fees(-0.00025, 0.00075, 0.0)}).number,
        ]
        self.events: list[Event] = []
        self.engine.listeners.append(self.events.append)
        for symbol in self.engine.symbols():
            self.quote(symbol)

    def quote(self, symbol: str, distance: int = 20, lots: int = 500) -> None:
        """Show *lots* on each side of the mark, *distance* ticks away."""
        market = self.engine.liquidity(symbol)
        mark = market.grid.nearest(self.mark(symbol))
        for side, ticks in (("Buy", mark - distance), ("Sell", mark + distance)):
            market.resize(side, ticks, lots * market.spec.lot_size)

    def mark(self, symbol: str) -> float:
        return float(self.engine.instrument_row(symbol)["markPrice"])

    def explained(self, account: int, currency: str) -> int:
        """What transactions, executions and the mark say the account is worth."""
        engine = self.engine
        worth = sum(
            t.amount
            for t in engine.transactions(account)
            if t.currency == currency and t.kind != "RealisedPNL"
        )
        for event in engine.executions(account):
            fill = event.fill
            if fill and engine.instrument(event.order.symbol).settle_currency == currency:
                worth -= fill.comm_sat + (fill.cost_sat if event.exec_type in BOOKED else 0)
        for symbol in engine.position_symbols(account):
            row = engine.position_row(account, symbol)
            worth += row["markValue"] if row["currency"] == currency else 0
        return worth

    def check(self) -> None:
        for currency in CURRENCIES:
            assert self.engine.imbalance_sat(currency) == 0
            for account in self.customers:
                row = self.engine.margin_row(account, currency)
                assert row["marginBalance"] == self.explained(account, currency)
                moved = [
                    t.amount for t in self.engine.transactions(account) if t.currency == currency
                ]
                assert row["amount"] == sum(moved)
                assert row["walletBalance"] == (
                    row["amount"] + row["realisedPnl"] - row["prevRealisedPnl"]
                )
                free = row["marginBalance"] - row["initMargin"] - row["maintMargin"]
                assert row["availableMargin"] == free


KINDS = ["order"] * 4 + ["index"] * 2 + ["hours", "withdraw", "terms", "transfer", "hit"]
STEP = st.tuples(
    st.sampled_from(
        [
            "order",
            "order",
            "order",
            "order",
            "index",
            "index",
            "hours",
            "withdraw",
            "terms",
            "transfer",
            "hit",
        ]
    ),
    st.integers(0, 2),  # who
    st.integers(0, 3),  # which instrument
    st.integers(-40, 40),  # how much
    st.integers(0, 100),
)


def act(house: House, step: tuple[str, int, int, int, int]) -> None:
    kind, who, which, amount, spice = step
    engine, account = house.engine, house.customers[who]
    symbols = engine.symbols()
    symbol = symbols[which % len(symbols)]
    spec = engine.instrument(symbol)
    if kind == "order" and amount:
        fields: dict[str, Any] = {"symbol": symbol, "orderQty": amount * 5 * spec.lot_size}
        if spice < 60:
            mark = house.mark(symbol)
            fields["price"] = engine.grid(symbol).price(
                engine.grid(symbol).nearest(mark) + spice - 30
            )
        engine.place(account, fields)
    elif kind == "index":
        market = engine.liquidity(symbol)
        market.set_index(
            engine.instrument_row(symbol)["indicativeSettlePrice"] * (1 + amount / 1000)
        )
        house.quote(symbol)
        house.clock.sleep(1)
        engine.cancel_all(account, symbol)  # an operation after which all is told
    elif kind == "hours":
        house.clock.sleep(3600 * spice)
    elif kind == "withdraw":
        currency = CURRENCIES[which % 2]
        fields = {"currency": currency, "amount": abs(amount) * 10_000, "address": "3Bank"}
        engine.request_withdrawal(account, {**fields, "fee": spice})
    elif kind == "terms":
        engine.set_leverage(account, symbol, spice)
    elif kind == "transfer":
        engine.transfer_margin(account, symbol, amount * 1000)
    elif kind == "hit" and spice < 30:
        engine.liquidate(account, symbol)
    elif kind == "hit":
        engine.deleverage(account, symbol, abs(amount) * spec.lot_size)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_every_satoshi_of_every_account_is_explained(
    steps: list[tuple[str, int, int, int, int]],
) -> None:
    house = House()
    for step in steps:
        with contextlib.suppress(Refused):
            act(house, step)
        house.check()
