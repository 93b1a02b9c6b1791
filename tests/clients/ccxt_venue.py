"""What every venue's ccxt class does here: REST first, then ccxt.pro over the sockets.

The script of a venue tells how its class is pointed, and what that class does its own way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from harness import Exchange, Failed, agree, check, until

REQUIREMENTS = ("ccxt==4.5.90",)


class Venue(NamedTuple):
    """One market of a venue. `point` makes the class of a module, pointed at the exchange."""

    name: str
    symbol: str  # ccxt's name of the market, the venue's is `market`
    market: str
    amount: float
    too_much: float  # more than the account can pay for
    id_param: str  # the venue's own name of a client order id
    point: Callable[[Exchange, Any, Any], Any]  # exchange, ccxt or ccxt.pro, account
    buy: dict[str, str] = {}  # what a market buy needs beside its amount
    has_order_hash: bool = True  # whether watch_orders of one symbol hears of it
    ws_id: str = "id"  # the column of an order by which the socket's calls know it


def run(exchange: Exchange, venue: Venue) -> None:
    """Trade *venue*'s market by its ccxt class, and compare all it says with the exchange."""
    import ccxt

    name = f"{venue.name} {venue.symbol}"
    check(f"ccxt.{name}", f"ccxt=={ccxt.__version__}" in REQUIREMENTS, ccxt.__version__)
    client = venue.point(exchange, ccxt, exchange.account)
    other = venue.point(exchange, ccxt, exchange.other)
    market(exchange, client, venue)
    orders(exchange, client, venue)
    trades(exchange, client, other, venue)
    refusals(exchange, client, venue)
    asyncio.run(watch(exchange, venue))


def market(exchange: Exchange, client: Any, venue: Venue) -> None:
    client.load_markets()
    agree("load_markets", client.market(venue.symbol)["id"], venue.market)
    check("fetch_ticker", client.fetch_ticker(venue.symbol)["bid"] > 0)
    check("fetch_trades", isinstance(client.fetch_trades(venue.symbol, limit=20), list))

    def same() -> int:
        found = client.fetch_order_book(venue.symbol, 5)
        sides = tuple([(p, s) for p, s, *_ in found[name][:5]] for name in ("bids", "asks"))
        return 5 if sides == exchange.other.book(venue.market) else 0

    check("fetch_order_book equals the exchange's", until(same), f"{same()} levels a side")


def orders(exchange: Exchange, client: Any, venue: Venue) -> None:
    """Create, read, edit, list, cancel: each as the exchange has it."""
    price, params = far_below(client, venue), {venue.id_param: f"judge{time.time_ns()}"}
    made = client.create_order(venue.symbol, "limit", "buy", venue.amount, price, params)
    agree("create_order", (made["id"], price, venue.amount), only(exchange))
    agree("its client order id", made["clientOrderId"], params[venue.id_param])
    agree("fetch_order", client.fetch_order(made["id"], venue.symbol)["status"], "open")
    wanted = (price + 10, 2 * venue.amount)
    edited = client.edit_order(made["id"], venue.symbol, "limit", "buy", wanted[1], wanted[0])
    check("edit_order", until(lambda: only(exchange) == (edited["id"], *wanted)), only(exchange))
    listed = [(o["id"], o["price"], o["amount"]) for o in client.fetch_open_orders(venue.symbol)]
    agree("fetch_open_orders", listed, [only(exchange)])
    client.cancel_order(edited["id"], venue.symbol)
    check("cancel_order", until(lambda: not exchange.account.open_orders()))


def trades(exchange: Exchange, client: Any, other: Any, venue: Venue) -> None:
    """Market orders both ways and a resting one that the other account hits."""
    client.create_order(venue.symbol, "market", "buy", 2 * venue.amount, None, venue.buy)
    client.create_order(venue.symbol, "market", "sell", venue.amount)
    rest(exchange, client, other, venue)
    theirs = exchange.account.fills(venue.market)
    ours = client.fetch_my_trades(venue.symbol)
    found = [{n: t[n] for n in ("id", "price", "amount")} | {"fee": fee(t)} for t in ours]
    agree("fetch_my_trades", ordered(found), ordered(theirs))

    def same() -> dict[str, float]:  # what is open moves with the mark between two requests
        total = coins(client.fetch_balance()["total"])
        return total if total == coins(exchange.account.balances()) else {}

    check("fetch_balance", until(same), same())


def rest(exchange: Exchange, client: Any, other: Any, venue: Venue) -> None:
    """A bid at the touch, which the other account sells into until it is filled."""
    bid = exchange.other.book(venue.market)[0][0][0]
    made = client.create_order(venue.symbol, "limit", "buy", venue.amount, bid)

    def filled() -> bool:
        other.create_order(venue.symbol, "market", "sell", 20 * venue.amount)
        return not exchange.account.open_orders()

    check("a resting order is filled", until(filled), f"{venue.amount} at {bid}, id {made['id']}")


def refusals(exchange: Exchange, client: Any, venue: Venue) -> None:
    """What the venue refuses reaches ccxt as its own errors."""
    import ccxt

    price, fake = far_below(client, venue), venue.point(exchange, ccxt, exchange.account)
    fake.secret = "wrong"
    cases: list[tuple[str, Any, Callable[[], Any]]] = [
        ("a wrong secret is AuthenticationError", ccxt.AuthenticationError, fake.fetch_balance),
        (
            "too big an order is refused",
            (ccxt.InsufficientFunds, ccxt.BadRequest),  # OKX: beyond the risk limit
            lambda: client.create_order(venue.symbol, "limit", "buy", venue.too_much, price),
        ),
        (
            "a cancel of nothing is OrderNotFound",
            ccxt.OrderNotFound,
            lambda: client.cancel_order("1" * 12, venue.symbol),
        ),
    ]
    for fact, kind, act in cases:
        try:
            act()
        except kind as error:
            check(fact, True, str(error)[:90])
        else:
            raise Failed(f"{fact}: no error")


