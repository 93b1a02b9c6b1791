"""Spot on the built-in exchange: two balances, nothing on credit, and nothing lost between them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.simulator.exchange import Account, Engine, Refused
from market_maker.simulator.instruments import XBT_USDT
from market_maker.simulator.market.synthetic import SyntheticMarket

SPOT = XBT_USDT.symbol
BTC, USDT = 100_000_000, 100_000_000_000  # what an account starts with
LOT = XBT_USDT.lot_size


def make() -> tuple[ManualClock, Engine, Account, Account]:
    clock = ManualClock()
    engine = Engine(clock, [XBT_USDT], seed=1)
    clock.attach(engine)
    return clock, engine, engine.open_account(), engine.open_account()


def place(engine: Engine, who: Account, side: str, qty: int, price: float, **fields: Any) -> Any:
    row = {"symbol": SPOT, "side": side, "orderQty": qty, "price": price, **fields}
    return engine.place(who.number, row)


def balances(engine: Engine, who: Account) -> tuple[int, int]:
    """(satoshis of BTC, millionths of a USDT), reserved ones included."""
    btc, usdt = (engine.margin_row(who.number, c)["walletBalance"] for c in ("XBt", "USDt"))
    return btc, usdt


def free(engine: Engine, who: Account, currency: str) -> int:
    return int(engine.margin_row(who.number, currency)["availableMargin"])


def test_a_trade_moves_base_one_way_and_quote_the_other_and_takes_the_fee_in_quote() -> None:
    _, engine, buyer, seller = make()
    place(engine, buyer, "Buy", 1000, 60_000.0)  # 0.001 BTC
    place(engine, seller, "Sell", 1000, 60_000.0)
    fee = 60_000_000 // 1000  # 0.1 % of 60 USDT
    assert balances(engine, buyer) == (BTC + 100_000, USDT - 60_000_000 - fee)
    assert balances(engine, seller) == (BTC - 100_000, USDT + 60_000_000 - fee)


def test_a_buyer_may_pay_the_fee_in_what_he_buys() -> None:
    clock = ManualClock()
    engine = Engine(clock, [replace(XBT_USDT, pays_in_base=True)], seed=1)
    buyer, seller = engine.open_account(), engine.open_account()
    place(engine, buyer, "Buy", 1000, 60_000.0)
    assert free(engine, buyer, "USDt") == USDT - 60_000_000  # no fee is reserved
    place(engine, seller, "Sell", 1000, 60_000.0)
    assert balances(engine, buyer) == (BTC + 100_000 - 100, USDT - 60_000_000)
    assert balances(engine, seller) == (BTC - 100_000, USDT + 60_000_000 - 60_000)
    assert [engine.imbalance_sat(currency) for currency in ("XBt", "USDt")] == [0, 0]


def test_resting_orders_reserve_what_they_would_pay_with() -> None:
    _, engine, who, _ = make()
    bid = place(engine, who, "Buy", 1000, 50_000.0)
    assert free(engine, who, "USDt") == USDT - 50_000_000 - 50_000
    assert free(engine, who, "XBt") == BTC
    ask = place(engine, who, "Sell", 2000, 70_000.0)
    assert free(engine, who, "XBt") == BTC - 200_000
    engine.cancel(who.number, [bid.order_id, ask.order_id])
    assert (free(engine, who, "XBt"), free(engine, who, "USDt")) == (BTC, USDT)


@pytest.mark.parametrize(
    ("side", "qty", "price", "is_taken"),
    [
        ("Sell", 1_000_000, 60_000.0, True),  # all of the 1 BTC
        ("Sell", 1_000_000 + LOT, 60_000.0, False),
        ("Buy", 1_660_000, 60_000.0, True),  # 99,600 USDT and the fee
        ("Buy", 1_670_000, 60_000.0, False),
    ],
)
def test_nobody_sells_what_he_has_not_or_buys_on_credit(
    side: str, qty: int, price: float, is_taken: bool
) -> None:
    _, engine, who, _ = make()
    if is_taken:
        assert place(engine, who, side, qty, price).ord_status == "New"
        return
    with pytest.raises(Refused, match="insufficient Available Balance"):
        place(engine, who, side, qty, price)


def test_an_amend_may_not_reserve_more_than_there_is() -> None:
    _, engine, who, _ = make()
    order = place(engine, who, "Sell", 900_000, 60_000.0)
    engine.amend(who.number, {"orderID": order.order_id, "orderQty": 1_000_000})
    with pytest.raises(Refused, match="insufficient"):
        engine.amend(who.number, {"orderID": order.order_id, "orderQty": 1_100_000})


def test_spot_knows_no_funding_no_liquidation_and_no_profit_to_move() -> None:
    clock, engine, buyer, seller = make()
    place(engine, buyer, "Buy", 500_000, 60_000.0)
    place(engine, seller, "Sell", 500_000, 60_000.0)
    before = balances(engine, buyer), balances(engine, seller)
    place(engine, buyer, "Sell", LOT, 10.0)  # rests far below: the mark does not matter here
    engine.cancel_all(buyer.number)
    clock.sleep(3 * 86_400)
    assert (balances(engine, buyer), balances(engine, seller)) == before
    assert engine.fundings(SPOT) == []
    assert [t.kind for t in engine.transactions(buyer.number)] == ["Deposit", "Deposit"]


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["Buy", "Sell"]),
        st.integers(1, 40_000),
        st.integers(119_990, 120_010),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(orders=ORDERS, seed=st.integers(0, 1000))
def test_whatever_is_traded_every_currency_sums_to_zero_and_nobody_owes(
    orders: list[tuple[int, str, int, int, bool]], seed: int
) -> None:
    clock, engine, *customers = make()
    engine.open_market(SyntheticMarket(seed=seed))
    for who, side, lots, ticks, is_ioc in orders:
        lifetime = "ImmediateOrCancel" if is_ioc else ""
        try:
            place(engine, customers[who], side, lots * LOT, ticks / 2, timeInForce=lifetime)
        except Refused as refused:
            assert "insufficient" in refused.message
        clock.sleep(0.1)
    for currency in ("XBt", "USDt"):
        assert engine.imbalance_sat(currency) == 0
        assert all(free(engine, who, currency) >= 0 for who in customers)
    for who in customers:
        fills = [e for e in engine.executions(who.number) if e.fill]
        bought = sum(e.fill.qty * (1 if e.order.side == "Buy" else -1) for e in fills if e.fill)
        spent = sum(e.fill.cost_sat + e.fill.comm_sat for e in fills if e.fill)
        assert balances(engine, who) == (BTC + bought * 100, USDT - spent)
