"""Binance's sockets over the engine: public streams, and the WebSocket API with its events."""

from collections.abc import Mapping
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.binance import BinanceApi
from market_maker.simulator.dialects.binance_desk import BinanceError
from market_maker.simulator.dialects.binance_rows import Pair, ms
from market_maker.simulator.dialects.bitmex_feed import Message, Scope, Scoped
from market_maker.simulator.events import (
    BookEvent,
    Event,
    MarginEvent,
    OrderEvent,
    QuoteEvent,
    TradeEvent,
)
from market_maker.simulator.exchange import Account

_TOLD = frozenset({"New", "Trade", "Canceled", "Rejected"})
_DEPTHS = ("depth5", "depth10", "depth20")
_STREAMS = ("bookTicker", "trade", "depth", "depth@100ms")
ACCOUNT = "account"  # the scope of what only its owner hears


class BinanceFeed:
    """Renders what happens as frames; what nobody follows costs nothing."""

    def __init__(self, api: BinanceApi) -> None:
        self.api = api
        self.asked: set[str] = set()  # names of streams without their symbol
        self._updates: dict[str, int] = {}  # symbol -> number of the last update of its book

    def render(self, event: Event) -> list[Scoped]:
        """The frames that tell of *event*, in order."""
        match event:
            case QuoteEvent() | TradeEvent() | BookEvent() if event.symbol in self.api.pairs:
                return self._market(event, self.api.fresh(event.symbol))
            case OrderEvent() if event.order.symbol in self.api.pairs:
                return self._order(event)
            case MarginEvent():
                now = ms(event.time_s)
                rows = self.api.balances(event.account, is_event=True)
                told = {"e": "outboundAccountPosition", "E": now, "u": now, "B": rows}
                return [(Scope(ACCOUNT, None, event.account), told)]
        return []

    def number(self, symbol: str) -> int:
        """The number of the book's last update."""
        return self._updates.setdefault(symbol, 1)

    def _market(self, event: QuoteEvent | TradeEvent | BookEvent, pair: Pair) -> list[Scoped]:
        match event:
            case QuoteEvent():
                row = {
                    "u": ms(event.time_s), "s": pair.symbol, "b": pair.px(event.bid_ticks),
                    "B": pair.qty(event.bid_size), "a": pair.px(event.ask_ticks),
                    "A": pair.qty(event.ask_size),
                }  # fmt: skip
                told = self._push("bookTicker", pair, row)
                for name in _DEPTHS:
                    if name in self.asked:
                        levels = self.api.depth(pair, int(name[5:]))
                        told += self._push(name, pair, levels)
                return told
            case TradeEvent():
                raw = pair.public_trade(event)
                row = {
                    "e": "trade", "E": raw["time"], "s": pair.symbol, "t": raw["id"],
                    "p": raw["price"], "q": raw["qty"], "T": raw["time"],
                    "m": raw["isBuyerMaker"], "M": True,
                }  # fmt: skip
                return self._push("trade", pair, row)
        return self._level(event, pair)

    def _level(self, event: BookEvent, pair: Pair) -> list[Scoped]:
        if "depth" not in self.asked:
            return []
        number = self._updates[pair.symbol] = self.number(pair.symbol) + 1
        level = [[pair.px(event.price_ticks), pair.qty(event.size)]]
        row: Row = {
            "e": "depthUpdate", "E": ms(event.time_s), "s": pair.symbol, "U": number, "u": number,
            "b": level if event.side == "Buy" else [], "a": level if event.side == "Sell" else [],
        }  # fmt: skip
        return self._push("depth", pair, row)

    def _order(self, event: OrderEvent) -> list[Scoped]:
        order = event.order
        if event.exec_type not in _TOLD or (event.exec_type == "New" and not event.is_first):
            return []
        pair, desk = self.api.pairs[order.symbol], self.api.desk
        row = pair.report(event, desk.number(order), desk.names(order))
        return [(Scope(ACCOUNT, None, order.account), row)]

    def _push(self, stream: str, pair: Pair, data: Row) -> list[Scoped]:
        if stream not in self.asked:
            return []
        return [(Scope(stream, pair.symbol, None), data)]


