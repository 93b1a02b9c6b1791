"""The grid in the in-process world: counters, trims, restarts, and what is left at the end."""

import decimal
import logging
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.journal import Journal
from market_maker.levels import Level, LevelBook
from market_maker.model.rows import Row, opposite
from market_maker.model.wire import Answer
from market_maker.quoting.grid import GridRules, Quote, counter
from market_maker.strategies.grid import Grid
from market_maker.utils.errors import SettingsError, StopTrading
from tests.doubles import StillMarket, Wire, refusal
from tests.test_invariants import failing
from tests.world import World

D = decimal.Decimal
QUIET: dict[str, Any] = {
    "LOG_LEVEL": logging.ERROR,
    "GRID_KIND": "fullfixed",
    "GRID_SPACE": 5,
    "GRID_BUY_LEVELS": 3,
    "GRID_SELL_LEVELS": 3,
    "GRID_SEED": 60_000.0,
    "MIN_REQUOTE_INTERVAL": 0.2,
}


def make(world: World, journal: Journal | None = None, wrap: Any = None, **changes: Any) -> Grid:
    bot = world.bot(Grid, journal=journal, wrap=wrap, **{**QUIET, **changes})
    assert isinstance(bot, Grid)
    return bot


def book(world: World) -> tuple[list[float], list[float]]:
    """Prices of our bids, best first, and of our asks."""
    orders = world.open_orders()
    grid = world.engine.liquidity("XBTUSD").grid if orders else None
    prices: dict[str, list[float]] = {"Buy": [], "Sell": []}
    for order in orders:
        assert grid is not None
        prices[order.side].append(grid.price(order.price_ticks))
    return sorted(prices["Buy"], reverse=True), sorted(prices["Sell"])


def still(bid: float = 60_000.0, ask: float = 60_000.5) -> tuple[StillMarket, World]:
    market = StillMarket(bid, ask)
    return market, World(market)


def test_it_begins_around_the_price_it_is_given() -> None:
    _, world = still()
    world.run(make(world), 1)
    assert book(world) == ([59_995, 59_990, 59_985], [60_005, 60_010, 60_015])


def test_a_filled_order_is_countered_once_and_its_side_is_filled_up() -> None:
    market, world = still()
    bot = make(world)
    world.run(bot, 1)
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    world.run(bot, 3)
    assert world.position()["currentQty"] == 100
    assert book(world) == ([59_990, 59_985, 59_980], [60_000, 60_005, 60_010])
    world.run(bot, 5)
    assert book(world) == ([59_990, 59_985, 59_980], [60_000, 60_005, 60_010])


def test_what_strict_levels_took_out_comes_back_at_the_same_price() -> None:
    market, world = still()
    bot = make(world)
    world.run(bot, 1)
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    world.run(bot, 3)
    market.show(60_000.0, 60_001.0)
    market.take("Buy", 100, 60_000.0)  # the counter
    world.run(bot, 3)
    assert world.position()["currentQty"] == 0
    assert book(world) == ([59_995, 59_990, 59_985], [60_005, 60_010, 60_015])


