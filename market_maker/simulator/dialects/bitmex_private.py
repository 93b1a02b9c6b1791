"""The tables of an account: orders, executions, positions, money.

An update carries the key columns and what changed since the row was last published. Nothing is
rendered for an account before somebody had an image of the table.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from market_maker.model.rows import TERMINAL, Row
from market_maker.simulator.dialects import bitmex_ages as ages
from market_maker.simulator.dialects import bitmex_rows as rows
from market_maker.simulator.dialects.bitmex_messages import Scope, Scoped, table_message
from market_maker.simulator.dialects.bitmex_rows import Listings
from market_maker.simulator.dialects.bitmex_tables import Table, without_nulls, words
from market_maker.simulator.events import (
    MarginEvent,
    Order,
    OrderEvent,
    PositionEvent,
    TransactEvent,
    WalletEvent,
)
from market_maker.simulator.exchange import Engine

# what happens to an order; any other execType is a record of the account alone
_OF_AN_ORDER = frozenset(
    words(
        "New Trade Canceled Replaced Rejected Expired Restated Suspended Released "
        "TriggeredOrActivatedBySystem"
    )
)
_TIMES = frozenset({"timestamp", "currentTimestamp"})
# what a position's update repeated in 2018, changed or not
_REPEATED = ("currentQty", "markPrice", "simpleQty", "liquidationPrice")


class Private:
    """Renders what happens to accounts; knows what it has published."""

    def __init__(self, engine: Engine, listings: Listings, tables: Mapping[str, Table]) -> None:
        self._engine, self._listings, self._tables = engine, listings, tables
        self._is_classic = listings.is_classic
        self._asked: set[tuple[str, int]] = set()  # (table, account) somebody had an image of
        self._orders: dict[str, Row] = {}  # orderID -> row last published, while it is open
        self._published: dict[tuple[Any, ...], Row] = {}  # (table, *key) -> row last published

    # -- deltas

    def order(self, event: OrderEvent) -> list[Scoped]:
        account = event.order.account
        wants_order = ("order", account) in self._asked
        wants_execution = ("execution", account) in self._asked
        if not wants_order and not wants_execution:
            return []
        if event.exec_type == "CancelReject":
            return self._cancel_reject(event) if wants_execution else []
        listing = self._listings[event.order.symbol]
        messages: list[Scoped] = []
        if wants_execution:
            messages.append(self._insert("execution", rows.execution_row(event, listing), account))
        if wants_order and event.exec_type in _OF_AN_ORDER and event.order.order_id != rows.NO_ID:
            order = self._order_delta(event, rows.order_row(event.order, listing))
            if order is not None:
                messages.insert(len(messages) if event.exec_type == "Trade" else 0, order)
        return messages

    def _cancel_reject(self, event: OrderEvent) -> list[Scoped]:
        """The last API told of a cancel in vain; the order has no symbol then."""
        if self._is_classic:
            return []
        scope = Scope("execution", None, event.order.account)
        return [table_message(scope, "insert", rows.cancel_reject_row(event))]

    def _order_delta(self, event: OrderEvent, row: Row) -> Scoped | None:
        order_id = event.order.order_id
        before = self._orders.pop(order_id, None)
        if event.exec_type == "New" and not event.is_first and before is None:
            return None  # it died at entry: its first and only row is the cancelled one
        if event.order.ord_status not in TERMINAL:
            self._orders[order_id] = row
        if event.is_first:
            return self._insert("order", dict(row), event.order.account)
        # a finished order that comes back to life is an update of a row that clients dropped
        before = before or {"orderID": order_id}
        changed = {name: value for name, value in row.items() if before.get(name) != value}
        if changed.keys() <= _TIMES:
            return None
        always = ("clOrdID", "account", "symbol", "timestamp")
        update = {"orderID": order_id, **changed, **{name: row[name] for name in always}}
        scope = Scope("order", event.order.symbol, event.order.account)
        return table_message(scope, "update", update)

    def position(self, event: PositionEvent) -> list[Scoped]:
        if ("position", event.account) not in self._asked:
            return []
        row = self._position_row(event.account, event.symbol)
        return self._changed("position", row, event.symbol, event.account)

    def margin(self, event: MarginEvent) -> list[Scoped]:
        if ("margin", event.account) not in self._asked:
            return []
        row = self._margin_row(event.account, event.currency)
        return self._changed("margin", row, None, event.account)

    def wallet(self, event: WalletEvent) -> list[Scoped]:
        if ("wallet", event.account) not in self._asked:
            return []
        row = dict(self._engine.wallet_row(event.account, event.currency))
        return self._changed("wallet", row, None, event.account)

    def transact(self, event: TransactEvent) -> list[Scoped]:
        if ("transact", event.account) not in self._asked:
            return []
        row = rows.transaction_row(event.transaction)
        if event.is_first:
            return [self._insert("transact", row, event.account)]
        return [table_message(Scope("transact", None, event.account), "update", row)]

    def _changed(self, table: str, row: Row, symbol: str | None, account: int) -> list[Scoped]:
        keys = self._tables[table].keys
        key = (table, *(row[name] for name in keys))
        before, self._published[key] = self._published.get(key), row
        if before is None:
            return [self._insert(table, dict(row), account)]
        changed = {name: value for name, value in row.items() if before.get(name) != value}
        if changed.keys() <= _TIMES:
            return []
        repeated = _REPEATED if self._is_classic and table == "position" else ()
        always = {name: row[name] for name in (*keys, *repeated, "timestamp")}
        update = always | changed
        return [table_message(Scope(table, symbol, account), "update", update)]

    def _insert(self, table: str, row: Row, account: int) -> Scoped:
        symbol = row.get("symbol")
        row = row if self._is_classic else without_nulls(row)
        return table_message(Scope(table, symbol, account), "insert", row)

    # -- images

    def image(self, table: str, symbol: str | None, account: int) -> list[Row]:
        """Fresh rows of *table*, all columns, nulls too; from now on its deltas are rendered."""
        self._asked.add((table, account))
        match table:
            case "order":
                return self._open_orders(account, symbol)
            case "position":
                found = self.positions(account)
            case "margin":
                found = self.margins(account)
            case "wallet":
                found = self.wallets(account)
            case "transact":
                return [rows.transaction_row(t) for t in self._engine.transactions(account)][-1:]
            case _:
                return []  # execution: what happens from now on
        self._publish(table, found)
        return [dict(row) for row in found if symbol in (None, row.get("symbol"))]

    def _publish(self, table: str, found: Iterable[Row]) -> None:
        keys = self._tables[table].keys
        for row in found:
            self._published[table, *(row[name] for name in keys)] = row

    def _open_orders(self, account: int, symbol: str | None) -> list[Row]:
        found = []
        for order in self._engine.orders(account):
            if order.ord_status not in TERMINAL:
                row = self._orders[order.order_id] = self.order_row(order)
                if symbol in (None, order.symbol):
                    found.append(dict(row))
        return found

    def order_row(self, order: Order) -> Row:
        return rows.order_row(order, self._listings[order.symbol])

    def positions(self, account: int) -> list[Row]:
        return [self._position_row(account, s) for s in self._engine.position_symbols(account)]

    def margins(self, account: int) -> list[Row]:
        """One row per currency, XBt first: old clients look at the first only."""
        return [self._margin_row(account, name) for name in self._engine.currencies(account)]

    def wallets(self, account: int) -> list[Row]:
        names = self._engine.currencies(account)
        return [dict(self._engine.wallet_row(account, name)) for name in names]

    def _position_row(self, account: int, symbol: str) -> Row:
        return ages.position_row(self._engine.position_row(account, symbol), self._is_classic)

    def _margin_row(self, account: int, currency: str) -> Row:
        return ages.margin_row(self._engine.margin_row(account, currency), self._is_classic)
