"""What a venue that can only be asked seems to do, as the table messages of a stream.

Reads lag, overlap and contradict what we have just done. So: an answer to a read that began
before our last action on an order says nothing of that order; fills are told apart by execID
and summed per order; an order that has disappeared is neither filled nor cancelled until a
look-up, or the fills, say so.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from market_maker.model.rows import Row, is_live
from market_maker.model.ticks import SIZE_DECIMALS

Table = dict[str, object]

KEYS: dict[str, list[str]] = {
    "instrument": ["symbol"],
    "quote": [],
    "trade": [],
    "orderBookL2": ["symbol", "side", "price"],
    "order": ["orderID"],
    "execution": [],
    "position": ["symbol"],
    "margin": ["currency"],
}
PRICES = ("bidPrice", "bidSize", "askPrice", "askSize")
_REMEMBERED = 5_000
V = TypeVar("V")


class LocalActions:
    """Our own actions on orders, numbered: which of them a read may not know of yet."""

    def __init__(self) -> None:
        self._count = 0
        self._last: OrderedDict[str, int] = OrderedDict()  # orderID -> number of the last action
        self._busy: dict[str, int] = {}  # orderID -> actions in flight
        self._lock = threading.Lock()

    @contextmanager
    def on(self, order_ids: Iterable[str]) -> Iterator[None]:
        """Within it an action on these orders is under way."""
        ids = list(order_ids)
        with self._lock:
            for order_id in ids:
                self._busy[order_id] = self._busy.get(order_id, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                for order_id in ids:
                    self._busy[order_id] -= 1
                    if not self._busy[order_id]:
                        del self._busy[order_id]
                    self._note(order_id)

    def note(self, order_id: str) -> None:
        """An action on the order has just ended."""
        with self._lock:
            self._note(order_id)

    def mark(self) -> int:
        """Take this before a read."""
        with self._lock:
            return self._count

    def is_newer(self, order_id: str, mark: int) -> bool:
        """Whether we acted on the order since *mark*, or are just acting."""
        with self._lock:
            return order_id in self._busy or self._last.get(order_id, 0) > mark

    def _note(self, order_id: str) -> None:
        self._count += 1
        self._last.pop(order_id, None)
        self._last[order_id] = self._count
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)


class Differ:
    """Compares each read with what was read before. Its callers hold `lock`."""

    def __init__(self, symbol: str, actions: LocalActions) -> None:
        self.lock = threading.RLock()
        self.actions = actions
        self.is_early: Callable[[Row], bool] = lambda _: False  # a fill to be told later
        self._symbol = symbol
        self._resting: dict[str, Row] = {}  # orderID -> its row as last told
        self._past: OrderedDict[str, Row] = OrderedDict()  # orderID -> row, once it rests no more
        self._filled: OrderedDict[str, float] = OrderedDict()  # orderID -> sum of its fills
        self._seen: OrderedDict[str, None] = OrderedDict()  # execIDs told already
        self._prints: OrderedDict[str, None] = OrderedDict()  # public trades told already
        self._market: Row = {}
        self._levels: dict[tuple[str, float], Row] | None = None  # of the book, once it was told

    # -- images --------------------------------------------------------------------------------

    def images(
        self,
        market: Row,
        trades: Sequence[Row],
        account: tuple[Sequence[Row], Sequence[Row], Row, Row] | None,
    ) -> list[Table]:
        """An image of every table; *account* is open orders, fills, position and margin."""
        self._market, self._levels = dict(market), None
        tables = [
            self._table("instrument", "partial", [market]),
            self._table("quote", "partial", [self._quote(market)]),
            self._table("trade", "partial", self._new_prints(trades)),
        ]
        if account is None:
            return tables
        orders, fills, position, margin = account
        for order_id, row in self._resting.items():
            self._keep(self._past, order_id, row)
        self._resting = {str(row["orderID"]): dict(row) for row in orders}
        told = [self._told(fill) for fill in self._unseen(fills)]
        for order_id, row in self._resting.items():
            # fills from before our time are in the row alone
            self._filled[order_id] = max(self._filled.get(order_id, 0), row.get("cumQty") or 0)
        return [
            *tables,
            self._table("order", "partial", list(self._resting.values())),
            self._table("execution", "partial", told),
            self._table("position", "partial", [position]),
            self._table("margin", "partial", [margin]),
        ]

    # -- changes -------------------------------------------------------------------------------

    def market(self, row: Row) -> list[Table]:
        """The market as it is now; the quote is told even where it is the same: it is fresh."""
        changed = {n: value for n, value in row.items() if self._market.get(n) != value}
        self._market = dict(row)
        tables = [self._table("quote", "insert", [self._quote(row)])]
        if changed:
            tables.append(
                self._table("instrument", "update", [{"symbol": self._symbol, **changed}])
            )
        return tables

    def trades(self, rows: Sequence[Row]) -> list[Table]:
        new = self._new_prints(rows)
        return [self._table("trade", "insert", new)] if new else []

    def book(self, rows: Sequence[Row]) -> list[Table]:
        """The levels that are shown now: at first all of them, then what has changed."""
        before, now = self._levels, {(row["side"], row["price"]): row for row in rows}
        self._levels = now
        if before is None:
            return [self._table("orderBookL2", "partial", rows)]
        changes = {
            "delete": [row for key, row in before.items() if key not in now],
            "update": [row for key, row in now.items() if key in before and row != before[key]],
            "insert": [row for key, row in now.items() if key not in before],
        }
        return [self._table("orderBookL2", a, found) for a, found in changes.items() if found]

    def placed(self, row: Row) -> list[Table]:
        """An order of ours was taken by the venue: tables get its row, for updates to change."""
        order_id = str(row["orderID"])
        self.actions.note(order_id)
        return [] if order_id in self._resting else self._change(order_id, None, row)

    def orders(self, rows: Sequence[Row], mark: int) -> tuple[list[Table], list[str]]:
        """All open orders, read after *mark*: what has changed, and which are there no more."""
        listed = {str(row["orderID"]): row for row in rows}
        tables = [table for row in rows for table in self.order(row, mark)]
        gone = [
            order_id
            for order_id in self._resting
            if order_id not in listed and not self.actions.is_newer(order_id, mark)
        ]
        return tables, gone

    def order(self, row: Row, mark: int) -> list[Table]:
        """One order as the venue has it, read after *mark*."""
        order_id = str(row["orderID"])
        known = self._resting.get(order_id)
        if self.actions.is_newer(order_id, mark):
            return []
        if known is not None and (row.get("cumQty") or 0) < (known.get("cumQty") or 0):
            return []  # the list lags behind the fills
        if known is None and not (is_live(row) and is_live(self._past.get(order_id, row))):
            return []  # the list lags behind its end
        if known is not None and all(known.get(n) == value for n, value in row.items()):
            return []
        return self._change(order_id, known, row)

    def fills(self, rows: Sequence[Row]) -> list[Table]:
        """Fills of the account; what was told before is left out."""
        tables: list[Table] = []
        for fill in self._unseen(rows):
            told = self._told(fill)
            tables.append(self._table("execution", "insert", [told]))
            order_id = str(fill["orderID"])
            known = self._resting.get(order_id)
            if known is None:
                continue
            cum = max(told["cumQty"], known.get("cumQty") or 0)
            leaves = max(0.0, round((known.get("orderQty") or 0) - cum, SIZE_DECIMALS))
            change = {
                "cumQty": cum,
                "leavesQty": leaves,
                "ordStatus": "PartiallyFilled" if leaves else "Filled",
                "timestamp": told.get("timestamp"),
            }
            tables += self._change(order_id, known, change)
        return tables

    def ended(self, order_id: str, row: Row | None = None) -> list[Table]:
        """The order is no more: as *row* says, else by the sum of its fills."""
        known = self._resting.get(order_id)
        if known is None:
            return []
        return self._change(order_id, known, row or self.verdict(known))

    def verdict(self, row: Row) -> Row:
        """How an order that is no longer open has ended, by the sum of its fills."""
        cum = max(self._filled.get(str(row["orderID"]), 0), row.get("cumQty") or 0)
        is_full = cum >= (row.get("orderQty") or 0)
        status = "Filled" if is_full else "Canceled"
        return {**row, "cumQty": cum, "leavesQty": 0, "ordStatus": status}

    def resting(self) -> list[Row]:
        """The orders that rest as far as we know, in the order of their coming."""
        return [dict(row) for row in self._resting.values()]

    def unknown(self, fills: Sequence[Row]) -> list[str]:
        """The orders, each once, of fills not told yet that do not tell whose they are."""
        new = (fill for fill in fills if str(fill["execID"]) not in self._seen)
        ids = dict.fromkeys(str(fill["orderID"]) for fill in new if not fill.get("clOrdID"))
        return [i for i in ids if i not in self._resting and i not in self._past]

    def remember(self, order_id: str, row: Row) -> None:
        """What was found out about an order of which nothing is told."""
        if order_id not in self._resting:
            self._keep(self._past, order_id, dict(row))

    def known(self, order_id: str) -> Row | None:
        """The order's row as last told, also when it has ended."""
        row = self._resting.get(order_id) or self._past.get(order_id)
        return dict(row) if row else None

    def account(self, position: Row, margin: Row) -> list[Table]:
        return [
            self._table("position", "update", [position]),
            self._table("margin", "update", [margin]),
        ]

    # -- within --------------------------------------------------------------------------------

    def _change(self, order_id: str, known: Row | None, change: Row) -> list[Table]:
        merged = {**(known or {}), **change}
        if is_live(merged):
            self._resting[order_id] = merged
        else:
            self._resting.pop(order_id, None)
            self._keep(self._past, order_id, merged)
        return [self._table("order", "update" if known else "insert", [merged])]

    def _unseen(self, fills: Sequence[Row]) -> list[Row]:
        new = []
        for fill in fills:
            exec_id = str(fill["execID"])
            if exec_id in self._seen or self.is_early(fill):
                continue
            self._keep(self._seen, exec_id, None)
            new.append(fill)
        return new

    def _told(self, fill: Row) -> Row:
        """The fill with the columns that tell where its order stands after it."""
        order_id = str(fill["orderID"])
        known = self.known(order_id) or {}
        cum = round(self._filled.get(order_id, 0) + fill["lastQty"], SIZE_DECIMALS)
        self._keep(self._filled, order_id, cum)
        total = max(known.get("orderQty") or 0, cum)
        leaves = round(total - cum, SIZE_DECIMALS)
        return {
            **fill,
            "execType": "Trade",
            "clOrdID": fill.get("clOrdID") or known.get("clOrdID") or "",
            "price": known.get("price", fill.get("lastPx")),
            "orderQty": total,
            "cumQty": cum,
            "leavesQty": leaves,
            "ordStatus": "PartiallyFilled" if leaves else "Filled",
        }

    def _new_prints(self, rows: Sequence[Row]) -> list[Row]:
        new = [row for row in rows if str(row.get("trdMatchID")) not in self._prints]
        for row in new:
            self._keep(self._prints, str(row.get("trdMatchID")), None)
        return new

    def _keep(self, memory: OrderedDict[str, V], key: str, value: V) -> None:
        """Remember, and forget the oldest that no resting order needs."""
        memory.pop(key, None)
        memory[key] = value
        while len(memory) > _REMEMBERED + len(self._resting):
            oldest, kept = memory.popitem(last=False)
            if oldest in self._resting:
                memory[oldest] = kept

    def _quote(self, market: Row) -> Row:
        names = ("timestamp", *PRICES)
        return {"symbol": self._symbol, **{name: market.get(name) for name in names}}

    def _table(self, name: str, action: str, data: Sequence[Row]) -> Table:
        message: Table = {"table": name, "action": action, "data": [dict(row) for row in data]}
        if action == "partial":
            message |= {"keys": KEYS[name], "filter": {"symbol": self._symbol}}
        return message