@pytest.mark.parametrize(("lot", "fits"), [(200, False), (70, False), (50, True)])
def test_sizes_that_the_lot_no_longer_takes_are_pulled_and_come_back(
    lot: int, fits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _, world = still()
    bot = make(world)
    world.run(bot, 1)
    whole = book(world)
    caplog.set_level(logging.INFO, "root")
    world.engine.change_grid("XBTUSD", 0.5, lot)
    world.run(bot, 30)
    assert book(world) == (whole if fits else ([], []))
    said = caplog.text
    reason = f"the sizes of the grid are no multiples of the lot size, now {lot}"
    assert said.count(f"Pulling all quotes: {reason}") == (not fits)
    assert (said.count(f"Grid: no quotes: {reason}") >= 5) == (not fits)
    assert "refused" not in said
    world.engine.change_grid("XBTUSD", 0.5, 100)
    world.run(bot, 3)
    assert book(world) == whole


def test_where_one_side_fits_the_new_lot_and_the_other_does_not_all_are_pulled() -> None:
    _, world = still()
    world.engine.change_grid("XBTUSD", 0.5, 50)
    bot = make(world, GRID_BUY_QUANTITY=150)
    world.run(bot, 1)
    whole = book(world)
    world.engine.change_grid("XBTUSD", 0.5, 100)
    world.run(bot, 3)
    assert book(world) == ([], [])
    world.engine.change_grid("XBTUSD", 0.5, 50)
    world.run(bot, 3)
    assert book(world) == whole


def test_a_remainder_that_is_no_lot_waits_without_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    market, world = still()
    world.engine.change_grid("XBTUSD", 0.5, 10)
    bot = make(world)
    world.run(bot, 1)
    market.show(59_994.5, 59_996.0)
    market.take("Sell", 30, 59_995.0)
    world.run(bot, 2)
    world.engine.change_grid("XBTUSD", 0.5, 100)
    caplog.set_level(logging.INFO, "root")
    world.run(bot, 30)
    assert book(world) == ([59_990, 59_985], [60_005, 60_010, 60_015])  # as its counter does
    assert (
        caplog.text.count(
            "Grid: 2 levels wait: their sizes are no multiples of the lot size, now 100."
        )
        == 1
    )
    assert "refused" not in caplog.text, "they are not even tried"
    world.engine.change_grid("XBTUSD", 0.5, 10)
    world.run(bot, 3)
    assert book(world) == ([59_995, 59_990, 59_985], [60_000, 60_005, 60_010])


def test_without_strict_levels_every_order_stays() -> None:
    market, world = still()
    bot = make(world, STRICT_LEVELS=False)
    world.run(bot, 1)
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    world.run(bot, 3)
    assert book(world) == ([59_990, 59_985, 59_980], [60_000, 60_005, 60_010, 60_015])


def test_a_partial_fill_is_not_countered_until_its_order_ends() -> None:
    market, world = still()
    bot = make(world, GRID_BUY_QUANTITY=500, GRID_SELL_QUANTITY=500)
    world.run(bot, 1)
    market.show(59_994.5, 59_996.0)
    market.take("Sell", 200, 59_995.0)
    world.run(bot, 2)
    assert world.position()["currentQty"] == 200
    assert book(world)[1] == [60_005, 60_010, 60_015]
    bot.exchange.cancel_all_orders()
    world.run(bot, 3)
    bids, asks = book(world)
    assert (bids, asks) == ([59_995, 59_990, 59_985], [60_000, 60_005, 60_010])
    sizes = {(o.side, o.price_ticks): o.leaves_qty for o in world.open_orders()}
    assert (sizes["Buy", 119_990], sizes["Sell", 120_000]) == (300, 200)


@pytest.mark.parametrize("cleared", [None, True])
def test_cont_places_the_same_prices_and_remaining_sizes_again(
    tmp_path: Path, cleared: bool | None
) -> None:
    market, world = still()
    journal = Journal(tmp_path / "journal", world.clock)
    bot = make(world, journal, GRID_BUY_QUANTITY=500, GRID_SELL_QUANTITY=500)
    world.run(bot, 1)
    market.show(59_989.5, 59_996.0)
    market.take("Sell", 700, 59_990.0)  # one whole level, and 200 of the next
    world.run(bot, 3)
    before = book(world)
    bot.shut_down()
    assert world.open_orders() == []
    journal = Journal(tmp_path / "journal", world.clock)
    again = make(world, journal, GRID_SEED="cont", CLEAR_ORDERS=cleared, GRID_BUY_QUANTITY=500)
    world.run(again, 3)
    assert book(world)[0] == before[0]
    sizes = {(o.side, o.price_ticks): o.leaves_qty for o in world.open_orders()}
    assert sizes["Buy", 119_980] == 300
    on_sale = [o.leaves_qty for o in world.open_orders() if o.price_ticks == 119_990]
    assert on_sale == [200], "the filled part of the cancelled order is answered"


def test_a_killed_grid_goes_on_with_the_fills_it_has_missed(tmp_path: Path) -> None:
    market, world = still()
    bot = make(world, Journal(tmp_path / "journal", world.clock))
    world.run(bot, 1)
    kill(bot)
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    world.clock.sleep(2)
    left = {order.order_id for order in world.open_orders()}
    again = make(world, Journal(tmp_path / "journal", world.clock), GRID_SEED="cont")
    world.run(again, 3)
    assert book(world) == ([59_990, 59_985, 59_980], [60_000, 60_005, 60_010])
    stay = {order.order_id for order in world.open_orders()}
    assert len(left) == 5 and len(left - stay) == 1, "they keep their places, but one is trimmed"
    again.shut_down()
    assert world.open_orders() == []


def test_what_the_dead_mans_switch_has_cancelled_comes_back(tmp_path: Path) -> None:
    market, world = still()
    bot = make(
        world, Journal(tmp_path / "journal", world.clock), GRID_BUY_QUANTITY=500, GRID_SPACE=10
    )
    world.run(bot, 1)
    market.show(59_989.5, 59_996.0)
    market.take("Sell", 200, 59_990.0)
    world.run(bot, 1)
    before = book(world)
    kill(bot)
    world.clock.sleep(90)
    assert world.open_orders() == []
    journal = Journal(tmp_path / "journal", world.clock)
    again = make(world, journal, GRID_SEED="cont", GRID_BUY_QUANTITY=500, GRID_SPACE=10)
    world.run(again, 3)
    sizes = {(o.side, o.price_ticks): o.leaves_qty for o in world.open_orders()}
    assert book(world)[0] == before[0] and sizes["Buy", 119_980] == 300
    assert sizes["Sell", 120_000] == 200, "the filled part of the cancelled order is answered"


def kill(bot: Grid) -> None:
    """What the operating system does when a process is gone."""
    desk = bot.exchange.desk
    desk.connector.stream.close()
    desk.gateway.switch.abandon()
    desk.journal._db.close()
    desk.journal._release()


@pytest.mark.parametrize("seed", ["lastTicker", "lastOwn", 60_100])
def test_other_seeds_clear_what_was_there(tmp_path: Path, seed: Any) -> None:
    market, world = still()
    bot = make(world, Journal(tmp_path / "journal", world.clock))
    world.run(bot, 1)
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    market.show(60_050.0, 60_050.5)
    world.run(bot, 2)
    kill(bot)
    again = make(world, Journal(tmp_path / "journal", world.clock), GRID_SEED=seed)
    middle = {"lastOwn": 59_995.0, "lastTicker": again.get_ticker()["last"]}.get(seed, seed)
    world.run(again, 2)
    prices = [level.price for level in again.levels.all()]
    # What the market has passed of them is filled up farther out.
    assert prices[:6] == [D(str(middle)) + 5 * n for n in (-1, -2, -3, 1, 2, 3)]
    assert len(world.open_orders()) <= 6


def test_without_clearing_it_builds_around_orders_but_not_around_levels_of_old(
    tmp_path: Path,
) -> None:
    market, world = still()
    bot = make(world, Journal(tmp_path / "journal", world.clock))
    world.run(bot, 1)
    bot.shut_down()
    market.show(60_100.0, 60_100.5)
    world.clock.sleep(1)
    journal = Journal(tmp_path / "journal", world.clock)
    again = make(world, journal, GRID_SEED=60_100, CLEAR_ORDERS=False)
    world.run(again, 2)
    assert book(world) == ([60_095, 60_090, 60_085], [60_105, 60_110, 60_115])
    kill(again)
    world.clock.sleep(1)
    journal = Journal(tmp_path / "journal", world.clock)
    third = make(world, journal, GRID_SEED=60_120, CLEAR_ORDERS=False, STRICT_LEVELS=False)
    world.run(third, 2)
    bids, asks = book(world)
    assert {60_095, 60_090, 60_085} <= set(bids), "the orders that were there are kept"
    assert max(bids) < min(asks)


def executed(price: float, second: int, **changes: Any) -> Row:
    """An execution of ours, as a venue's history tells it."""
    moment = f"2020-09-13T12:26:{second:02}.000Z"
    row = {"execType": "Trade", "side": "Buy", "lastQty": 100, "lastPx": price, "clOrdID": ""}
    return {**row, "execID": str(second), "orderID": "o", "transactTime": moment, **changes}


HISTORY = [
    executed(59_900.0, 1),
    executed(60_100.0, 30),
    executed(60_050.0, 20),
    executed(61_000.0, 40, execType="Funding", side=""),
]


@pytest.mark.parametrize("is_booked", [True, False])
def test_the_latest_own_trade_is_neither_funding_nor_what_a_venue_happens_to_tell_first(
    is_booked: bool,
) -> None:
    _, world = still()
    bot = make(world, GRID_SEED="lastOwn")
    if is_booked:
        bot.exchange.desk.journal.book_fills(HISTORY[:3])
        world.clock.sleep(1)
        bot.exchange.desk.journal.book_fills(HISTORY[3:])
    else:
        connector = bot.exchange.desk.connector
        ask = connector.fetch_rows
        connector.fetch_rows = lambda table, **params: (  # type: ignore[method-assign]
            HISTORY if table.startswith("execution") else ask(table, **params)
        )
    world.run(bot, 1)
    prices = [level.price for level in bot.levels.all()]
    assert prices[:6] == [D(60_100) + 5 * n for n in (-1, -2, -3, 1, 2, 3)]


def test_last_own_without_a_trade_ends_with_one_line() -> None:
    _, world = still()
    bot = make(world, GRID_SEED="lastOwn")
    with pytest.raises(StopTrading, match="no trade of ours"):
        bot.start()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"GRID_SPACE": 0.3}, "GRID_SPACE = 0.3 is no multiple of the tick 0.5"),
        ({"GRID_SEED": 60_000.3}, "GRID_SEED = 60000.3 is no multiple of the tick 0.5"),
        ({"GRID_KIND": "ppt", "GRID_SPACE": 1e-15}, "no space between two prices"),
        ({"GRID_COUNTER_SCALE": 0}, "no multiple of 100"),
        ({"GRID_SPACE": 25_000}, "GRID_BUY_LEVELS would go below 0"),
        ({"GRID_MIN_PRICE": 61_000, "GRID_MAX_PRICE": 62_000}, "no level around 60000.0 lies"),
        ({"GRID_BUY_QUANTITY": 150}, "rounded by"),
        ({"GRID_BUY_QUANTITY": 4_950}, "rounded by 1.0%"),
        ({"GRID_KIND": "ppt", "GRID_SPACE": 0.5, "GRID_QUANTITY_POWER": 2}, "rounded by"),
    ],
)
def test_a_grid_that_would_not_be_itself_is_refused(changes: Any, words: str) -> None:
    _, world = still()
    with pytest.raises(SettingsError, match=words):
        make(world, **changes).start()


