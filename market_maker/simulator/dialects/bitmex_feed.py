"""Engine events as table messages, and the images a subscription begins with.

An update carries the key columns and what changed since the row was last published. An image
shows rows as last published too, so that image plus deltas is the exchange's row at any moment.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from market_maker.model.rows import TERMINAL, Row
from market_maker.simulator.accounts import MARKET
from market_maker.simulator.dialects import bitmex_rows as rows
from market_maker.simulator.dialects.bitmex_rows import iso
from market_maker.simulator.dialects.bitmex_tables import TABLES, without_nulls
from market_maker.simulator.events import (
    BookEvent,
    Event,
    InstrumentEvent,
    MarginEvent,
    Order,
    OrderEvent,
    PositionEvent,
    QuoteEvent,
    TradeEvent,
)
from market_maker.simulator.exchange import Engine

Message = dict[str, Any]

MAX_QUOTES = 1000  # quotes kept per symbol for GET /quote
TOP_LEVELS = 25


class Scope(NamedTuple):
    """Who a message is for: subscribers of the table, of the symbol, of the account."""

    table: str
    symbol: str | None = None
    account: int | None = None


Scoped = tuple[Scope, Message]


class Feed:
    """Renders events in the order they happen; knows what it has published."""

    def __init__(self, engine: Engine, is_classic: bool) -> None:
        self.engine = engine
        self.is_classic = is_classic
        self.listings: dict[str, rows.Listing] = {}  # symbol -> what rows need of it
        self.quotes: dict[str, deque[QuoteEvent]] = {}  # symbol -> recent quotes, oldest first
        self._orders: dict[str, Row] = {}  # orderID -> row last published, while it is open
        self._positions: dict[tuple[int, str], Row] = {}
        self._margins: dict[int, Row] = {}
        self._tops: dict[str, dict[tuple[str, int], Row]] = {}  # symbol -> orderBookL2_25 rows
        self._asked: set[tuple[str, str]] = set()  # market (table, symbol) somebody had an image of

    def listing(self, symbol: str) -> rows.Listing:
        found = self.listings.get(symbol)
        if found is None:
            found = self.listings[symbol] = rows.Listing.of(self.engine.instrument(symbol))
        return found

    # -- deltas

    def render(self, event: Event) -> list[Scoped]:
        """The messages that tell of *event*, in the order they go out."""
        if isinstance(event, InstrumentEvent) and "tickSize" in event.changes:
            self.listings.pop(event.symbol, None)  # rows before had their prices on another grid
            self.quotes.pop(event.symbol, None)
        match event:
            case QuoteEvent():
                return self._quote(event)
            case BookEvent():
                return self._level(event)
            case TradeEvent() if ("trade", event.symbol) in self._asked:
                row = rows.trade_row(event, self.listing(event.symbol))
                return [self._insert("trade", row)]
            case InstrumentEvent() if ("instrument", event.symbol) in self._asked:
                row = {"symbol": event.symbol, **event.changes, "timestamp": iso(event.time_s)}
                return [_message(Scope("instrument", event.symbol), "update", row)]
            case OrderEvent():
                return self._order(event)
            case PositionEvent():
                return self._position(event)
            case MarginEvent():
                return self._margin(event)
        return []  # nobody follows it: most events of a busy market end here

    def _insert(self, table: str, row: Row, account: int | None = None) -> Scoped:
        row = row if self.is_classic else without_nulls(row)
        return _message(Scope(table, row.get("symbol"), account), "insert", row)

    def _quote(self, event: QuoteEvent) -> list[Scoped]:
        recent = self.quotes.get(event.symbol)
        if recent is None:
            recent = self.quotes[event.symbol] = deque(maxlen=MAX_QUOTES)
        recent.append(event)
        if ("quote", event.symbol) not in self._asked:
            return []
        return [self._insert("quote", rows.quote_row(event, self.listing(event.symbol)))]

    def _level(self, event: BookEvent) -> list[Scoped]:
        messages: list[Scoped] = []
        if ("orderBookL2", event.symbol) in self._asked:
            action = "delete" if not event.size else "update" if event.was else "insert"
            row = rows.level_row(
                self.listing(event.symbol),
                event.level_id,
                event.side,
                event.size,
                event.price_ticks,
                event.time_s,
            )
            messages.append(_message(Scope("orderBookL2", event.symbol), action, row))
        if event.symbol in self._tops:
            messages += self._top_deltas(event.symbol)
        return messages

    def _top_deltas(self, symbol: str) -> list[Scoped]:
        before = self._tops[symbol]
        after = self._tops[symbol] = self._top(symbol)
        scope = Scope("orderBookL2_25", symbol)
        gone = [
            {name: value for name, value in row.items() if name != "size"}
            for key, row in before.items()
            if key not in after
        ]
        changed = [
            dict(row)
            for key, row in after.items()
            if key in before and before[key]["size"] != row["size"]
        ]
        new = [dict(row) for key, row in after.items() if key not in before]
        deltas = (("delete", gone), ("update", changed), ("insert", new))
        return [_message(scope, action, *found) for action, found in deltas if found]

    def _top(self, symbol: str) -> dict[tuple[str, int], Row]:
        return {(row["side"], row["id"]): row for row in self.book_rows(symbol, TOP_LEVELS)}

    def _order(self, event: OrderEvent) -> list[Scoped]:
        listing = self.listing(event.order.symbol)
        account = event.order.account
        execution = self._insert("execution", rows.execution_row(event, listing), account)
        order = self._order_delta(event, rows.order_row(event.order, listing))
        if order is None:
            return [execution]
        return [execution, order] if event.exec_type == "Trade" else [order, execution]

    def _order_delta(self, event: OrderEvent, row: Row) -> Scoped | None:
        if event.exec_type == "New" and not event.is_first:
            return None  # it died at entry: its first and only row is the cancelled one
        order_id = event.order.order_id
        before = self._orders.pop(order_id, None)
        if event.order.ord_status not in TERMINAL:
            self._orders[order_id] = row
        if before is None:
            return self._insert("order", dict(row), event.order.account)
        changed = {name: value for name, value in row.items() if before[name] != value}
        if changed.keys() <= {"timestamp"}:
            return None
        always = ("clOrdID", "account", "symbol", "timestamp")
        update = {"orderID": order_id, **changed, **{name: row[name] for name in always}}
        scope = Scope("order", event.order.symbol, event.order.account)
        return _message(scope, "update", update)

    def _position(self, event: PositionEvent) -> list[Scoped]:
        row = dict(self.engine.position_row(event.account, event.symbol))
        before = self._positions.get((event.account, event.symbol))
        self._positions[event.account, event.symbol] = row
        if before is None:
            return [self._insert("position", dict(row), event.account)]
        scope = Scope("position", event.symbol, event.account)
        return self._update(scope, TABLES["position"].keys, before, row)

    def _margin(self, event: MarginEvent) -> list[Scoped]:
        row = dict(self.engine.margin_row(event.account))
        before = self._margins.get(event.account)
        self._margins[event.account] = row
        scope = Scope("margin", None, event.account)
        return self._update(scope, TABLES["margin"].keys, before or {}, row)

    def _update(self, scope: Scope, keys: Iterable[str], before: Row, row: Row) -> list[Scoped]:
        changed = {name: value for name, value in row.items() if before.get(name) != value}
        if changed.keys() <= {"timestamp", "currentTimestamp"}:
            return []
        update = {key: row[key] for key in keys} | changed | {"timestamp": row["timestamp"]}
        return [_message(scope, "update", update)]

    # -- images

    def partial(self, table: str, symbol: str | None, account: int | None) -> Message:
        """The image that begins a subscription: *symbol* or everything, of *account*."""
        kind = TABLES[table]
        data = self.image(table, symbol, account)
        columns = kind.columns or tuple(data[0] if data else self._example(table))
        scope: Row = {}
        if kind.is_private:
            scope["account"] = account
        if symbol is not None:
            scope["symbol"] = symbol
        message: Message = {
            "table": table,
            "action": "partial",
            "keys": list(kind.keys),
            "types": kind.types(columns),
        }
        if self.is_classic:
            message["foreignKeys"] = dict(kind.foreign_keys)
            message["attributes"] = dict(kind.attributes)
        else:
            data = [without_nulls(row) for row in data]
        return message | {"filter": scope, "data": data}

    def image(self, table: str, symbol: str | None, account: int | None) -> list[Row]:
        """Fresh rows of *table* as published so far; all columns, nulls too."""
        symbols = self.engine.symbols() if symbol is None else [symbol]
        if table == "margin":
            return [dict(self._margin_published(account or 0))]
        if table == "order":
            return self._open_orders(account or 0, symbol)
        if table == "position":
            return self._position_image(account or 0, symbols)
        return [row for name in symbols for row in self._market_image(table, name)]

    def _market_image(self, table: str, symbol: str) -> list[Row]:
        self._asked.add((table, symbol))
        if table == "instrument":
            return [dict(self.engine.instrument_row(symbol))]
        if table == "quote":
            quote = self.engine.quote(symbol)
            if quote.bid_ticks is None and quote.ask_ticks is None:
                return []
            return [rows.quote_row(quote, self.listing(symbol))]
        if table == "trade":
            trades = self.engine.trades(symbol)
            return [rows.trade_row(trades[-1], self.listing(symbol))] if trades else []
        if table == "orderBookL2":
            return self.book_rows(symbol, 0)
        if table == "orderBookL2_25":
            top = self._tops[symbol] = self._top(symbol)
            return [dict(row) for row in top.values()]
        return []  # execution: what happens from now on

    def _open_orders(self, account: int, symbol: str | None) -> list[Row]:
        return [
            self.order_row(order)
            for order in self.engine.orders(account)
            if order.ord_status not in TERMINAL and symbol in (None, order.symbol)
        ]

    def order_row(self, order: Order) -> Row:
        return rows.order_row(order, self.listing(order.symbol))

    def _position_image(self, account: int, symbols: Iterable[str]) -> list[Row]:
        held = [name for name in self.engine.position_symbols(account) if name in symbols]
        for symbol in held:
            if (account, symbol) not in self._positions:
                self._positions[account, symbol] = dict(self.engine.position_row(account, symbol))
        return [dict(self._positions[account, symbol]) for symbol in held]

    def _margin_published(self, account: int) -> Row:
        if account not in self._margins:
            self._margins[account] = dict(self.engine.margin_row(account))
        return self._margins[account]

    def book_rows(self, symbol: str, depth: int) -> list[Row]:
        """Price levels, asks then bids, each from high to low; depth 0 is the whole book."""
        listing = self.listing(symbol)
        now_s = self.engine.now()
        bids, asks = self.engine.book(symbol, depth)
        sides = (("Sell", list(reversed(asks))), ("Buy", list(bids)))
        return [
            rows.level_row(listing, level.level_id, side, level.size, level.price_ticks, now_s)
            for side, levels in sides
            for level in levels
        ]

    def _example(self, table: str) -> Row:
        """A row that names the columns of *table* where the image has none."""
        symbol = self.engine.symbols()[0]
        if table == "instrument":
            return self.engine.instrument_row(symbol)
        return self.engine.position_row(MARKET, symbol)


def _message(scope: Scope, action: str, *data: Row) -> Scoped:
    return scope, {"table": scope.table, "action": action, "data": list(data)}
