"""nautilus_trader 1.221.0's BitMEX adapter: data and execution, place, amend, fill, cancel.

    python tests/clients/nautilus_bitmex.py

It is pointed at the exchange by `base_url_http` (with /api/v1) and `base_url_ws` of its two
client configurations.
"""

import asyncio
from typing import Any

from harness import Exchange, agree, check, main

REQUIREMENTS = ("nautilus_trader==1.221.0",)
ID = "XBTUSD"


def client(exchange: Exchange) -> None:
    node, strategy = make_node(exchange)
    try:
        node.get_event_loop().run_until_complete(trade(exchange, node, strategy))
    finally:
        node.dispose()  # stops the loop


async def trade(exchange: Exchange, node: Any, strategy: Any) -> None:
    node.build()
    running = asyncio.create_task(node.run_async())
    try:
        await steps(exchange, strategy)
    finally:
        await node.stop_async()
        await running


def make_node(exchange: Exchange) -> tuple[Any, Any]:
    """A live node with the adapter's data and execution clients and a strategy that listens."""
    from nautilus_trader.adapters.bitmex.config import (
        BitmexDataClientConfig,
        BitmexExecClientConfig,
    )
    from nautilus_trader.adapters.bitmex.factories import (
        BitmexLiveDataClientFactory,
        BitmexLiveExecClientFactory,
    )
    from nautilus_trader.config import (
        InstrumentProviderConfig,
        LoggingConfig,
        TradingNodeConfig,
    )
    from nautilus_trader.live.node import TradingNode

    account = exchange.account
    access = {
        "api_key": account.key,
        "api_secret": account.secret,
        "base_url_http": exchange.base_url,
        "base_url_ws": exchange.ws_url,
        "instrument_provider": InstrumentProviderConfig(load_all=True),
    }
    config = TradingNodeConfig(
        trader_id="TESTER-001",
        logging=LoggingConfig(log_level="WARNING"),
        data_clients={"BITMEX": BitmexDataClientConfig(**access)},
        exec_clients={"BITMEX": BitmexExecClientConfig(**access)},
    )
    node = TradingNode(config=config)
    node.add_data_client_factory("BITMEX", BitmexLiveDataClientFactory)
    node.add_exec_client_factory("BITMEX", BitmexLiveExecClientFactory)
    strategy = listener()
    node.trader.add_strategy(strategy)
    return node, strategy


def listener() -> Any:
    """A strategy that subscribes to the market and keeps what it is told."""
    from nautilus_trader.model.enums import BookType
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.trading.strategy import Strategy

    class Listener(Strategy):
        def __init__(self) -> None:
            super().__init__()
            self.instrument_id = InstrumentId.from_str(f"{ID}.BITMEX")
            self.quotes: list[Any] = []
            self.trades: list[Any] = []
            self.events: list[Any] = []

        def on_start(self) -> None:
            self.subscribe_quote_ticks(self.instrument_id)
            self.subscribe_trade_ticks(self.instrument_id)
            self.subscribe_order_book_deltas(self.instrument_id, book_type=BookType.L2_MBP)

        def on_stop(self) -> None:
            self.unsubscribe_quote_ticks(self.instrument_id)

        def on_quote_tick(self, tick: Any) -> None:
            self.quotes.append(tick)

        def on_trade_tick(self, tick: Any) -> None:
            self.trades.append(tick)

        def on_event(self, event: Any) -> None:
            self.events.append(event)

    return Listener()


async def until(condition: Any, seconds: float = 15) -> Any:
    for _ in range(int(seconds * 10)):
        if found := condition():
            return found
        await asyncio.sleep(0.1)
    return condition()


async def asked(call: Any, *args: Any, **fields: Any) -> Any:
    """The exchange's own answer, without holding up the node's loop."""
    return await asyncio.to_thread(call, *args, **fields)


async def steps(exchange: Exchange, strategy: Any) -> None:
    check("data and execution connect", await until(lambda: strategy.is_running, 30))
    await balance(exchange, strategy)
    await market(exchange, strategy)
    await orders(exchange, strategy)
    await fills(exchange, strategy)
    await balance(exchange, strategy)


async def balance(exchange: Exchange, strategy: Any) -> None:
    """The account follows the `wallet` table; what is realised moves there when it is settled."""
    from nautilus_trader.model.identifiers import Venue

    account = strategy.cache.account_for_venue(Venue("BITMEX"))
    [bitcoin] = account.balances_total().values()
    wallet = await asked(exchange.account.get, "/user/wallet")
    agree("its balance", round(float(str(bitcoin).split()[0]) * 1e8), wallet["amount"])