def test_a_counter_refused_by_a_limit_stays_owed() -> None:
    market, world = still()
    bot = make(world, GRID_MAX_PRICE=59_999)
    world.run(bot, 1)
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    world.run(bot, 2)
    assert book(world)[1] == []
    assert [level.left for level in bot.levels.all() if level.price == 59_995] == [0]
    bot.rules = GridRules("fullfixed", D(5), D("0.5"), D(100))
    world.run(bot, 2)
    assert 60_000 in book(world)[1]
    assert [level.is_seed for level in bot.levels.all() if level.price == 60_000] == [False]
    assert [level for level in bot.levels.all() if level.price == 59_995] == [], "it is paid"


def test_an_order_the_exchange_refuses_is_tried_again() -> None:
    _, world = still()
    wire = Wire()
    bot = make(world, wrap=wire)
    wire.script = lambda r: refusal(400, "no") if r.path.startswith("/order/bulk") else None
    world.run(bot, 1)
    assert book(world) == ([], [])
    assert len(wire.sent("POST", "/order/bulk")) == 1, "it is not asked in every round"
    wire.script = lambda request: None
    world.run(bot, 4)
    assert book(world) == ([59_995, 59_990, 59_985], [60_005, 60_010, 60_015])


def test_levels_off_a_coarser_tick_come_back_beside_it() -> None:
    market, world = still()
    bot = make(world)
    world.run(bot, 2)
    world.engine.change_grid("XBTUSD", 2.0, 100)  # cancels the orders that are off its ticks
    market.show(60_000.0, 60_002.0)
    world.run(bot, 5)
    assert book(world) == ([59_994, 59_990, 59_984], [60_006, 60_010, 60_016])
    placed = {order.order_id for order in world.open_orders()}
    world.run(bot, 10)
    assert {order.order_id for order in world.open_orders()} == placed


