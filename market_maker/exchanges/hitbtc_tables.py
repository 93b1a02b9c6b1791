"""HitBTC's channels and reports as BitMEX's tables: the stream, in the language of the bot."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.exchanges import hitbtc_rows as rows
from market_maker.exchanges.chains import Chains, Reading
from market_maker.exchanges.feed import BookGap, Table
from market_maker.exchanges.hitbtc_rows import Holding, Market, Raw
from market_maker.exchanges.okx_rows import decimal
from market_maker.exchanges.okx_rows import price as price_of
from market_maker.exchanges.okx_tables import KEYS
from market_maker.exchanges.order_memory import Shown
from market_maker.model.rows import Row


class HitbtcTables:
    """Translates for one symbol of one account."""

    def __init__(
        self, market: Market, chains: Chains, account: str = "", inventory: float = 0.0
    ) -> None:
        self.market = market
        self.chains = chains
        self._holding = Holding(market, inventory, account)
        self._shown = Shown()
        self._book: dict[tuple[str, str], Row] = {}  # (side, price as written) -> row
        self._book_seq = -1
        self._channels: dict[str, Callable[[Any, Raw], list[Table]]] = {
            "orderbook/top": lambda row, _: self._touch(row),
            "orderbook/full": self._depth,
            "trades": self._trades,
            "ticker": lambda row, _: self._ticker(row),
        }

    def read(self, message: Mapping[str, Any]) -> list[Table]:
        """The table messages that one frame amounts to. Raises BookGap."""
        if "ch" in message:
            return self._public(message)
        params = message.get("params")
        match message.get("method"):
            case "spot_order" if isinstance(params, Mapping):
                return self.report(params)
            case "spot_balance" if isinstance(params, list):
                return self._balances(params)
        return []

    # -- images --------------------------------------------------------------------------------

    def images(
        self,
        *,
        book: Raw,
        ticker: Raw,
        orders: Iterable[Raw] = (),
        fills: Iterable[Raw] = (),
        balances: Iterable[Raw] = (),
    ) -> list[Table]:
        """An image of every table, which a stream begins with."""
        self._holding.take(balances)
        ours = [raw for raw in orders if raw.get("symbol") == self.market.name]
        resting = [row for raw in ours if (row := self.order_row(raw)) is not None]
        self._shown = Shown(resting)
        self._book, self._book_seq = {}, -1
        past = [row for raw in fills if (row := self.fill_row(raw)) is not None]
        return [
            self._table("instrument", "partial", [self.instrument_image(book, ticker)]),
            self._table("quote", "partial", [rows.quote_row(book, self.market)]),
            self._table("trade", "partial", []),
            self._table("order", "partial", resting),
            self._table("execution", "partial", past[::-1]),
            self._table("position", "partial", [self._holding.position_row()]),
            self._table("margin", "partial", [self._holding.margin_row()]),
        ]

    def instrument_image(self, book: Raw, ticker: Raw) -> Row:
        """The instrument row. The mark price is the last one: spot has no other."""
        quote = rows.quote_row(book, self.market)
        row = self.market.instrument_row() | _prices(quote)
        row["lastPrice"] = price_of(ticker.get("last")) or row["midPrice"]
        row["markPrice"] = row["indicativeSettlePrice"] = row["lastPrice"]
        row["timestamp"] = quote["timestamp"]
        return row

    def take_market(self, market: Market) -> Table:
        """The symbol was read anew; it may have another tick or lot."""
        self.market = market
        return self._change(market.instrument_row())

    def balance_rows(self, balances: Iterable[Raw]) -> tuple[Row, Row]:
        """(position, margin)."""
        self._holding.take(balances)
        return self._holding.position_row(), self._holding.margin_row()

    # -- orders --------------------------------------------------------------------------------

    def order_row(self, raw: Raw) -> Row | None:
        """How the order stands after this report; None where an answer must tell first."""
        reading = self.chains.read(raw)
        return None if reading is None else self.row_of(reading)

    def row_of(self, reading: Reading) -> Row:
        order_id = reading.order_id
        cl_ord_id = self.chains.cl_ord_id(order_id)
        return rows.order_row(reading.raw, self.market, order_id, cl_ord_id, reading.before)

    def fill_row(self, raw: Raw) -> Row | None:
        """A fill by a report or by a row of spot/history/trade."""
        order_id = self.chains.order_id(str(raw.get("client_order_id") or ""))
        cl_ord_id = self.chains.cl_ord_id(order_id)
        return rows.execution_row(raw, self.market, order_id, cl_ord_id)

    def report(self, raw: Raw) -> list[Table]:
        """What a report amounts to, by the stream or as an answer."""
        if raw.get("symbol") != self.market.name:
            return []
        row, tables = self.order_row(raw), []
        fill = self.fill_row(raw)
        if fill is not None:
            before = self.chains.before(str(raw["client_order_id"]))
            if before is not None:
                fill["cumQty"] = rows.size(before + decimal(raw.get("quantity_cumulative")))
            tables.append(self._table("execution", "insert", [fill]))
        return tables + ([] if row is None else [self.order_table(row)])

    def order_table(self, row: Row) -> Table:
        return self._table("order", self._shown.action(row), [row])

    def _balances(self, params: list[Raw]) -> list[Table]:
        changed, tables = self._holding.take(params), []
        if self.market.base in changed:
            tables.append(self._table("position", "update", [self._holding.position_row()]))
        if self.market.quote in changed:
            tables.append(self._table("margin", "update", [self._holding.margin_row()]))
        return tables

    # -- the market ----------------------------------------------------------------------------

    def _public(self, message: Mapping[str, Any]) -> list[Table]:
        channel = "/".join(str(message["ch"]).split("/")[:2])
        reader = self._channels.get(channel) or self._channels.get(channel.partition("/")[0])
        for name in ("snapshot", "update", "data"):
            row = (message.get(name) or {}).get(self.market.name)
            if row and reader is not None:
                return reader(row, message)
        return []

    def _touch(self, row: Raw) -> list[Table]:
        quote = rows.quote_row(row, self.market)
        return [
            self._table("quote", "insert", [quote]),
            self._change(_prices(quote) | {"timestamp": quote["timestamp"]}),
        ]

    def _trades(self, prints: list[Raw], message: Raw) -> list[Table]:
        found = [rows.trade_row(raw, self.market) for raw in prints]
        last = {"lastPrice": found[-1]["price"], "markPrice": found[-1]["price"]}
        tables = [self._change(last | {"timestamp": found[-1]["timestamp"]})]
        if "update" in message:  # the snapshot tells of what happened before
            tables.insert(0, self._table("trade", "insert", found))
        return tables

    def _ticker(self, row: Raw) -> list[Table]:
        last = price_of(row.get("c"))
        return [self._change({"lastPrice": last, "markPrice": last})] if last else []

    def _depth(self, raw: Raw, message: Raw) -> list[Table]:
        is_image, seq = "snapshot" in message, int(raw.get("s") or 0)
        if is_image:
            self._book = {}
        elif seq != self._book_seq + 1:
            raise BookGap(f"book update {seq} after {self._book_seq}")
        self._book_seq = seq
        changes = self._level_changes(raw)
        if is_image:
            return [self._table("orderBookL2", "partial", list(self._book.values()))]
        return [self._table("orderBookL2", a, r) for a, r in changes.items() if r]

    def _level_changes(self, raw: Raw) -> dict[str, list[Row]]:
        changes: dict[str, list[Row]] = {"delete": [], "update": [], "insert": []}
        for side, name in (("Sell", "a"), ("Buy", "b")):
            for price, quantity in raw.get(name) or ():
                row: Row = {"symbol": self.market.symbol, "side": side, "price": float(price)}
                known = self._book.pop((side, price), None)
                if decimal(quantity):
                    row["size"] = rows.size(quantity)
                    self._book[side, price] = row
                    changes["insert" if known is None else "update"].append(row)
                elif known is not None:
                    changes["delete"].append(row)
        return changes

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
