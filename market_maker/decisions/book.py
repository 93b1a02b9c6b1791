"""Decisions, what was opened for them, and the lots, in the journal.

A decision is written down with what is done about it, once: its key tells it apart. A fill, the
lots it opens or closes and the end of its opening are one transaction. What is filled is counted
by each order's `cumQty`, so that it is booked once whichever message tells of it, in any order.
"""

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.decisions.tables import (
    DONE,
    FEE,
    OPENING,
    SCHEMA,
    SETUP,
    TABLES,
    LotOrder,
    Opening,
    add_order,
    select_lots,
    select_opening,
)
from market_maker.journal import Journal
from market_maker.model.rows import Row
from market_maker.quoting.limits import is_reducing
from market_maker.quoting.stakes import Lot, Pair, average_price, deleverage

_FLAT_AT = "decision.flat_at"
_NONE = Decimal(0)
_KEPT_S, _KEPT = 7 * 86_400.0, 10_000  # decisions that opened nothing: so long, and so many
_PURGE_EVERY = 1_000  # decisions


class _Change(NamedTuple):
    """What changes the lots: a fill, an adjustment, or a fee taken from what was bought."""

    side: str
    qty: Decimal
    price: Decimal
    share: Decimal = _NONE
    decision: int | None = None  # which has called for it; FEE; None: whatever else


def forget(journal: Journal) -> dict[str, int]:
    """Delete decisions, lots and levels; how many of each there were."""
    counts = {}
    with journal.transaction() as db:
        known = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        for name in (*TABLES, "levels"):
            counts[name] = db.execute(f"DELETE FROM {name}").rowcount if name in known else 0
        db.executemany("DELETE FROM cursors WHERE name = ?", [(SETUP,), (_FLAT_AT,)])
    return {name: counts[name] for name in ("decisions", "lots", "levels")}


