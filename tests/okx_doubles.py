"""OKX's side of the wire as a test writes it: answers, two sockets, a started connector."""

from typing import Any

from market_maker.clock import ManualClock
from market_maker.exchanges.okx import OkxConnector
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Ready
from tests.doubles import Wire

INSTRUMENT = {
    "instType": "SWAP", "instId": "BTC-USD-SWAP", "uly": "BTC-USD", "ctType": "inverse",
    "ctVal": "100", "ctMult": "1", "settleCcy": "BTC", "tickSz": "0.1", "lotSz": "1",
    "minSz": "1", "maxLmtSz": "100000000", "state": "live", "instIdCode": 10458,
}  # fmt: skip
TOUCH = {"bids": [["59999.9", "5", "0", "1"]], "asks": [["60000", "7", "0", "1"]], "ts": "1"}
DATA: dict[str, list[Row]] = {
    "/public/instruments": [INSTRUMENT],
    "/account/config": [{"acctLv": "2", "posMode": "net_mode", "perm": "read_only,trade"}],
    "/account/leverage-info": [{"lever": "10"}],
    "/market/books": [TOUCH],
    "/market/ticker": [{"last": "60000"}],
    "/public/mark-price": [{"markPx": "60000.1"}],
    "/public/price-limit": [{"buyLmt": "61000", "sellLmt": "59000", "enabled": True}],
    "/trade/orders-pending": [],
    "/trade/fills": [],
    "/account/positions": [],
    "/account/bills": [],
    "/account/balance": [{"details": [{"ccy": "BTC", "cashBal": "1", "eq": "1"}]}],
}


def told(*data: Row, code: str = "0", msg: str = "", status: int = 200) -> Answer:
    return Answer(status, {"code": code, "msg": msg, "data": list(data)}, {})


def item(code: str = "0", text: str = "", order_id: str = "77") -> Row:
    return {"ordId": order_id, "sCode": code, "sMsg": text}


def venue() -> Wire:
    """A wire that answers queries; a test puts what else it needs into `script`."""
    wire = Wire()
    wire.script = lambda request: told(*DATA[request.path.removeprefix("/api/v5")])
    return wire


class Socket:
    """A pushed socket whose frames the test writes, and that answers order frames if told to."""

    pushed = True

    def __init__(self) -> None:
        self.sent: list[Row] = []
        self.subscribed: list[Any] = []
        self.reconnects = 0
        self.on_send: Any = lambda frame: None

    def attach(self, sink: Any) -> None:
        self.sink = sink

    def up(self) -> None:
        self.sink(Connected(0))
        self.sink(Ready(0))

    def down(self, reason: str = "connection lost") -> None:
        self.sink(Disconnected(0, reason))

    def say(self, frame: Any) -> None:
        self.sink(Message(0, frame))

    def push(self, channel: str, *data: Row, **more: Any) -> None:
        self.say({"arg": {"channel": channel, "instId": "BTC-USD-SWAP"}, "data": data, **more})

    def send(self, frame: Row) -> None:
        self.sent.append(frame)
        self.on_send(frame)

    def subscribe(self, topic: Any) -> None:
        self.subscribed.append(topic)

    def reconnect(self) -> None:
        self.reconnects += 1

    def close(self) -> None:
        """Nothing to close."""


class Desk:
    """A started connector with both sockets, and what it told."""

    def __init__(self, order_entry: str = "ws", symbol: str = "XBTUSD") -> None:
        self.wire, self.clock, self.events = venue(), ManualClock(), []
        self.public, self.private = Socket(), Socket()
        self.connector = OkxConnector(
            self.wire,
            {"public": self.public, "private": self.private},  # type: ignore[dict-item]
            symbol,
            clock=self.clock,
            prefix="mm_bitmex_",
            account_key="a",
            order_entry=order_entry,
            expires=lambda: "123",
        )

    def up(self) -> "Desk":
        self.connector.start(self.events.append)
        self.public.up()
        self.private.up()
        return self

    @property
    def tables(self) -> list[tuple[str, str]]:
        rows = [e.data for e in self.events if isinstance(e, Message) and "table" in e.data]
        return [(row["table"], row["action"]) for row in rows]


def order(number: int = 0, **fields: Any) -> Row:
    return {"clOrdID": f"mm_bitmex_{number}", "orderQty": 100, "price": 59_000.0, **fields}
