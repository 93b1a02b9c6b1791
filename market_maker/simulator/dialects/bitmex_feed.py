"""Engine events as table messages, and the images a subscription begins with.

An image shows rows as last published, so that image plus deltas is the exchange's row at any
moment. A table that nobody had an image of costs next to nothing.
"""

from collections import deque

from market_maker.model.rows import Row
from market_maker.simulator.dialects import bitmex_ages as ages
from market_maker.simulator.dialects import bitmex_bin_feed, bitmex_books
from market_maker.simulator.dialects import bitmex_rows as rows
from market_maker.simulator.dialects.bitmex_bin_feed import BinFeed
from market_maker.simulator.dialects.bitmex_books import Books
from market_maker.simulator.dialects.bitmex_messages import (
    Message,
    Scope,
    Scoped,
    table_message,
)
from market_maker.simulator.dialects.bitmex_private import Private
from market_maker.simulator.dialects.bitmex_rows import Listings, iso
from market_maker.simulator.dialects.bitmex_tables import tables_of, without_nulls
from market_maker.simulator.events import (
    BookEvent,
    Event,
    FundingEvent,
    InstrumentEvent,
    LiquidationEvent,
    MarginEvent,
    OrderEvent,
    PositionEvent,
    QuoteEvent,
    SettlementEvent,
    TradeEvent,
    TransactEvent,
    WalletEvent,
)
from market_maker.simulator.exchange import Engine

__all__ = ["Feed", "Message", "Scope", "Scoped"]

OF_THE_SITE = frozenset({"announcement", "chat", "publicNotifications"})
MAX_QUOTES = 1000  # quotes kept per symbol for GET /quote
MAX_PRINTS = 1000  # prints kept per index for GET /trade