def test_nothing_is_seeded_while_the_fate_of_an_order_is_open() -> None:
    market, world = still()
    wire = Wire()
    bot = make(world, wrap=wire)
    world.run(bot, 1)
    wire.script = lambda r: Answer(0, None, {}) if r.path == "/order/bulk" else None
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    world.run(bot, 1)  # the counter and a new buy are under way, and nobody knows where
    market.show(59_985.5, 59_986.0)
    market.take("Sell", 100, 59_989.0)
    world.run(bot, 1)
    assert len(list(bot.exchange.desk.state.orders.unknown())) > 0
    assert [level.price for level in bot.levels.all() if level.side == "Buy"] == [59_985, 59_980]
    wire.script = lambda r: None
    world.run(bot, 12)
    assert book(world) == ([59_985, 59_980, 59_975], [59_995, 60_000, 60_005])


def test_position_limits_hold_and_the_rest_waits(caplog: pytest.LogCaptureFixture) -> None:
    _, world = still()
    bot = make(world, MAX_POSITION=200, MIN_POSITION=-100)
    caplog.set_level(logging.INFO, "root")
    world.run(bot, 2)
    assert book(world) == ([59_995, 59_990], [60_005])
    assert "refused" not in caplog.text, "what does not fit is not tried"


def test_a_post_only_level_that_the_market_has_passed_waits_for_it_to_come_back() -> None:
    market, world = still()
    wire = Wire()
    bot = make(world, wrap=wire)
    world.run(bot, 1)
    market.show(59_990.5, 59_991.0)
    market.take("Sell", 100, 59_994.0)
    market.show(60_003.0, 60_003.5)  # beyond the counter, before it is placed
    world.run(bot, 5)
    assert book(world) == ([59_990, 59_985, 59_980], [60_005, 60_010, 60_015])
    assert [o for o in wire.orders() if o["side"] == "Sell" and o["price"] == 60_000] == []
    market.show(59_998.0, 59_998.5)
    world.run(bot, 3)
    assert book(world)[1] == [60_000, 60_005, 60_010]


