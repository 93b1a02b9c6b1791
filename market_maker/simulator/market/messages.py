"""Reads recorded streams: one message a line, as BitMEX's WebSocket (or Binance's) sent it.

A line is a message with its time of arrival (`<unix time>: {…}`, the form our own recorder
writes), or in an envelope (`{"recv": time, "msg": {…}}`), or bare. Lines with the address of a
connection (`<url> <-> …`, `<url> <- …`) hold no data. Of the tables that tell of the book the
deepest one counts: orderBookL2 (full or _25), then orderBook10, then quote.
Binance's futures streams (`<unix ns> {"stream": …}`) are read for depth updates and trades.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from market_maker import jsonx
from market_maker.simulator.market.items import (
    BOOK,
    INDEX,
    PRINT,
    Change,
    Index,
    Item,
    Print,
    Snapshot,
    to_price,
    to_seconds,
    to_side,
    to_size,
)

BOOK_TABLES = ("orderBookL2", "orderBookL2_25", "orderBook10", "quote")
_LOOK_AHEAD = 20_000  # lines searched for the tables a recording has
_SIDES = {"Buy": 0, "Sell": 1}


def looks_like_messages(first_line: str) -> bool:
    """Whether a file that begins so is a recorded stream."""
    return first_line.startswith(("{", "ws")) or _split(first_line)[1].startswith("{")


def tables_of(lines: Iterable[str], symbol: str) -> set[str]:
    """The tables that tell of *symbol*, as far as the beginning of the recording shows."""
    found = set()
    ours = (line for line in islice(lines, _LOOK_AHEAD) if _may_concern(line, symbol))
    for _, message in _messages(ours):
        if message.get("table") and _rows(message, symbol):
            found.add(message["table"])
        elif _is_binance(message):
            found.add("orderBookL2")
    return found


def instrument_row(lines: Iterable[str], symbol: str) -> dict[str, Any] | None:
    """The image of an instrument, if the beginning of the recording has one."""
    for line in islice(lines, 200):
        if '"instrument"' in line and _may_concern(line, symbol):
            for _, message in _messages([line]):
                for row in _rows(message, symbol):
                    if message.get("table") == "instrument" and "tickSize" in row:
                        return dict(row)
    return None


def read_messages(lines: Iterator[str], symbol: str, book_table: str) -> Iterator[Item]:
    """The items of *symbol*, its book from *book_table*."""
    levels = _LevelIds()
    depth = _BinanceDepth()
    readers: dict[str, Callable[[float, str, list[dict[str, Any]]], Iterator[Item]]] = {
        "orderBookL2": levels.read,
        "orderBookL2_25": levels.read,
        "orderBook10": _book10,
        "quote": _quotes,
    }
    readers = {"trade": _trades, "instrument": _indices, book_table: readers[book_table]}
    for time_s, message in _messages(line for line in lines if _may_concern(line, symbol)):
        read = readers.get(message.get("table", ""))
        if read is not None:
            rows = _rows(message, symbol)
            if rows:
                yield from read(time_s or _row_time(rows), message["action"], rows)
        elif _is_binance(message):
            yield from depth.read(time_s, message)


def _may_concern(line: str, symbol: str) -> bool:
    return f'"{symbol}"' in line


def _messages(lines: Iterable[str]) -> Iterator[tuple[float, dict[str, Any]]]:
    """(time of arrival or 0, message) of the lines that hold one; raises ValueError.

    A last line without an end was cut off when the recorder was killed, and is left out.
    """
    for line in lines:
        stamp, text = _split(line)
        if not text:
            if " <-" in line[:200]:
                continue
            raise ValueError("no message")
        try:
            message = jsonx.loads(text)
        except ValueError:
            if line.endswith("\n"):
                raise
            return
        if "msg" in message:
            stamp, message = message.get("recv", ""), message["msg"]
        yield _to_time(stamp), message


def _split(line: str) -> tuple[str, str]:
    """The time a line begins with, as written, and the message behind it."""
    start = line.find("{")
    if start < 0:
        return "", ""
    stamp = line[:start].rstrip().removesuffix(":")
    if stamp and not stamp.replace(".", "", 1).isdecimal():
        return "", ""  # an address, or no recording at all
    return stamp, line[start:]


def _to_time(stamp: str) -> float:
    if not stamp:
        return 0.0
    if "T" in stamp:
        return to_seconds(stamp)
    return int(stamp) / 1e9 if len(stamp) == 19 else float(stamp)


def _row_time(rows: list[dict[str, Any]]) -> float:
    return to_seconds(rows[-1]["timestamp"])


def _rows(message: dict[str, Any], symbol: str) -> list[dict[str, Any]]:
    return [row for row in message.get("data", ()) if row.get("symbol") == symbol]


class _LevelIds:
    """orderBookL2: levels by their ids, for deltas that name no price (the form of 2021)."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, float]] | None = None  # id -> side, price

    def read(self, time_s: float, action: str, rows: list[dict[str, Any]]) -> Iterator[Item]:
        sides: tuple[dict[float, int], dict[float, int]] = ({}, {})
        if action == "partial":
            self._known = {}
        elif self._known is None:
            return  # deltas before the image are to be dropped
        for row in rows:
            side, price = self._place(row)
            if action == "delete":
                self._known.pop(row["id"], None)
                sides[side][price] = 0
            else:
                self._known[row["id"]] = side, price
                sides[side][price] = to_size(row["size"])
        kind = Snapshot if action == "partial" else Change
        yield kind(time_s, BOOK, *sides)

    def _place(self, row: dict[str, Any]) -> tuple[int, float]:
        if row.get("price") is not None:
            return _SIDES[row["side"]], to_price(row["price"])
        assert self._known is not None
        if row["id"] not in self._known:
            raise ValueError(f"level {row['id']} is not known")
        side, price = self._known[row["id"]]
        if side != _SIDES[row["side"]]:
            raise ValueError(f"level {row['id']} changes its side")
        return side, price


