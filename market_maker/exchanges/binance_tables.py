"""Binance's streams as BitMEX's tables: what they say, in the language of the bot."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from market_maker.exchanges import binance_rows as rows
from market_maker.exchanges.binance_rows import SpotMarket
from market_maker.exchanges.chains import Chains
from market_maker.exchanges.okx_rows import decimal, price
from market_maker.exchanges.okx_tables import KEYS
from market_maker.exchanges.order_memory import OrderMemory, Shown
from market_maker.model.rows import Row

Table = dict[str, Any]
Raw = Mapping[str, Any]


class BinanceTables:
    """Translates for one symbol of one account."""

    def __init__(
        self, market: SpotMarket, chains: Chains, account: str, inventory: float = 0.0
    ) -> None:
        self.market = market
        self.held: dict[str, tuple[Decimal, Decimal]] = {}  # currency -> free, locked
        self.last_fill: int | None = None  # trade id
        self._chains = chains
        self._account = account
        self._inventory = Decimal(str(inventory))
        self._shown = Shown()
        self._wire_ids: OrderMemory[str] = OrderMemory()  # the venue's number -> client id
        self._book: dict[tuple[str, str], Row] = {}  # (side, price as written) -> row

    def read(self, message: Mapping[str, Any]) -> list[Table]:
        """The table messages that one frame amounts to."""
        if "stream" in message:
            name, data = str(message["stream"]), message["data"]
            if name.endswith("@bookTicker"):
                return self._touch(data)
            if "@depth" in name:
                return self._depth(data)
            return self._trade(data) if name.endswith("@trade") else []
        event = message.get("event")
        if not isinstance(event, Mapping):
            return []
        if event.get("e") == "outboundAccountPosition":
            return self.balances_changed(event.get("B") or ())
        if event.get("e") == "executionReport" and event.get("s") == self.market.symbol:
            return self._executed(event)
        return []

    # -- images, as the answers to queries show them -------------------------------------------

    def images(
        self,
        *,
        touch: Raw,
        last: Raw,
        orders: Iterable[Raw] = (),
        fills: Iterable[Raw] = (),
        balances: Iterable[Raw] = (),
    ) -> list[Table]:
        """An image of every table, which a stream begins with."""
        self.held = rows.balances(balances)
        resting = [row for raw in orders if (row := self.order_row(raw)) is not None]
        self._shown = Shown(resting)
        self._book = {}
        filled = [self.fill_row(raw) for raw in fills]
        return [
            self._table("instrument", "partial", [self.instrument_image(touch, last)]),
            self._table("quote", "partial", [rows.quote_row(touch, self.market)]),
            self._table("trade", "partial", []),
            self._table("order", "partial", resting),
            self._table("execution", "partial", filled),
            self._table("position", "partial", [self.position_row()]),
            self._table("margin", "partial", [self.margin_row()]),
        ]

    def instrument_image(self, touch: Raw, last: Raw) -> Row:
        row = self.market.instrument_row() | _prices(rows.quote_row(touch, self.market))
        row["lastPrice"] = price(last.get("price")) or row["midPrice"]
        row["markPrice"] = row["midPrice"] or row["lastPrice"]
        row["indicativeSettlePrice"] = row["markPrice"]
        return row

    def order_row(self, raw: Raw) -> Row | None:
        """An order row; None while the replace that may have ended it is on its way."""
        told = rows.report(raw)
        wire_id = str(told["client_order_id"])
        self._wire_ids.put(str(told.get("orderId")), wire_id, rests=not rows.is_dead(told))
        reading = self._chains.read(told)
        return None if reading is None else self.row_of(reading)

    def row_of(self, reading: Any) -> Row:
        """The row of the order that a chain of ids stands for."""
        cl_ord_id = self._chains.cl_ord_id(reading.order_id)
        return rows.order_row(reading.raw, self.market, reading.order_id, cl_ord_id, reading.before)

    def fill_row(self, raw: Raw) -> Row:
        """A row of myTrades, which names the order by the venue's number only."""
        self.last_fill = max(self.last_fill or 0, int(raw["id"]))
        order_id, cl_ord_id = self._ids(self._wire_ids.get(str(raw["orderId"])) or "")
        return rows.execution_row(raw, self.market, order_id, cl_ord_id) or {}

    def position_row(self) -> Row:
        free, locked = self.held.get(self.market.base, (Decimal(0), Decimal(0)))
        return rows.position_row(free, locked, self.market, self._inventory)

    def margin_row(self) -> Row:
        free, locked = self.held.get(self.market.quote, (Decimal(0), Decimal(0)))
        return rows.margin_row(free, locked, self.market, self._account)

    def balances_changed(self, told: Iterable[Raw]) -> list[Table]:
        """A message tells of the currencies that may have changed."""
        changed = rows.balances(told)
        self.held |= changed
        tables = []
        if self.market.quote in changed:
            tables.append(self._table("margin", "update", [self.margin_row()]))
        if self.market.base in changed:
            tables.append(self._table("position", "update", [self.position_row()]))
        return tables

    def take_market(self, market: SpotMarket) -> Table:
        """The symbol was read anew; it may have another tick, lot or state."""
        self.market = market
        return self._change(market.instrument_row())

    # -- streams -------------------------------------------------------------------------------

    def _touch(self, data: Raw) -> list[Table]:
        quote = rows.quote_row(data, self.market)
        prices = _prices(quote)
        mid = prices["midPrice"]
        if mid is not None:
            prices |= {"markPrice": mid, "indicativeSettlePrice": mid}
        return [self._table("quote", "insert", [quote]), self._change(prices)]

    def _trade(self, data: Raw) -> list[Table]:
        row = rows.trade_row(data, self.market)
        change = self._change({"lastPrice": row["price"], "timestamp": row["timestamp"]})
        return [self._table("trade", "insert", [row]), change]

    def _executed(self, event: Raw) -> list[Table]:
        tables = []
        row = self.order_row(event)
        told = rows.report(event)
        order_id, cl_ord_id = self._ids(str(told["client_order_id"]))
        fill = rows.execution_row(event, self.market, order_id, cl_ord_id)
        if fill is not None:
            self.last_fill = max(self.last_fill or 0, int(event["t"]))
            tables.append(self._table("execution", "insert", [fill]))
        if row is not None:
            tables.append(self._table("order", self._shown.action(row), [row]))
        return tables

    def _ids(self, wire_id: str) -> tuple[str, str]:
        order_id = self._chains.order_id(wire_id)
        return order_id, self._chains.cl_ord_id(order_id)

    def _depth(self, data: Raw) -> list[Table]:
        """The best levels, all at once: what is different from the last time."""
        fresh = {
            (side, at): {
                "symbol": self.market.symbol, "side": side, "price": float(at),
                "size": rows.plain(decimal(size)),
            }
            for side, name in (("Sell", "asks"), ("Buy", "bids"))
            for at, size in data.get(name) or ()
        }  # fmt: skip
        before, self._book = self._book, fresh
        if not before:
            return [self._table("orderBookL2", "partial", list(fresh.values()))]
        changes = {
            "delete": [row for key, row in before.items() if key not in fresh],
            "update": [row for key, row in fresh.items() if before.get(key, row) != row],
            "insert": [row for key, row in fresh.items() if key not in before],
        }
        return [self._table("orderBookL2", a, found) for a, found in changes.items() if found]

    # -- within --------------------------------------------------------------------------------

    def _change(self, columns: Row) -> Table:
        return self._table("instrument", "update", [{"symbol": self.market.symbol, **columns}])

    def _table(self, name: str, action: str, data: list[Row]) -> Table:
        message: Table = {"table": name, "action": action, "data": data}
        if action == "partial":
            message |= {"keys": KEYS[name], "filter": {"symbol": self.market.symbol}}
        return message


def _prices(quote: Row) -> Row:
    bid, ask = quote["bidPrice"], quote["askPrice"]
    mid = None if bid is None or ask is None else (bid + ask) / 2
    return {"bidPrice": bid, "askPrice": ask, "midPrice": mid}
