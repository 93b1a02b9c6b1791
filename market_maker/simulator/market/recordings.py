"""Reads recorded market data: BitMEX's orderBook10, quote and trade tables as CSV files.

Columns: `timestamp,symbol,askPrice0..9,askSize0..9,bidPrice0..9,bidSize0..9` (book10),
`timestamp,symbol,bidSize,bidPrice,askPrice,askSize` (quotes) and
`timestamp,symbol,side,size,price,action` (trades), plain or gzipped, in order of time.
Files are read as they are played, so a long recording costs no memory.
"""

import csv
import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from math import inf
from pathlib import Path
from typing import NamedTuple

from market_maker.utils.errors import SettingsError

_NAME = re.compile(r"(?P<symbol>[A-Z0-9]+)_(?P<kind>book10|quotes|trades)_(?P<day>[0-9-]+)\.csv")
_PAST_ANY_FILE = (OSError, EOFError, UnicodeDecodeError, csv.Error)


class Print(NamedTuple):
    """A recorded trade; `side` is the taker's."""

    time_s: float
    order: int  # at equal times trades come before the book that shows their effect
    side: str
    price: float
    qty: int


class Snapshot(NamedTuple):
    """A recorded book, best first. A side that did not change is the very same object."""

    time_s: float
    order: int
    bids: dict[float, int]  # price -> size
    asks: dict[float, int]


Item = Print | Snapshot


def read_recording(data: str | Path | Sequence[str | Path], symbol: str) -> Iterator[Item]:
    """All items of *symbol* in a folder (its latest day) or in the given files, in time order.

    Raises SettingsError, with one line that names the file, for what cannot be read.
    """
    paths = _paths(data, symbol)
    files = {path: _kind(path) for path in paths}
    books = [path for path, kind in files.items() if kind == "book10"]
    books = books or [path for path, kind in files.items() if kind == "quotes"]
    if not books:
        raise fault(data, f"holds no book10 or quotes file for {symbol}")
    streams: list[Iterator[Item]] = [_rows(path, symbol, _snapshots) for path in books]
    streams += [_rows(path, symbol, _prints) for path, kind in files.items() if kind == "trades"]
    return merge(*streams)


def _paths(data: str | Path | Sequence[str | Path], symbol: str) -> list[Path]:
    if not isinstance(data, str | Path):
        return [path for item in data for path in _paths(item, symbol)]
    path = Path(data).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise fault(data, "no such file or folder")
    named = [(match, p) for p in sorted(path.iterdir()) if (match := _NAME.search(p.name))]
    ours = [(match, p) for match, p in named if match["symbol"] == symbol]
    days = [match["day"] for match, _ in ours if match["kind"] != "trades"]
    if not days:
        raise fault(data, f"holds no book10 or quotes file for {symbol}")
    return [p for match, p in ours if match["day"] == max(days)]


def _open(path: Path) -> Iterator[list[str]]:
    opener: Callable[..., Iterator[str]] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:  # type: ignore[attr-defined]
        yield from csv.reader(lines)


def _kind(path: Path) -> str:
    try:
        header = set(next(_open(path), []))
    except _PAST_ANY_FILE as error:
        raise fault(path, f"cannot be read ({error})") from None
    for kind, column in (("book10", "askPrice0"), ("quotes", "askPrice"), ("trades", "side")):
        if {column, "timestamp", "symbol"} <= header:
            return kind
    raise fault(path, "is not a book10, quotes or trades file")


def _rows(
    path: Path, symbol: str, read: Callable[[Iterator[list[str]], list[str], str], Iterator[Item]]
) -> Iterator[Item]:
    rows = _open(path)
    number = 1

    def counted() -> Iterator[list[str]]:
        nonlocal number
        for row in rows:
            number += 1
            yield row

    try:
        yield from read(counted(), next(rows), symbol)
    except (ValueError, IndexError) as error:
        raise fault(path, f"line {number} cannot be used ({error})") from None
    except _PAST_ANY_FILE as error:
        raise fault(path, f"cannot be read past line {number} ({error})") from None


def _snapshots(rows: Iterator[list[str]], header: list[str], symbol: str) -> Iterator[Snapshot]:
    when, name = header.index("timestamp"), header.index("symbol")
    bids = _Levels(header, "bid")
    asks = _Levels(header, "ask")
    for row in rows:
        if row[name] == symbol:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} columns, not {len(header)}")
            yield Snapshot(_seconds(row[when]), 1, bids.read(row), asks.read(row))


class _Levels:
    """Reads one side of book rows, and only what changed since the row before."""

    def __init__(self, header: list[str], side: str) -> None:
        numbers = [str(i) for i in range(10)] if f"{side}Price0" in header else [""]
        self._prices = _span(header, f"{side}Price", numbers)
        self._sizes = _span(header, f"{side}Size", numbers)
        self._known: dict[str, float] = {}  # price as written -> price
        self._raw: list[str] = []
        self._levels: dict[float, int] = {}

    def read(self, row: list[str]) -> dict[float, int]:
        prices, sizes = row[self._prices], row[self._sizes]
        raw = prices + sizes
        if raw != self._raw:
            self._raw = raw
            self._levels = {
                self._price(price): _whole(size) for price, size in zip(prices, sizes, strict=True)
            }
        return self._levels

    def _price(self, text: str) -> float:
        price = self._known.get(text)
        if price is None:
            price = self._known[text] = _positive(text)
        return price


def _span(header: list[str], column: str, numbers: list[str]) -> slice:
    first = header.index(column + numbers[0])
    if header[first : first + len(numbers)] != [column + number for number in numbers]:
        raise ValueError(f"columns {column} are not in order")
    return slice(first, first + len(numbers))


def _positive(text: str) -> float:
    price = float(text)
    if not 0 < price < inf:
        raise ValueError(f"price {text}")
    return price


def _whole(text: str) -> int:
    size = int(text)
    if size < 0:
        raise ValueError(f"size {text}")
    return size


def _prints(rows: Iterator[list[str]], header: list[str], symbol: str) -> Iterator[Print]:
    when, name, side, size, price = (
        header.index(column) for column in ("timestamp", "symbol", "side", "size", "price")
    )
    action = header.index("action") if "action" in header else None
    for row in rows:
        # "partial" is the last trade before the recording began
        if row[name] != symbol or (action is not None and row[action] == "partial"):
            continue
        if row[side] not in ("Buy", "Sell"):
            raise ValueError(f"side {row[side]!r}")
        yield Print(_seconds(row[when]), 0, row[side], _positive(row[price]), _whole(row[size]))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def fault(data: object, what: str) -> SettingsError:
    """The error for data that cannot be played, on one line."""
    where = data if isinstance(data, str | Path) else "the recorded data"
    return SettingsError([f"{where}: {what}"])
