"""The levels of a grid in the journal: what shall rest where, what is filled, what is owed.

A level outlives its orders. Whatever ends an order (a cancel, a crash, the exchange) leaves the
level with its price and what remains of its size, to be placed again; the part that was filled is
answered by a counter of its own. A fill and the counter it calls for are one transaction.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple

from market_maker import jsonx
from market_maker.journal import Journal
from market_maker.model.rows import Row, opposite
from market_maker.quoting.grid import Quote

_SCHEMA = """
CREATE TABLE IF NOT EXISTS levels (
    id INTEGER PRIMARY KEY,
    side TEXT NOT NULL,
    price TEXT NOT NULL,
    size TEXT NOT NULL,
    filled TEXT NOT NULL,
    settled TEXT NOT NULL,
    is_seed INTEGER NOT NULL,
    cl_ord_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    cum TEXT NOT NULL
)
"""
_COLUMNS = "id, side, price, size, filled, settled, is_seed, cl_ord_id, order_id, cum"


class Level(NamedTuple):
    """One level. Of its `size`, `filled` was filled under earlier orders and `cum` under the
    present one; for `settled` of that the counter is written down already."""

    id: int
    side: str
    price: Decimal
    size: Decimal
    filled: Decimal
    settled: Decimal
    is_seed: bool
    cl_ord_id: str  # of its order, or empty
    order_id: str
    cum: Decimal

    @property
    def left(self) -> Decimal:
        """What may still rest. With nothing left, the level waits for its counter only."""
        return max(Decimal(0), self.size - self.filled - self.cum)

    @property
    def quote(self) -> Quote:
        """Price and original size, which all arithmetic begins from."""
        return Quote(self.price, self.size)


def nearest_first(levels: Iterable[Level], side: str) -> list[Level]:
    """Those of *side* that may rest, from the touch outwards."""
    ours = [level for level in levels if level.side == side and level.left > 0]
    return sorted(ours, key=lambda level: level.price, reverse=side == "Buy")


def last_price(executions: Iterable[Row]) -> Decimal | None:
    """The price of the latest trade among *executions*, which come in any order; of funding none
    is meant."""
    trades = [row for row in executions if row.get("side") and row.get("lastPx")]
    latest = max(trades, key=lambda row: str(row.get("transactTime") or ""), default=None)
    return Decimal(str(latest["lastPx"])) if latest else None


def doubled(levels: Iterable[Level]) -> list[Level]:
    """Seeds of a side, price and size where an older level lies. A counter is never one."""
    first: dict[tuple[str, Quote], int] = {}
    return [
        level
        for level in levels
        if first.setdefault((level.side, level.quote), level.id) != level.id and level.is_seed
    ]


Counter = Callable[[str, Quote], Quote | None]  # the answer to a filled quote of a side


class LevelBook:
    """The levels in *journal*. *counter* says how a filled order is answered."""

    def __init__(self, journal: Journal, counter: Counter) -> None:
        self._journal = journal
        self._counter = counter
        self._known: list[Level] | None = None  # as last read; None: something has changed since
        with journal.transaction() as db:
            db.execute(_SCHEMA)
        journal.with_fill = self._take_fill

    def all(self) -> list[Level]:
        """Every level, oldest first."""
        known = self._known
        if known is None:
            with self._journal.transaction() as db:
                known = self._known = _select(db, "")
        return list(known)

    def last_own_price(self) -> Decimal | None:
        """The price of the latest trade among the fills that were booked last."""
        select = (
            "SELECT wire FROM fills WHERE booked_at ="
            " (SELECT max(booked_at) FROM fills WHERE side != '')"  # of funding it is empty
        )
        with self._journal.transaction() as db:
            found = db.execute(select).fetchall()
        return last_price(jsonx.loads(wire) for (wire,) in found)

    def clear(self) -> None:
        """Forget every level."""
        with self._change() as db:
            db.execute("DELETE FROM levels")

    def add_seeds(self, side: str, quotes: Iterable[Quote]) -> None:
        """New levels that no fill has called for."""
        found = list(quotes)
        if found:
            with self._change() as db:
                for quote in found:
                    _insert(db, side, quote, is_seed=True)

    def adopt(self, orders: Iterable[Row]) -> None:
        """Make levels of open orders that have none."""
        with self._change() as db:
            known = {level.cl_ord_id for level in _select(db, "")}
            for row in orders:
                if row.get("price") and row.get("clOrdID") not in known:
                    quote = Quote(Decimal(str(row["price"])), Decimal(str(row["orderQty"])))
                    level_id = _insert(db, row["side"], quote, is_seed=True)
                    _point(db, level_id, str(row["clOrdID"]), str(row["orderID"]))

    def claim(self, orders: Sequence[tuple[Level, str]]) -> None:
        """Before they are sent: the client order ids under which the levels will rest."""
        with self._change() as db:
            for level, cl_ord_id in orders:
                _point(db, level.id, cl_ord_id, "")

    def note_order(self, cl_ord_id: str, order_id: str) -> None:
        """The exchange has named the order."""
        with self._change() as db:
            update = "UPDATE levels SET order_id = ? WHERE cl_ord_id = ?"
            db.execute(update, (order_id, cl_ord_id))

    def note_filled(self, cl_ord_id: str, cum: Decimal) -> None:
        """Of the order under this id *cum* is filled, which may be old news."""
        with self._change() as db:
            self._raise_cum(db, cl_ord_id, cum)

    def note_end(self, cl_ord_id: str, cum: Decimal) -> None:
        """The order is no more; *cum* of it was filled. The rest of the level is free again."""
        with self._change() as db:
            self._raise_cum(db, cl_ord_id, cum)
            for level in _select(db, "WHERE cl_ord_id = ?", cl_ord_id):
                filled = level.filled + level.cum
                answer = self._counter(level.side, Quote(level.price, filled - level.settled))
                settled = level.settled
                if level.left > 0 and filled > settled and answer is not None:
                    _insert(db, opposite(level.side), answer, is_seed=False)
                    settled = filled
                db.execute(
                    "UPDATE levels SET filled = ?, settled = ?, cum = '0', cl_ord_id = '',"
                    " order_id = '' WHERE id = ?",
                    (str(filled), str(settled), level.id),
                )

    def pay_owed(self) -> None:
        """Write down the counters that could not be made when their orders were filled."""
        if any(level.left <= 0 for level in self.all()):
            with self._change() as db:
                for level in _select(db, ""):
                    if level.left <= 0:
                        self._answer(db, level)

    def drop(self, levels: Iterable[Level]) -> None:
        """Forget levels that have no order and owe nothing."""
        ids = [(level.id,) for level in levels]
        if ids:
            with self._change() as db:
                delete = "DELETE FROM levels WHERE id = ? AND cl_ord_id = '' AND filled = settled"
                db.executemany(delete, ids)

    # -- within -------------------------------------------------------------------------

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._journal.transaction() as db:
            self._known = None
            yield db

    def _take_fill(self, db: sqlite3.Connection, row: Row) -> None:
        """Called in the transaction that books the fill."""
        self._known = None
        if row.get("clOrdID") and row.get("cumQty"):
            self._raise_cum(db, str(row["clOrdID"]), Decimal(str(row["cumQty"])))

    def _raise_cum(self, db: sqlite3.Connection, cl_ord_id: str, cum: Decimal) -> None:
        for level in _select(db, "WHERE cl_ord_id = ?", cl_ord_id):
            if cum > level.cum:
                db.execute("UPDATE levels SET cum = ? WHERE id = ?", (str(cum), level.id))
                level = level._replace(cum=cum)
                if level.left <= 0:
                    self._answer(db, level)

    def _answer(self, db: sqlite3.Connection, level: Level) -> None:
        """The level is filled: its counter takes its place, or it stays and owes it."""
        answer = self._counter(level.side, Quote(level.price, level.size - level.settled))
        if answer is not None:
            _insert(db, opposite(level.side), answer, is_seed=False)
            db.execute("DELETE FROM levels WHERE id = ?", (level.id,))


def _select(db: sqlite3.Connection, where: str, *values: str) -> list[Level]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM levels {where} ORDER BY id", values).fetchall()
    return [
        Level(
            *(row[0], row[1], Decimal(row[2]), Decimal(row[3]), Decimal(row[4]), Decimal(row[5])),
            *(bool(row[6]), row[7], row[8], Decimal(row[9])),
        )
        for row in rows
    ]


def _insert(db: sqlite3.Connection, side: str, quote: Quote, *, is_seed: bool) -> int:
    values = (side, str(quote.price), str(quote.qty), int(is_seed))
    insert = "INSERT INTO levels VALUES (NULL, ?, ?, ?, '0', '0', ?, '', '', '0')"
    return int(db.execute(insert, values).lastrowid or 0)


def _point(db: sqlite3.Connection, level_id: int, cl_ord_id: str, order_id: str) -> None:
    update = "UPDATE levels SET cl_ord_id = ?, order_id = ?, cum = '0' WHERE id = ?"
    db.execute(update, (cl_ord_id, order_id, level_id))
