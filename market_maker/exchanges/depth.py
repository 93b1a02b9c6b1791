"""The order book of our symbol, and where our orders stand in it, once somebody wants to know.

Folded by `LiveState` message by message, in the order of arrival and under its lock.
"""

from collections.abc import Collection
from math import inf

from market_maker.clock import Clock
from market_maker.exchanges.order_store import OrderStore
from market_maker.exchanges.tables import Change, TableStore
from market_maker.model.order_book import OrderBook
from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.quoting.queue_estimate import QueueEstimate

TABLE = "orderBookL2"
_CROSSED_AT_MOST_S = 1.0


class Depth:
    """Keeps book and estimates in step with the tables and orders of a `LiveState`."""

    def __init__(self, symbol: str, tables: TableStore, orders: OrderStore, clock: Clock) -> None:
        self.symbol = symbol
        self.book: OrderBook | None = None
        self._tables = tables
        self._orders = orders
        self._clock = clock
        self._queues: dict[tuple[str, float], QueueEstimate] = {}
        self._told_of = -1  # the orders that the estimates have heard of
        self._crossed_s = inf  # since when the book has been crossed, as far as it was asked

    def keep_book(self) -> OrderBook:
        """The order book, from now on kept in step with its table."""
        if self.book is None:
            self.book = OrderBook(self._grid())
            self._begin(self.book)
        return self.book

    def keep_queue(self, model: str, shown_within_s: float) -> QueueEstimate:
        """An estimate of our orders' places, from now on kept in step with book and trades."""
        key = (model, shown_within_s)
        if key not in self._queues:
            self._queues[key] = QueueEstimate(self.keep_book(), *key)
            self._told_of = -1
        self._tell_orders()
        return self._queues[key]

    def is_torn(self) -> bool:
        """Whether the book stays crossed: it was not told that a level has gone."""
        book, now_s = self.book, self._clock.monotonic()
        bid, ask = (book.best_bid, book.best_ask) if book is not None else (None, None)
        is_crossed = bid is not None and ask is not None and bid >= ask
        self._crossed_s = min(self._crossed_s, now_s) if is_crossed else inf
        return now_s - self._crossed_s > _CROSSED_AT_MOST_S

    def clear(self) -> None:
        """The connection, and with it the book, has to come anew."""
        if self.book is not None:
            self.book.clear()

    def on_instrument(self) -> None:
        """The tick size may be another one."""
        if self.book is not None and self.book.grid != self._grid():
            self.book.grid, self._told_of = self._grid(), -1
            self._begin(self.book)

    def on_book(self, change: Change) -> None:
        if self.book is None or change.table != TABLE:
            return
        if change.action == "partial":  # of our symbol or of another: the table has both
            self._begin(self.book)
            return
        queues = self._tell_orders()
        rows = [row for row in change.rows if row.get("symbol") == self.symbol]
        changes = self.book.apply(change.action, rows)
        for queue in queues:
            queue.on_changes(changes, self._clock.monotonic())

    def on_trades(self, trades: list[Row]) -> None:
        """Public trades of our symbol."""
        for queue in self._tell_orders():
            for row in trades:
                queue.on_trade(row, self._clock.monotonic())

    def _begin(self, book: OrderBook) -> None:
        if self._tables.has(TABLE):
            queues = self._tell_orders()
            rows = self._tables.rows(TABLE)
            book.apply("partial", [row for row in rows if row.get("symbol") == self.symbol])
            for queue in queues:
                queue.on_image(self._clock.monotonic())

    def _tell_orders(self) -> Collection[QueueEstimate]:
        """The estimates, once they know our orders as they are now."""
        if self._queues and self._told_of != self._orders.changes:
            self._told_of = self._orders.changes
            orders = [*self._orders.open_orders(), *self._orders.unproven()]
            for queue in self._queues.values():
                queue.on_orders(orders, self._clock.monotonic())
        return self._queues.values()

    def _grid(self) -> PriceGrid:
        instrument = self._tables.row("instrument", symbol=self.symbol) or {}
        return PriceGrid.of(instrument.get("tickSize") or 0.01)
