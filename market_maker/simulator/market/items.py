"""What a recording is made of, whatever its format, and how a broken one is told."""

import gzip
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import NamedTuple

from market_maker.utils.errors import SettingsError

# Contracts shown where a recording has prices without sizes: enough to fill a common order at
# once when the opposite quote reaches it, and to stand in front of one that joins.
UNKNOWN_SIZE = 100_000
_GZIP = b"\x1f\x8b"


class Print(NamedTuple):
    """A recorded trade; `side` is the taker's."""

    time_s: float
    order: int  # at equal times trades come before the book that shows their effect
    side: str
    price: float
    qty: int


class Snapshot(NamedTuple):
    """A recorded book. A side that did not change may be the very same object."""

    time_s: float
    order: int
    bids: dict[float, int]  # price -> size
    asks: dict[float, int]


class Change(NamedTuple):
    """Levels that changed since the item before; size 0 is gone."""

    time_s: float
    order: int
    bids: dict[float, int]  # price -> size
    asks: dict[float, int]


class Index(NamedTuple):
    """The index price as recorded."""

    time_s: float
    order: int
    price: float


Item = Print | Snapshot | Change | Index

PRINT, BOOK, INDEX = 0, 1, 2  # the `order` of each kind


def fault(data: object, what: str) -> SettingsError:
    """The error for data that cannot be played, on one line."""
    if isinstance(data, Sequence) and len(data) == 1:
        data = data[0]
    where = data if isinstance(data, str | Path) else "the recorded data"
    return SettingsError([f"{where}: {what}"])


def open_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, gzipped or not; raises OSError, EOFError, UnicodeDecodeError."""
    with path.open("rb") as file:
        is_gzip = file.peek(2)[:2] == _GZIP
        raw = gzip.GzipFile(fileobj=file) if is_gzip else file
        with io.TextIOWrapper(raw, encoding="utf-8", newline="") as lines:
            yield from lines


def to_seconds(text: str) -> float:
    """Unix seconds of a time as BitMEX (ISO, or with a D for the T) or Tardis (µs) writes it."""
    if text.isdecimal():
        return int(text) / 1e6
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def to_price(text: str | float) -> float:
    """A price; raises ValueError unless it is above 0."""
    price = float(text)
    if not 0 < price < inf:
        raise ValueError(f"price {text}")
    return price


def to_size(text: str | float) -> int:
    """A whole size; raises ValueError for a negative or broken one."""
    try:
        size = int(text)
    except ValueError:
        size = int(float(text))
    if size < 0 or size != float(text):
        raise ValueError(f"size {text}")
    return size


def to_side(text: str) -> str:
    """The taker's side as we write it; raises ValueError."""
    side = text.capitalize()
    if side not in ("Buy", "Sell"):
        raise ValueError(f"side {text!r}")
    return side