@pytest.mark.parametrize("beyond", [16, 31, 46, 146])
def test_levels_that_the_market_has_passed_leave_no_side_empty(beyond: int) -> None:
    market, world = still()
    bot = make(world)
    world.run(bot, 1)
    market.show(59_980.5, 59_981.0)
    market.take("Sell", 300, 59_984.0)
    market.show(60_000.0 + beyond, 60_000.5 + beyond)  # back, and beyond all sells there are
    market.take("Buy", 300, 60_015.5)
    world.run(bot, 60)
    bids, asks = book(world)
    assert bids[:2] == [60_010, 60_005] and len(bids) == 3
    first = 60_000 + beyond + 4
    assert asks == [first, first + 5, first + 10]
    waiting = [level.price for level in bot.levels.all() if not level.cl_ord_id]
    assert {59_990, 59_995, 60_000} <= set(waiting), "the counters of the buys"


@pytest.mark.parametrize("gap", [45, 150])
def test_a_fall_beyond_all_buys_leaves_them_beside_the_market(gap: int) -> None:
    market, world = still()
    bot = make(world)
    world.run(bot, 1)
    market.show(60_000.0 - gap - 5, 60_000.5 - gap - 5)
    world.run(bot, 60)
    bids, asks = book(world)
    nearest = 60_000 - gap - 5
    assert bids == [nearest, nearest - 5, nearest - 10]
    assert asks == [59_990, 59_995, 60_000]
    count = len(bot.levels.all())
    world.run(bot, 20)
    assert len(bot.levels.all()) == count


def test_cont_after_the_market_has_left_one_side_behind_fills_it_up(tmp_path: Path) -> None:
    market, world = still()
    bot = make(world, Journal(tmp_path / "journal", world.clock))
    world.run(bot, 1)
    bot.shut_down()
    market.show(60_050.0, 60_050.5)
    world.clock.sleep(1)
    again = make(world, Journal(tmp_path / "journal", world.clock), GRID_SEED="cont")
    world.run(again, 60)
    bids, asks = book(world)
    assert bids == [59_995, 59_990, 59_985]
    assert asks == [60_055, 60_060, 60_065]


def test_as_the_market_wanders_each_place_is_a_level_once_and_no_more() -> None:
    market, world = still()
    bot = make(world)
    world.run(bot, 1)
    for _ in range(3):
        for price in (59_950.0, 60_050.0):
            market.show(price, price + 0.5)
            world.run(bot, 40)
            bids, asks = book(world)
            assert len(bids) == len(asks) == 3
    places = {(level.side, level.price) for level in bot.levels.all()}
    assert len(bot.levels.all()) <= len(places)
    assert len(places) <= 2 * (100 / 5 + 10)


