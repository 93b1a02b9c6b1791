"""What the funds allow, and what a position limit bounds."""

import pytest

from market_maker.quoting.limits import (
    Approved,
    Exposure,
    PositionLimits,
    Refused,
    check_position,
    increase,
    margin_room,
    order_margin,
)

XBTUSD = {
    "symbol": "XBTUSD",
    "multiplier": -100_000_000,
    "isInverse": True,
    "lotSize": 100,
    "initMargin": 0.01,
    "takerFee": 0.00075,
    "markPrice": 50_000.0,
}


def test_an_order_ties_up_initial_margin_and_both_fees() -> None:
    assert order_margin({"orderQty": 1000, "price": 50_000.0}, XBTUSD) == pytest.approx(23_015)


def test_an_order_beyond_the_mark_ties_up_what_it_would_lose_at_once() -> None:
    above = {"side": "Buy", "orderQty": 1000, "price": 50_500.0}
    passive = order_margin({**above, "side": "Sell"}, XBTUSD)
    assert order_margin(above, XBTUSD) == pytest.approx(passive + 2_000_000 - 1_980_200)


@pytest.mark.parametrize(
    ("side", "position", "room"),
    [("Buy", 0, 1500), ("Sell", 0, 1500), ("Buy", 1000, 1500), ("Sell", 1000, 1500 + 23_015)],
)
def test_what_reduces_the_position_is_free(side: str, position: int, room: float) -> None:
    margin = {"availableMargin": 1000, "initMargin": 500}
    assert margin_room(side, margin, {"currentQty": position}, XBTUSD) == pytest.approx(room)


BTCUSDT = {
    "symbol": "BTCUSDT",
    "typ": "IFXXXP",
    "multiplier": 10**6,
    "lotSize": 0.00001,
    "initMargin": 1.0,
    "takerFee": 0.001,
    "markPrice": 50_000.0,
    "settlCurrency": "USDt",
}


def test_on_spot_bids_tie_up_quote_and_asks_base_whatever_is_held() -> None:
    bid = {"side": "Buy", "orderQty": 0.001, "price": 50_000.0}
    assert order_margin(bid, BTCUSDT) == pytest.approx(50_050_000)
    assert order_margin({**bid, "side": "Sell"}, BTCUSDT) == 0.001
    margin = {"availableMargin": 700, "initMargin": 300, "currency": "USDt"}
    held = {"currentQty": -0.5, "freeQty": 0.3, "lockedQty": 0.2}
    assert margin_room("Buy", margin, held, BTCUSDT) == 1000
    assert margin_room("Sell", margin, held, BTCUSDT) == 0.5
    assert margin_room("Sell", margin, {"currentQty": 1}, BTCUSDT) is None


@pytest.mark.parametrize("margin", [{}, {"availableMargin": 5, "currency": "USDt"}])
def test_an_account_that_cannot_be_read_in_our_currency_bounds_nothing(
    margin: dict[str, object],
) -> None:
    assert margin_room("Buy", margin, {}, {**XBTUSD, "settlCurrency": "XBt"}) is None


@pytest.mark.parametrize(
    ("side", "added", "is_approved"),
    [("Buy", 200, True), ("Buy", 201, False), ("Sell", 500, True), ("Sell", 501, False)],
)
def test_the_worst_case_of_everything_out_stays_within_the_limits(
    side: str, added: float, is_approved: bool
) -> None:
    exposure = Exposure(longest=100, shortest=-100, buys=200, sells=400)
    verdict = check_position({}, side, added, exposure, PositionLimits(-1000, 500))
    assert isinstance(verdict, Approved if is_approved else Refused)


@pytest.mark.parametrize("flag", ["ReduceOnly", "Close", "ParticipateDoNotInitiate,ReduceOnly"])
def test_what_can_only_reduce_adds_nothing(flag: str) -> None:
    assert increase({"execInst": flag}, 100) == 0
    assert increase({}, 100, resting_qty=30) == 70
    assert increase({}, 100, resting_qty=300) == 0
