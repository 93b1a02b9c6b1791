"""The tables of decisions, lots and their orders, and how their rows are read."""

import sqlite3
from decimal import Decimal
from typing import NamedTuple

from market_maker.quoting.stakes import Lot

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS decisions (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        word TEXT NOT NULL,
        decided_at REAL NOT NULL,
        outcome TEXT NOT NULL,
        side TEXT NOT NULL,
        qty TEXT NOT NULL,
        share TEXT NOT NULL,
        restarts INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lot_orders (
        cl_ord_id TEXT PRIMARY KEY,
        order_id TEXT NOT NULL,
        side TEXT NOT NULL,
        decision INTEGER,
        cum TEXT NOT NULL,
        has_ended INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lots (
        id INTEGER PRIMARY KEY,
        side TEXT NOT NULL,
        qty TEXT NOT NULL,
        price TEXT NOT NULL,
        share TEXT NOT NULL,
        opened_at REAL NOT NULL,
        decision INTEGER
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS pairs (
        id INTEGER PRIMARY KEY,
        closed_at REAL NOT NULL,
        qty TEXT NOT NULL,
        long_price TEXT NOT NULL,
        short_price TEXT NOT NULL
    )
    """,
    # What each round asks, however much has been decided and traded since the beginning.
    "CREATE INDEX IF NOT EXISTS decisions_by_outcome ON decisions (outcome)",
    "CREATE INDEX IF NOT EXISTS lot_orders_by_decision ON lot_orders (decision)",
    "CREATE INDEX IF NOT EXISTS lot_orders_live ON lot_orders (cl_ord_id) WHERE has_ended = 0",
)
OPENING, DONE = "OPENING", "DONE"  # outcomes: being carried out, and as it was meant
SETUP, VENUE = "decision.setup", "the venue"  # the note of what lots were opened under
FEE = -1  # in place of a lot's decision: a fee that was told before the fill it belongs to
TABLES = ("decisions", "lot_orders", "lots", "pairs")


class Opening(NamedTuple):
    """A decision that is being carried out: `left` contracts are still to be traded on `side`."""

    id: int
    word: str
    side: str
    qty: Decimal
    share: Decimal
    decided_at: float
    restarts: int
    left: Decimal


class LotOrder(NamedTuple):
    """An order of an opening that may still be filled."""

    cl_ord_id: str
    order_id: str
    cum: Decimal


def select_lots(db: sqlite3.Connection) -> list[Lot]:
    select = "SELECT id, side, qty, price, share, opened_at FROM lots ORDER BY id"
    return [
        Lot(row[0], row[1], Decimal(row[2]), Decimal(row[3]), Decimal(row[4]), row[5])
        for row in db.execute(select).fetchall()
    ]


def select_opening(db: sqlite3.Connection, where: str, *values: object) -> Opening | None:
    select = "SELECT id, word, side, qty, share, decided_at, restarts FROM decisions WHERE "
    row = db.execute(select + where + " ORDER BY id DESC LIMIT 1", values).fetchone()
    if row is None:
        return None
    cums = db.execute("SELECT cum FROM lot_orders WHERE decision = ?", (row[0],)).fetchall()
    filled = sum((Decimal(cum) for (cum,) in cums), Decimal(0))
    qty = Decimal(row[3])
    known = (row[0], row[1], row[2], qty, Decimal(row[4]), row[5], row[6])
    return Opening._make((*known, qty - filled))


def add_order(db: sqlite3.Connection, name: str, side: str, decision: int | None) -> None:
    values = (name, "", side, decision, "0", 0)
    db.execute("INSERT OR IGNORE INTO lot_orders VALUES (?, ?, ?, ?, ?, ?)", values)
