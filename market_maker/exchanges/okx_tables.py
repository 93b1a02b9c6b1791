"""OKX's channels as BitMEX's tables: what the stream says, in the language of the bot.

It keeps only what the next message needs: the fee an order has paid so far, because the venue
may tell the sum alone, and the levels of a book that somebody follows.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from market_maker.exchanges import okx_rows as rows
from market_maker.exchanges.feed import BookGap, Table
from market_maker.exchanges.okx_funding import Funding
from market_maker.exchanges.okx_rows import Market, decimal
from market_maker.exchanges.order_memory import OrderMemory, Shown
from market_maker.model.rows import Row

KEYS = {
    "instrument": ["symbol"],
    "quote": [],
    "trade": [],
    "order": ["orderID"],
    "execution": [],
    "position": ["symbol"],
    "margin": ["currency"],
    "orderBookL2": ["symbol", "side", "price"],
}
_REMEMBERED = 2_000  # fills that were told


class OkxTables:
    """Translates for one instrument of one account."""

    def __init__(
        self,
        market: Market,
        decode_id: Callable[[str], str],
        account: str = "",
        spot_inventory: float = 0.0,
    ) -> None:
        self.market = market
        self._decode_id = decode_id
        self._account = account
        self._spot_inventory = spot_inventory
        # ordId -> what was filled by then, and the fees so far
        self._paid: OrderMemory[tuple[Decimal, Decimal]] = OrderMemory()
        self.funding = Funding()
        self._told: OrderedDict[str, None] | None = None  # execIDs; None before the first image
        self._shown = Shown()
        self._book: dict[tuple[str, str], Row] = {}  # (side, price as written) -> row
        self._book_seq = -1
        self._readers: dict[str, Callable[[Table], list[Table]]] = {
            "bbo-tbt": self._touch,
            "books5": self._touch,
            "books": self._depth,
            "trades": self._trades,
            "mark-price": self._mark,
            "index-tickers": self._index,
            "price-limit": self._limit,
            "funding-rate": self._funding,
            "instruments": self._instruments,
            "orders": self._orders_changed,
            "account": self._account_changed,
            "positions": self._positions_changed,
        }

    def read(self, message: Mapping[str, Any]) -> list[Table]:
        """The table messages that one frame amounts to. Raises BookGap."""
        channel = str((message.get("arg") or {}).get("channel"))
        reader = self._readers.get(channel)
        return reader(dict(message)) if reader is not None and message.get("data") else []

    # -- images, as the REST answers show them -------------------------------------------------

    def images(
        self,
        *,
        book: Mapping[str, Any],
        mark: Mapping[str, Any],
        orders: Iterable[Mapping[str, Any]] = (),
        positions: Iterable[Mapping[str, Any]] = (),
        details: Iterable[Mapping[str, Any]] = (),
        fills: Iterable[Mapping[str, Any]] = (),
        bills: Iterable[Mapping[str, Any]] = (),
    ) -> list[Table]:
        """An image of every table, which a stream begins with.

        Of *fills*, the newest first, and of funding *bills* those that the stream did not tell
        come after it; the first image tells none, for they were before our time.
        """
        details, orders, positions = list(details), list(orders), self._ours(positions)
        funding = self.funding.begin(positions, self._ours(bills), self.market)
        resting = [self.order_row(raw) for raw in orders]
        for raw in orders:
            self._note_fee(raw)
        self._shown = Shown(resting)
        self._book, self._book_seq = {}, -1
        return [
            self._table("instrument", "partial", [self.instrument_image(book, mark)]),
            self._table("quote", "partial", [rows.quote_row(book, self.market)]),
            self._table("trade", "partial", []),
            self._table("order", "partial", resting),
            self._table("execution", "partial", []),
            self._table("position", "partial", [self.position_row(positions, details)]),
            self._table("margin", "partial", [self.margin_row(details)]),
            *self._missed(fills),
            *(self._table("execution", "insert", [row]) for row in funding),
        ]

    def knows_any(self, fills: Iterable[Mapping[str, Any]]) -> bool:
        """Whether one of *fills* was told already: then nothing older was missed."""
        rows = map(self.fill_row, fills)
        return self._told is None or any(r["execID"] in self._told for r in rows if r)

    def _missed(self, fills: Iterable[Mapping[str, Any]]) -> list[Table]:
        is_first, found = self._told is None, []
        self._told = OrderedDict() if self._told is None else self._told
        for raw in reversed(list(fills)):
            row = self.fill_row(raw)
            if row is not None and self._is_new(row) and not is_first:
                found.append(self._table("execution", "insert", [row]))
        return found

    def _is_new(self, fill: Row) -> bool:
        if self._told is None:
            self._told = OrderedDict()
        if fill["execID"] in self._told:
            return False
        self._told[fill["execID"]] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True

    def instrument_image(self, book: Mapping[str, Any], mark: Mapping[str, Any]) -> Row:
        """The instrument row; where a price is missing, the nearest in kind stands for it."""
        quote = rows.quote_row(book, self.market)
        row = self.market.instrument_row() | _prices(quote)
        row |= rows.price_limits(mark)
        row["lastPrice"] = rows.price(mark.get("last")) or row["midPrice"]
        row["markPrice"] = rows.price(mark.get("markPx")) or row["lastPrice"]
        row["indicativeSettlePrice"] = rows.price(mark.get("idxPx")) or row["markPrice"]
        row["timestamp"] = quote["timestamp"]
        return row

    def position_row(
        self, positions: Iterable[Mapping[str, Any]], details: Iterable[Mapping[str, Any]]
    ) -> Row:
        if self.market.is_spot:
            return rows.spot_position_row(details, self.market, self._spot_inventory)
        return rows.position_row(positions, self.market, self._account)

    def order_row(self, raw: Mapping[str, Any]) -> Row:
        return rows.order_row(raw, self.market, self._decode_id(str(raw.get("clOrdId") or "")))

    def fill_row(self, raw: Mapping[str, Any]) -> Row | None:
        """A row of /trade/fills, whose `fee` is the fill's own."""
        cl_ord_id = self._decode_id(str(raw.get("clOrdId") or ""))
        return rows.execution_row(raw, self.market, cl_ord_id, raw.get("fee"))

    def margin_row(self, details: Iterable[Mapping[str, Any]]) -> Row:
        return rows.margin_row(details, self.market, self._account)

    # -- channels ------------------------------------------------------------------------------

    def _touch(self, message: Table) -> list[Table]:
        quotes = [rows.quote_row(raw, self.market) for raw in message["data"]]
        update = {"symbol": self.market.symbol, "timestamp": quotes[-1]["timestamp"]}
        return [
            self._table("quote", "insert", quotes),
            self._table("instrument", "update", [update | _prices(quotes[-1])]),
        ]

    def _trades(self, message: Table) -> list[Table]:
        prints = [rows.trade_row(raw, self.market) for raw in message["data"]]
        last = {"lastPrice": prints[-1]["price"], "timestamp": prints[-1]["timestamp"]}
        return [self._table("trade", "insert", prints), self._change(last)]

    def _mark(self, message: Table) -> list[Table]:
        return [self._change({"markPrice": rows.price(message["data"][-1].get("markPx"))})]

    def _index(self, message: Table) -> list[Table]:
        price = rows.price(message["data"][-1].get("idxPx"))
        return [self._change({"indicativeSettlePrice": price})]

    def _limit(self, message: Table) -> list[Table]:
        return [self._change(rows.price_limits(message["data"][-1]))]

    def _funding(self, message: Table) -> list[Table]:
        raw = message["data"][-1]
        columns = {
            "fundingRate": float(raw.get("fundingRate") or 0),
            "fundingTimestamp": rows.iso(raw.get("fundingTime")),
        }
        return [self._change(columns)]

    def _instruments(self, message: Table) -> list[Table]:
        ours = self._ours(message["data"])
        if not ours:
            return []
        self.market = Market.read(ours[-1], self.market.symbol)
        return [self._change(self.market.instrument_row())]

    def _orders_changed(self, message: Table) -> list[Table]:
        tables = []
        for raw in self._ours(message["data"]):
            row = self.order_row(raw)
            if raw.get("amendResult") in ("0", "-1"):
                row["execType"] = "Replaced" if raw["amendResult"] == "0" else "AmendReject"
            fill = rows.execution_row(raw, self.market, row["clOrdID"], self._fee(raw))
            if fill is not None and self._is_new(fill):
                tables.append(self._table("execution", "insert", [fill]))
            tables.append(self._table("order", self._shown.action(row), [row]))
        return tables

    def _fee(self, raw: Mapping[str, Any]) -> Decimal:
        """What this fill paid: its own figure, or what the sum has grown by."""
        _, before = self._paid.get(str(raw.get("ordId"))) or (0, Decimal(0))
        self._note_fee(raw)
        return decimal(raw["fillFee"]) if raw.get("fillFee") else decimal(raw.get("fee")) - before

    def _note_fee(self, raw: Mapping[str, Any]) -> None:
        order_id, filled = str(raw.get("ordId")), decimal(raw.get("accFillSz"))
        known, _ = self._paid.get(order_id) or (Decimal(0), None)
        if filled >= known:  # a row that was held back may be older than the image
            paid = filled, decimal(raw.get("fee"))
            self._paid.put(order_id, paid, rests=not rows.is_dead(raw))

    def _account_changed(self, message: Table) -> list[Table]:
        details = [row for raw in message["data"] for row in raw.get("details") or ()]
        names = {row.get("ccy") for row in details}
        tables = []
        if self.market.settle in names:  # a push tells of the currencies that changed
            tables.append(self._table("margin", "update", [self.margin_row(details)]))
        if self.market.is_spot and self.market.base in names:
            tables.append(self._table("position", "update", [self.position_row((), details)]))
        return tables

    def _positions_changed(self, message: Table) -> list[Table]:
        ours = self._ours(message["data"])
        paid = [row for raw in ours if (row := self.funding.hear(raw, self.market)) is not None]
        tables = [self._table("execution", "insert", [row]) for row in paid]
        position = [self.position_row(ours, ())] if ours else []
        return [*tables, *(self._table("position", "update", [row]) for row in position)]

    # -- depth ---------------------------------------------------------------------------------

    def _depth(self, message: Table) -> list[Table]:
        is_image = message.get("action") == "snapshot"
        tables: list[Table] = []
        for raw in message["data"]:
            if is_image:
                self._book = {}
            elif int(raw.get("prevSeqId") or -1) != self._book_seq:
                raise BookGap(f"book update after {raw.get('prevSeqId')}, not {self._book_seq}")
            self._book_seq = int(raw.get("seqId") or -1)
            changes = self._level_changes(raw)
            if is_image:
                tables.append(self._table("orderBookL2", "partial", list(self._book.values())))
            else:
                tables += [self._table("orderBookL2", a, r) for a, r in changes.items() if r]
        return tables

    def _level_changes(self, raw: Mapping[str, Any]) -> dict[str, list[Row]]:
        changes: dict[str, list[Row]] = {"delete": [], "update": [], "insert": []}
        moment = rows.iso(raw.get("ts"))
        for side, name in (("Sell", "asks"), ("Buy", "bids")):
            for price, size, *_ in raw.get(name) or ():
                row: Row = {
                    "symbol": self.market.symbol,
                    "side": side,
                    "price": float(price),
                    "timestamp": moment,
                }
                known = self._book.pop((side, price), None)
                if decimal(size):
                    row["size"] = self.market.qty(size)
                    self._book[side, price] = row
                    changes["insert" if known is None else "update"].append(row)
                elif known is not None:
                    changes["delete"].append(row)
        return changes

    # -- within --------------------------------------------------------------------------------

    def _ours(self, raws: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [raw for raw in raws if raw.get("instId") == self.market.inst_id]

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
