"""The exchange's tables, kept current from its messages at a cost that does not grow with them.

A table is a dict of rows under the keys its first image ("partial") announced, so that an
update of one level of a book of ten thousand costs as much as one of a book of ten. Rows are
replaced, never edited: whoever holds a row holds a moment.

Rules of the wire: BitMEX, WebSocket API. Updates before the first image, and of rows that are not
there, are dropped and counted. Null and missing columns mean the same.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, NamedTuple

from market_maker.model.rows import Row, is_sound

logger = logging.getLogger(__name__)

# Key columns that qualify a row rather than name it: a null there is left out by the exchange.
_NULLABLE_KEYS = frozenset({"strategy", "currency", "pool"})
# Announced with a key by old servers and without by new ones; events in any case.
_EVENT_TABLES = frozenset({"execution"})
MAX_ROWS = 200  # of a table of events; the oldest go
_MAX_KINDS = 64  # different complaints that are logged; the rest is only counted


class Change(NamedTuple):
    """What a message did: the rows as they are now (for a delete, as they last were)."""

    table: str
    action: str
    rows: list[Row]


_new = tuple.__new__  # a Change without the detour over its own __new__


class TableStore:
    """All tables of one connection. `dropped` and `malformed` count what was not applied."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.keys: dict[str, list[str]] = {}  # table -> its key columns, once it has an image
        self._tables: dict[str, _KeyedTable | _EventTable] = {}
        self._max_rows = max_rows
        self._faults = _Faults()
        self.torn = self._faults.torn  # order books that missed a change since their image

    @property
    def dropped(self) -> int:
        return self._faults.dropped

    @property
    def malformed(self) -> int:
        return self._faults.malformed

    def apply(self, message: Any) -> Change | None:
        """Fold a decoded frame in; None when it is no table message or changes nothing."""
        try:
            name, action, data = message["table"], message["action"], message["data"]
            act = self._tables[name].actions[action]
        except (KeyError, TypeError):
            return self._apply_rare(message)
        if type(data) is not list:
            self._faults.refuse("%s of table %s without a list of rows", action, name)
            return None
        for row in data:
            if not is_sound(row):
                data = self._sound(name, data)
                break
        rows = act(data)
        return _new(Change, (name, action, rows)) if rows else None

    def has(self, table: str) -> bool:
        """Whether the table's first image has arrived."""
        return table in self._tables

    def rows(self, table: str) -> list[Row]:
        """The table's rows in the exchange's order: the rows themselves, do not edit them."""
        found = self._tables.get(table)
        return list(found.all()) if found else []

    def row(self, table: str, **key: Any) -> Row | None:
        """The row with these column values; without a search where they are the full key."""
        found = self._tables.get(table)
        return found.find(key) if found else None

    def clear(self) -> None:
        """Forget every table: the connection is gone, and with it what its images stood for."""
        self._tables.clear()
        self.keys.clear()
        self.torn.clear()

    def _apply_rare(self, message: Any) -> Change | None:
        """Fold a first image in; complain of what is no change of a table that is there."""
        try:
            name, action, _ = message["table"], message["action"], message["data"]
            if action == "partial":
                return self._apply_partial(name, message)
            if name not in self._tables:
                self._faults.drop("change of table %s before its first image", name)
                return None
        except (KeyError, TypeError):
            pass
        if not isinstance(message, dict) or "table" in message:
            self._faults.refuse("a message that is no table message")
        return None

    def _apply_partial(self, name: Any, message: dict[str, Any]) -> Change | None:
        keys, scope, data = message.get("keys"), message.get("filter") or {}, message["data"]
        if not (
            isinstance(name, str)
            and isinstance(keys, list)
            and all(isinstance(key, str) for key in keys)
            and isinstance(scope, dict)
            and isinstance(data, list)
        ):
            self._faults.refuse("a first image with parts of the wrong type")
            return None
        table = self._tables.get(name)
        if table is None or keys != self.keys[name]:
            if not keys or name in _EVENT_TABLES:
                table = _EventTable(self._max_rows, self._faults, name)
            else:
                table = _KeyedTable(keys, self._faults, name)
            self._tables[name] = table
            self.keys[name] = list(keys)
        table.forget(scope)
        self.torn.discard(name)
        return Change(name, "partial", table.insert(self._sound(name, data)))

    def _sound(self, name: str, data: list[Any]) -> list[Row]:
        """The rows whose values can be what they are meant to be."""
        sound = [row for row in data if is_sound(row)]
        if len(sound) < len(data):
            self._faults.refuse("a row of table %s that cannot be read", name)
        return sound


class _Faults:
    """Counts what could not be applied, and logs each kind once."""

    def __init__(self) -> None:
        self.dropped = 0
        self.malformed = 0
        self.torn: set[str] = set()
        self._logged: set[tuple[str, tuple[Any, ...]]] = set()

    def drop(self, what: str, *args: Any) -> None:
        self.dropped += 1
        self._log_once(logging.DEBUG, "Dropped: %s", what, args)

    def refuse(self, what: str, *args: Any) -> None:
        self.malformed += 1
        self._log_once(logging.WARNING, "Ignored what the exchange sent: %s", what, args)

    def _log_once(self, level: int, text: str, what: str, args: tuple[Any, ...]) -> None:
        kind = (what, args)
        if kind not in self._logged and len(self._logged) < _MAX_KINDS:
            self._logged.add(kind)
            logger.log(level, text, (what % args)[:200])


