"""The options of every strategy, between its wish and the orders at the exchange."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker import options
from market_maker.market_maker import OrderManager
from market_maker.model.rows import Row
from market_maker.quoting.limits import margin_of
from market_maker.quoting.touch import Touch
from market_maker.settings import DEFAULTS, Settings
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.strategy_loader import available, load_strategy
from market_maker.utils.errors import SettingsError
from tests.doubles import StillMarket, decide
from tests.world import World

QUIET = {"LOG_LEVEL": logging.ERROR, "RELIST_INTERVAL": 0.0, "MIN_REQUOTE_INTERVAL": 0.0}


class Pair(OrderManager):
    """A strategy of a user's own: one order on each side, 5 away from the mid."""

    def place_orders(self) -> None:
        mid = self.reference_price()
        buys = [{"side": "Buy", "price": mid - 5.25, "orderQty": 400}]
        sells = [{"side": "Sell", "price": mid + 5.25, "orderQty": 400}]
        self.converge_orders(buys, sells)


def still(strategy: type[OrderManager] = Pair, **changes: Any) -> tuple[World, Any]:
    """A bot on a market that stands at 60000.0/60000.5."""
    world = World(StillMarket())
    bot = world.bot(strategy, **{**QUIET, **changes})
    world.run(bot, 2)
    return world, bot


def quotes(world: World) -> dict[str, tuple[float, int]]:
    return {o.side: (o.price_ticks / 2, o.leaves_qty) for o in world.open_orders()}


def hold(bot: Any, position: int) -> None:
    """Let the bot believe it holds so much, and decide again."""
    bot.exchange.get_delta = lambda symbol=None: position
    bot.run_once()


def test_when_all_are_off_the_wish_is_passed_on_as_it_is_and_nothing_is_read() -> None:
    _, bot = still()
    bot.exchange = None  # reading anything of the market would fail
    orders: list[Row] = [{"side": "Buy", "price": 1.0, "orderQty": 1}]
    assert bot.quote_options.apply(orders) is orders


def test_each_is_off_by_default_and_known_by_its_name() -> None:
    assert [name for name in options.ALL if DEFAULTS[name]] == []


@pytest.mark.parametrize(
    ("changes", "position", "buy", "sell"),
    [
        ({"SKEW_PRICE": 0.001, "SKEW_RANGE": 1000}, 500, (59964.5, 400), (60000.5, 400)),
        ({"SKEW_PRICE": 0.001, "SKEW_RANGE": 1000}, -9000, (60000.0, 400), (60066.0, 400)),
        ({"SKEW_PRICE": 0.001, "SKEW_TARGET": 700}, 700, (59995.0, 400), (60005.5, 400)),
        ({"SKEW_SIZE": True, "SKEW_RANGE": 1000}, 500, (59995.0, 200), (60005.5, 600)),
        ({"SKEW_SIZE": True, "SKEW_RANGE": 1000}, 1000, None, (60005.5, 800)),
        ({"SKEW_SIZE": True, "SKEW_RANGE": 1000}, -2000, (59995.0, 800), None),
        (
            {"SKEW_SIZE": True, "SKEW_RANGE": 1000, "MAX_ORDER_SIZE": 500},
            500,
            (59995.0, 200),
            (60005.5, 500),
        ),
    ],
)
def test_quotes_lean_against_the_inventory(
    changes: Row, position: int, buy: object, sell: object
) -> None:
    world, bot = still(**changes)
    hold(bot, position)
    assert (quotes(world).get("Buy"), quotes(world).get("Sell")) == (buy, sell)


def test_larger_sizes_still_keep_within_the_limits() -> None:
    changes = {"SKEW_SIZE": True, "SKEW_RANGE": 1000, "MAX_POSITION": 600, "MIN_POSITION": -600}
    world, bot = still(**changes)
    hold(bot, -1000)  # asks for 800, where 600 are allowed: the level waits
    assert quotes(world) == {}


