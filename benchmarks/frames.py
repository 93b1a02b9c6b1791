"""Frames of the stream as BitMEX words them, the same for every client that is timed."""

import json
import random

_STAMP = "2020-03-10T18:25:11.018Z"
INSTRUMENTS, ORDERS = 300, 12
WORKLOADS = ("instrument", "quote", "trade", "order", "book of 1000", "book of 10000")


def frames(workload, count):
    """The image of a table and *count* changes of it, as texts."""
    rng = random.Random(1)
    kind, _, depth = workload.partition(" of ")
    table, keys, rows, action, change = _KINDS[kind](rng, int(depth or 0))
    scope = {"symbol": "XBTUSD"} if depth else {}
    image = {"table": table, "action": "partial", "keys": keys, "filter": scope, "data": rows}
    changes = [{"table": table, "action": action, "data": [change()]} for _ in range(count)]
    return _text(image), [_text(each) for each in changes]


def images():
    """Images of what a bot waits for before it begins, for a market of ours."""
    position = {"account": 1, "symbol": "XBTUSD", "currency": "XBt", "currentQty": 0}
    tables = {
        "margin": (["account", "currency"], [{"account": 1, "currency": "XBt"}]),
        "position": (["account", "symbol", "currency"], [position]),
        "execution": (["execID"], []),
    }
    for table, (keys, rows) in tables.items():
        yield _text({"table": table, "action": "partial", "keys": keys, "filter": {}, "data": rows})
    for workload in ("instrument", "quote", "trade", "order"):
        yield frames(workload, 0)[0]


def _text(message):
    return json.dumps(message, separators=(",", ":"))


def _instrument(rng, _):
    def row(number):
        name = f"SYM{number}" if number else "XBTUSD"
        return {
            "symbol": name, "state": "Open", "tickSize": 0.5, "lotSize": 100, "lastPrice": 7864.5,
            "markPrice": 7864.5, "timestamp": _STAMP, **{f"column{n}": n for n in range(60)},
        }  # fmt: skip

    def change():
        name = f"SYM{rng.randrange(1, INSTRUMENTS)}"
        price = 7800 + rng.randrange(1000) / 2
        return {"symbol": name, "fairPrice": price, "markPrice": price, "timestamp": _STAMP,
                "openValue": rng.randrange(10**12)}  # fmt: skip

    return "instrument", ["symbol"], [row(n) for n in range(INSTRUMENTS)], "update", change


def _quote(rng, _):
    def row():
        return {"timestamp": _STAMP, "symbol": "XBTUSD", "bidSize": rng.randrange(10**6),
                "bidPrice": 7864.5, "askPrice": 7865, "askSize": rng.randrange(10**5)}  # fmt: skip

    return "quote", [], [row()], "insert", row


def _trade(rng, _):
    def row():
        price = 7800 + rng.randrange(1000) / 2
        return {
            "timestamp": _STAMP, "symbol": "XBTUSD", "side": "Buy", "size": rng.randrange(1, 10**5),
            "price": price, "tickDirection": "ZeroPlusTick",
            "trdMatchID": f"{rng.getrandbits(128):032x}", "grossValue": rng.randrange(10**9),
            "homeNotional": 0.0127, "foreignNotional": 100,
        }  # fmt: skip

    return "trade", [], [row()], "insert", row


def _order(rng, _):
    def row(number):
        return {
            "orderID": f"00000000-0000-4000-8000-{number:012d}", "clOrdID": f"mm_bitmex_{number}",
            "account": 1, "symbol": "XBTUSD", "side": "Buy", "orderQty": 100_000,
            "price": 7800.0 - number, "ordType": "Limit", "timeInForce": "GoodTillCancel",
            "ordStatus": "New", "leavesQty": 100_000, "cumQty": 0, "text": "Submitted via API.",
            "transactTime": _STAMP, "timestamp": _STAMP,
        }  # fmt: skip

    def change():
        number = rng.randrange(ORDERS)
        return {
            "orderID": f"00000000-0000-4000-8000-{number:012d}", "clOrdID": f"mm_bitmex_{number}",
            "account": 1, "symbol": "XBTUSD", "price": 7800.0 - rng.randrange(100),
            "text": "Amended price: Submitted via API.", "leavesQty": rng.randrange(1, 100_000),
            "timestamp": _STAMP,
        }  # fmt: skip

    return "order", ["orderID"], [row(n) for n in range(ORDERS)], "update", change


def _book(rng, depth):
    def row(number):
        side = "Buy" if number % 2 else "Sell"
        price = 0.5 * number
        return {"symbol": "XBTUSD", "id": 8_800_000_000 + number, "side": side,
                "size": rng.randrange(1, 10**6), "price": price, "timestamp": _STAMP}  # fmt: skip

    def change():
        full = row(rng.randrange(depth))
        return {name: full[name] for name in ("symbol", "id", "side", "size", "timestamp")}

    keys = ["symbol", "id", "side"]
    return "orderBookL2", keys, [row(n) for n in range(depth)], "update", change


_KINDS = {
    "instrument": _instrument, "quote": _quote, "trade": _trade, "order": _order, "book": _book,
}  # fmt: skip
