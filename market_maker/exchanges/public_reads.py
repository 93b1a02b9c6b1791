"""BitMEX's public GETs on a venue with a language of its own.

`trade/bucketed` is answered from what such a venue calls bars, candles or klines, which it stamps
with their start; BitMEX stamps a bin with its end and leaves the running one out unless `partial`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from market_maker.model.rows import Row
from market_maker.model.wire import Answer
from market_maker.utils.errors import NotSupported

BIN_SECONDS = {"1m": 60, "5m": 300, "1h": 3600, "1d": 86_400}
BINS = "trade/bucketed"
_PATHS = ("trade", BINS, "instrument", "quote")
_QUESTIONS = ("binSize", "columns", "count", "partial", "reverse", "symbol")


class Bar(NamedTuple):
    """One bar of a venue; *volume* is in the bot's sizes, and None what the venue does not tell."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    home: float | None = None  # volume in the base currency
    foreign: float | None = None  # and in the quote currency
    trades: int | None = None


class PublicReads:
    """The public GETs of one symbol at the venue *title*."""

    def __init__(
        self,
        title: str,
        symbol: str,
        now_s: Callable[[], float],
        fetch_rows: Callable[..., list[Row]],
        bars: Callable[[str, int], list[Bar]],
    ) -> None:
        """*bars* gives the latest of a size ("1m", "5m", "1h", "1d"), as many, in any order."""
        self._title, self._symbol, self._now_s = title, symbol, now_s
        self._fetch_rows, self._bars = fetch_rows, bars

    def answer(self, verb: str, path: str, query: Mapping[str, Any] | None, body: Any) -> Answer:
        """The rows asked for; raises NotSupported for what has no like here."""
        name, asked = path.strip("/"), dict(query or {})
        if verb.upper() != "GET" or body is not None or name not in _PATHS:
            raise NotSupported(f"{self._title} has no {verb.upper()} /{name}")
        if asked.get("symbol", self._symbol) != self._symbol:
            raise NotSupported(f"this connection trades {self._symbol} only")
        unknown = sorted(asked.keys() - set(_QUESTIONS))
        if unknown and name in ("trade", BINS):  # other rows than those meant are worse than none
            raise NotSupported(f"{self._title} gives the latest rows only: no {unknown[0]}")
        rows = self._bins(asked) if name == BINS else self._fetch_rows(name, **asked)
        if name == "trade":
            rows = _ordered(rows, asked)
        elif name == "quote":  # some tell no time of their touch: it is of now
            rows = [
                {**row, "timestamp": row.get("timestamp") or _iso(self._now_s())} for row in rows
            ]
        return Answer(200, rows, {})

    def _bins(self, asked: Mapping[str, Any]) -> list[Row]:
        size = str(asked.get("binSize", "1m"))
        if size not in BIN_SECONDS:
            raise NotSupported(f"binSize {size}: must be one of {', '.join(BIN_SECONDS)}")
        count, now_s = max(1, int(asked.get("count") or 100)), self._now_s()
        rows = [
            _bin_row(bar, end_s, self._symbol)
            for bar in sorted(self._bars(size, count + 1), key=lambda bar: bar.start_ms)
            if (end_s := bar.start_ms // 1000 + BIN_SECONDS[size]) <= now_s or _is(asked, "partial")
        ]
        return _ordered(rows[-count:], asked)


def _ordered(rows: list[Row], asked: Mapping[str, Any]) -> list[Row]:
    """By time, the newest last or, with `reverse`, first."""
    return sorted(rows, key=lambda row: str(row["timestamp"]), reverse=_is(asked, "reverse"))


def _is(asked: Mapping[str, Any], name: str) -> bool:
    return str(asked.get(name, "")).lower() in ("true", "1")


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _bin_row(bar: Bar, end_s: int, symbol: str) -> Row:
    return {
        "timestamp": _iso(end_s),
        "symbol": symbol, "open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close,
        "trades": bar.trades, "volume": bar.volume,
        "vwap": round(bar.foreign / bar.home, 8) if bar.foreign and bar.home else None,
        "homeNotional": bar.home, "foreignNotional": bar.foreign,
    }  # fmt: skip