def test_without_a_journal_cont_takes_up_the_orders_in_the_book_each_place_once() -> None:
    _, world = still()
    bot = make(world, GRID_SEED="cont", STRICT_LEVELS=False)
    for price in (59_995.0, 59_990.0, 59_995.0):
        bot.exchange.bitmex.buy(100, price)
    world.run(bot, 12)
    bids, asks = book(world)
    assert bids == [59_995, 59_990, 59_985] and len(asks) == 3
    assert bids[0] < asks[0]


def test_a_dry_run_shows_the_grid_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _, world = still()
    bot = make(world, DRY_RUN=True)
    bot.start()
    shown = capsys.readouterr().out
    for price in ("59995.0", "59985.0", "60005.0", "60015.0"):
        assert price in shown
    assert world.open_orders() == []


# -- random lives ---------------------------------------------------------------------------


def watch(world: World, bot: Grid) -> None:
    """Own quotes never meet, and the worst case stays within the limits."""
    rules = bot.settings

    def check(event: Any) -> None:
        if getattr(event, "account", None) != world.account.number:
            return
        buys = [o for o in world.open_orders() if o.side == "Buy"]
        sells = [o for o in world.open_orders() if o.side == "Sell"]
        if buys and sells:
            assert max(o.price_ticks for o in buys) < min(o.price_ticks for o in sells)
        qty = world.position()["currentQty"] or 0
        assert qty + sum(o.leaves_qty for o in buys) <= rules.MAX_POSITION
        assert qty - sum(o.leaves_qty for o in sells) >= rules.MIN_POSITION

    world.engine.listeners.append(check)


@pytest.mark.parametrize(
    ("seed", "kind", "levels", "is_strict"),
    [
        (1, "ppt", 3, True),
        (2, "fullfixed", 4, True),
        (3, "ppt", 1, False),
        (4, "fullfixed", 2, False),
    ],
)
def test_after_crashes_the_levels_still_agree_with_position_and_book(
    tmp_path: Path, seed: int, kind: str, levels: int, is_strict: bool
) -> None:
    seeded = {"Buy": D(0), "Sell": D(0)}
    world = World(seed=seed)
    changes = {
        "GRID_KIND": kind,
        "GRID_SPACE": 0.01 if kind == "ppt" else 4,
        "GRID_BUY_LEVELS": levels,
        "GRID_SELL_LEVELS": levels,
        "STRICT_LEVELS": is_strict,
    }
    method: Any = "lastTicker"
    for _ in range(3):
        journal = Journal(tmp_path / "journal", world.clock)
        bot = make(world, journal, **changes, GRID_SEED=method)
        watch(world, bot)
        note_seeds(bot, seeded)
        world.run(bot, 25)
        world.engine.listeners.pop()
        check_levels(world, bot, seeded)
        method = "cont"
        kill(bot)
        world.clock.sleep(1)


def note_seeds(bot: Grid, seeded: dict[str, decimal.Decimal]) -> None:
    """Add up what the bot seeds, and take off what it drops for a duplicate."""
    bot.start()
    for level in bot.levels.all() if not any(seeded.values()) else []:
        seeded[level.side] += level.size
    add, drop = bot.levels.add_seeds, bot.levels.drop

    def add_seeds(side: str, quotes: list[Quote]) -> None:
        seeded[side] += sum(quote.qty for quote in quotes)
        add(side, quotes)

    def drop_levels(levels: list[Level]) -> None:
        before = {level.id: level for level in bot.levels.all()}
        drop(levels)
        for gone in before.keys() - {level.id for level in bot.levels.all()}:
            seeded[before[gone].side] -= before[gone].size

    bot.levels.add_seeds, bot.levels.drop = add_seeds, drop_levels  # type: ignore[assignment, method-assign]