def test_that_larger_sizes_do_not_fit_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    changes = {"SKEW_SIZE": True, "SKEW_RANGE": 1000, "LOG_LEVEL": logging.WARNING}
    world, bot = still(OrderManager, **changes, ORDER_PAIRS=1, ORDER_START_SIZE=400)
    row = dict(bot.exchange.get_margin())
    needed = margin_of(bot.instrument)({"orderQty": 500, "price": 60_000.0, "side": "Buy"})
    bot.exchange.get_margin = lambda: {**row, "availableMargin": needed, "initMargin": 0}
    hold(bot, -1000)  # bids of 400, and then of 800
    for _ in range(5):
        bot.run_once()
    assert "Buy" not in quotes(world)
    assert caplog.text.count("Funds allow 0 of 1 Buy levels.") == 1


@pytest.mark.parametrize(
    ("name", "buy", "sell"),
    [("mid", 59995.0, 60005.5), ("weighted", 59994.5, 60005.5), ("micro", 59995.0, 60006.0)],
)
def test_the_fair_price_is_read_off_the_touch_of_the_others(
    name: str, buy: float, sell: float
) -> None:
    world, bot = still(FAIR_PRICE=name)
    bot.exchange.get_touch = lambda: Touch(60_000.0, 3_000, 60_000.5, 1_000)
    bot.run_once()
    assert {side: price for side, (price, _) in quotes(world).items()} == {
        "Buy": buy,
        "Sell": sell,
    }


def test_before_funding_quotes_lean_away_from_the_side_that_pays() -> None:
    world, bot = still(SKEW_FUNDING=1.0, SKEW_FUNDING_WINDOW=86_400)
    row = bot.instrument
    assert row["fundingRate"] and quotes(world)["Buy"][0] != 59995.0
    leans = bot.quote_options._leans
    assert leans.funding * row["fundingRate"] < 0
    assert quotes(world)["Buy"][0] == pytest.approx(59995 + leans.funding, abs=0.5)
    bot.exchange.desk.connector.server_offset_s = lambda: 3600.0  # it is an hour later there
    bot.run_once()
    later, whole = bot.quote_options._leans.funding, -row["fundingRate"] * 60_000.25
    assert later - leans.funding == pytest.approx(whole / 24, rel=0.01)


def test_a_moving_market_widens_the_spread_and_nothing_is_quoted_before_it_is_known() -> None:
    world, bot = still(VOLATILITY_SPREAD=3.0)
    assert quotes(world) == {} and "is not known yet" in bot.exchange.desk.gateway.pulled
    market = SyntheticMarket(seed=1)
    world = World(market)
    bot = world.bot(Pair, **{**QUIET, "VOLATILITY_SPREAD": 3.0})
    world.run(bot, 40)
    leans = bot.quote_options._leans
    assert leans.wider > 1.0
    spread = quotes(world)["Sell"][0] - quotes(world)["Buy"][0]
    assert spread == pytest.approx(10.5 + 2 * leans.wider, abs=2)


def test_what_is_learnt_of_the_market_does_not_follow_our_own_quotes() -> None:
    class Inside(OrderManager):
        """Bids well inside the market of the others, 60000.0/60020.0."""

        def place_orders(self) -> None:
            self.converge_orders([{"side": "Buy", "price": 60_015.0, "orderQty": 400}], [])

    world = World(StillMarket(60_000.0, 60_020.0))
    changes = {"FAIR_PRICE": "external", "FAIR_PRICE_SOURCE": "XBTM26", "FAIR_PRICE_BASIS": 5}
    bot = world.bot(Inside, **{**QUIET, **changes, "VOLATILITY_SPREAD": 1.0})
    reference = bot.quote_options._external()
    reference.mid = lambda max_age_s: 60_010.0  # type: ignore[method-assign]
    world.run(bot, 60)
    leans = bot.quote_options._leans
    assert leans is not None and (leans.fair, leans.wider) == (0.0, 0.0)
    assert quotes(world) == {"Buy": (60_015.0, 400)}


def test_slow_rounds_learn_how_much_the_market_moves_as_well() -> None:
    world = World(SyntheticMarket(seed=1))
    slow = {"EVENT_DRIVEN": False, "LOOP_INTERVAL": 10, "VOLATILITY_SPREAD": 1.0}
    bot = world.bot(Pair, **{**QUIET, **slow})
    world.run(bot, 130)
    assert world.open_orders() and not bot.exchange.desk.gateway.pulled


