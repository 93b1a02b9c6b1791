"""bitmex-ws 1.5.0 follows instrument, quotes, trades, orders, positions, margin and L2.

    python tests/clients/bitmex_ws.py

It is pointed at the exchange by `endpoint`, the WebSocket's whole URL. Orders are made over
REST meanwhile: the client only listens. It reads columns such as clOrdID without asking
whether they are there, as they were until 2023, so the profile is `classic`.
"""

import logging
from typing import Any

from harness import Exchange, agree, check, main, until

REQUIREMENTS = ("bitmex-ws==1.5.0",)
SYMBOL = "XBTUSD"


class Complaints(logging.Handler):
    """Keeps what the client logs as errors: it swallows its exceptions."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def client(exchange: Exchange) -> None:
    from bitmex_websocket import BitMEXWebsocket

    complaints = Complaints()
    logging.getLogger("bitmex_websocket").addHandler(complaints)
    account = exchange.account
    follower = BitMEXWebsocket(exchange.ws_url, SYMBOL, account.key, account.secret)
    market(exchange, follower)
    orders(exchange, follower)
    fills(exchange, follower)
    book(exchange, follower)
    follower.exit()
    check("it logs no error", not complaints.lines, "\n".join(complaints.lines[:3]) or None)


def market(exchange: Exchange, follower: Any) -> None:
    [row] = exchange.other.get("/instrument", symbol=SYMBOL)
    seen = follower.get_instrument()
    fixed = ("symbol", "tickSize", "lotSize", "multiplier", "isInverse", "state", "typ")
    agree("instrument", [seen[name] for name in fixed], [row[name] for name in fixed])
    ticker = follower.get_ticker()
    check("ticker", ticker["buy"] < ticker["sell"], ticker)
    quotes, trades = len(follower.data["quote"]), len(follower.data["trade"])
    check("quotes arrive", until(lambda: len(follower.data["quote"]) > quotes + 3))
    check("trades arrive", until(lambda: len(follower.recent_trades()) > trades + 3))
    [known] = follower.recent_trades()[-1:]
    listed = exchange.other.get("/trade", symbol=SYMBOL, count=500, reverse="true")
    check("its last trade is the exchange's", known in listed, known)

    def same() -> bool:
        shown = exchange.other.get("/instrument", symbol=SYMBOL)[0]
        moving = ("lastPrice", "bidPrice", "askPrice", "markPrice", "volume")
        return [shown[name] for name in moving] == [follower.get_instrument()[n] for n in moving]

    check("the instrument stays the exchange's", until(same))


def orders(exchange: Exchange, follower: Any) -> None:
    price = round(follower.get_ticker()["buy"] * 0.9)
    made = exchange.account.post(
        "/order", symbol=SYMBOL, orderQty=200, price=price, clOrdID="ws-1", text="a bid"
    )
    agree_orders("a new order", exchange, follower, 1)
    exchange.account.put("/order", orderID=made["orderID"], orderQty=300, price=price - 5)
    agree_orders("an amended order", exchange, follower, 1)
    exchange.account.delete("/order", orderID=made["orderID"])
    agree_orders("a cancelled order", exchange, follower, 0)


def agree_orders(fact: str, exchange: Exchange, follower: Any, count: int) -> None:
    def seen() -> list[dict[str, Any]]:
        return follower.open_orders("ws-")

    theirs = exchange.account.open_orders()
    check(f"{fact} is shown as the exchange has it", until(lambda: seen() == theirs), len(theirs))
    agree(f"... open orders after {fact}", len(theirs), count)


def fills(exchange: Exchange, follower: Any) -> None:
    """A resting order that the other account hits, and a market order."""
    [row] = exchange.other.get("/instrument", symbol=SYMBOL)
    price = row["bidPrice"]
    exchange.account.post("/order", symbol=SYMBOL, orderQty=200, price=price, clOrdID="ws-2")
    exchange.other.post("/order", symbol=SYMBOL, side="Sell", ordType="Market", orderQty=100_000)
    exchange.account.post("/order", symbol=SYMBOL, side="Buy", ordType="Market", orderQty=100)
    agree_orders("a filled order", exchange, follower, 0)
    theirs = exchange.account.get("/execution", symbol=SYMBOL, count=500)

    def told() -> bool:
        return [row["execID"] for row in follower.data["execution"]] == [
            row["execID"] for row in theirs
        ]

    check("executions arrive once and in order", until(told), len(theirs))

    def held() -> bool:
        [ours] = [row for row in follower.positions() if row["symbol"] == SYMBOL]
        [shown] = exchange.account.get("/position")
        return all(ours[name] == shown[name] for name in ("currentQty", "avgEntryPrice", "posCost"))

    check("the position is the exchange's", until(held), follower.positions()[0]["currentQty"])

    def funds() -> bool:
        shown = exchange.account.get("/user/margin")
        names = ("walletBalance", "marginBalance", "availableMargin", "realisedPnl")
        return all(follower.funds()[name] == shown[name] for name in names)

    check("funds are the exchange's", until(funds, 20, 1), follower.funds()["marginBalance"])
    exchange.account.post("/order", symbol=SYMBOL, side="Sell", ordType="Market", orderQty=300)


def book(exchange: Exchange, follower: Any) -> None:
    """The whole book, rebuilt from deltas since the start, at several moments."""

    def rebuilt() -> dict[tuple[str, float], int]:
        rows = list(follower.market_depth())
        return {(row["side"], row["price"]): row["size"] for row in rows}

    same = sum(bool(until(lambda: rebuilt() == exchange.other.book(SYMBOL), 5)) for _ in range(5))
    check("its book equals the exchange's", same == 5, f"{len(rebuilt())} levels, {same} times")


if __name__ == "__main__":
    main(client, REQUIREMENTS, profile="classic")