class PublicSession:
    """One client of the public streams; *is_combined* wraps each frame in its stream's name."""

    def __init__(self, feed: BinanceFeed, streams: list[str], is_combined: bool = True) -> None:
        self.ending = ""
        self._feed, self._is_combined = feed, is_combined
        self._follows: dict[tuple[str, str | None], str] = {}  # scope -> name as asked
        for name in streams:
            self._follow(name)

    def wants(self, scope: Scope) -> bool:
        return scope.account is None and (scope.table, scope.symbol) in self._follows

    def frame(self, scope: Scope, data: Message) -> Message:
        """What goes out of a rendered message."""
        name = self._follows.get((scope.table, scope.symbol), "")
        return {"stream": name, "data": data} if self._is_combined else data

    def first(self) -> list[Message]:
        """What is told at once of the streams in the address."""
        return [frame for name in self._follows.values() for frame in self._image(name)]

    def receive(self, message: Any) -> list[Message]:
        """The answers to one decoded frame."""
        number = message.get("id") if isinstance(message, Mapping) else None
        params = message.get("params") if isinstance(message, Mapping) else None
        method = message.get("method") if isinstance(message, Mapping) else None
        if method == "LIST_SUBSCRIPTIONS":
            return [{"result": list(self._follows.values()), "id": number}]
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not isinstance(params, list):
            return [{"error": {"code": 2, "msg": "Invalid request: unknown method"}, "id": number}]
        images: list[Message] = []
        for name in map(str, params):
            if method == "UNSUBSCRIBE":
                self._follows = {k: v for k, v in self._follows.items() if v != name}
            elif self._follow(name):
                images += self._image(name)
        return [{"result": None, "id": number}, *images]

    def _follow(self, name: str) -> bool:
        symbol, _, stream = name.partition("@")
        stream = stream.removesuffix("@100ms").removesuffix("@1000ms")
        if symbol.upper() not in self._feed.api.pairs or stream not in (*_STREAMS, *_DEPTHS):
            return False  # Binance says nothing of it
        self._follows[stream, symbol.upper()] = name
        self._feed.asked.add(stream)
        return True

    def _image(self, name: str) -> list[Message]:
        symbol, _, stream = name.partition("@")
        pair = self._feed.api.pairs[symbol.upper()]
        stream = stream.removesuffix("@100ms")
        if stream in _DEPTHS:
            told = self._feed.api.depth(pair, int(stream[5:]))
            return [self.frame(Scope(stream, pair.symbol, None), told)]
        return []


class ApiSession:
    """One client of the WebSocket API."""

    def __init__(self, feed: BinanceFeed, address: str = "") -> None:
        self.account: Account | None = None
        self.ending = ""
        self._feed, self._address = feed, address
        self._subscriptions: dict[int, int] = {}  # number -> account

    def wants(self, scope: Scope) -> bool:
        return scope.account is not None and scope.account in self._subscriptions.values()

    def frame(self, scope: Scope, data: Message) -> Message:
        number = next(n for n, account in self._subscriptions.items() if account == scope.account)
        return {"subscriptionId": number, "event": data}

    def first(self) -> list[Message]:
        return []

    def receive(self, message: Any) -> list[Message]:
        """The answer to one decoded frame."""
        if not isinstance(message, Mapping) or not isinstance(message.get("method"), str):
            error = {"code": -1000, "msg": "Invalid request."}
            return [{"id": None, "status": 400, "error": error, "rateLimits": []}]
        params = message.get("params") or {}
        frame: Message = {"id": message.get("id")}
        try:
            if not isinstance(params, Mapping):
                raise BinanceError(-1102, "Mandatory parameter 'params' was malformed.")
            result, limits = self._obey(message["method"], params)
        except BinanceError as error:
            return [frame | {"status": error.status, "error": error.body, "rateLimits": []}]
        return [frame | {"status": 200, "result": result, "rateLimits": limits}]

    def _obey(self, method: str, params: Mapping[str, Any]) -> tuple[Any, list[Row]]:
        if method == "userDataStream.subscribe.signature":
            account = self._feed.api.identify_frame(params)
            if account.number in self._subscriptions.values():
                raise BinanceError(-2035, "User Data Stream subscription already active.")
            number = len(self._subscriptions)
            self._subscriptions[number] = account.number
            return {"subscriptionId": number}, []
        if method == "userDataStream.unsubscribe":
            self._subscriptions.clear()
            return {}, []
        result, counts = self._feed.api.frame(method, params, self._address)
        return result, counts.rows()


def shutdown(now_s: float) -> Message:
    """What the WebSocket API says before it goes down."""
    return {"event": {"e": "serverShutdown", "E": ms(now_s)}}