@pytest.mark.parametrize("changes", [{"MIN_REST": 3}, {"QUEUE_WORTH": 3}])
def test_an_order_stays_while_it_is_young_or_its_place_worth_more(changes: Row) -> None:
    market = StillMarket()
    world = World(market)
    bot = world.bot(Pair, **{**QUIET, **changes, "LOOP_INTERVAL": 0.5})
    world.run(bot, 1)
    before = quotes(world)
    assert before == {"Buy": (59995.0, 400), "Sell": (60005.5, 400)}
    market.show(60_001.0, 60_001.5)  # two ticks
    world.run(bot, 1)
    assert quotes(world) == before
    market.show(60_001.5, 60_002.0)  # three
    world.run(bot, 3)
    assert quotes(world) == {"Buy": (59996.5, 400), "Sell": (60007.0, 400)}


@pytest.mark.parametrize("changes", [{"MIN_REST": 3600}, {"QUEUE_WORTH": 1000}])
def test_no_place_is_worth_a_risk_beyond_the_limits(changes: Row) -> None:
    world, bot = still(OrderManager, **changes, ORDER_PAIRS=1, ORDER_START_SIZE=400)
    assert quotes(world).keys() == {"Buy", "Sell"}
    world.engine.place(
        world.account.number, {"symbol": "XBTUSD", "orderQty": 10_000, "ordType": "Market"}
    )
    bot.settings.MAX_POSITION = 10_300  # 300 more, where a bid of 400 rests
    world.run(bot, 1)
    assert quotes(world).keys() == {"Sell"}


class Fills:
    """Somebody trades with us."""

    def __init__(self, bot: Any) -> None:
        self.bot = bot

    def come(self, side: str, price: float, qty: int, order_qty: int = 400) -> None:
        row = {"side": side, "lastPx": price, "lastQty": qty, "orderQty": order_qty}
        self.bot._call_hook("fill", row)
        self.bot.run_once()


def test_the_brake_takes_a_side_out_and_a_better_opposite_trade_brings_it_back() -> None:
    world, bot = still(TRADE_BRAKE=1, TRADE_BRAKE_SECONDS=60)
    fills = Fills(bot)
    fills.come("Buy", 59995.0, 200)
    assert quotes(world).keys() == {"Buy", "Sell"}  # half an order: it may come to its end
    fills.come("Buy", 59995.0, 200)
    assert quotes(world).keys() == {"Sell"}
    fills.come("Sell", 59990.0, 400)  # at a loss
    assert quotes(world) == {}
    world.clock.sleep(61)
    bot.run_once()
    assert quotes(world).keys() == {"Buy", "Sell"}
    fills.come("Buy", 59995.0, 400)
    fills.come("Sell", 60005.5, 400)
    assert quotes(world).keys() == {"Buy", "Sell"}


def test_an_order_that_closes_is_neither_moved_nor_braked() -> None:
    _, bot = still(TRADE_BRAKE=1, SKEW_PRICE=0.001, SKEW_RANGE=1000)
    Fills(bot).come("Sell", 60005.5, 400)
    bot.exchange.get_delta = lambda symbol=None: 500
    closing = {"side": "Sell", "price": 60_100.0, "orderQty": 100, "execInst": "ReduceOnly"}
    quote = {"side": "Sell", "price": 60_100.0, "orderQty": 100}
    assert bot.quote_options.apply([closing, quote]) == [closing]


def test_a_grid_waits_behind_the_brake_and_says_what_it_does_not_follow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    grid = load_strategy(Settings({**DEFAULTS, "STRATEGY": "grid"}), OrderManager)
    world, bot = still(
        grid, TRADE_BRAKE=2, SKEW_PRICE=0.01, GRID_SPACE=0.02, LOG_LEVEL=logging.WARNING
    )
    assert "SKEW_PRICE: no effect on strategy Grid." in caplog.text
    orders = world.open_orders()
    assert sorted(order.side for order in orders) == ["Buy", "Buy", "Sell", "Sell"]
    prices = {o.price_ticks for o in orders if o.side == "Buy"}
    fills = Fills(bot)
    for _ in range(2):
        fills.come("Buy", 59_000.0, 100, 100)
    assert {o.side for o in world.open_orders()} == {"Sell"}
    world.clock.sleep(61)
    bot.run_once()
    assert {o.price_ticks for o in world.open_orders() if o.side == "Buy"} == prices