# -- ccxt.pro --------------------------------------------------------------------------------------


async def watch(exchange: Exchange, venue: Venue) -> None:
    import ccxt.pro

    client = venue.point(exchange, ccxt.pro, exchange.account)
    try:
        await client.load_markets()
        await watch_book(exchange, client, venue)
        seen = await soon(client.watch_trades(venue.symbol), "watch_trades")
        check("watch_trades", seen[-1]["price"] > 0, f"{seen[-1]['side']} at {seen[-1]['price']}")
        await watch_account(exchange, client, venue)
    finally:
        await client.close()


async def watch_book(exchange: Exchange, client: Any, venue: Venue) -> None:
    """Follow the book for some seconds; at many moments it must be the exchange's."""
    same, end = 0, time.monotonic() + 20
    while same < 5 and time.monotonic() < end:
        found = await soon(client.watch_order_book(venue.symbol), "watch_order_book")
        theirs = await asyncio.to_thread(exchange.other.book, venue.market)
        ours = tuple([(p, s) for p, s, *_ in found[name][:5]] for name in ("bids", "asks"))
        same += ours == theirs
    check("watch_order_book equals the exchange's", same == 5, f"{same} times, 5 levels a side")


async def watch_account(exchange: Exchange, client: Any, venue: Venue) -> None:
    """Orders over the socket; the stream tells each step, the fills and the balance."""
    told: dict[str, list[Any]] = {"orders": [], "fills": [], "balance": []}
    symbol = venue.symbol if venue.has_order_hash else None
    following = [follow(lambda: client.watch_orders(symbol), told["orders"])]
    following += [follow(client.watch_balance, told["balance"])]
    if client.has["watchMyTrades"]:
        following += [follow(lambda: client.watch_my_trades(venue.symbol), told["fills"])]
    tasks = [asyncio.create_task(one) for one in following]
    await asyncio.sleep(1)  # the sign-in and the subscriptions
    price = exchange.other.book(venue.market)[0][0][0] - 6_000
    made = await client.create_order_ws(venue.symbol, "limit", "buy", venue.amount, price)
    await heard(told["orders"], "open")
    if client.has["editOrderWs"]:
        call = (venue.symbol, "limit", "buy", 2 * venue.amount, price + 10)
        edited = await client.edit_order_ws(made[venue.ws_id], *call)
        check("edit_order_ws", edited["id"], edited["id"])
        made = edited
    await client.cancel_order_ws(made[venue.ws_id], venue.symbol)
    await heard(told["orders"], "canceled")
    bought = ("market", "buy", venue.amount, None, venue.buy)
    await client.create_order(venue.symbol, *bought)
    await heard(told["orders"], "closed")
    theirs = {fill["id"] for fill in await asyncio.to_thread(exchange.account.fills, venue.market)}
    if client.has["watchMyTrades"]:
        await asyncio.sleep(0.5)
        ids = {fill["id"] for fill in told["fills"]}
        check("watch_my_trades tells of the fill", ids and ids <= theirs, sorted(ids))
    for _ in range(100):
        await asyncio.sleep(0.1)
        theirs = coins(await asyncio.to_thread(exchange.account.balances))
        total = coins(told["balance"][-1]["total"]) if told["balance"] else {}
        if total == theirs:
            break
    agree("watch_balance", total, theirs)
    for task in tasks:
        task.cancel()
    await client.create_order(venue.symbol, "market", "sell", venue.amount)


async def follow(watch: Callable[[], Awaitable[Any]], seen: list[Any]) -> None:
    """Keep everything that is told: what comes while nobody watches is not told again."""
    while True:
        news = await watch()
        seen += [dict(row) for row in news] if isinstance(news, list) else [dict(news)]


async def heard(orders: list[Any], status: str) -> None:
    for _ in range(100):
        if any(row["status"] == status for row in orders):
            break
        await asyncio.sleep(0.1)
    seen = [row["status"] for row in orders]
    check(f"watch_orders tells that one is {status}", status in seen, seen[-3:])


async def soon(told: Awaitable[Any], what: str, seconds: float = 10) -> Any:
    try:
        return await asyncio.wait_for(told, seconds)
    except TimeoutError:
        raise Failed(f"{what} tells nothing in {seconds:g} s") from None


# -- of use above ----------------------------------------------------------------------------------


def far_below(client: Any, venue: Venue) -> float:
    return float(round(client.fetch_ticker(venue.symbol)["bid"] * 0.9))


def only(exchange: Exchange) -> tuple[str, float, float]:
    """The one open order as the exchange has it."""
    rows = exchange.account.open_orders()
    return (rows[0]["id"], rows[0]["price"], rows[0]["amount"]) if len(rows) == 1 else ("", 0, 0)


def fee(trade: dict[str, Any]) -> float:
    return float(trade["fee"]["cost"])


def ordered(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("id", "price", "amount", "fee")
    return sorted(tuple(row[name] for name in names) for row in rows)


def coins(totals: dict[str, float]) -> dict[str, float]:
    return {name: round(totals[name], 8) for name in ("BTC", "USDT")}
