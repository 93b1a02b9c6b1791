"""HitBTC's sockets over the engine: channels rendered from events, and one client's session.

Channels push at once what there they push in steps of their speed. The answer to a request is
the report itself; that report is also pushed, before the answer or after it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_feed import Message, Scope, Scoped
from market_maker.simulator.dialects.hitbtc import HitbtcRest, unauthorized
from market_maker.simulator.dialects.hitbtc_desk import HitbtcError
from market_maker.simulator.dialects.hitbtc_rows import Spot, error_body
from market_maker.simulator.events import (
    BookEvent,
    Event,
    MarginEvent,
    Order,
    OrderEvent,
    PositionEvent,
    QuoteEvent,
    TradeEvent,
)
from market_maker.simulator.exchange import Account

ORDERS, BALANCES = "spot_order", "spot_balance"
_TICKER_EVERY_S = 1.0
_TOLD = {"New": "new", "Trade": "trade", "Canceled": "canceled"}
_DEEDS = {
    "spot_new_order": "place",
    "spot_replace_order": "replace",
    "spot_cancel_order": "cancel",
    "spot_cancel_orders": "cancel_all",
}


def channel_of(name: str) -> str:
    """What a channel shows, whatever its speed; "" for one that is not played."""
    parts = name.split("/")
    if parts[0] == "orderbook" and len(parts) > 1 and parts[1] in ("top", "full"):
        return f"orderbook/{parts[1]}"
    return parts[0] if parts[0] in ("trades", "ticker") else ""


class HitbtcFeed:
    """Renders what happens as pushes; what nobody follows costs nothing."""

    def __init__(self, rest: HitbtcRest) -> None:
        self.rest = rest
        self.asked: set[str] = set()  # what somebody follows, by the names it was asked for by
        self._names: dict[str, list[str]] = {}  # what a channel shows -> those names of it
        self.late: list[Scoped] = []  # pushes that no event of the engine carries
        self.on_late: Callable[[], None] = lambda: None  # hears of them
        self._book_seq: dict[str, int] = {}  # symbol -> sequence of its last book push
        self._ticker_s: dict[str, float] = {}
        rest.desk.tell_cancel = self._tell_cancel

    def render(self, event: Event) -> list[Scoped]:
        """The pushes that tell of *event*, in order."""
        match event:
            case QuoteEvent() | TradeEvent() | BookEvent():
                spot = self.rest.by_symbol.get(event.symbol)
                return [] if spot is None else self._market(event, spot)
            case OrderEvent():
                return self._order(event)
            case PositionEvent() | MarginEvent():
                return self._balances(event.account)
        return []

    def ask(self, name: str) -> None:
        """Somebody follows *name* from now on."""
        if name not in self.asked:
            self.asked.add(name)
            self._names.setdefault(channel_of(name), []).append(name)

    def take_late(self) -> list[Scoped]:
        """Pushes to deliver beside those of events."""
        late, self.late = self.late, []
        return late

    def image(self, channel: str, spot: Spot) -> tuple[str, Any] | None:
        """What a subscription begins with: (key, row)."""
        symbol = spot.spec.symbol
        match channel:
            case "orderbook/top":
                return "data", spot.touch(self.rest.engine.quote(symbol))
            case "orderbook/full":
                return "snapshot", self._book(spot, self._book_seq.setdefault(symbol, 1))
            case "trades":
                recent = list(self.rest.engine.trades(symbol))[-10:]
                return ("snapshot", [spot.print_row(t) for t in recent]) if recent else None
        return "data", self._ticker(spot)

    # -- within --------------------------------------------------------------------------------

    def _market(self, event: QuoteEvent | TradeEvent | BookEvent, spot: Spot) -> list[Scoped]:
        symbol = spot.spec.symbol
        match event:
            case QuoteEvent():
                return self._push("orderbook/top", spot, "data", spot.touch(event))
            case TradeEvent():
                pushes = self._push("trades", spot, "update", [spot.print_row(event)])
                if event.time_s - self._ticker_s.get(symbol, 0.0) >= _TICKER_EVERY_S:
                    self._ticker_s[symbol] = event.time_s
                    pushes += self._push("ticker", spot, "data", self._ticker(spot))
                return pushes
        if "orderbook/full" not in self._names:
            return []
        self._book_seq[symbol] = self._book_seq.get(symbol, 1) + 1
        level = [[spot.px(event.price_ticks), spot.quantity(event.size)]]
        is_ask = event.side == "Sell"
        row: Row = {"t": round(event.time_s * 1000), "s": self._book_seq[symbol]}
        row |= {"a": level if is_ask else [], "b": [] if is_ask else level}
        return self._push("orderbook/full", spot, "update", row)

    def _book(self, spot: Spot, seq: int) -> Row:
        book = self.rest.book(spot, 0)
        now = round(self.rest.engine.now() * 1000)
        return {"t": now, "s": seq, "a": book["ask"], "b": book["bid"]}

    def _ticker(self, spot: Spot) -> Row:
        row, quote = self.rest.ticker(spot), self.rest.engine.quote(spot.spec.symbol)
        names = {"o": "open", "c": "last", "h": "high", "l": "low", "v": "volume"}
        return spot.touch(quote) | {short: row[name] for short, name in names.items()}

    def _order(self, event: OrderEvent) -> list[Scoped]:
        order, desk = event.order, self.rest.desk
        spot = self.rest.by_symbol.get(order.symbol)
        told = _TOLD.get(event.exec_type)
        if spot is None or told is None:
            return []
        if event.exec_type == "New":
            desk.born[order.order_id] = event.time_s
            if not event.is_first:
                return []  # it died at entry: the push of its end is its only one
        if order.order_id == desk.cancelling:
            return []
        row = {**self.rest.order(order), "report_type": told}
        if event.fill is not None:
            row |= spot.fill_columns(event.fill)
        is_entry = event.is_first or told == "new"
        if desk.parent and is_entry:
            row |= {"report_type": "replaced", "original_client_order_id": desk.parent}
        return self._tell(order.account, row)

    def _tell_cancel(self, order: Order) -> None:
        row = {**self.rest.order(order), "report_type": "canceled"}
        self.late += self._tell(order.account, row)
        self.on_late()

    def _tell(self, account_no: int, row: Row) -> list[Scoped]:
        if ORDERS not in self.asked:
            return []
        message = {"jsonrpc": "2.0", "method": ORDERS, "params": row}
        return [(Scope(ORDERS, None, account_no), message)]

    def _balances(self, account_no: int) -> list[Scoped]:
        if BALANCES not in self.asked:
            return []
        owner = next(a for a in self.rest.engine.accounts() if a.number == account_no)
        return [(Scope(BALANCES, None, account_no), self.balance(owner))]

    def balance(self, account: Account) -> Message:
        return {"jsonrpc": "2.0", "method": BALANCES, "params": self.rest.balances(account)}

    def _push(self, channel: str, spot: Spot, key: str, row: Any) -> list[Scoped]:
        return [
            (Scope(name, spot.name, None), {"ch": name, key: {spot.name: row}})
            for name in self._names.get(channel, ())
        ]


class HitbtcSession:
    """One client of one socket: "public" or "trading"."""

    def __init__(self, feed: HitbtcFeed, kind: str) -> None:
        self.account: Account | None = None
        self.ending = ""
        self._feed, self._kind = feed, kind
        self._follows: set[tuple[str, str | None]] = set()
        self._methods: dict[str, Callable[[Account, Mapping[str, Any]], Any]] = {
            "spot_get_orders": lambda a, p: self._feed.rest.open_orders(a, p),
            "spot_balances": lambda a, _: self._feed.rest.balances(a),
        }

    def wants(self, scope: Scope) -> bool:
        """Whether a push of *scope* is for this client."""
        if (scope.table, scope.symbol) not in self._follows:
            return False
        return scope.account is None or (
            self.account is not None and self.account.number == scope.account
        )

    def begin(self, topics: list[str], say: Callable[[Message], None]) -> list[Message]:
        """HitBTC says nothing before it is asked."""
        del topics, say
        return []

    def undecodable(self, reason: str) -> list[Message]:
        return [_failure({}, HitbtcError(10001, "Validation error", reason))]

    def receive(self, message: Any) -> list[Message]:
        """The answers to one decoded frame."""
        if not isinstance(message, Mapping) or not isinstance(message.get("method"), str):
            return [_failure({}, HitbtcError(10001, "Validation error", "no method"))]
        params = message.get("params")
        try:
            if params is not None and not isinstance(params, Mapping):
                raise HitbtcError(10001, "Validation error", "params: must be an object")
            return list(self._answer(message, str(message["method"]), params or {}))
        except HitbtcError as error:
            return [_failure(message, error)]

    def _answer(
        self, message: Mapping[str, Any], method: str, params: Mapping[str, Any]
    ) -> Iterable[Message]:
        if self._kind == "public":
            return self._subscribe(message, method, params)
        if method == "login":
            return [self._log_in(message, params)]
        if self.account is None:
            raise unauthorized("log in first")
        if method == "spot_subscribe":
            self._follow(ORDERS)
            orders = [{**row, "report_type": "status"} for row in self._open_orders()]
            snapshot = {"jsonrpc": "2.0", "method": "spot_orders", "params": orders}
            return [_result(message, True), snapshot]
        if method == "spot_balance_subscribe":
            self._follow(BALANCES)
            return [_result(message, True), self._feed.balance(self.account)]
        if method in _DEEDS:
            return [_result(message, self._feed.rest.act(self.account, _DEEDS[method], params))]
        if method in self._methods:
            return [_result(message, self._methods[method](self.account, params))]
        raise HitbtcError(10001, "Validation error", f"method {method} is not known")

    def _open_orders(self) -> list[Row]:
        assert self.account is not None
        return self._feed.rest.open_orders(self.account, {})

    def _follow(self, what: str) -> None:
        self._follows.add((what, None))
        self._feed.ask(what)

    def _log_in(self, message: Mapping[str, Any], params: Mapping[str, Any]) -> Message:
        key, signed, timestamp, window = (
            str(params.get(name) or "") for name in ("api_key", "signature", "timestamp", "window")
        )
        if params.get("type") != "HS256":
            raise unauthorized("unsupported authorization method")
        try:
            self.account = self._feed.rest.check(
                key, signed, timestamp, window, f"{timestamp}{window}"
            )
        except HitbtcError:
            self.ending = "login refused"
            raise
        return _result(message, True)

    def _subscribe(
        self, message: Mapping[str, Any], method: str, params: Mapping[str, Any]
    ) -> Iterable[Message]:
        name = str(message.get("ch") or "")
        channel, symbols = channel_of(name), params.get("symbols") or []
        if method not in ("subscribe", "unsubscribe") or not channel:
            raise HitbtcError(10001, "Validation error", f"{method} {name} is not known")
        rest = self._feed.rest
        chosen = list(rest.spots) if list(symbols) == ["*"] else list(symbols)
        spots = [rest.desk.spot({"symbol": symbol}) for symbol in chosen]
        told = {"ch": name, "subscriptions": chosen}
        if method == "unsubscribe":
            for spot in spots:
                self._follows.discard((name, spot.name))
            return [_result(message, told)]
        answers = [_result(message, told)]
        self._feed.ask(name)
        for spot in spots:
            self._follows.add((name, spot.name))
            image = self._feed.image(channel, spot)
            if image is not None:
                answers.append({"ch": name, image[0]: {spot.name: image[1]}})
        return answers


def _result(message: Mapping[str, Any], result: Any) -> Message:
    answer: Message = {"jsonrpc": "2.0", "result": result}
    return answer | ({"id": message["id"]} if message.get("id") is not None else {})


def _failure(message: Mapping[str, Any], error: HitbtcError) -> Message:
    answer: Message = {"jsonrpc": "2.0", **error_body(error)}
    return answer | ({"id": message["id"]} if message.get("id") is not None else {})