class LotBook:
    """The lots in *journal*. Orders whose id begins with *prefix* are ours, whoever placed them.

    On spot a fee may be taken from what is bought: one in *base* makes what is held smaller.
    """

    def __init__(
        self, journal: Journal, clock: Clock, prefix: str, is_inverse: bool, base: str = ""
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._prefix = prefix
        self._is_inverse = is_inverse
        self._base = base
        with journal.transaction() as db:
            for table in SCHEMA:
                db.execute(table)
            _purge(db, clock.now() - _KEPT_S)
            (self._told,) = db.execute("SELECT coalesce(max(id), 0) FROM pairs").fetchone()
        journal.with_creates = self._take_creates
        journal.with_fill = self._take_fill

    # -- what is held -------------------------------------------------------------------

    def lots(self) -> list[Lot]:
        """Every lot, the oldest first."""
        with self._journal.transaction() as db:
            return select_lots(db)

    def flat_at(self) -> float | None:
        """When the last lot was closed, or None if none ever was."""
        text = self._journal.get(_FLAT_AT)
        return float(text) if text else None

    def take_pairs(self) -> list[Pair]:
        """The pairs made since the last call."""
        with self._journal.transaction() as db:
            select = "SELECT id, qty, long_price, short_price FROM pairs WHERE id > ? ORDER BY id"
            rows = db.execute(select, (self._told,)).fetchall()
        self._told = rows[-1][0] if rows else self._told
        return [Pair(*map(Decimal, row[1:])) for row in rows]

    @property
    def is_new(self) -> bool:
        """Whether no run of this strategy has used the journal yet."""
        return not self._journal.get(SETUP)

    def changes(self, setup: dict[str, object]) -> list[str]:
        """What of *setup* is not as when the lots were opened; without lots it is so from now."""
        text = self._journal.get(SETUP)
        if not text or not self.lots():
            self._journal.put(SETUP, jsonx.dumps(setup))
            return []
        was = jsonx.loads(text)
        pairs = {name: (was.get(name), value) for name, value in setup.items()}
        return [f"{n} {old}, and it is {new} now" for n, (old, new) in pairs.items() if old != new]

    # -- decisions ----------------------------------------------------------------------

    def is_known(self, key: str) -> bool:
        """Whether this decision was taken already."""
        with self._journal.transaction() as db:
            return bool(db.execute("SELECT 1 FROM decisions WHERE key = ?", (key,)).fetchone())

    def note(self, key: str, word: str, decided_at: float, outcome: str) -> None:
        """Write down a decision that opens nothing."""
        self._decide(key, word, decided_at, outcome, "", _NONE, _NONE)

    def open(
        self, key: str, word: str, decided_at: float, side: str, qty: Decimal, share: Decimal
    ) -> None:
        """Write down a decision that opens or closes *qty* contracts, for a *share*."""
        self._decide(key, word, decided_at, OPENING, side, qty, share)

    def _decide(self, key: str, word: str, at: float, outcome: str, *figures: object) -> None:
        side, qty, share = figures
        values = (key, word, at, outcome, side, str(qty), str(share))
        with self._journal.transaction() as db:
            insert = "INSERT INTO decisions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, 0)"
            if (db.execute(insert, values).lastrowid or 0) % _PURGE_EVERY == 0:
                _purge(db, self._clock.now() - _KEPT_S)

    def opening(self) -> Opening | None:
        """What is being carried out."""
        with self._journal.transaction() as db:
            return select_opening(db, "outcome = ?", OPENING)

    def close(self, opening: Opening, outcome: str) -> None:
        """Carry it out no further; what was filled of it stays."""
        with self._journal.transaction() as db:
            db.execute("UPDATE decisions SET outcome = ? WHERE id = ?", (outcome, opening.id))

    def note_restart(self, opening: Opening) -> None:
        """It is taken up again by another run."""
        with self._journal.transaction() as db:
            db.execute("UPDATE decisions SET restarts = restarts + 1 WHERE id = ?", (opening.id,))

    # -- orders and fills ---------------------------------------------------------------

    def order_ids(self, opening: Opening) -> set[str]:
        """The clOrdIDs of all orders that were to carry it out."""
        select = "SELECT cl_ord_id FROM lot_orders WHERE decision = ?"
        with self._journal.transaction() as db:
            return {name for (name,) in db.execute(select, (opening.id,)).fetchall()}

    def live_orders(self) -> list[LotOrder]:
        """The orders that have not ended as far as we know."""
        select = "SELECT cl_ord_id, order_id, cum FROM lot_orders WHERE has_ended = 0"
        with self._journal.transaction() as db:
            return [LotOrder(a, b, Decimal(c)) for a, b, c in db.execute(select).fetchall()]

    def note_order(self, cl_ord_id: str, order_id: str) -> None:
        """The exchange has named the order."""
        update = "UPDATE lot_orders SET order_id = ? WHERE cl_ord_id = ?"
        with self._journal.transaction() as db:
            db.execute(update, (order_id, cl_ord_id))

    def note_filled(self, cl_ord_id: str, cum: Decimal, price: Decimal) -> None:
        """Of the order *cum* is filled, the latest at *price*; it may be old news."""
        with self._journal.transaction() as db:
            self._raise_cum(db, cl_ord_id, cum, price)

    def note_end(self, cl_ord_id: str) -> None:
        """The order is no more, and nothing of it will be filled."""
        with self._journal.transaction() as db:
            db.execute("UPDATE lot_orders SET has_ended = 1 WHERE cl_ord_id = ?", (cl_ord_id,))

    def adjust(self, qty: Decimal, price: Decimal, share: Decimal) -> None:
        """Book what no fill of ours explains (negative sells), as a trade that never was."""
        side = "Buy" if qty > 0 else "Sell"
        with self._journal.transaction() as db:
            (count,) = db.execute("SELECT count(*) FROM lot_orders").fetchone()
            name = f"adjustment-{count}"
            add_order(db, name, side, None)
            self._raise_cum(db, name, abs(qty), price, share)
            db.execute("UPDATE lot_orders SET has_ended = 1 WHERE cl_ord_id = ?", (name,))

    # -- within -------------------------------------------------------------------------

    def _take_creates(self, db: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Called in the transaction that records new orders: whatever does not close a position
        carries the opening out, such as the order that replaces one which cannot be amended."""
        opening = select_opening(db, "outcome = ?", OPENING)
        for row in rows:
            if opening is not None and row.get("side") == opening.side and not is_reducing(row):
                add_order(db, str(row["clOrdID"]), opening.side, opening.id)

    def _take_fill(self, db: sqlite3.Connection, row: Row) -> None:
        """Called in the transaction that books the fill."""
        name, price = str(row.get("clOrdID") or ""), row.get("lastPx")
        if not name or not price or row.get("execType") == "Funding":
            return
        known = db.execute("SELECT 1 FROM lot_orders WHERE cl_ord_id = ?", (name,)).fetchone()
        if not known:
            if not name.startswith(self._prefix):
                return  # of another hand: the position will tell
            add_order(db, name, str(row.get("side")), None)  # such as one that closes at the end
        at, is_in_kind = Decimal(str(price)), self._base and row.get("feeCurrency") == self._base
        if row.get("cumQty"):
            name_it = "UPDATE lot_orders SET order_id = ? WHERE cl_ord_id = ? AND order_id = ''"
            db.execute(name_it, (row.get("orderID") or "", name))  # it may have ended by now
            self._raise_cum(db, name, Decimal(str(row["cumQty"])), at)
        if is_in_kind and row.get("feeQty"):
            self._book(db, _Change("Sell", Decimal(str(row["feeQty"])), at, decision=FEE))

    def _raise_cum(
        self,
        db: sqlite3.Connection,
        name: str,
        cum: Decimal,
        price: Decimal,
        share: Decimal = _NONE,
    ) -> None:
        select = "SELECT side, decision, cum FROM lot_orders WHERE cl_ord_id = ?"
        found = db.execute(select, (name,)).fetchone()
        more = cum - Decimal(found[2]) if found else _NONE
        if more <= 0:
            return
        side, decision = found[0], found[1]
        db.execute("UPDATE lot_orders SET cum = ? WHERE cl_ord_id = ?", (str(cum), name))
        opening = select_opening(db, "id = ?", decision) if decision is not None else None
        if opening is not None:
            share = opening.share * more / opening.qty
            if opening.left <= 0:
                update = "UPDATE decisions SET outcome = ? WHERE id = ? AND outcome = ?"
                db.execute(update, (DONE, opening.id, OPENING))
        self._book(db, _Change(side, more, price, share, decision))

    def _book(self, db: sqlite3.Connection, change: _Change) -> None:
        """Close lots of the other side; what is left over opens. A fee makes no pair, neither when
        it closes nor where it was told before its fill and is closed by that."""
        before, now = select_lots(db), self._clock.now()
        fees = {
            number for (number,) in db.execute("SELECT id FROM lots WHERE decision = ?", (FEE,))
        }
        booked = deleverage(before, change.side, change.qty, change.price)
        kept = {lot.id: lot for lot in booked.lots}
        for lot in before:
            if lot.id not in kept:
                db.execute("DELETE FROM lots WHERE id = ?", (lot.id,))
            elif kept[lot.id] != lot:
                update = "UPDATE lots SET qty = ?, share = ? WHERE id = ?"
                db.execute(update, (str(kept[lot.id].qty), str(kept[lot.id].share), lot.id))
        closed = [lot.id for lot in before if lot.side != change.side]
        for number, pair in zip(closed, booked.pairs, strict=False):  # the oldest, in order
            if change.decision != FEE and number not in fees:
                insert = "INSERT INTO pairs VALUES (NULL, ?, ?, ?, ?)"
                db.execute(insert, (now, *map(str, pair)))
        if before and not booked.lots and not booked.rest:
            db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (_FLAT_AT, repr(now)))
        if booked.rest:
            share = change.share * booked.rest / change.qty
            self._open(db, change._replace(qty=booked.rest, share=share))

    def _open(self, db: sqlite3.Connection, new: _Change) -> None:
        """A new lot, or more of the one that this decision has opened already. What no decision
        has called for goes to the youngest lot: one of its own might be too small to trade."""
        found = db.execute(
            "SELECT id, qty, price, share FROM lots WHERE side = :side AND (decision IS :decision"
            " OR (:decision IS NULL AND decision IS NOT :fee)) ORDER BY id DESC LIMIT 1",
            {"side": new.side, "decision": new.decision, "fee": FEE},
        ).fetchone()
        if found is None:
            figures = map(str, (new.qty, new.price, new.share))
            values = (new.side, *figures, self._clock.now(), new.decision)
            db.execute("INSERT INTO lots VALUES (NULL, ?, ?, ?, ?, ?, ?)", values)
            return
        held, paid, share = map(Decimal, found[1:])
        price = average_price([(held, paid), (new.qty, new.price)], self._is_inverse)
        update = "UPDATE lots SET qty = ?, price = ?, share = ? WHERE id = ?"
        db.execute(update, (*map(str, (held + new.qty, price, share + new.share)), found[0]))


def _purge(db: sqlite3.Connection, before_s: float) -> None:
    """Drop what was decided in vain so long or so many decisions ago. The youngest stays: a source
    may repeat it."""
    (youngest,) = db.execute("SELECT max(id) FROM decisions").fetchone()
    db.execute(
        "DELETE FROM decisions WHERE outcome IN ('IGNORED', 'REFUSED', 'EXPIRED')"
        " AND id < ? AND (decided_at < ? OR id <= ?)"
        " AND id NOT IN (SELECT decision FROM lot_orders WHERE decision IS NOT NULL)",
        (youngest or 0, before_s, (youngest or 0) - _KEPT),
    )