def _book10(time_s: float, _action: str, rows: list[dict[str, Any]]) -> Iterator[Snapshot]:
    for row in rows:
        bids, asks = (
            {to_price(price): to_size(size) for price, size in row[side]}
            for side in ("bids", "asks")
        )
        yield Snapshot(time_s, BOOK, bids, asks)


def _quotes(time_s: float, _action: str, rows: list[dict[str, Any]]) -> Iterator[Snapshot]:
    for row in rows:
        bids, asks = (
            {to_price(row[f"{side}Price"]): to_size(row[f"{side}Size"])}
            if row.get(f"{side}Price")
            else {}
            for side in ("bid", "ask")
        )
        yield Snapshot(time_s, BOOK, bids, asks)


def _trades(time_s: float, action: str, rows: list[dict[str, Any]]) -> Iterator[Print]:
    if action == "insert":  # the image holds the last trade before the recording
        for row in rows:
            side, price = to_side(row["side"]), to_price(row["price"])
            yield Print(time_s, PRINT, side, price, to_size(row["size"]))


def _indices(time_s: float, _action: str, rows: list[dict[str, Any]]) -> Iterator[Index]:
    for row in rows:
        if row.get("indicativeSettlePrice"):
            yield Index(time_s, INDEX, to_price(row["indicativeSettlePrice"]))


def _is_binance(message: dict[str, Any]) -> bool:
    return "stream" in message or "lastUpdateId" in message


class _BinanceDepth:
    """Binance futures: an image by REST, and diffs that count from its lastUpdateId on."""

    def __init__(self) -> None:
        self._last_id: int | None = None

    def read(self, time_s: float, message: dict[str, Any]) -> Iterator[Item]:
        data = message.get("data", message)
        if "lastUpdateId" in data:
            self._last_id = data["lastUpdateId"]
            yield Snapshot(time_s, BOOK, _pairs(data["bids"]), _pairs(data["asks"]))
        elif data.get("e") == "trade":
            side = "Sell" if data["m"] else "Buy"  # m: the buyer was the maker
            yield Print(time_s, PRINT, side, to_price(data["p"]), to_size(data["q"]))
        elif data.get("e") == "depthUpdate" and self._last_id and data["u"] >= self._last_id:
            yield Change(time_s, BOOK, _pairs(data["b"]), _pairs(data["a"]))


def _pairs(levels: list[list[str]]) -> dict[float, int]:
    return {to_price(price): to_size(size) for price, size in levels}
