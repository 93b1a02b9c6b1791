"""Reads recorded market data in tables: CSV files whose header says what they hold.

BitMEX: orderBook10 (`askPrice0..9`), quote, trade and one-minute bins, with the columns of its
tables and public dumps. Tardis (docs.tardis.dev, CSV data types): incremental_book_L2,
book_snapshot_N, quotes or book_ticker, trades; ordered and timed by `local_timestamp`.
Best bid and ask without sizes: `timestamp,xbtusd_bid,xbtusd_ask`, a pair for each symbol.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from math import floor, log10
from operator import itemgetter
from typing import NamedTuple

from market_maker.simulator.market.items import (
    BOOK,
    PRINT,
    UNKNOWN_SIZE,
    Change,
    Item,
    Print,
    Snapshot,
    to_price,
    to_seconds,
    to_side,
    to_size,
)

Rows = Iterator[list[str]]


class Table(NamedTuple):
    """A kind of CSV file."""

    columns: set[str]  # it is this kind when its header has all of them
    read: Callable[[Rows, list[str], str], Iterator[Item]]
    depth: int  # what it tells of the book: 3 levels, 2 the touch, 1 prices only, 0 nothing


def table_of(header: Sequence[str], symbol: str) -> Table | None:
    """The kind of a CSV file, or None for one that cannot be played."""
    names = set(header)
    pair = {f"{symbol.lower()}_bid", f"{symbol.lower()}_ask", "timestamp"}
    if pair <= names:
        return Table(pair, _bare_quotes, 1)
    return next((table for table in TABLES if table.columns <= names), None)


def _books(rows: Rows, header: list[str], symbol: str) -> Iterator[Snapshot]:
    """Rows that hold a whole book, or its touch."""
    is_tardis = "local_timestamp" in header
    when, name = _time_column(header), header.index("symbol")
    bids, asks = (_Levels(header, *_level_columns(header, s, is_tardis)) for s in ("bid", "ask"))
    for row in rows:
        if row[name] == symbol:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} columns, not {len(header)}")
            yield Snapshot(to_seconds(row[when]), BOOK, bids.read(row), asks.read(row))


def _level_columns(header: list[str], side: str, is_tardis: bool) -> tuple[list[str], list[str]]:
    """The columns of one side's prices, best first, and those of its sizes."""
    if f"{side}s[0].price" in header:
        count = sum(column.startswith(f"{side}s[") for column in header) // 2
        return tuple([f"{side}s[{i}].{what}" for i in range(count)] for what in ("price", "amount"))  # type: ignore[return-value]
    if is_tardis:
        return [f"{side}_price"], [f"{side}_amount"]
    numbers = [str(i) for i in range(10)] if f"{side}Price0" in header else [""]
    return [f"{side}Price{n}" for n in numbers], [f"{side}Size{n}" for n in numbers]


class _Levels:
    """Reads one side of book rows, and only what changed since the row before."""

    def __init__(self, header: list[str], prices: list[str], sizes: list[str]) -> None:
        self._count = len(prices)
        self._pick = itemgetter(*(header.index(column) for column in prices + sizes))
        self._known: dict[str, float] = {}  # price as written -> price
        self._raw: tuple[str, ...] = ()
        self._levels: dict[float, int] = {}

    def read(self, row: list[str]) -> dict[float, int]:
        raw = self._pick(row)
        if raw != self._raw:
            self._raw = raw
            levels = zip(raw[: self._count], raw[self._count :], strict=True)
            # a book thinner than the table leaves cells empty
            self._levels = {self._price(price): to_size(size) for price, size in levels if price}
        return self._levels

    def _price(self, text: str) -> float:
        price = self._known.get(text)
        if price is None:
            price = self._known[text] = to_price(text)
        return price


def _bare_quotes(rows: Rows, header: list[str], symbol: str) -> Iterator[Snapshot]:
    """Polls of best bid and ask; one that repeats the last is no news."""
    names = ("timestamp", f"{symbol.lower()}_bid", f"{symbol.lower()}_ask")
    when, bid, ask = (header.index(name) for name in names)
    last: tuple[str, str] | None = None
    for row in rows:
        pair = row[bid], row[ask]
        if pair != last:
            last = pair
            yield _touch(to_seconds(row[when]), to_price(pair[0]), to_price(pair[1]))


def _touch(time_s: float, bid: float, ask: float) -> Snapshot:
    return Snapshot(time_s, BOOK, {bid: UNKNOWN_SIZE}, {ask: UNKNOWN_SIZE})


