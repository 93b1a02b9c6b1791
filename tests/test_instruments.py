"""The bot makes a market in each instrument that the built-in exchange lists."""

import pytest

from market_maker.model.coins import coin_of
from tests.binance_world import BinanceWorld
from tests.ccxt_world import CcxtWorld
from tests.hitbtc_world import HitbtcWorld
from tests.plain_world import PlainWorld
from tests.world import World


@pytest.mark.parametrize(
    ("symbol", "currency"),
    [("XBTUSD", "XBt"), ("ETHUSD", "XBt"), ("XBTUSDT", "USDt"), ("XBTU20", "XBt")],
)
def test_the_bot_trades_and_reads_the_margin_of_its_own_currency(
    symbol: str, currency: str
) -> None:
    world = World()
    bot = world.bot(SYMBOL=symbol)
    world.run(bot, 60)
    account = world.account.number
    assert world.open_orders()
    assert {order.symbol for order in world.engine.orders(account)} == {symbol}
    assert [e for e in world.engine.executions(account) if e.exec_type == "Trade"]
    margin, row = bot.exchange.get_margin(), world.engine.margin_row(account, currency)
    assert margin["currency"] == currency
    assert margin["walletBalance"] == row["walletBalance"]
    assert [world.engine.imbalance_sat(c) for c in world.engine.currencies(account)] == [0, 0]


@pytest.mark.parametrize("world", [PlainWorld, BinanceWorld, HitbtcWorld, CcxtWorld])
def test_the_delta_is_the_position_in_bitcoin_on_every_venue(world: type[World]) -> None:
    at = world()
    bot = at.bot()
    at.run(bot, 60)
    position = bot.exchange.get_position()["currentQty"]
    price = bot.exchange.get_instrument()["markPrice"]
    is_spot = at.symbol != "XBTUSD"
    assert position != 0
    delta = bot.exchange.calc_delta()["mark_price"]
    assert delta == pytest.approx(position if is_spot else position / price, rel=1e-3)


@pytest.mark.parametrize(
    ("held", "symbol", "line"),
    [
        ({"XBTUSD": -600}, "XBTUSD", "-0.0100 XBT"),
        ({"XBTUSDT": 2_000}, "XBTUSDT", "0.0020 XBT"),
        ({"ETHUSD": 100}, "ETHUSD", "0.2000 XBT"),  # a quanto is settled in XBT
        ({"ETHUSDT": 3_000}, "ETHUSDT", "0.0030 ETH"),
        ({"ETHUSDT": 3_000, "XBTUSD": -600}, "ETHUSDT", "0.0030 ETH, -0.0100 XBT"),
        ({"XBTUSD": -600}, "ETHUSDT", "0.0000 ETH, -0.0100 XBT"),
        ({}, "ETHUSDT", "0.0000 ETH"),
    ],
)
def test_the_delta_is_told_in_the_coins_it_is_in(
    held: dict[str, int], symbol: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {
        "XBTUSD": {"isInverse": True, "multiplier": -(10**8), "settlCurrency": "XBt",
                   "underlyingToSettleMultiplier": -(10**8), "underlying": "XBT"},
        "XBTUSDT": {"multiplier": 1, "settlCurrency": "USDt", "underlying": "BTC",
                    "quoteToSettleMultiplier": 10**6},
        "ETHUSD": {"isQuanto": True, "multiplier": 100, "settlCurrency": "XBt",
                   "underlying": "ETH", "quoteToSettleMultiplier": 10**8},
        "ETHUSDT": {"multiplier": 1, "settlCurrency": "USDt", "underlying": "ETH",
                    "quoteToSettleMultiplier": 10**6},
    }  # fmt: skip
    prices = {"XBTUSD": 60_000.0, "XBTUSDT": 60_000.0, "ETHUSD": 2_000.0, "ETHUSDT": 2_000.0}
    caplog.set_level("INFO")
    bot = World().bot(CONTRACTS=["XBTUSD", "ETHUSD", "NOSUCH"])
    exchange = bot.exchange
    exchange.symbol = symbol
    exchange.get_instrument = lambda name=None: {  # type: ignore[method-assign, assignment]
        "tickLog": 1, "markPrice": prices[name or symbol], **rows[name or symbol]
    }  # fmt: skip
    exchange.get_position = lambda name=None: {  # type: ignore[method-assign, assignment]
        "currentQty": held.get(name or symbol, 0)
    }
    bot.print_status()
    assert f"Total Contract Delta: {line}" in caplog.text.splitlines()[-1]


@pytest.mark.parametrize("world", [BinanceWorld, HitbtcWorld, CcxtWorld])
def test_on_spot_the_balance_counts_what_was_bought(
    world: type[World], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    at = world()
    bot = at.bot()
    at.run(bot, 60)
    margin, price = bot.exchange.get_margin(), bot.exchange.get_instrument()["markPrice"]
    unit, position = coin_of(margin["currency"]).unit, bot.exchange.get_delta()
    assert position != 0
    assert margin["marginBalance"] - margin["walletBalance"] == round(position * price * unit)
    assert abs(margin["marginBalance"] / unit - 100_000) < 10  # a purchase is no loss
    assert "Price: 0.0" not in caplog.text  # nobody tells what it was bought at
    assert "Skipped" not in caplog.text


def test_the_ticker_of_an_index_is_its_mark_price() -> None:
    world = World()
    bot = world.bot()
    world.run(bot, 5)
    for symbol in (".BXBT", ".BETH"):
        price = world.engine.instrument_row(symbol)["markPrice"]
        ticker = bot.exchange.get_ticker(symbol)
        assert ticker == {"last": price, "buy": price, "sell": price, "mid": price}
        world.clock.sleep(30)
        moved = world.engine.instrument_row(symbol)["markPrice"]
        assert moved != price
        assert bot.exchange.get_ticker(symbol)["last"] == moved  # the stream keeps it
