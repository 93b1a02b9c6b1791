"""Finds out what recorded files hold and reads them as one stream of items, in order of time.

The file decides, not its name: CSV tables by their header, streams by their first line, the
body of `GET instrument/active` by its bracket. Files are read as they are played, so a long
recording costs no memory. Of several files that tell of the book, those that tell most count.
"""

import csv
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from market_maker import jsonx
from market_maker.simulator.market.items import Item, Print, fault, open_lines, to_seconds
from market_maker.simulator.market.messages import (
    BOOK_TABLES,
    instrument_row,
    looks_like_messages,
    read_messages,
    tables_of,
)
from market_maker.simulator.market.tables import Table, table_of, touch_of
from market_maker.utils.errors import SettingsError

_NAME = re.compile(r"(?P<symbol>[A-Z0-9]+)_(?P<kind>book10|quotes|trades)_(?P<day>[0-9-]+)\.csv")
_UNREADABLE = (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error)
_UNUSABLE = (ValueError, LookupError, TypeError, AttributeError)  # a row or message
_LOOK_AHEAD = 200_000  # lines of a file in a folder that are searched for the symbol

_T = TypeVar("_T")


class Part(NamedTuple):
    """What one file gives."""

    depth: int  # of the book: 3 levels, 2 the touch, 1 prices only, 0 nothing
    items: Iterator[Item]


class Recording(NamedTuple):
    """The items of one symbol, and what else its files tell of it."""

    items: Iterator[Item]
    row: dict[str, Any] | None  # the instrument as the exchange described it
    funding: list[tuple[float, float]]  # (Unix seconds, rate), oldest first


def read_recording(data: str | Path | Sequence[str | Path], symbol: str) -> Recording:
    """All of *symbol* in the given files, or in a folder (its latest day of ours).

    Raises SettingsError, with one line that names the file, for what cannot be read.
    """
    row = None
    funding: list[tuple[float, float]] = []
    parts: list[Part] = []
    for path, is_chosen in _paths(data, symbol):
        try:
            first = _first_line(path)
        except SettingsError:
            if is_chosen:
                raise
            continue
        if first.startswith("["):
            row = row or _described(path, symbol)
        elif "fundingRate," in first:
            funding += _funding(path, symbol)
        elif looks_like_messages(first):
            row = row or _guarded(path, lambda lines: instrument_row(lines, symbol))
            found = _guarded(path, lambda lines: tables_of(lines, symbol))
            parts += _stream_parts(path, symbol, found)
        else:
            table = table_of(next(csv.reader([first]), []), symbol)
            if table is None and is_chosen:
                raise fault(path, "is no recording of a known format")
            if table is not None and (is_chosen or _mentions(path, symbol)):
                parts.append(Part(table.depth, _table_items(path, symbol, table)))
    return Recording(_played(data, symbol, parts), row, sorted(funding))


def _played(data: object, symbol: str, parts: list[Part]) -> Iterator[Item]:
    """The deepest book among the parts with all trades; trades alone make a touch."""
    if not parts:
        raise fault(data, f"holds no recording of {symbol}")
    depth = max(part.depth for part in parts)
    books = [part.items for part in parts if part.depth == depth > 0]
    trades = [part.items for part in parts if part.depth == 0]
    if not books:
        prints = merge(*trades, key=itemgetter(0, 1))
        return touch_of(cast("Iterator[Print]", prints))
    return merge(*books, *trades, key=itemgetter(0, 1))


def _paths(data: str | Path | Sequence[str | Path], symbol: str) -> Iterator[tuple[Path, bool]]:
    """The files, and whether each is meant to be played: named by the user, or ours by its name."""
    if not isinstance(data, str | Path):
        for item in data:
            yield from _paths(item, symbol)
        return
    path = Path(data).expanduser()
    if path.is_file():
        yield path, True
        return
    if not path.is_dir():
        raise fault(data, "no such file or folder")
    files = [file for file in sorted(path.iterdir()) if file.is_file()]
    named = [(match, file) for file in files if (match := _NAME.search(file.name))]
    ours = [(match, file) for match, file in named if match["symbol"] == symbol]
    days = [match["day"] for match, _ in ours if match["kind"] != "trades"]
    for file in files:
        if not days or "funding" in file.name or "instrument" in file.name:
            yield file, False
    yield from ((file, True) for match, file in ours if days and match["day"] == max(days))


def _first_line(path: Path) -> str:
    return _guarded(path, lambda lines: next(lines, "")).strip()


def _mentions(path: Path, symbol: str) -> bool:
    names = (symbol, f"{symbol.lower()}_bid")
    return _guarded(
        path,
        lambda lines: any(name in line for line in islice(lines, _LOOK_AHEAD) for name in names),
    )


def _guarded(path: Path, read: Callable[[Iterator[str]], _T]) -> _T:
    """What *read* makes of the lines."""
    (result,) = _numbered(path, lambda lines: iter([read(lines)]))
    return result


def _described(path: Path, symbol: str) -> dict[str, Any] | None:
    """The row of *symbol* in the body of `GET instrument/active`."""
    rows = _guarded(path, lambda lines: jsonx.loads("".join(lines)))
    return next(
        (row for row in rows if isinstance(row, dict) and row.get("symbol") == symbol), None
    )


def _funding(path: Path, symbol: str) -> list[tuple[float, float]]:
    """BitMEX's funding table: when a rate was paid, and the rate."""
    return _guarded(
        path,
        lambda lines: [
            (to_seconds(row["timestamp"]), float(row["fundingRate"]))
            for row in csv.DictReader(lines)
            if row["symbol"] == symbol
        ],
    )


def _stream_parts(path: Path, symbol: str, tables: set[str]) -> Iterator[Part]:
    depths = {"orderBookL2": 3, "orderBookL2_25": 3, "orderBook10": 3, "quote": 2}
    book = next((table for table in BOOK_TABLES if table in tables), None)
    if book is not None:
        read = partial(read_messages, symbol=symbol, book_table=book)
        yield Part(depths[book], _numbered(path, read))
    elif "trade" in tables:
        read = partial(read_messages, symbol=symbol, book_table="quote")
        yield Part(0, _numbered(path, read))


def _table_items(path: Path, symbol: str, table: Table) -> Iterator[Item]:
    def read(lines: Iterator[str]) -> Iterator[Item]:
        rows = csv.reader(lines)
        yield from table.read(rows, next(rows), symbol)

    return _numbered(path, read)


def _numbered(path: Path, read: Callable[[Iterator[str]], Iterator[_T]]) -> Iterator[_T]:
    """What *read* makes of the lines; what cannot be read or used is told with its line."""
    number = 0

    def counted() -> Iterator[str]:
        nonlocal number
        for line in open_lines(path):
            number += 1
            yield line

    try:
        yield from read(counted())
    except _UNREADABLE as error:
        raise fault(path, f"cannot be read past line {number} ({error})") from None
    except _UNUSABLE as error:
        raise fault(path, f"line {number} cannot be used ({error})") from None
