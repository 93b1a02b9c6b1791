"""What we have asked an exchange for, in one SQLite file for each account.

Every order action is written here before its bytes leave, so that after any end of the
program the next one knows which requests may have reached the exchange, which orders are
ours, and which fills are booked already.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os.path import samestat
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from market_maker import journal_file, jsonx
from market_maker.clock import Clock
from market_maker.lockfile import FileLock, LockHeld, is_at_work
from market_maker.model.rows import Row
from market_maker.utils.errors import AlreadyRunning, StopTrading

State = Literal["NEW", "SENT", "ACKED", "REJECTED", "UNKNOWN", "CLOSED"]

_STATES = frozenset(get_args(State))
_KEPT_S = 86_400.0  # how long settled amends and cancels stay
_CREATES_KEPT_S = 7 * 86_400.0  # and creates, once their orders have ended
_IN_MEMORY_KEPT_S = (0.0, 3_600.0)  # both, where no later run can read it
_PURGE_EVERY = 1_000  # batches settled
_LOCK_TRIES = 3  # another bot that counts who is at work touches the lock for a moment
_LOOK_EVERY_S = 1.0
_TIDY_EVERY = 50  # batches settled between two times that the log is folded into the file
_LONGEST_LOG = 10_000  # pages of the log that SQLite itself leaves
_OUTBOX_VALUES = "(NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
# Ids grow with time: what is younger is not even looked at.
_OLD = (
    "id < coalesce((SELECT id FROM outbox WHERE sent_at >= ? ORDER BY id LIMIT 1), 1 << 62)"
    " AND state IN ('ACKED', 'REJECTED', 'CLOSED')"
)
_AT_ONCE = 100  # rows of one statement: any SQLite takes so many parameters


class Entry(NamedTuple):
    """One request for one order, as it was written before it left. Times are Unix seconds."""

    id: int
    action: str
    cl_ord_id: str
    order_id: str
    symbol: str
    wire: Row
    sent_at: float
    expires_at: float
    state: State


class Journal:
    """The journal at *path*, or in memory where it is ":memory:". Usable from any thread.

    A file belongs to one process at a time: another one gets AlreadyRunning. Whatever keeps it
    from being read or written raises StopTrading: without it nobody could say afterwards which
    orders are ours.
    """

    def __init__(self, path: str | Path, clock: Clock) -> None:
        self._path = str(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._file_lock: FileLock | None = None
        self._settled = 0  # batches
        self._look_s = 0.0  # when to see again whether file and lock are in place
        # Whether the order under this clOrdID may still rest; unknown until we have looked.
        self.may_rest: Callable[[str], bool] = lambda _: True
        # What must be written with new orders before they leave; called within its transaction.
        self.with_creates: Callable[[sqlite3.Connection, Sequence[Row]], None] = _nothing_more
        # What must be written with a new fill or not at all; called within its transaction.
        self.with_fill: Callable[[sqlite3.Connection, Row], None] = _nothing_more
        # The same, once for all the new fills of a batch.
        self.after_fills: Callable[[sqlite3.Connection, list[Row]], None] = _nothing_more
        with self._guard():
            if self._path != ":memory:":
                _create_private(Path(self._path))
                self._file_lock = self._take_lock()
            try:
                self._db = sqlite3.connect(self._path, timeout=5.0, check_same_thread=False)
                self._open()
                self._file = Path(self._path).stat() if self._file_lock else None
            except BaseException:
                self._release()
                raise

    @property
    def path(self) -> str:
        """Its file, or ":memory:"."""
        return self._path

    def record(self, action: str, rows: Sequence[Row], expires_at: float) -> list[int]:
        """Write down what is about to be sent, all or nothing; an id for each row."""
        now = self._clock.now()
        ids: list[int] = []
        with self._lock, self._guard(), self._db as db:
            self._keep_place()
            for first in range(0, len(rows), _AT_ONCE):
                values: list[object] = []
                some = rows[first : first + _AT_ONCE]
                for row in some:
                    names = row.get("clOrdID") or "", row.get("orderID") or ""
                    values += (*names, row.get("symbol") or "", action, jsonx.dumps(row))
                    values += (now, expires_at, "NEW")
                # One statement, since the orders wait for it; its rows get ids in a row.
                insert = "INSERT INTO outbox VALUES " + ", ".join([_OUTBOX_VALUES] * len(some))
                last = int(db.execute(insert, values).lastrowid or 0)
                ids += range(last - len(some) + 1, last + 1)
            if action == "create":
                self.with_creates(db, rows)
            return ids

    def settle(self, ids: Sequence[int], states: Sequence[State], order_ids: Sequence[str]) -> None:
        """Write down how recorded requests ended; an empty order id keeps the one known."""
        if not _STATES.issuperset(states):
            raise ValueError(f"no such state among {sorted(set(states))}")
        update = (
            "UPDATE outbox SET state = ?, order_id = coalesce(nullif(?, ''), order_id) WHERE id = ?"
        )
        with self._lock, self._guard():
            with self._db as db:
                db.executemany(update, zip(states, order_ids, ids, strict=True))
            self._settled += 1
            if self._settled % _TIDY_EVERY == 0:  # now, when no order waits for the disk
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if self._settled % _PURGE_EVERY == 0:
                self._purge()

    def close_unsettled(self) -> None:
        """Nothing of ours is on the exchange or under way to it: no question is open any more."""
        update = "UPDATE outbox SET state = 'CLOSED' WHERE state IN ('NEW', 'SENT', 'UNKNOWN')"
        with self._lock, self._guard(), self._db as db:
            db.execute(update)

    def knows_orders(self) -> bool:
        """Whether any order was ever asked for."""
        with self._lock, self._guard():
            select = "SELECT 1 FROM outbox WHERE action = 'create' LIMIT 1"
            return self._db.execute(select).fetchone() is not None

    def is_ours(self, cl_ord_id: str) -> bool:
        """Whether we ever asked for an order under this id."""
        select = "SELECT 1 FROM outbox WHERE cl_ord_id = ? LIMIT 1"
        with self._lock, self._guard():
            found = self._db.execute(select, (cl_ord_id,)).fetchone()
        return bool(cl_ord_id) and found is not None

    def client_id_of(self, order_id: str) -> str:
        """The clOrdID under which we created the order, or an empty text."""
        select = "SELECT cl_ord_id FROM outbox WHERE order_id = ? AND action = 'create' LIMIT 1"
        with self._lock, self._guard():
            found = self._db.execute(select, (order_id,)).fetchone()
        return str(found[0]) if order_id and found else ""

    def name_order(self, cl_ord_id: str, order_id: str) -> None:
        """Note which order of the exchange a create has become."""
        update = "UPDATE outbox SET order_id = ? WHERE cl_ord_id = ? AND action = 'create'"
        with self._lock, self._guard(), self._db as db:
            db.execute(update, (order_id, cl_ord_id))

    def created(self, cl_ord_id: str) -> tuple[Row, float] | None:
        """What was sent to create an order under this id, and when (Unix seconds)."""
        select = "SELECT wire, sent_at FROM outbox WHERE cl_ord_id = ? AND action = 'create'"
        with self._lock, self._guard():
            found = self._db.execute(select, (cl_ord_id,)).fetchone()
        return (jsonx.loads(found[0]), float(found[1])) if found else None

    def unsettled(self) -> list[Entry]:
        """The requests whose outcome nobody knows yet, oldest first."""
        select = (
            "SELECT id, action, cl_ord_id, order_id, symbol, wire, sent_at, expires_at, state"
            " FROM outbox WHERE state IN ('NEW', 'SENT', 'UNKNOWN') ORDER BY id"
        )
        with self._lock, self._guard():
            found = self._db.execute(select).fetchall()
        return [Entry._make((*row[:5], jsonx.loads(row[5]), *row[6:])) for row in found]

    def book_fills(self, rows: Sequence[Row]) -> list[Row]:
        """Book executions with `symbol`, `orderID` and `execID`, all or nothing; those of them
        that were not booked before."""
        insert = "INSERT OR IGNORE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        now, new = self._clock.now(), []
        with self._lock, self._guard(), self._db as db:
            self._keep_place()
            for row in rows:
                values = (
                    row.get("symbol") or "",
                    row.get("orderID") or "",
                    row["execID"],
                    row.get("clOrdID") or "",
                    row.get("side") or "",
                    row.get("lastQty") or 0,
                    row.get("lastPx") or 0,
                    now,
                    jsonx.dumps(row),
                )
                if db.execute(insert, values).rowcount == 1:
                    self.with_fill(db, row)
                    new.append(row)
            if new:
                self.after_fills(db, new)
        return new

    def count_fills(self, since_s: float) -> int:
        """How many fills were booked from *since_s* (Unix time) on; funding is none."""
        select = "SELECT count(*) FROM fills WHERE booked_at >= ? AND last_qty > 0 AND side != ''"
        with self._lock, self._guard():
            return int(self._db.execute(select, (since_s,)).fetchone()[0])

    def has_fill(self, row: Row) -> bool:
        """Whether the execution *row* is booked."""
        select = "SELECT 1 FROM fills WHERE symbol = ? AND order_id = ? AND exec_id = ?"
        names = [row.get(name) or "" for name in ("symbol", "orderID", "execID")]
        with self._lock, self._guard():
            return self._db.execute(select, names).fetchone() is not None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write together, all or nothing."""
        with self._lock, self._guard(), self._db as db:
            yield db

    def get(self, name: str) -> str:
        """The note kept under *name*, or an empty text."""
        select = "SELECT value FROM cursors WHERE name = ?"
        with self._lock, self._guard():
            found = self._db.execute(select, (name,)).fetchone()
        return str(found[0]) if found else ""

    def put(self, name: str, value: str) -> None:
        """Keep a note under *name*."""
        self.put_all({name: value})

    def put_all(self, notes: Mapping[str, str]) -> None:
        """Keep notes under their names, all or none."""
        with self._lock, self._guard(), self._db as db:
            write_notes(db, notes)

    def leave(self, family: str) -> bool:
        """Say that we are about to end. True if we are the last at work on the journals beside
        this one whose names begin with *family*."""
        if self._file_lock is None:
            return True
        with self._guard():
            own = _lock_path(self._path)
            self._file_lock.say_leaving()
            found = {path for path in own.parent.glob("*.lock") if path.name.startswith(family)}
            if self._file_lock.is_in_place():  # else it is another's by now
                found.discard(own)
            return not any(is_at_work(path) for path in found)

    def close(self) -> None:
        with self._lock:
            self._db.close()
        self._release()

    def _release(self) -> None:
        if self._file_lock is not None:
            self._file_lock.release()

    def _take_lock(self) -> FileLock:
        for tries_left in reversed(range(_LOCK_TRIES)):
            try:
                return FileLock(_lock_path(self._path))
            except LockHeld as held:
                if not tries_left:
                    raise AlreadyRunning(
                        f"process {held.pid} trades here already: one bot for each account, "
                        f"symbol and ORDERID_PREFIX ({self._path})"
                    ) from None
                self._clock.sleep(0.05)
        raise AssertionError("the last try returns or raises")

    def _keep_place(self) -> None:
        """Whoever starts next must find this file, and its lock taken: either may be removed."""
        if self._file is None or self._file_lock is None or self._clock.monotonic() < self._look_s:
            return
        if not samestat(self._file, Path(self._path).stat()):
            raise OSError("another file has taken its place")
        if not self._file_lock.is_in_place():
            held = self._take_lock()
            self._file_lock.release()
            self._file_lock = held
        self._look_s = self._clock.monotonic() + _LOOK_EVERY_S

    def _open(self) -> None:
        db = self._db
        journal_file.prepare(db, self._path)  # before anything is written: is it ours at all?
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # survives our end, and loses no more than power
        db.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG}")  # `settle` comes first
        self._purge()

    def _purge(self) -> None:
        """Drop what is settled and too old to be of use."""
        is_in_memory = self._path == ":memory:"
        kept_s, creates_kept_s = _IN_MEMORY_KEPT_S if is_in_memory else (_KEPT_S, _CREATES_KEPT_S)
        now = self._clock.now()
        with self._db as db:
            db.execute(f"DELETE FROM outbox WHERE {_OLD} AND action != 'create'", (now - kept_s,))
            creates = f"SELECT id, cl_ord_id FROM outbox WHERE {_OLD} AND action = 'create'"
            ended = [
                (number,)
                for number, cl_ord_id in db.execute(creates, (now - creates_kept_s,)).fetchall()
                if not self.may_rest(cl_ord_id)
            ]
            db.executemany("DELETE FROM outbox WHERE id = ?", ended)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StopTrading(f"the journal {self._path} cannot be used: {error}") from error


def write_notes(db: sqlite3.Connection, notes: Mapping[str, str]) -> None:
    """Keep notes as a part of the transaction that *db* is in."""
    db.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", notes.items())


def _nothing_more(_: sqlite3.Connection, __: object) -> None:
    """A fill stands for itself."""


def _lock_path(journal: str) -> Path:
    return Path(journal + ".lock")


def _create_private(path: Path) -> None:
    """An empty file only we can read, where there is none; SQLite's own files follow it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
