"""Moved and resized quotes: on grid, passive, apart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid, PriceGrid
from market_maker.quoting.shape import Shift, is_quote, move_quotes, resize_quotes

TICKS = (0.5, 0.1, 0.01, 0.0001, 1e-5, 1e-8)


def quote(side: str, price: float, **more: Any) -> Row:
    return {"side": side, "price": price, "orderQty": 100, **more}


@pytest.mark.parametrize("tick", TICKS)
@pytest.mark.parametrize(
    ("by", "bid", "ask"),
    [(0, 1000, 1003), (2, 1002, 1005), (2.3, 1002, 1006), (-2.3, 997, 1002), (50, 1003, 1053)],
)
def test_bids_round_down_asks_up_and_both_stay_off_the_touch(
    tick: float, by: float, bid: int, ask: int
) -> None:
    grid = PriceGrid.of(tick)
    orders = [quote("Buy", grid.price(1000)), quote("Sell", grid.price(1003))]
    moved = move_quotes(
        orders, Shift(by * tick, by * tick), grid.price(1001), grid.price(1004), grid
    )
    assert [row["price"] for row in moved] == [grid.price(bid), grid.price(ask)]


def test_levels_that_meet_the_touch_stay_a_tick_behind_each_other() -> None:
    grid = PriceGrid.of(0.5)
    orders = [quote("Buy", price) for price in (98, 99, 99, 99.5)]
    moved = move_quotes(orders, Shift(5, 5), 100, 100.5, grid)
    assert [row["price"] for row in moved] == [99.0, 99.5, 99.5, 100.0]


def test_what_would_have_no_price_is_left_out() -> None:
    orders = [quote("Buy", 1.0), quote("Sell", 3.0)]
    assert move_quotes(orders, Shift(-1.0, -1.0), 1.5, 2.5, PriceGrid.of(0.5)) == [
        quote("Sell", 2.0)
    ]


@given(
    tick=st.sampled_from(TICKS),
    spread=st.integers(1, 20),
    bids=st.lists(st.integers(1, 40), max_size=6),
    asks=st.lists(st.integers(1, 40), max_size=6),
    shift=st.floats(-100, 100),
    wider=st.floats(0, 100),
)
def test_own_quotes_never_cross_whatever_moves_them(
    tick: float, spread: int, bids: list[int], asks: list[int], shift: float, wider: float
) -> None:
    grid, bid = PriceGrid.of(tick), 50_000
    ask = bid + spread
    orders = [quote("Buy", grid.price(ask - depth)) for depth in bids]
    lowest = ask - min(bids, default=spread) + 1
    orders += [quote("Sell", grid.price(max(lowest, bid + depth))) for depth in asks]
    by = Shift((shift - wider) * tick, (shift + wider) * tick)
    moved = move_quotes(orders, by, grid.price(bid), grid.price(ask), grid)
    assert len(moved) == len(orders)
    assert all(grid.contains(row["price"]) for row in moved)
    ours = {
        side: [grid.nearest(r["price"]) for r in moved if r["side"] == side]
        for side in ("Buy", "Sell")
    }
    assert max(ours["Buy"], default=0) < ask
    assert min(ours["Sell"], default=ask) > bid
    assert max(ours["Buy"], default=0) < min(ours["Sell"], default=10**9)
    assert len(set(ours["Buy"])) == len(set(bids))  # no two levels have become one
    # Rounding and clamping never narrow what the shift asks for.
    for old, new in zip(orders, moved, strict=True):
        wish = old["price"] + (by.bids if old["side"] == "Buy" else by.asks)
        noise = tick * 1e-5
        is_passive = new["price"] <= wish + noise if old["side"] == "Buy" else True
        assert is_passive and (old["side"] == "Buy" or new["price"] >= wish - noise)


@pytest.mark.parametrize(("lot", "sizes"), [(100, [200, 0]), (1, [150, 50]), (0.001, [150, 50])])
def test_sizes_are_multiples_of_the_lot_and_nothing_is_left_out(
    lot: float, sizes: list[float]
) -> None:
    orders = [quote("Buy", 99.0), quote("Sell", 101.0)]
    factors = {"Buy": 1.5, "Sell": 0.49 if lot == 100 else 0.5}
    resized = resize_quotes(orders, factors.__getitem__, LotGrid.of(lot), None)
    assert [row["orderQty"] for row in resized] == [size for size in sizes if size]


def test_no_size_becomes_larger_than_the_largest_allowed() -> None:
    resized = resize_quotes([quote("Buy", 99.0)], lambda _: 2.0, LotGrid.of(1), 120)
    assert resized[0]["orderQty"] == 120


@pytest.mark.parametrize(
    ("order", "is_one"),
    [
        (quote("Buy", 99.0), True),
        (quote("Sell", 101.0, ordType="Limit", execInst="ParticipateDoNotInitiate"), True),
        (quote("Buy", 101.0), False),  # meant to take
        (quote("Sell", 99.0), False),
        (quote("Sell", 101.0, execInst="ReduceOnly"), False),
        (quote("Sell", 101.0, execInst="Close"), False),
        (quote("Sell", 101.0, stopPx=98.0), False),
        (quote("Buy", 99.0, ordType="LimitIfTouched"), False),
        ({"side": "Buy", "orderQty": 1, "ordType": "Market"}, False),
    ],
)
def test_only_plain_resting_orders_are_quotes(order: Row, is_one: bool) -> None:
    assert is_quote(order, 100.0, 100.5) is is_one