class _KeyedTable:
    """Rows that have an identity and change."""

    def __init__(self, keys: list[str], faults: _Faults, name: str) -> None:
        self.actions: dict[str, Callable[[list[Row]], list[Row]]] = {
            "insert": self.insert,
            "update": self.update,
            "delete": self.delete,
        }
        self._rows: dict[Any, Row] = {}
        self._keys = keys
        self._compound = len(keys) > 1
        self._key_of: Callable[[Row], Any] = itemgetter(*keys)
        self._faults = faults
        self._name = name
        # The exchange never deletes a finished order, it reports that nothing is left of it.
        self._ends_by_leaves_qty = name == "order"

    def insert(self, data: list[Row]) -> list[Row]:
        rows = self._rows
        changed = []
        for row in data:
            try:
                rows[self._identity(row)] = row
            except (KeyError, TypeError):
                self._faults.refuse("a row of table %s without its key", self._name)
                continue
            changed.append(row)
        if self._ends_by_leaves_qty:
            self._drop_finished(changed)
        return changed

    def update(self, data: list[Row]) -> list[Row]:
        rows, key_of = self._rows, self._key_of
        changed = []
        for delta in data:
            try:
                key = key_of(delta)
                old = rows[key]
            except (KeyError, TypeError):
                key = self._look_up(delta)
                if key is None:
                    continue
                if key not in rows:
                    if self._name.startswith("orderBook"):
                        self._faults.torn.add(self._name)  # the level came in a lost message
                    continue
                old = rows[key]
            rows[key] = row = {**old, **delta}
            changed.append(row)
        if self._ends_by_leaves_qty:
            self._drop_finished(changed)
        return changed

    def delete(self, data: list[Row]) -> list[Row]:
        rows, key_of = self._rows, self._key_of
        changed = []
        for gone in data:
            try:
                changed.append(rows.pop(key_of(gone)))
            except (KeyError, TypeError):
                key = self._look_up(gone)
                if key in rows:
                    changed.append(rows.pop(key))
        return changed

    def forget(self, scope: Row) -> None:
        """Drop the rows that a new image stands for."""
        if scope:
            self._rows = {k: row for k, row in self._rows.items() if not _within(row, scope)}
        else:
            self._rows = {}

    def all(self) -> Iterable[Row]:
        return self._rows.values()

    def find(self, key: Row) -> Row | None:
        if len(key) == len(self._keys):
            try:
                return self._rows.get(self._key_of(key))
            except KeyError:
                pass  # as many columns, but others
        return next((row for row in self._rows.values() if _matches(row, key)), None)

    def _identity(self, row: Row) -> Any:
        """The row's key; an error of looking up where a column that names it is missing."""
        try:
            key = self._key_of(row)
            if None not in (key if self._compound else (key,)):
                return key
        except KeyError:
            pass
        for name in self._keys:
            if row.get(name) is None and not (self._compound and name in _NULLABLE_KEYS):
                raise KeyError(name)
        return tuple(row.get(name) for name in self._keys)

    def _look_up(self, row: Row) -> Any:
        """The key of a row that the quick way did not find, which may not be there at all; None
        where it has no key."""
        try:
            key = self._identity(row)
        except (KeyError, TypeError):
            self._faults.refuse("a row of table %s without its key", self._name)
            return None
        try:
            if key not in self._rows:
                self._faults.drop("change of a row of table %s that is not there", self._name)
        except TypeError:
            self._faults.refuse("a row of table %s with a key of the wrong type", self._name)
            return None
        return key

    def _drop_finished(self, changed: list[Row]) -> None:
        for row in changed:
            leaves_qty = row.get("leavesQty")
            if leaves_qty is not None and leaves_qty <= 0:
                self._rows.pop(self._identity(row), None)


class _EventTable:
    """Rows that happened and stay as they are; only the newest are kept."""

    def __init__(self, max_rows: int, faults: _Faults, name: str) -> None:
        self.actions: dict[str, Callable[[list[Row]], list[Row]]] = {
            "insert": self.insert,
            "update": self.refuse,
            "delete": self.refuse,
        }
        self._rows: deque[Row] = deque(maxlen=max_rows)
        self._faults = faults
        self._name = name

    def insert(self, data: list[Row]) -> list[Row]:
        self._rows.extend(data)
        return data

    def refuse(self, _: list[Row]) -> list[Row]:
        self._faults.drop("change of a row of table %s, which has no keys", self._name)
        return []

    def forget(self, scope: Row) -> None:
        kept = [row for row in self._rows if not _within(row, scope)] if scope else []
        self._rows = deque(kept, maxlen=self._rows.maxlen)

    def all(self) -> Iterable[Row]:
        return self._rows

    def find(self, key: Row) -> Row | None:
        return next((row for row in reversed(self._rows) if _matches(row, key)), None)


def _within(row: Row, scope: Row) -> bool:
    """Whether the filter of an image covers the row; a column it lacks cannot tell them apart."""
    return all(row.get(column) in (None, value) for column, value in scope.items())


def _matches(row: Row, key: Row) -> bool:
    return all(row.get(column) == value for column, value in key.items())