def check_levels(world: World, bot: Grid, seeded: dict[str, decimal.Decimal]) -> None:
    """Every level has one order at most, every order a level, and every fill its answer."""
    bot.exchange.get_orders()
    bot._hear()
    levels = bot.levels.all()
    ids = [level.cl_ord_id for level in levels if level.cl_ord_id]
    assert len(ids) == len(set(ids))
    assert {order.cl_ord_id for order in world.open_orders()} <= set(ids)
    filled = {"Buy": D(0), "Sell": D(0)}
    for execution in world.engine.executions(world.account.number):
        filled[execution.order.side] += execution.fill.qty if execution.fill else 0
    assert filled["Buy"] - filled["Sell"] == (world.position()["currentQty"] or 0)
    check_conserved(levels, seeded, filled)


def check_conserved(levels: list[Level], seeded: Any, filled: Any) -> None:
    """What rests on a side is what was seeded there and what the other side's fills have called
    for, without what was filled."""
    for side in ("Buy", "Sell"):
        left = sum(level.left for level in levels if level.side == side)
        pending = sum(
            level.filled + level.cum - level.settled for level in levels if level.side != side
        )
        assert pending >= 0
        assert left == seeded[side] + filled[opposite(side)] - pending - filled[side]


def fill_row(name: str, cum: int) -> Row:
    row = {"symbol": "XBTUSD", "orderID": "1", "execID": f"e{cum}", "clOrdID": name, "side": "Buy"}
    return {**row, "lastQty": cum, "lastPx": 995.0, "cumQty": cum}


def test_a_fill_and_its_counter_are_written_together_or_not_at_all() -> None:
    rules, journal = (
        GridRules("fullfixed", D(5), D("0.5"), D(1)),
        Journal(":memory:", ManualClock()),
    )
    levels = LevelBook(journal, lambda s, q: counter(rules, s, q))
    levels.add_seeds("Buy", [Quote(D(995), D(10))])
    levels.claim([(levels.all()[0], "a")])
    before = levels.all()

    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    journal.after_fills = fail
    with pytest.raises(StopTrading, match="the disk is full"):
        journal.book_fills([fill_row("a", 10)])
    assert levels.all() == before and not journal.has_fill(fill_row("a", 10))
    journal.after_fills = lambda *_: None
    journal.book_fills([fill_row("a", 10)])
    journal.book_fills([fill_row("a", 10)])  # told twice
    assert [(le.side, le.price, le.size) for le in levels.all()] == [("Sell", 1000, 10)]


SIZES = st.integers(1, 10)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["fill", "end", "repeat"]), SIZES), max_size=40
    )
)
def test_every_fill_is_countered_exactly_once_whatever_ends_the_orders(
    steps: list[tuple[int, str, int]],
) -> None:
    rules = GridRules("fullfixed", D(5), D("0.5"), D(1))
    levels = LevelBook(Journal(":memory:", ManualClock()), lambda s, q: counter(rules, s, q))
    levels.add_seeds("Buy", [Quote(D(1000 - 5 * n), D(10)) for n in range(3)])
    seeded = {"Buy": D(30), "Sell": D(0)}
    filled = {"Buy": D(0), "Sell": D(0)}
    names = iter(range(10_000))
    for number, action, qty in steps:
        known = levels.all()
        level = known[number % len(known)]
        if not level.cl_ord_id:
            levels.claim([(level, f"order-{next(names)}")])
            (level,) = [found for found in levels.all() if found.id == level.id]
        if action == "end":
            levels.note_end(level.cl_ord_id, level.cum)
            continue
        more = min(D(qty), level.left) if action == "fill" else D(0)
        filled[level.side] += more
        levels.note_filled(level.cl_ord_id, level.cum + more)
        levels.note_filled(level.cl_ord_id, level.cum)  # old news
    check_conserved(levels.all(), seeded, filled)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_on_a_wire_that_fails_every_fill_is_still_answered_once(seed: int) -> None:
    world, wire = World(seed=seed), Wire()
    changes = {"GRID_SPACE": 4, "GRID_SEED": "lastTicker"}
    bot = make(world, wrap=wire, **changes)
    watch(world, bot)
    seeded = {"Buy": D(0), "Sell": D(0)}
    note_seeds(bot, seeded)
    failing(random.Random(seed), 0.2)(wire)
    world.run(bot, 60)
    wire.script = lambda request: None
    world.run(bot, 20)
    check_levels(world, bot, seeded)
    bot.shut_down()
    assert bot.exit_code == 0
    assert world.open_orders() == []
