"""HTX, Kraken and Bybit through ccxt's own classes: a bot trades, and every fill is booked."""

import pytest

from market_maker.journal import Journal
from market_maker.model.rows import Row
from tests.ccxt_tongues import TONGUES
from tests.ccxt_world import CcxtWorld
from tests.doubles import StillMarket

pytest.importorskip("ccxt", reason="the extra 'ccxt' is not installed")


def taking(world: CcxtWorld, qty: int, times: int = 1) -> None:
    """Another account sells and buys through the nearest levels."""
    other = world.engine.open_account()
    for _ in range(times):
        for side in ("Sell", "Buy"):
            order = {"symbol": world.symbol, "side": side, "orderQty": qty, "ordType": "Market"}
            world.engine.place(other.number, order)


def executed(world: CcxtWorld) -> list[int]:
    """Our fills in the engine's lots; what was sold is negative."""
    return [
        e.fill.qty if e.order.side == "Buy" else -e.fill.qty
        for e in world.engine.executions(world.account.number)
        if e.fill is not None
    ]


@pytest.mark.parametrize("name", TONGUES)
def test_it_quotes_is_filled_moves_and_leaves_nothing(name: str) -> None:
    world = CcxtWorld(venue=name)
    journal = Journal(":memory:", world.clock)
    bot = world.bot(
        journal=journal, ORDER_PAIRS=2, MIN_SPREAD=0.0001, INTERVAL=0.0005, RELIST_INTERVAL=0.00005
    )
    for _ in range(6):
        world.run(bot, 12)
        assert world.open_orders()
        taking(world, 20_000)
    world.run(bot, 40)  # the pace at Kraken is slow
    assert bot.exchange.desk.gateway.quotes_sent > 4
    ended = [o for o in world.engine.orders(world.account.number) if not o.leaves_qty]
    assert any(o.cum_qty < o.order_qty for o in ended)  # moved: cancelled and created anew
    assert len(executed(world)) >= 4
    for _ in range(20):  # the latest may not have been asked for yet
        booked = {row[0] for row in journal._db.execute("SELECT exec_id FROM fills")}
        if len(booked) == len(executed(world)):
            break
        world.run(bot, 1)
    assert len(booked) == len(executed(world))
    low, high = bot.exchange.desk.state.position_range()
    assert low <= world.held() * world.unit <= high
    with pytest.raises(SystemExit):
        bot.exit()
    assert bot.exit_code == 0
    assert world.open_orders() == []


@pytest.mark.parametrize(
    ("name", "count", "page"),
    [
        ("bybit", 130, 50),
        ("bybit", 100, 50),
        ("htx", 130, 500),
        ("htx", 130, 40),
        ("kraken", 130, 0),
    ],
)
def test_open_orders_of_many_pages_are_all_read(name: str, count: int, page: int) -> None:
    world = CcxtWorld(StillMarket(), venue=name)
    venue = world.connector(world.settings(), "", None)._venue  # type: ignore[attr-defined]
    venue._quirks = venue._quirks._replace(orders_page=page)
    for index in range(count):
        order: Row = {"symbol": world.symbol, "side": "Buy", "orderQty": 10, "price": 50_000.0}
        world.engine.place(world.account.number, order)
        world.clock.sleep(0.01 if index % 3 else 0.0)
    assert len(world.open_orders()) == count
    found = venue.open_orders()
    assert len({row["orderID"] for row in found}) == len(found) == count


@pytest.mark.parametrize("name", TONGUES)
def test_fills_of_many_pages_are_all_read(name: str) -> None:
    world = CcxtWorld(venue=name)
    venue = world.connector(world.settings(), "", None)._venue  # type: ignore[attr-defined]
    start_s, most = world.clock.now(), min(TONGUES[name].PAGE, 100)
    for index in range(2 * most + 20):
        side = "Buy" if index % 2 else "Sell"
        order: Row = {"symbol": world.symbol, "side": side, "orderQty": 10, "ordType": "Market"}
        world.engine.place(world.account.number, order)
        world.clock.sleep(0.5 if index % 3 else 0.0)  # some at the same time
    expected = executed(world)
    found = venue.fills(start_s)
    assert len({row["execID"] for row in found}) == len(found) == len(expected)
    assert [row["timestamp"] for row in found] == sorted(row["timestamp"] for row in found)
