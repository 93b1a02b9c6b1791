"""The bot makes a market in each instrument that the built-in exchange lists."""

import pytest

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