async def market(exchange: Exchange, strategy: Any) -> None:
    instrument = strategy.cache.instrument(strategy.instrument_id)
    [row] = await asked(exchange.other.get, "/instrument", symbol=ID)
    check("XBTUSD is loaded", instrument)
    agree("its tick", float(instrument.price_increment), row["tickSize"])
    agree("inverse", instrument.is_inverse, row["isInverse"])
    check("quotes arrive", await until(lambda: len(strategy.quotes) > 3), len(strategy.quotes))
    check("trades arrive", await until(lambda: len(strategy.trades) > 3), len(strategy.trades))
    same = 0
    for _ in range(40):
        theirs = await asked(exchange.other.book, ID)
        ours = rebuilt(strategy)
        same += ours == theirs
        if same == 5:
            break
        await asyncio.sleep(0.2)
    check("its book equals the exchange's", same == 5, f"{len(ours)} levels, {same} times")


def rebuilt(strategy: Any) -> dict[tuple[str, float], int]:
    book = strategy.cache.order_book(strategy.instrument_id)
    sides = (("Buy", book.bids()), ("Sell", book.asks()))
    return {
        (side, float(str(level.price))): int(level.size())
        for side, levels in sides
        for level in levels
    }


async def orders(exchange: Exchange, strategy: Any) -> None:
    """A post-only bid far below the market: placed, amended, cancelled."""
    from nautilus_trader.model.enums import OrderSide

    instrument = strategy.cache.instrument(strategy.instrument_id)
    price = round(float(strategy.quotes[-1].bid_price) * 0.9)
    order = strategy.order_factory.limit(
        strategy.instrument_id,
        OrderSide.BUY,
        instrument.make_qty(200),
        instrument.make_price(price),
        post_only=True,
    )
    strategy.submit_order(order)
    await until(lambda: order.status_string() != "SUBMITTED" and order.venue_order_id)
    agree("a placed order", order.status_string(), "ACCEPTED")
    agree("it is the exchange's", brief(order), await listed(exchange))
    strategy.modify_order(order, instrument.make_qty(200), instrument.make_price(price - 10))
    await until(lambda: float(order.price) == price - 10)
    agree("an amended price", brief(order), await listed(exchange))
    # of an amend it takes the price from the stream; the quantity it leaves as it was
    strategy.modify_order(order, instrument.make_qty(300), instrument.make_price(price - 20))
    await until(lambda: float(order.price) == price - 20)
    *_, quantity, theirs = await listed(exchange)
    agree("an amended quantity at the exchange", (quantity, theirs), (300, price - 20))
    strategy.cancel_order(order)
    await until(lambda: order.is_closed)
    agree("a cancelled order", order.status_string(), "CANCELED")
    agree("open orders at the exchange", await asked(exchange.account.open_orders), [])


def brief(order: Any) -> tuple[str, str, int, float]:
    return (
        str(order.client_order_id),
        str(order.venue_order_id),
        int(order.quantity),
        float(order.price),
    )


async def listed(exchange: Exchange) -> tuple[str, str, int, float]:
    [row] = await asked(exchange.account.open_orders)
    return row["clOrdID"], row["orderID"], row["orderQty"], row["price"]


async def fills(exchange: Exchange, strategy: Any) -> None:
    """A market order in and out, with position and fees beside the exchange's."""
    from nautilus_trader.model.enums import OrderSide

    instrument = strategy.cache.instrument(strategy.instrument_id)
    bought = strategy.order_factory.market(
        strategy.instrument_id, OrderSide.BUY, instrument.make_qty(300)
    )
    strategy.submit_order(bought)
    await until(lambda: bought.is_closed)
    agree("a market order", bought.status_string(), "FILLED")
    rows = await asked(exchange.account.get, "/execution/tradeHistory", symbol=ID)
    agree("its fills", [str(each) for each in bought.trade_ids], [r["trdMatchID"] for r in rows])
    rates = sum(float(str(fee).split()[0]) for fee in bought.commissions())
    # the adapter books the rate of a fill as if it were the fee
    agree("its fee rates", round(rates, 8), round(sum(row["commission"] for row in rows), 8))
    [held] = await asked(exchange.account.get, "/position")
    position = await until(lambda: strategy.cache.positions_open())
    agree("the position", float(position[0].signed_qty), float(held["currentQty"]))
    sold = strategy.order_factory.market(
        strategy.instrument_id, OrderSide.SELL, instrument.make_qty(300), reduce_only=True
    )
    strategy.submit_order(sold)
    await until(lambda: sold.is_closed)
    agree("a reduce-only market order", sold.status_string(), "FILLED")
    left = await asked(exchange.account.get, "/position")
    agree("the position after it", sum(row["currentQty"] for row in left), 0)
    check("and its own", not strategy.cache.positions_open())


if __name__ == "__main__":
    main(client, REQUIREMENTS)
