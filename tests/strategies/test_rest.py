"""Alone in a market that stands still every strategy comes to rest: it neither follows its own
orders nor outbids itself."""

import logging

import pytest

from market_maker.market_maker import OrderManager
from market_maker.strategy_loader import available, load_strategy
from tests.doubles import StillMarket, Wire
from tests.world import World

SETTLED_S, WATCHED_S = 90.0, 30.0
MARKETS = {
    "tight": (60_000.0, 60_000.5),
    "two ticks": (60_000.0, 60_001.0),
    "wide": (60_000.0, 60_120.0),
}


@pytest.mark.parametrize("min_spread", [0.0, 0.0002])
@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("name", sorted(available().keys() - {"decision"}))  # one order at a time
def test_alone_in_a_frozen_market_the_quotes_come_to_rest(
    name: str, market: str, min_spread: float
) -> None:
    world, wire = World(StillMarket(*MARKETS[market])), Wire()
    changes = {"STRATEGY": name, "MIN_SPREAD": min_spread, "LOG_LEVEL": logging.ERROR}
    settings = world.settings(**changes)
    strategy = load_strategy(settings, OrderManager)
    bot = world.bot(strategy, wrap=wire, **changes, RELIST_INTERVAL=0.0)
    world.run(bot, SETTLED_S)
    before = {(order.side, order.price_ticks, order.leaves_qty) for order in world.open_orders()}
    assert {side for side, *_ in before} == {"Buy", "Sell"}
    wire.requests.clear()
    world.run(bot, WATCHED_S)
    acts = [r for r in wire.requests if r.path in ("/order", "/order/bulk") and r.verb != "GET"]
    assert acts == []
    after = {(order.side, order.price_ticks, order.leaves_qty) for order in world.open_orders()}
    assert after == before


def test_the_ladder_goes_back_with_the_others_where_its_own_order_is_alone_at_the_touch() -> None:
    market = StillMarket(60_000.0, 60_100.0)
    world = World(market)
    bot = world.bot(MIN_SPREAD=0.0, ORDER_PAIRS=1, LOG_LEVEL=logging.ERROR)
    world.run(bot, 3)
    assert prices(world) == [60_000.5, 60_099.5]
    market.show(59_900.0, 60_100.0)
    world.run(bot, 6)
    assert prices(world) == [59_900.5, 60_099.5]
    market.show(59_950.0, 60_050.0)
    world.run(bot, 6)
    assert prices(world) == [59_950.5, 60_049.5]


def prices(world: World) -> list[float]:
    grid = world.engine.liquidity("XBTUSD").grid
    return sorted(grid.price(order.price_ticks) for order in world.open_orders())
