"""ccxt 4.5.83, the last release with class `bitmex`, trades over REST and watches the stream.

    python tests/clients/ccxt_bitmex.py

It is pointed at the exchange by the `urls` of its constructor: `api.public` and `api.private`
are the address without a path, `api.ws` is the WebSocket's whole URL.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ccxt_venue import follow, soon
from harness import Exchange, Failed, agree, check, main, until

REQUIREMENTS = ("ccxt==4.5.83",)
SYMBOL, ID = "BTC/USD:BTC", "XBTUSD"


def settings(exchange: Exchange) -> dict[str, Any]:
    return {
        "apiKey": exchange.account.key,
        "secret": exchange.account.secret,
        "urls": {
            "api": {
                "public": exchange.origin,
                "private": exchange.origin,
                "ws": exchange.ws_url,
            }
        },
    }


def client(exchange: Exchange) -> None:
    import ccxt

    check("ccxt is the one asked for", ccxt.__version__ == "4.5.83", ccxt.__version__)
    bitmex = ccxt.bitmex(settings(exchange))
    markets(exchange, bitmex)
    book(exchange, bitmex)
    orders(exchange, bitmex)
    trades(exchange, bitmex)
    stop_orders(exchange, bitmex)
    account(exchange, bitmex)
    every_market(exchange, bitmex)
    asyncio.run(watch(exchange))


def markets(exchange: Exchange, bitmex: Any) -> None:
    bitmex.load_markets()
    ours = {row["symbol"]: row for row in exchange.other.get("/instrument/active")}
    listed = {market["id"] for market in bitmex.markets.values()}
    agree("load_markets lists what is active", sorted(listed), sorted(ours))
    perpetual = bitmex.market(SYMBOL)
    check("XBTUSD is an inverse swap", perpetual["inverse"] and perpetual["swap"])
    agree("its tick", perpetual["precision"]["price"], ours[ID]["tickSize"])
    agree("its lot", perpetual["precision"]["amount"], float(ours[ID]["lotSize"]))
    check("fetch_ticker", bitmex.fetch_ticker(SYMBOL)["bid"] > 0)
    check("fetch_trades", len(bitmex.fetch_trades(SYMBOL, limit=20)) > 0)
    check("fetch_ohlcv", isinstance(bitmex.fetch_ohlcv(SYMBOL, "1m", limit=5), list))
    check("fetch_funding_rate", bitmex.fetch_funding_rate(SYMBOL)["fundingRate"] is not None)


def book(exchange: Exchange, bitmex: Any) -> None:
    def same() -> int:
        found = bitmex.fetch_order_book(SYMBOL, 25)
        rows = {("Buy", price): size for price, size in found["bids"]}
        rows |= {("Sell", price): size for price, size in found["asks"]}
        # its prices and sizes are floats; the book may move between the two requests
        return len(rows) if rows == exchange.other.book(ID, 25) else 0

    check("fetch_order_book equals the exchange's", until(same), f"{same()} levels")


def orders(exchange: Exchange, bitmex: Any) -> None:
    """Create, list, amend, cancel, with prices and sizes as the exchange has them.

    ccxt gives contracts of an inverse market as `cost` and `remaining`, never as `amount`.
    """
    price = far_below(bitmex)
    made = bitmex.create_order(SYMBOL, "limit", "buy", 200, price, {"clOrdID": "ccxt-1"})
    theirs = exchange.account.open_orders()
    agree("create_order", (made["id"], made["price"], made["remaining"]), brief(theirs[0]))
    agree("its clOrdID", made["clientOrderId"], theirs[0]["clOrdID"])
    amended = bitmex.edit_order(made["id"], SYMBOL, "limit", "buy", 300, price - 10)
    theirs = exchange.account.open_orders()
    agree("edit_order", (amended["id"], amended["price"], amended["remaining"]), brief(theirs[0]))
    second = bitmex.create_order(SYMBOL, "limit", "buy", 100, price, {"postOnly": True})
    listed = {order["id"] for order in bitmex.fetch_open_orders(SYMBOL)}
    agree("fetch_open_orders", listed, {row["orderID"] for row in exchange.account.open_orders()})
    agree("fetch_order", bitmex.fetch_order(second["id"], SYMBOL)["status"], "open")
    agree("cancel_order", bitmex.cancel_order(made["id"], SYMBOL)["status"], "canceled")
    agree("fetch_closed_orders", closed(bitmex, made["id"]), "canceled")
    bitmex.cancel_all_orders(SYMBOL)
    check("cancel_all_orders leaves none", not exchange.account.open_orders())
    refused(bitmex, price)


def closed(bitmex: Any, order_id: str) -> str:
    found = bitmex.fetch_closed_orders(SYMBOL)
    return next((order["status"] for order in found if order["id"] == order_id), "missing")


def refused(bitmex: Any, price: float) -> None:
    """Refusals reach ccxt as its own errors."""
    import ccxt

    cases: list[tuple[str, type[Exception], Callable[[], Any]]] = [
        (
            "too big an order is InsufficientFunds",
            ccxt.InsufficientFunds,
            lambda: bitmex.create_order(SYMBOL, "limit", "buy", 9_000_000, price),
        ),
        (
            "an odd lot is BadRequest",
            ccxt.BadRequest,
            lambda: bitmex.private_post_order(
                {"symbol": ID, "side": "Buy", "orderQty": 150, "price": price}
            ),
        ),
        (
            "a wrong secret is AuthenticationError",
            ccxt.AuthenticationError,
            lambda: stranger(bitmex).fetch_balance(),
        ),
    ]
    for fact, kind, act in cases:
        try:
            act()
        except kind as error:
            check(fact, True, str(error)[:110])
        else:
            raise Failed(f"{fact}: no error")


def stranger(bitmex: Any) -> Any:
    return type(bitmex)({"apiKey": bitmex.apiKey, "secret": "wrong", "urls": bitmex.urls})


def trades(exchange: Exchange, bitmex: Any) -> None:
    """Market orders both ways and a resting one that the other account hits."""
    bitmex.create_order(SYMBOL, "market", "buy", 300)
    bitmex.create_order(SYMBOL, "market", "sell", 100)
    bid = inside(exchange)
    resting = bitmex.create_order(SYMBOL, "limit", "buy", 100, bid)
    hit(exchange, 100, bid)
    filled = until(lambda: bitmex.fetch_order(resting["id"], SYMBOL)["status"] == "closed", 5, 1)
    check("a resting order is filled", filled, f"100 at {bid}")
    fills = exchange.account.get("/execution/tradeHistory", symbol=ID, count=500)
    ours = bitmex.fetch_my_trades(SYMBOL, limit=100)
    agree(
        "fetch_my_trades",
        sorted((trade["id"], trade["price"], trade["amount"]) for trade in ours),
        sorted((fill["trdMatchID"], fill["lastPx"], float(fill["lastQty"])) for fill in fills),
    )
    paid = sum(trade["fee"]["cost"] for trade in ours)
    agree(
        "fees, which ccxt gives in satoshis", round(paid), sum(fill["execComm"] for fill in fills)
    )


def stop_orders(exchange: Exchange, bitmex: Any) -> None:
    stop = far_below(bitmex)
    made = bitmex.create_order(SYMBOL, "stop", "sell", 100, None, {"triggerPrice": stop})
    row = exchange.account.open_orders()[0]
    agree("a stop order", (made["id"], made["triggerPrice"]), (row["orderID"], row["stopPx"]))
    bitmex.cancel_order(made["id"], SYMBOL)


def account(exchange: Exchange, bitmex: Any) -> None:
    held = {row["symbol"]: row for row in exchange.account.get("/position")}
    [position] = [row for row in bitmex.fetch_positions() if row["contracts"]]
    theirs = (held[ID]["currentQty"], held[ID]["avgEntryPrice"])
    agree("fetch_positions", (position["contracts"], position["entryPrice"]), theirs)

    def same() -> tuple[float, int] | None:
        total = bitmex.fetch_balance()["BTC"]["total"]
        margin = exchange.account.get("/user/margin")
        return (total, margin["marginBalance"]) if close(total, margin) else None

    # the balance moves with the mark price between the two requests
    check("fetch_balance", until(same, 10, 1), same())
    bitmex.create_order(SYMBOL, "market", "sell", position["contracts"], None, {"reduceOnly": True})
    left = sum(row["currentQty"] for row in exchange.account.get("/position"))
    agree("a reduceOnly order closes the position", left, 0)


def every_market(exchange: Exchange, bitmex: Any) -> None:
    """One lot in and out of each market: inverse, quanto, linear, expiring."""
    lots = {market["symbol"]: market["precision"]["amount"] for market in bitmex.markets.values()}
    for symbol, lot in lots.items():
        bitmex.create_order(symbol, "market", "buy", lot)
    held = [(row["symbol"], row) for row in exchange.account.get("/position") if row["isOpen"]]
    theirs = {symbol: (row["currentQty"], row["avgEntryPrice"]) for symbol, row in held}
    ours = {
        bitmex.market_id(row["symbol"]): (row["contracts"], row["entryPrice"])
        for row in bitmex.fetch_positions()
        if row["contracts"]
    }
    agree("a position in every market", ours, theirs)
    for symbol, lot in lots.items():
        bitmex.create_order(symbol, "market", "sell", lot, None, {"reduceOnly": True})
    left = [row["symbol"] for row in exchange.account.get("/position") if row["currentQty"]]
    agree("positions left", left, [])


def close(total: float, margin: dict[str, Any]) -> bool:
    return abs(round(total * 1e8) - margin["marginBalance"]) <= 5


def far_below(bitmex: Any) -> float:
    return round(bitmex.fetch_ticker(SYMBOL)["bid"] * 0.9)


def inside(exchange: Exchange) -> float:
    """A price at which a bid of ours would be the best: one tick above the best bid."""
    [row] = exchange.other.get("/instrument", symbol=ID)
    bid = row["bidPrice"] + row["tickSize"]
    return bid if bid < row["askPrice"] else row["bidPrice"]


def hit(exchange: Exchange, size: int, price: float) -> None:
    """The other account sells into bids at *price* or better; the market may have been first."""
    order = {"side": "Sell", "orderQty": size, "price": price, "timeInForce": "ImmediateOrCancel"}
    exchange.other.post("/order", symbol=ID, **order)


def brief(row: dict[str, Any]) -> tuple[str, float, float]:
    return row["orderID"], row["price"], float(row["orderQty"])


# -- ccxt.pro


async def watch(exchange: Exchange) -> None:
    import ccxt.pro

    bitmex = ccxt.pro.bitmex(settings(exchange))
    try:
        await bitmex.load_markets()
        await watch_book(exchange, bitmex)
        await watch_trades(bitmex)
        await watch_orders(exchange, bitmex)
    finally:
        await bitmex.close()


async def watch_book(exchange: Exchange, bitmex: Any) -> None:
    """Follow the book for some seconds; at many moments it must be the exchange's."""
    same = 0
    end = time.monotonic() + 20
    while same < 5 and time.monotonic() < end:
        followed = await soon(bitmex.watch_order_book(SYMBOL), "watch_order_book")
        theirs = await asyncio.to_thread(exchange.other.book, ID)
        rows = {("Buy", price): size for price, size, *_ in followed["bids"]}
        rows |= {("Sell", price): size for price, size, *_ in followed["asks"]}
        same += rows == theirs
    check("watch_order_book equals the exchange's", same == 5, f"{len(rows)} levels, {same} times")


