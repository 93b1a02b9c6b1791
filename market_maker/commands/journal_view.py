"""What a journal knows, as plain values: for `marketmaker state` and its `--json`."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from market_maker import journal_file
from market_maker.lockfile import is_at_work

_LAST = 5  # runs, decisions and pairs that are shown


def read_journal(path: Path) -> dict[str, Any]:
    """The journal at *path*, whether a bot writes it or not; raises StopTrading."""
    with journal_file.reading(path) as db:
        db.row_factory = sqlite3.Row
        tables = {row["name"] for row in db.execute("SELECT name FROM sqlite_master")}
        return {
            "journal": str(path),
            "running": is_at_work(Path(f"{path}.lock")),
            **_runs(db, tables),
            "requests": _requests(db),
            "fills": _fills(db),
            "lots": _rows(db, tables, "lots", "SELECT * FROM lots ORDER BY id"),
            "pairs": _last(db, tables, "pairs"),
            "decisions": _last(db, tables, "decisions"),
            "levels": _rows(db, tables, "levels", "SELECT * FROM levels ORDER BY side, id"),
            "notes": dict(map(tuple, db.execute("SELECT name, value FROM cursors ORDER BY name"))),
        }


def is_of(view: dict[str, Any], symbol: str) -> bool:
    """Whether a journal is of *symbol*, by the exchange's name for it or by ours."""
    names = {view["symbol"], (view["settings"] or {}).get("SYMBOL")}
    return symbol in names or f"-{symbol}-" in Path(view["journal"]).name


def _runs(db: sqlite3.Connection, tables: set[str]) -> dict[str, Any]:
    runs = _last(db, tables, "runs")
    newest = runs[0] if runs else None
    found = None
    if newest:
        select = "SELECT value FROM settings WHERE hash = ?"
        found = db.execute(select, (newest["settings"],)).fetchone()
    return {
        "symbol": newest["symbol"] if newest else None,
        "settings": json.loads(found["value"]) if found else None,
        "runs": runs,
    }


def _requests(db: sqlite3.Connection) -> dict[str, Any]:
    """How many requests there are by their state; those of unknown outcome in full."""
    count = "SELECT state, count(*) AS number FROM outbox GROUP BY state"
    select = (
        "SELECT action, cl_ord_id, order_id, wire, sent_at, state FROM outbox"
        " WHERE state IN ('NEW', 'SENT', 'UNKNOWN') ORDER BY id"
    )
    return {
        "by_state": {row["state"]: row["number"] for row in db.execute(count)},
        "unsettled": [{**dict(row), "wire": json.loads(row["wire"])} for row in db.execute(select)],
    }


def _fills(db: sqlite3.Connection) -> dict[str, Any]:
    count = "SELECT side, count(*) AS number, sum(last_qty) AS qty FROM fills GROUP BY side"
    last = (
        "SELECT symbol, side, last_qty, last_px, cl_ord_id, booked_at FROM fills"
        f" ORDER BY booked_at DESC LIMIT {_LAST}"
    )
    return {
        "by_side": {row["side"] or "funding": dict(row) for row in db.execute(count)},
        "last": [dict(row) for row in db.execute(last)],
    }


def _last(db: sqlite3.Connection, tables: set[str], name: str) -> list[dict[str, Any]]:
    return _rows(db, tables, name, f"SELECT * FROM {name} ORDER BY id DESC LIMIT {_LAST}")


def _rows(db: sqlite3.Connection, tables: set[str], name: str, select: str) -> list[dict[str, Any]]:
    return [dict(row) for row in db.execute(select)] if name in tables else []