class TestExternalReference:
    """FAIR_PRICE by another symbol of the same exchange."""

    SET = {"FAIR_PRICE": "external", "FAIR_PRICE_SOURCE": "XBTU20", "FAIR_PRICE_BASIS": 0}

    @pytest.fixture
    def bot(self) -> Iterator[tuple[World, Any]]:
        world = World(seed=5)
        bot = world.bot(Pair, **{**QUIET, **self.SET})
        world.run(bot, 5)
        yield world, bot
        bot.shut_down()

    def test_quotes_lie_around_it(self, bot: tuple[World, Any]) -> None:
        world, manager = bot
        manager.run_once()
        future = manager.exchange.get_ticker("XBTU20")
        fair = (future["buy"] + future["sell"]) / 2
        touch = manager._ticker()
        bid = min(fair - 5.25, touch["sell"] - 0.5)
        assert quotes(world)["Buy"][0] == pytest.approx(bid, abs=0.5)

    def test_a_stale_one_pulls_the_quotes_until_it_is_back(self, bot: tuple[World, Any]) -> None:
        world, manager = bot
        assert quotes(world).keys() == {"Buy", "Sell"}
        row = manager.exchange.desk.state.instrument("XBTU20")
        manager.exchange.desk.state.instrument = lambda symbol=None: {
            **row,
            "timestamp": "2020-09-13T12:20:00.000Z",
        }
        world.clock.sleep(1)
        manager.run_once()
        assert quotes(world) == {}
        assert manager.exchange.desk.gateway.pulled.startswith("the reference XBTU20 is ")
        del manager.exchange.desk.state.instrument
        world.run(manager, 3)
        assert quotes(world).keys() == {"Buy", "Sell"}

    def test_a_symbol_that_is_not_listed_ends_the_run_with_one_line(self) -> None:
        world = World(seed=5)
        bot = world.bot(Pair, **{**QUIET, **self.SET, "FAIR_PRICE_SOURCE": "XBTM99"})
        with pytest.raises(SettingsError, match="FAIR_PRICE_SOURCE = 'XBTM99': the exchange lists"):
            world.run(bot, 5)
        assert world.open_orders() == []


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(sorted(available().keys())),
    seed=st.integers(0, 1000),
    changes=st.fixed_dictionaries(
        {
            "FAIR_PRICE": st.sampled_from([None, "mid", "weighted", "micro"]),
            "SKEW_PRICE": st.sampled_from([0, 0.0001, 0.01]),
            "SKEW_SIZE": st.booleans(),
            "SKEW_RANGE": st.sampled_from([100, 1000]),
            "SKEW_FUNDING": st.sampled_from([0, 1.0]),
            "SKEW_FUNDING_WINDOW": st.just(86_400),
            "QUEUE_WORTH": st.sampled_from([0, 5.0]),
            "MIN_REST": st.sampled_from([0, 3]),
            "TRADE_BRAKE": st.sampled_from([0, 2]),
            "DECISION_CALL": st.just(decide),
            "DECISION_EVERY": st.just(1),
            "DECISION_STAKE": st.just(1),
        }
    ),
)
def test_own_quotes_never_meet_and_limits_hold_with_any_options(
    name: str, seed: int, changes: Row
) -> None:
    world = World(seed=seed)
    strategy = load_strategy(Settings({**DEFAULTS, "STRATEGY": name}), OrderManager)
    bot = world.bot(
        strategy, LOG_LEVEL=logging.ERROR, MAX_POSITION=1500, MIN_POSITION=-1500, **changes
    )

    def check(event: Any) -> None:
        orders = world.open_orders()
        buys = [o for o in orders if o.side == "Buy"]
        sells = [o for o in orders if o.side == "Sell"]
        if buys and sells:
            assert max(o.price_ticks for o in buys) < min(o.price_ticks for o in sells)
        qty = world.position()["currentQty"] or 0
        assert qty + sum(o.leaves_qty for o in buys) <= 1500
        assert qty - sum(o.leaves_qty for o in sells) >= -1500

    world.engine.listeners.append(
        lambda event: (
            check(event) if getattr(event, "account", None) == world.account.number else None
        )
    )
    world.run(bot, 15)
    assert not bot.exchange.desk.gateway.pulled
    bot.shut_down()
    assert world.open_orders() == []