async def watch_trades(bitmex: Any) -> None:
    seen = await soon(bitmex.watch_trades(SYMBOL), "watch_trades")
    check("watch_trades", seen[-1]["price"] > 0, f"{seen[-1]['side']} at {seen[-1]['price']}")


async def watch_orders(exchange: Exchange, bitmex: Any) -> None:
    """An order is placed, amended, filled by the other account; the stream tells each step."""
    orders: list[Any] = []
    fills: list[Any] = []
    following = [
        asyncio.create_task(follow(lambda: bitmex.watch_orders(SYMBOL), orders)),
        asyncio.create_task(follow(lambda: bitmex.watch_my_trades(SYMBOL), fills)),
    ]
    await asyncio.sleep(1)  # the sign-in and the subscriptions
    bid = await asyncio.to_thread(inside, exchange)
    made = await bitmex.create_order(SYMBOL, "limit", "buy", 100, bid - 100)
    await told(orders, made["id"], ("open", 100))
    await bitmex.edit_order(made["id"], SYMBOL, "limit", "buy", 200, bid - 90)
    await told(orders, made["id"], (None, 200))  # ccxt knows no status the update leaves as it was
    await bitmex.edit_order(made["id"], SYMBOL, "limit", "buy", 200, bid)
    await asyncio.to_thread(hit, exchange, 200, bid)
    await told(orders, made["id"], ("closed", 0))
    rows = await asyncio.to_thread(exchange.account.get, "/execution/tradeHistory", symbol=ID)
    theirs = [row["trdMatchID"] for row in rows if row["orderID"] == made["id"]]
    agree("watch_my_trades tells of the fill", [fill["id"] for fill in fills], theirs)
    for task in following:
        task.cancel()
    balance = await soon(bitmex.watch_balance(), "watch_balance")
    check("watch_balance", balance["BTC"]["total"] > 0, balance["BTC"]["total"])
    [position] = await soon(bitmex.watch_positions([SYMBOL]), "watch_positions")
    agree("watch_positions", position["contracts"], 200)
    await bitmex.create_order(SYMBOL, "market", "sell", 200)


async def told(orders: list[Any], order_id: str, wanted: tuple[str, float]) -> None:
    for _ in range(100):
        seen = [(row["status"], row["remaining"]) for row in orders if row["id"] == order_id]
        if wanted in seen:
            break
        await asyncio.sleep(0.1)
    check(f"watch_orders tells of {wanted}", wanted in seen, seen[-1:])


if __name__ == "__main__":
    main(client, REQUIREMENTS)
