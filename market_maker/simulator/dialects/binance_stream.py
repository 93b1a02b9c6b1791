"""What happens on the engine as frames of Binance's streams and events of an account."""

from market_maker.model.rows import Row
from market_maker.simulator.dialects.binance import BinanceApi
from market_maker.simulator.dialects.binance_rows import Pair, ms
from market_maker.simulator.dialects.bitmex_feed import Scope, Scoped
from market_maker.simulator.events import (
    BookEvent,
    Event,
    MarginEvent,
    OrderEvent,
    QuoteEvent,
    TradeEvent,
)

_TOLD = frozenset({"New", "Trade", "Canceled", "Rejected"})
_DEPTHS = ("depth5", "depth10", "depth20")
_STREAMS = frozenset({"bookTicker", "trade", "depth", *_DEPTHS})
ACCOUNT = "account"  # the scope of what only its owner hears


class BinanceFeed:
    """Renders what happens as frames; what nobody follows costs nothing."""

    def __init__(self, api: BinanceApi) -> None:
        self.api = api
        self.asked: set[str] = set()  # streams without their symbol; "raw:" without its frame

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
                return [_private(event.account, told)]
        return []

    def _market(self, event: QuoteEvent | TradeEvent | BookEvent, pair: Pair) -> list[Scoped]:
        match event:
            case QuoteEvent():
                row = {
                    "u": ms(event.time_s), "s": pair.symbol, "b": pair.px(event.bid_ticks),
                    "B": pair.qty(event.bid_size), "a": pair.px(event.ask_ticks),
                    "A": pair.qty(event.ask_size),
                }  # fmt: skip
                told = self._push("bookTicker", pair, row)
                for kind in self._kinds() & set(_DEPTHS):
                    told += self._push(kind, pair, self.api.depth(pair, int(kind[5:])))
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

    def _kinds(self) -> set[str]:
        return {name.removeprefix("raw:").partition("@")[0] for name in self.asked}

    def _level(self, event: BookEvent, pair: Pair) -> list[Scoped]:
        number = self.api.updates[pair.symbol] = self.api.updates[pair.symbol] + 1
        if "depth" not in self._kinds():
            return []
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
        return [_private(order.account, row)]

    def image(self, stream: str, pair: Pair) -> Row | None:
        """What a stream begins with, if with anything."""
        kind = stream.partition("@")[0]
        return self.api.depth(pair, int(kind[5:])) if kind in _DEPTHS else None

    def _push(self, kind: str, pair: Pair, data: Row) -> list[Scoped]:
        """*data* under every name by which somebody follows the stream."""
        told: list[Scoped] = []
        for name in self.asked:
            stream = name.removeprefix("raw:")
            if stream.partition("@")[0] == kind:
                full = f"{pair.symbol.lower()}@{stream}"
                frame = data if name != stream else {"stream": full, "data": data}
                told.append((Scope(name, pair.symbol, None), frame))
        return told


def is_stream(name: str) -> bool:
    """Whether a stream has this name, its symbol apart."""
    kind, _, pace = name.partition("@")
    return kind in _STREAMS and pace in ("", "100ms", "1000ms")


def _private(account_no: int, event: Row) -> Scoped:
    return Scope(ACCOUNT, None, account_no), {"subscriptionId": 0, "event": event}
