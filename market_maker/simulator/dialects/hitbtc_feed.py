"""HitBTC's channels, rendered from events: at once, what there comes in steps of their speed."""

from collections.abc import Callable
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_feed import Message, Scope, Scoped
from market_maker.simulator.dialects.hitbtc import HitbtcRest
from market_maker.simulator.dialects.hitbtc_rows import Spot
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
                spot = self.rest.fresh(event.symbol)
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
            desk.born_s(order)
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
        owner = next((a for a in self.rest.engine.accounts() if a.number == account_no), None)
        if owner is None:  # the market's own
            return []
        return [(Scope(BALANCES, None, account_no), self.balance(owner))]

    def balance(self, account: Account) -> Message:
        return {"jsonrpc": "2.0", "method": BALANCES, "params": self.rest.balances(account)}

    def _push(self, channel: str, spot: Spot, key: str, row: Any) -> list[Scoped]:
        return [
            (Scope(name, spot.name, None), {"ch": name, key: {spot.name: row}})
            for name in self._names.get(channel, ())
        ]
