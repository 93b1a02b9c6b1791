"""What a venue would refuse is refused here, in words, and nothing else is."""

from typing import Any

import pytest

from market_maker.model.rows import Row
from market_maker.quoting.filters import breach, special
from tests.binance_world import BinanceWorld
from tests.doubles import StillMarket

SPOT = {
    "minQty": 0.001, "maxOrderQty": 5, "minPrice": 0.5, "maxPrice": 100_000, "minNotional": 10,
    "quoteCurrency": "USDT", "isInverse": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"orderQty": 0.001, "price": 10_000.0}, ""),
        ({"orderQty": -5, "price": 100_000.0}, ""),
        ({"orderQty": 1}, ""),  # at the market
        ({"orderQty": 0.0005, "price": 50_000.0}, "0.0005 is less than the exchange takes, 0.001"),
        ({"orderQty": 5.001, "price": 50_000.0}, "5.001 is more than the exchange takes"),
        ({"orderQty": -6}, "6 is more than the exchange takes"),
        ({"orderQty": 1, "price": 0.1}, "outside the exchange's limits, 0.5 to 100000"),
        ({"orderQty": 1, "price": 100_000.5}, "outside the exchange's limits"),
        ({"orderQty": 0.001, "price": 9_999.5}, "worth less than the exchange takes, 10 USDT"),
    ],
)
def test_each_bound_is_met(order: Row, words: str) -> None:
    text = breach(order, SPOT)
    assert (words in text) if words else text == ""


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"side": "Buy", "orderQty": 1, "price": 0.5}, ""),  # a bid may be as low as it likes
        ({"side": "Sell", "orderQty": 1, "price": 99_000.0}, ""),
        ({"side": "Buy", "orderQty": 1, "price": 61_000.0}, ""),
        ({"side": "Buy", "orderQty": 1, "price": 61_000.01}, "lets buy, the highest 61000"),
        ({"orderQty": 1, "price": 61_000.01}, "lets buy, the highest 61000"),
        ({"orderQty": -1, "price": 58_999.99}, "58999.99 is beyond what the exchange lets sell"),
        ({"side": "Sell", "price": 58_999.99}, "lets sell, the lowest 59000"),  # an amend
        ({"orderQty": -1}, ""),
    ],
)
def test_what_buys_is_bounded_above_and_what_sells_below(order: Row, words: str) -> None:
    text = breach(order, {"limitUpPrice": 61_000.0, "limitDownPrice": 59_000.0})
    assert (words in text) if words else text == ""


def test_what_is_not_stated_bounds_nothing() -> None:
    assert breach({"orderQty": 1e-8, "price": 1e-8}, {}) == ""
    assert (
        breach({"orderQty": 1, "price": 1.0}, {**SPOT, "minNotional": 10, "isInverse": True}) == ""
    )


@pytest.mark.parametrize(
    ("order", "may_reduce", "words"),
    [
        ({"orderQty": 1, "price": 2.0, "execInst": "ParticipateDoNotInitiate"}, False, ""),
        ({"orderQty": -1}, False, ""),  # at the market
        ({"orderQty": 1, "ordType": "Market", "timeInForce": "FillOrKill"}, False, ""),
        ({"orderQty": 1, "price": 2.0, "ordType": "Limit", "stopPx": None}, False, ""),
        ({"orderQty": 1, "price": 2.0, "execInst": "ReduceOnly"}, True, ""),
        ({"orderQty": 1, "stopPx": 58_000.0, "ordType": "Stop"}, True, "Stop orders"),
        ({"orderQty": 1, "stopPx": 58_000.0}, True, "orders with stopPx"),
        ({"orderQty": 1, "price": 2.0, "pegPriceType": "PrimaryPeg"}, True, "pegPriceType"),
        ({"orderQty": 1, "price": 2.0, "displayQty": 0.5}, True, "orders with displayQty"),
        ({"orderQty": 1, "price": 2.0, "displayQty": 0}, True, "orders with displayQty"),
        ({"orderQty": 1, "price": 2.0, "contingencyType": ""}, True, ""),  # a row of BitMEX
        ({"orderQty": 1, "price": 2.0, "timeInForce": "Day"}, True, "with timeInForce Day"),
        ({"orderQty": 1, "price": 2.0, "execInst": "AllOrNone"}, True, "execInst AllOrNone"),
        ({"orderQty": 1, "price": 2.0, "execInst": "ReduceOnly"}, False, "execInst ReduceOnly"),
        ({"orderQty": 1, "ordType": "Limit"}, True, "orders without price"),
        ({"execInst": "Close"}, True, "orders without orderQty"),
    ],
)
def test_what_is_no_plain_order_is_named(order: Row, may_reduce: bool, words: str) -> None:
    text = special(order, may_reduce)
    assert (words in text) if words else text == ""


def test_an_order_that_is_worth_too_little_costs_no_request() -> None:
    world = BinanceWorld(StillMarket())
    bot: Any = world.bot(ORDER_PAIRS=1)
    bot.start()
    sent: list[Any] = []
    connector = bot.exchange.desk.connector
    connector.place = lambda orders: sent.append(orders) or []  # type: ignore[func-returns-value]
    (result,) = bot.exchange.desk.gateway.place([{"orderQty": 0.00005, "price": 60_000.0}])
    assert "worth less than the exchange takes, 5 USDT" in result.text
    assert result.row["ordStatus"] == "Rejected"
    assert sent == []
