"""What the strategy "avellaneda" believes, and when it learns."""

import logging

import pytest

from market_maker.strategies.avellaneda import Avellaneda
from tests.doubles import StillMarket
from tests.world import World

SET = {"LOG_LEVEL": logging.ERROR, "AVELLANEDA_LEAST_SAMPLES": 20}


def test_before_enough_samples_the_careful_ends_of_the_bounds_are_believed() -> None:
    world = World(seed=5)
    bot = world.bot(Avellaneda, **SET)
    world.run(bot, 5)
    s = bot.settings
    assert bot.market() == (s.AVELLANEDA_SIGMA[1], s.AVELLANEDA_A[0], s.AVELLANEDA_K[0])
    world.run(bot, 120)
    believed = bot.market()
    assert believed != (s.AVELLANEDA_SIGMA[1], s.AVELLANEDA_A[0], s.AVELLANEDA_K[0])
    assert s.AVELLANEDA_SIGMA[0] <= believed.sigma <= s.AVELLANEDA_SIGMA[1]


def test_nothing_is_learnt_while_quotes_are_pulled_or_over_a_lost_line() -> None:
    world = World(seed=5)
    bot = world.bot(Avellaneda, **SET)
    world.run(bot, 60)
    known = len(bot.arrivals), len(bot.volatility)
    bot.exchange.desk.gateway.pull("for the test")
    world.clock.sleep(30)
    bot._call_hooks()
    assert (len(bot.arrivals), len(bot.volatility)) == known
    bot.exchange.desk.gateway.release()
    bot.exchange.desk.connector.reconnect()
    world.clock.sleep(2)
    samples = len(bot.volatility)
    bot.run_once()
    assert len(bot.volatility) == samples  # the mid before the gap is no mid to compare with


def test_it_leans_towards_its_target_and_the_status_shows_every_term(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(StillMarket())
    bot = world.bot(Avellaneda, LOG_LEVEL=logging.INFO, AVELLANEDA_TARGET=300)
    world.run(bot, 2)
    mid, q, _, terms = bot._terms
    assert q == -3 and terms.reservation > 0
    assert bot.reference_price() == pytest.approx(mid * 0.5)
    bot.print_status()
    for term in ("mid", "reservation", "bid depth", "ask depth", "q", "risk", "arrival", "spread",
                 "sigma", "A", "k"):  # fmt: skip
        assert f"{term} " in caplog.text


@pytest.mark.parametrize(
    ("position", "least", "bids", "asks"),
    [
        # sigma 8, gamma 0.02, T 30, k 0.05: risk 38.4 and half the spread 36.02 ticks
        (0, 0, [59_982.0, 59_976.0, 59_970.0], [60_018.5, 60_024.5, 60_030.5]),
        # three orders long: 115.2 ticks lower, and not beyond the bid of the others
        (300, 0, [59_924.5, 59_918.5, 59_912.5], [60_000.5, 60_006.5, 60_012.5]),
        (-300, 0, [60_000.0, 59_994.0, 59_988.0], [60_076.0, 60_082.0, 60_088.0]),
        # half of MIN_SPREAD is 240 ticks
        (0, 0.004, [59_880.0, 59_874.0, 59_868.0], [60_120.5, 60_126.5, 60_132.5]),
    ],
)
def test_levels_lie_where_the_model_says_and_on_the_passive_side(
    position: int, least: float, bids: list[float], asks: list[float]
) -> None:
    world = World(StillMarket(60_000.0, 60_000.5))
    changes = {"ORDER_PAIRS": 3, "INTERVAL": 0.0001, "MIN_SPREAD": least, "AVELLANEDA_HORIZON": 30}
    bot = world.bot(Avellaneda, LOG_LEVEL=logging.ERROR, **changes)
    bot.exchange.get_delta = lambda symbol=None: position
    world.run(bot, 1)
    orders = [(order.side, order.price_ticks / 2) for order in world.open_orders()]
    assert sorted((p for side, p in orders if side == "Buy"), reverse=True) == bids
    assert sorted(p for side, p in orders if side == "Sell") == asks


def test_the_depth_of_a_sweep_is_that_from_the_mid_before_it() -> None:
    world = World(StillMarket())
    bot = world.bot(Avellaneda, **SET)
    world.run(bot, 1)
    for second, bid in ((1, 60_000.0), (2, 60_010.0)):
        stamp = f"2020-09-13T12:30:0{second}.000Z"
        bot.on_book({"bidPrice": bid, "askPrice": bid + 0.5, "timestamp": stamp})
    for price in (60_002.0, 60_009.0, 60_005.0):  # its own prints move the mid at the same time
        bot.on_trade({"price": price, "side": "Buy", "timestamp": "2020-09-13T12:30:02.000Z"})
    assert [sweep.depth for sweep in bot.arrivals._sweeps] == [17.5]