class Feed:
    """Renders events in the order they happen; knows what it has published."""

    def __init__(self, engine: Engine, is_classic: bool) -> None:
        self.engine = engine
        self.is_classic = is_classic
        self.tables = tables_of(is_classic)
        self.listings = Listings(engine, is_classic)
        self.quotes: dict[str, deque[QuoteEvent]] = {}  # symbol -> recent quotes, oldest first
        self.prints: dict[str, deque[Row]] = {}  # index -> its recent prints, oldest first
        self.private = Private(engine, self.listings, self.tables)
        self.books = Books(engine)
        self._bins = BinFeed(engine, self.listings, self.quotes)
        self._wake_s = 0.0  # the next TickEvent that was asked for
        self._asked: set[tuple[str, str]] = set()  # market (table, symbol) somebody had an image of
        self._unfiltered: set[str] = set()  # market tables that somebody follows for all symbols

    # -- deltas

    def render(self, event: Event) -> list[Scoped]:
        """The messages that tell of *event*, in the order they go out."""
        if event.time_s < self._bins.due_s:
            return self._render(event)
        ended = self._bins.close(event.time_s)
        self._wake()
        return [*ended, *self._render(event)]

    def _wake(self) -> None:
        """Have the engine tell when the next bin ends, whether anything happens then or not."""
        if self._bins.due_s != self._wake_s:
            self._wake_s = self._bins.due_s
            self.engine.tell_at(self._wake_s)

    def _render(self, event: Event) -> list[Scoped]:
        match event:
            case OrderEvent():
                return self.private.order(event)
            case QuoteEvent():
                return self._quote(event)
            case BookEvent():
                return self.books.render(event, self.listings[event.symbol])
            case TradeEvent():
                return self._trade(event)
            case InstrumentEvent():
                return self._instrument(event)
            case PositionEvent():
                return self.private.position(event)
            case MarginEvent():
                return self.private.margin(event)
            case WalletEvent():
                return self.private.wallet(event)
            case TransactEvent():
                return self.private.transact(event)
            case FundingEvent() if ("funding", event.symbol) in self._asked:
                return [self._insert("funding", rows.funding_row(event))]
            case SettlementEvent() if ("settlement", event.symbol) in self._asked:
                return [self._insert("settlement", rows.settlement_row(event))]
            case LiquidationEvent() if ("liquidation", event.symbol) in self._asked:
                return [self._liquidation(event)]
        return []  # nobody follows it: most events of a busy market end here

    def _insert(self, table: str, row: Row) -> Scoped:
        symbol = row["symbol"]
        row = row if self.is_classic else without_nulls(row)
        return table_message(Scope(table, symbol), "insert", row)

    def _quote(self, event: QuoteEvent) -> list[Scoped]:
        recent = self.quotes.get(event.symbol)
        if recent is None:
            recent = self.quotes[event.symbol] = deque(maxlen=MAX_QUOTES)
        recent.append(event)
        if ("quote", event.symbol) not in self._asked:
            return []
        return [self._insert("quote", rows.quote_row(event, self.listings[event.symbol]))]

    def _trade(self, event: TradeEvent) -> list[Scoped]:
        self._bins.trade(event)
        if ("trade", event.symbol) not in self._asked:
            return []
        return [self._insert("trade", rows.trade_row(event, self.listings[event.symbol]))]

    def _instrument(self, event: InstrumentEvent) -> list[Scoped]:
        symbol, changes = event.symbol, event.changes
        messages: list[Scoped] = []
        if "tickSize" in changes:  # rows before had their prices on another grid
            self.listings.pop(symbol, None)
            self.quotes.pop(symbol, None)
            self._bins.relist(symbol)
        if ("instrument", symbol) in self._asked:
            shown = ages.instrument_row(changes, self.is_classic)
            row = {"symbol": symbol, **shown, "timestamp": iso(event.time_s)}
            messages.append(table_message(Scope("instrument", symbol), "update", row))
        if symbol[0] == "." and "lastPrice" in changes:
            messages += self._index_print(event)
        if changes.get("state") == "Settled":
            messages += self._listed()
        return messages

    def _listed(self) -> list[Scoped]:
        """Show what took the place of an expired contract to those who follow all symbols."""
        messages: list[Scoped] = []
        for symbol in self.engine.symbols():
            for table in sorted(self._unfiltered):
                if (table, symbol) not in self._asked:
                    messages += [self._insert(table, r) for r in self._market_image(table, symbol)]
        return messages

    def _index_print(self, event: InstrumentEvent) -> list[Scoped]:
        row = self.engine.instrument_row(event.symbol)
        row = rows.index_print(
            event.symbol, row["lastPrice"], row["lastTickDirection"], event.time_s
        )
        self.prints.setdefault(event.symbol, deque(maxlen=MAX_PRINTS)).append(row)
        return [self._insert("trade", row)] if ("trade", event.symbol) in self._asked else []

    def _liquidation(self, event: LiquidationEvent) -> Scoped:
        row = rows.liquidation_row(event, self.listings[event.symbol])
        if event.action == "delete":
            row = {"orderID": event.order_id, "symbol": event.symbol}
        return table_message(Scope("liquidation", event.symbol), event.action, row)

    # -- images

    def partial(self, table: str, symbol: str | None, account: int | None) -> Message:
        """The image that begins a subscription: *symbol* or everything, of *account*."""
        kind = self.tables[table]
        data = self.image(table, symbol, account)
        columns = kind.columns or tuple(data[0] if data else self.instrument_row(None))
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
        if self.tables[table].is_private:
            return self.private.image(table, symbol, account or 0)
        if table == "connected":
            return [{"users": len(self.engine.accounts()), "bots": 0}]
        if table == "insurance":
            return self.insurance()[-1:]
        if table in OF_THE_SITE:
            return []
        has_indices = table in ("instrument", "trade")
        if symbol is None:
            self._unfiltered.add(table)
        names = self.symbols(with_indices=has_indices) if symbol is None else [symbol]
        return [row for name in names for row in self._market_image(table, name)]

    def symbols(self, *, with_indices: bool) -> list[str]:
        found = list(self.engine.symbols())
        return [*found, *self.engine.indices()] if with_indices else found

    def insurance(self) -> list[Row]:
        """The insurance fund's balances over time, oldest first."""
        return [
            {"currency": currency, "timestamp": iso(time_s), "walletBalance": balance}
            for time_s, currency, balance in self.engine.insurance()
        ]

    def _market_image(self, table: str, symbol: str) -> list[Row]:
        self._asked.add((table, symbol))
        if table == "instrument":
            return [self.instrument_row(symbol)]
        if symbol[0] == ".":
            return [dict(self.prints[symbol][-1])] if self.prints.get(symbol) else []
        if table in bitmex_books.TABLES:
            return self.books.image(table, symbol, self.listings[symbol])
        if table in bitmex_bin_feed.TABLES:
            found = self._bins.image(table, symbol)
            self._wake()
            return found
        return self._series_image(table, symbol)

    def _series_image(self, table: str, symbol: str) -> list[Row]:
        """The last row of a table that only grows, and all of the open liquidations."""
        listing = self.listings[symbol]
        match table:
            case "quote":
                quote = self.engine.quote(symbol)
                if quote.bid_ticks is None and quote.ask_ticks is None:
                    return []
                return [rows.quote_row(quote, listing)]
            case "trade":
                return [rows.trade_row(t, listing) for t in list(self.engine.trades(symbol))[-1:]]
            case "funding":
                return [rows.funding_row(event) for event in self.engine.fundings(symbol)[-1:]]
            case "settlement":
                found = self.engine.settlements(symbol)[-1:]
                return [rows.settlement_row(event) for event in found]
            case "liquidation":
                return self.liquidations(symbol)
        return []

    def liquidations(self, symbol: str) -> list[Row]:
        """The open orders of the liquidation engine."""
        found = [order for order in self.engine.liquidations() if order.symbol == symbol]
        return [rows.liquidation_row(order, self.listings[symbol]) for order in found]

    def instrument_row(self, symbol: str | None) -> Row:
        """An instrument's row; of the first one for None."""
        row = self.engine.instrument_row(symbol or self.engine.symbols()[0])
        return ages.instrument_row(row, self.is_classic)
