"""The file of a journal: made, recognised, brought up to date, and read while a bot writes it.

A file that is damaged, foreign or of a newer program is refused with one line and left as it is.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from market_maker.utils.errors import StopTrading

VERSION = 2
_OWNER = 0x6D6B746D  # the application id of SQLite's header: "mktm"; version 1 had none
_SCHEMA = """
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    cl_ord_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    action TEXT NOT NULL,
    wire TEXT NOT NULL,
    sent_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX outbox_by_cl_ord_id ON outbox (cl_ord_id);
CREATE INDEX outbox_by_order_id ON outbox (order_id) WHERE action = 'create';
CREATE INDEX outbox_unsettled ON outbox (state) WHERE state IN ('NEW', 'SENT', 'UNKNOWN');
CREATE TABLE fills (
    symbol TEXT NOT NULL,
    order_id TEXT NOT NULL,
    exec_id TEXT NOT NULL,
    cl_ord_id TEXT NOT NULL,
    side TEXT NOT NULL,
    last_qty REAL NOT NULL,
    last_px REAL NOT NULL,
    booked_at REAL NOT NULL,
    wire TEXT NOT NULL,
    PRIMARY KEY (symbol, order_id, exec_id)
) WITHOUT ROWID;
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""
_SINCE_1 = """
CREATE TABLE settings (
    hash TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    stopped_at REAL,
    exit_code INTEGER,
    program TEXT NOT NULL,
    symbol TEXT NOT NULL,
    settings TEXT NOT NULL
);
"""


def prepare(db: sqlite3.Connection, path: str) -> None:
    """Make an empty file a journal, and an older journal one of this version."""
    version = _version_of(db, path)
    if version == VERSION:
        return
    made = _SINCE_1 if version else _SCHEMA + _SINCE_1
    marks = f"PRAGMA application_id = {_OWNER}; PRAGMA user_version = {VERSION};"
    db.executescript(f"BEGIN IMMEDIATE; {made} {marks} COMMIT;")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The journal at *path*, to read only, also while a bot writes it; raises StopTrading."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            _version_of(db, str(path))
            yield db
    except sqlite3.Error as error:
        raise StopTrading(f"the journal {path} cannot be read: {error}") from error


def _version_of(db: sqlite3.Connection, path: str) -> int:
    """The version of a journal, 0 of an empty file. Nothing is written before this is known."""
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        (health,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        raise  # it cannot be opened, or somebody holds it: that says nothing of what it is
    except sqlite3.DatabaseError as error:
        raise StopTrading(_damaged(path, error)) from error
    if not tables and not version and not owner:
        return 0
    if owner == _OWNER and version > VERSION:
        raise StopTrading(
            f"the journal {path} has format {version}, this version reads up to {VERSION}"
        )
    is_ours = owner == _OWNER or (owner == 0 and version == 1)
    if not is_ours or not {"outbox", "fills", "cursors"} <= tables:
        raise StopTrading(f"{path} is no journal of this program; it is left as it is")
    if health != "ok":
        raise StopTrading(_damaged(path, health))
    return int(version)


def _damaged(path: str, reason: object) -> str:
    text = " ".join(str(reason).split())
    return (
        f"the journal {path} is damaged ({text}) and is left as it is: look at the account, then "
        "move it away to begin anew"
    )
