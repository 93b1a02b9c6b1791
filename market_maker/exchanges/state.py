"""What we believe right now: tables, orders and position, folded from the inbox.

The receive thread only appends to the inbox and sets `wake`. Whoever reads first drains, under
one lock, so that there is one writer at a time and every reader sees fresh rows.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from market_maker.clock import Clock
from market_maker.exchanges.depth import Depth
from market_maker.exchanges.order_store import OrderStore
from market_maker.exchanges.tables import Change, TableStore
from market_maker.model.latency import Latency
from market_maker.model.rows import Row, is_live
from market_maker.model.ticks import SIZE_DECIMALS
from market_maker.model.wire import Connected, Disconnected, Message, StreamEvent

logger = logging.getLogger("root")

_MAX_INBOX = 50_000
_MAX_NOTICES = 50_000
_MAX_ERRORS = 50  # messages of errors that are logged; an exchange may send them for ever
_PUBLIC = ("instrument", "trade", "quote")
_PRIVATE = ("order", "execution", "position", "margin")
_SETTLED_S = 5.0  # a position row this much later than a fill includes it
_OF_THE_ORDER = (
    *("orderID", "clOrdID", "symbol", "side", "price", "orderQty", "leavesQty", "cumQty"),
    *("ordStatus", "timestamp", "transactTime"),
)
_STATE, _TOUCH = frozenset({"state", "tickSize", "lotSize"}), ("bidPrice", "askPrice")


class Notice(NamedTuple):
    """Something a strategy may want to hear of: "fill", "trade" or "book"."""

    kind: str
    row: Row


class LiveState:
    """The bot's view of one symbol on one account."""

    def __init__(
        self,
        symbol: str,
        is_ours: Callable[[str], bool],
        clock: Clock,
        has_account: bool = True,
        book_fills: Callable[[list[Row]], list[Row]] = list,  # those that were not seen before
    ) -> None:
        self.symbol = symbol
        self.clock = clock
        self.tables = TableStore()
        self.orders = OrderStore(symbol, is_ours)
        self.lock = threading.RLock()
        self.wake = threading.Event()
        self.connected = False
        self.connected_s = clock.monotonic()
        self.fatal = ""  # the exchange refused the stream for good: the reason
        self.refused = ""  # the exchange refused a subscription: the reason
        self.unmade = ""  # why the first connection could not be made, the last time it was tried
        self.version = 0  # grows whenever a drain folded something
        self.last_recv_s = clock.monotonic()  # when we last heard of the market
        # Best prices by the latest message, quote or instrument; None where a side is empty.
        self.touch: dict[str, float | None] = dict.fromkeys(_TOUCH)
        self.depth = Depth(symbol, self.tables, self.orders, clock)
        self.booked_qty = 0.0  # contracts of the fills that were told one by one, of both sides
        self.connections = 0
        self.base_qty = 0.0  # position when the fills counted so far began to count
        self._needed = _PUBLIC + (_PRIVATE if has_account else ())
        self._inbox: deque[StreamEvent] = deque()
        # Connections in the inbox so far; the one that lost messages, until a new one heals it.
        self._dialled, self._lost_in = 0, -1
        self._notices: deque[Notice] = deque(maxlen=_MAX_NOTICES)
        self._book_fills = book_fills
        self._position_qty: object = None
        self._position_s = self._counted_qty = 0.0  # when its row came; fills counted by then
        self._has_quotes = False
        self._images = 0
        self._odd_tables: set[str] = set()
        self._last_error: tuple[str, object] = ("", None)
        self._errors = 0  # how many were logged
        self._last_fill_s = float("-inf")
        self._is_relevant = self._is_wanted = False
        self._latency: Latency | None = None
        self._moved_s: float | None = None  # when the first news since the last round arrived
        self._apply: Callable[[Any], None] = self._fold_message

    def measure(self, latency: Latency) -> None:
        """Time what is folded, and the rounds that it starts."""
        self._latency, self._apply = latency, latency.timed("apply", self._fold_message)

    # -- the receive side ---------------------------------------------------------------

    def put(self, event: StreamEvent) -> None:
        """Called by the receive thread; touches nothing but the inbox and `wake`, which the last
        of what arrived together sets."""
        if len(self._inbox) >= _MAX_INBOX:
            # Too late to catch up row by row: what is lost must be read anew.
            self._lost_in = self._dialled
            self.wake.set()
            return
        self._dialled += type(event) is Connected
        self._inbox.append(event)
        if not ((type(event) is Message and event.more) or self.wake.is_set()):
            self.wake.set()

    # -- the reading side ---------------------------------------------------------------

    def drain(self) -> bool:
        """Fold what has arrived. True if something a decision depends on has changed."""
        with self.lock:
            if self.wake.is_set():  # looking is much cheaper than clearing
                self.wake.clear()
            inbox = self._inbox
            while inbox:
                self.version += 1
                self._fold(inbox.popleft())
            return self._is_relevant

    @property
    def overflowed(self) -> bool:
        """Whether messages were lost because nobody drained; until the next connection."""
        return self.connections <= self._lost_in

    def take_relevance(self) -> bool:
        """Whether anything relevant changed since the last call."""
        with self.lock:
            relevant, self._is_relevant = self._is_relevant, False
            if self._latency is not None:
                self._latency.begin_round(self._moved_s)
                self._moved_s = None
            return relevant

    def want_round(self) -> None:
        """Let the next round come as soon as the pace allows, whatever the market does."""
        with self.lock:
            self._is_relevant = self._is_wanted = True

    def take_want(self) -> bool:
        """Whether a round was wanted since the last call, rather than brought by news."""
        with self.lock:
            wanted, self._is_wanted = self._is_wanted, False
            return wanted

    def call_round(self) -> None:
        """The same from another thread, while the bot waits."""
        self.want_round()
        self.wake.set()

    def take_notices(self) -> list[Notice]:
        """What has happened since the last call, in order of arrival."""
        with self.lock:
            notices = list(self._notices)
            self._notices.clear()
            return notices

    @property
    def ready(self) -> bool:
        """Connected, every data image is here, and nothing was lost since."""
        is_whole = self.connected and not self.overflowed
        return is_whole and all(self.tables.has(table) for table in self._needed)

    def missing_images(self) -> list[str]:
        return [table for table in self._needed if not self.tables.has(table)]

    def instrument(self, symbol: str | None = None) -> Row | None:
        return self.tables.row("instrument", symbol=symbol or self.symbol)

    def position(self, symbol: str | None = None) -> Row | None:
        wanted, rows = symbol or self.symbol, self.tables.rows("position")
        return next((row for row in rows if row.get("symbol") == wanted), None)

    def position_range(self) -> tuple[float, float]:
        """The position as low and as high as the exchange's row and our fills allow."""
        with self.lock:
            row = self.position() or {}
            reported: float = row.get("currentQty") or 0
            if self.orders.filled_qty != self._counted_qty:
                self._counted_qty = self.orders.filled_qty  # an answer may have told of it
                self._last_fill_s = self.clock.monotonic()
            counted = round(self.base_qty + self.orders.filled_qty, SIZE_DECIMALS)
            if reported != counted and self._position_s > self._last_fill_s + _SETTLED_S:
                # A row later than every fill differs: another hand moved the position.
                self.base_qty = reported - self.orders.filled_qty
                counted = reported
            return min(reported, counted), max(reported, counted)

    # -- folding ------------------------------------------------------------------------

    def _fold(self, event: StreamEvent) -> None:
        if isinstance(event, Message):
            self._apply(event.data)
            if self._latency is not None and self._is_relevant and self._moved_s is None:
                self._moved_s = event.recv_ns / 1e9
        elif isinstance(event, Connected):
            self.connected, self.refused = True, ""
            self.connected_s = self.clock.monotonic()
            self.connections += 1
            self.tables.clear()
            self.depth.clear()
            self.touch = dict.fromkeys(self.touch)
            self._has_quotes = False
        elif isinstance(event, Disconnected):
            self.connected, self._is_relevant = False, True
            if event.reason.startswith(("handshake 401", "handshake 403")):
                self.fatal = event.reason  # the line that ends the run says so
            elif not self.connections:
                self.unmade = event.reason  # the same, where no try is left
            else:
                logger.warning("Websocket Closed: %s", event.reason)

    def _fold_message(self, data: Any) -> None:
        if not isinstance(data, dict):
            return
        if "table" in data:
            change = self.tables.apply(data)
            if change is None:
                return
            if change.table not in _PRIVATE:  # news of the account tells nothing of the market
                self.last_recv_s = self.clock.monotonic()
            try:
                self._fold_change(change, data["data"])
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                if change.table not in self._odd_tables:
                    self._odd_tables.add(change.table)
                    logger.warning("A row of table %s cannot be read: %r", change.table, error)
        elif data.get("error"):
            self._fold_error(data)
        elif "subscribe" in data:
            logger.debug("Subscribed to %s.", data["subscribe"])

    def _fold_error(self, data: Row) -> None:
        status, text = data.get("status"), str(data.get("error"))[:200]
        if status in (401, 403):
            self.fatal, self._is_relevant = f"{status} {text}", True
            return  # the line that ends the run says so
        if isinstance(data.get("request"), dict) and data["request"].get("op") == "subscribe":
            self.refused = text
            if not self._images:
                return  # of the start: as above
        if (text, status) != self._last_error and self._errors < _MAX_ERRORS:
            self._last_error, self._errors = (text, status), self._errors + 1
            logger.error("Websocket error %s: %s", status, text)

    def _fold_change(self, change: Change, delta: list[Any]) -> None:
        table, action, rows = change
        if table == "quote":  # what comes most often is asked for first
            for row in rows[-1:]:  # the image of an empty book has none
                # A quote tells both sides at one moment: a column it lacks is an empty side.
                self._has_quotes = True
                self._note_market(row, _TOUCH)
        elif table == "trade" and action == "insert":
            ours = [row for row in rows if row.get("symbol") == self.symbol]
            self._notices.extend([Notice("trade", row) for row in ours])
            self.depth.on_trades(ours)
        elif table == "instrument":
            for row in (row for row in delta if isinstance(row, dict)):
                self._note_market(row, () if self._has_quotes else tuple(row))
            self.depth.on_instrument()
        elif table == "order":
            self._fold_orders(change)
        elif table == "execution":
            self._fold_executions(change)
        elif table == "position":
            self._fold_position(change, [row for row in delta if isinstance(row, dict)])
        elif table.startswith("orderBook"):
            self.depth.on_book(change)
            self._notices.append(Notice("book", {"symbol": self.symbol, "table": table}))

    def _fold_orders(self, change: Change) -> None:
        rows = [row for row in change.rows if row.get("symbol") == self.symbol]
        if change.action == "partial":
            self.orders.take_as_counted(rows)
            for row in rows:
                self.orders.apply(row)
            self.orders.resync([row for row in rows if is_live(row)])
            self._is_relevant = True
            return
        for row in rows:
            before = self.orders.filled_qty
            self.orders.apply(row)
            if self.orders.filled_qty != before:
                self._note_fill()
            # Our own actions were believed when they were answered; what comes unasked is news.
            elif not is_live(row) and self.orders.is_ours(str(row.get("clOrdID") or "")):
                self._is_relevant = True

    def _fold_executions(self, change: Change) -> None:
        self._images += change.action == "partial"
        ours = [row for row in change.rows if row.get("symbol") == self.symbol]
        told = [r for r in ours if r.get("execType") in ("Trade", "Funding") and r.get("execID")]
        # Streams and queries may repeat a fill.
        for row in self._book_fills(told) if told else ():
            if row["execType"] == "Funding":
                continue  # it moves money, and no position
            if change.action == "partial":
                # The position includes it already; after a reconnect it is still news.
                if self._images > 1 and self.orders.is_ours(str(row.get("clOrdID") or "")):
                    self._notices.append(Notice("fill", row))
                continue
            self.booked_qty += row.get("lastQty") or 0
            before = self.orders.filled_qty
            # It tells of its order too, whose own row may never come.
            self.orders.apply({name: row[name] for name in _OF_THE_ORDER if name in row})
            if self.orders.filled_qty != before:
                self._note_fill()
            if self.orders.is_ours(str(row.get("clOrdID") or "")):
                self._notices.append(Notice("fill", row))

    def take_fills(self, rows: list[Row], is_ours: Callable[[Row], bool]) -> None:
        """Take fills that a query shows; what they made of their orders is known already."""
        with self.lock:
            for row in self._book_fills(rows):
                self.booked_qty += row.get("lastQty") or 0
                if is_ours(row):
                    self._notices.append(Notice("fill", row))
            self._is_relevant = True

    def _fold_position(self, change: Change, delta: list[Row]) -> None:
        if change.action == "partial":
            row = self.position() or {}
            self.base_qty = (row.get("currentQty") or 0) - self.orders.filled_qty
            self.orders.image_time = str(row.get("timestamp") or "")
        for row in delta:
            if row.get("symbol") != self.symbol:
                continue
            self._position_s = self.clock.monotonic()
            qty = row.get("currentQty", self._position_qty)
            if qty != self._position_qty:
                self._position_qty, self._is_relevant = qty, True

    def _note_market(self, row: Row, telling: tuple[str, ...]) -> None:
        """The state of the market may have changed, and the touch in the columns *telling*."""
        if row.get("symbol") != self.symbol:
            return
        if not _STATE.isdisjoint(row):
            self._is_relevant = True
        moved = [n for n in _TOUCH if n in telling and row.get(n) != self.touch[n]]
        for name in moved:
            self.touch[name] = row.get(name)
            # Where our own order has become the touch, nothing new is known of the market.
            own = self.own_best("Buy" if name == "bidPrice" else "Sell")
            if own is None or self.touch[name] != own:
                self._is_relevant = True
        if moved:
            self._notices.append(Notice("book", row))

    def own_best(self, side: str) -> float | None:
        """The best price of our orders that rest on *side*."""
        prices = [float(row["price"]) for row in self.orders.resting(side) if row.get("price")]
        return (max if side == "Buy" else min)(prices, default=None)

    def _note_fill(self) -> None:
        self._last_fill_s = self.clock.monotonic()
        self._is_relevant = True