def _changes(rows: Rows, header: list[str], symbol: str) -> Iterator[Snapshot | Change]:
    """Tardis' incremental_book_L2: rows of one message share their local timestamp."""
    name, price, amount, side, whole = (
        header.index(column) for column in ("symbol", "price", "amount", "side", "is_snapshot")
    )
    when = _time_column(header)
    ours = (row for row in rows if row[name] == symbol)
    for (stamp, is_snapshot), group in groupby(ours, key=lambda row: (row[when], row[whole])):
        levels: dict[str, dict[float, int]] = {"bid": {}, "ask": {}}
        for row in group:
            levels[row[side]][to_price(row[price])] = to_size(row[amount])
        if is_snapshot == "true":
            bids, asks = ({p: s for p, s in levels[k].items() if s} for k in ("bid", "ask"))
            yield Snapshot(to_seconds(stamp), BOOK, bids, asks)
        else:
            yield Change(to_seconds(stamp), BOOK, levels["bid"], levels["ask"])


def _prints(rows: Rows, header: list[str], symbol: str) -> Iterator[Print]:
    size_column = "amount" if "amount" in header else "size"
    name, side, size, price = (
        header.index(column) for column in ("symbol", "side", size_column, "price")
    )
    when = _time_column(header)
    action = header.index("action") if "action" in header else None
    for row in rows:
        # "partial" is the last trade before the recording began
        if row[name] != symbol or (action is not None and row[action] == "partial"):
            continue
        if row[side] == "unknown":  # Tardis: the exchange did not say who took
            continue
        qty = to_size(row[size])
        yield Print(to_seconds(row[when]), PRINT, to_side(row[side]), to_price(row[price]), qty)


def _bins(rows: Rows, header: list[str], symbol: str) -> Iterator[Item]:
    """One-minute bins, stamped with their close: four trades a minute, each with its touch.

    The path is open, low, high, close in a minute that rose and open, high, low, close in one
    that fell; each of the four prices trades a quarter of the volume.
    """
    names = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
    when, name, *prices, volume = (header.index(column) for column in names)
    last = 0.0

    def quarters() -> Iterator[Print]:
        nonlocal last
        for row in rows:
            if row[name] != symbol:
                continue
            start_s = to_seconds(row[when]) - 60.0
            opening, high, low, closing = (to_price(row[column]) for column in prices)
            turns = (low, high) if closing >= opening else (high, low)
            qty = to_size(row[volume]) // 4
            for quarter, price in enumerate((opening, *turns, closing)):
                side = "Buy" if price >= (last or opening) else "Sell"
                last = price
                if qty:
                    yield Print(start_s + 15.0 * quarter, PRINT, side, price, qty)

    return touch_of(quarters())


def touch_of(prints: Iterable[Print]) -> Iterator[Item]:
    """Trades with a touch made of them: a buyer traded at the ask, a seller at the bid.

    The other side stands where it last traded, or just beyond when the price has passed it.
    """
    bid = ask = gap = 0.0
    for trade in prints:
        yield trade
        price = trade.price
        if not gap:
            gap = 10.0 ** (floor(log10(price)) - 3)
        if trade.side == "Buy":
            ask, bid = price, bid if 0 < bid < price else round(price - gap, 10)
        else:
            bid, ask = price, ask if ask > price else round(price + gap, 10)
        gap = min(gap, round(ask - bid, 10))
        yield _touch(trade.time_s, bid, ask)


def _time_column(header: list[str]) -> int:
    """Tardis' files are in the order of arrival, BitMEX's in that of the exchange's own time."""
    return header.index("local_timestamp" if "local_timestamp" in header else "timestamp")


TABLES = (  # the more telling first
    Table({"timestamp", "symbol", "askPrice0", "bidPrice0"}, _books, 3),
    Table({"local_timestamp", "symbol", "asks[0].price", "bids[0].price"}, _books, 3),
    Table({"local_timestamp", "symbol", "is_snapshot", "side", "price", "amount"}, _changes, 3),
    Table({"timestamp", "symbol", "bidPrice", "askPrice", "bidSize", "askSize"}, _books, 2),
    Table({"local_timestamp", "symbol", "bid_price", "ask_price"}, _books, 2),
    Table({"timestamp", "symbol", "open", "high", "low", "close", "volume"}, _bins, 1),
    Table({"timestamp", "symbol", "side", "size", "price"}, _prints, 0),
    Table({"local_timestamp", "symbol", "side", "price", "amount"}, _prints, 0),
)
