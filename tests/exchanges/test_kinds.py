"""An order of a kind that a venue does not have is refused: never sent as another kind."""

from typing import Any

import pytest

from market_maker.exchanges.base import Status
from market_maker.market_maker import OrderManager
from market_maker.model.rows import POST_ONLY, Row
from market_maker.model.ticks import PriceGrid
from tests.exchanges.venues import VENUES

NEW = [name for name in VENUES if not name.startswith("bitmex")]
KINDS: list[Row] = [
    {"ordType": "Stop", "stopPx": 50_000.0},
    {"ordType": "StopLimit", "stopPx": 50_000.0, "price": 50_000.0},
    {"ordType": "Limit"},
    {"price": 50_000.0, "displayQty": 1},
    {"price": 50_000.0, "timeInForce": "Day"},
]


class Idle(OrderManager):
    """Quotes nothing by itself."""

    def place_orders(self) -> None:
        """Leave the orders as they are."""


def idle_gateway(name: str) -> tuple[Any, Any]:
    venue = VENUES[name]
    world = venue.world(seed=1, **venue.options)
    bot = world.bot(Idle, profile=venue.profile, POST_ONLY=False)
    bot.start()
    return world, bot.exchange.desk.gateway


@pytest.mark.parametrize("name", NEW)
def test_a_stop_does_not_become_an_order_at_the_market(name: str) -> None:
    world, gateway = idle_gateway(name)
    qty = 100 if world.symbol == "XBTUSD" else 0.001
    results = gateway.place([{"side": "Sell", "orderQty": qty, **kind} for kind in KINDS])
    assert {result.status for result in results} == {Status.REJECTED}
    assert "no Stop orders at this exchange" in results[0].text
    assert world.engine.orders(world.account.number) == []


@pytest.mark.parametrize("name", NEW)
def test_what_shall_take_at_once_never_rests(name: str) -> None:
    world, gateway = idle_gateway(name)
    qty = 100 if world.symbol == "XBTUSD" else 0.001
    order = {"side": "Buy", "orderQty": qty, "price": 50_000.0, "timeInForce": "ImmediateOrCancel"}
    (result,) = gateway.place([order])
    assert result.status is not Status.REJECTED or "Cancel" in result.text, result
    (placed,) = world.engine.orders(world.account.number)
    assert placed.leaves_qty == 0


REFUSING = ["plain", "binance by rest", "ccxt polling binance", "ccxt polling kraken"]


@pytest.mark.parametrize("name", REFUSING)
def test_a_post_only_order_that_would_take_steps_back(name: str) -> None:
    world, gateway = idle_gateway(name)
    qty = 100 if world.symbol == "XBTUSD" else 0.001
    order = {"side": "Buy", "orderQty": qty, "price": 61_000.0, "execInst": POST_ONLY}
    (result,) = gateway.place([order])
    assert result.status is Status.REJECTED
    assert POST_ONLY in result.text
    wanted = gateway.hold.step_back([dict(order)], PriceGrid.of(0.5), world.clock.monotonic())
    assert wanted[0]["price"] == 60_999.5


SPOT = [name for name in NEW if not name.startswith(("okx", "plain"))]


@pytest.mark.parametrize("name", SPOT)
def test_on_spot_an_order_that_shall_only_reduce_passes_no_limit(name: str) -> None:
    """The venue would let it enlarge the position, which our limits would not have counted."""
    world, gateway = idle_gateway(name)
    order = {"side": "Buy", "orderQty": 0.5, "price": 50_000.0, "execInst": "ReduceOnly"}
    (result,) = gateway.place([order])
    assert result.status is Status.REJECTED
    assert world.engine.orders(world.account.number) == []
