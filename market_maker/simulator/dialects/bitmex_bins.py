"""Trades and quotes in bins of a minute, five, an hour, a day.

A bin is stamped with its end and opens at the close of the one before; one without trades
repeats that price.
"""

from collections.abc import Iterable, Iterator

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_rows import Listing, iso, quote_row
from market_maker.simulator.events import QuoteEvent, TradeEvent

MAX_EMPTY = 10_000  # how far an instrument without trades is filled up with empty bins


def bin_end(time_s: float, bin_s: int) -> int:
    """The end of the bin in which *time_s* lies (Unix seconds)."""
    return (int(time_s) // bin_s + 1) * bin_s


class TradeBins:
    """Collects the trades of one symbol into the running bin."""

    def __init__(self, listing: Listing, bin_s: int) -> None:
        self.end_s = 0  # of the running bin; 0 before the first trade
        self._listing, self._bin_s = listing, bin_s
        self._close: float | None = None
        self._open = self._high = self._low = 0.0
        self._trades = self._volume = self._turnover = 0
        self._home = self._foreign = 0.0
        self._last_size: int | None = None

    def use(self, listing: Listing) -> None:
        """From now on trades are on another price grid."""
        self._listing = listing

    def add(self, trade: TradeEvent) -> None:
        """Take in a trade; all bins that end before it must have been taken by `until`."""
        if not self.end_s:
            self.end_s = bin_end(trade.time_s, self._bin_s)
        price = self._listing.grid.price(trade.price_ticks)
        value, home, foreign = self._listing.spec.notionals(trade.qty, price)
        if self._close is None:
            self._open = price
        if not self._trades:  # the price it opened at need not have traded in it
            self._high = self._low = price
        self._high, self._low, self._close = max(self._high, price), min(self._low, price), price
        self._trades += 1
        self._volume += trade.qty
        self._turnover += value
        self._home += home
        self._foreign += foreign
        self._last_size = trade.qty

    def until(self, now_s: float) -> Iterator[Row]:
        """The bins that have ended by *now_s*, and the next one begins."""
        for _ in range(MAX_EMPTY):
            if not self.end_s or self.end_s > now_s:
                break
            yield self.row()
            self._start()
            self.end_s += self._bin_s

    def row(self) -> Row:
        """The running bin as it is now."""
        return {
            "timestamp": iso(self.end_s),
            "symbol": self._listing.spec.symbol,
            "open": self._open,
            "high": self._high,
            "low": self._low,
            "close": self._close,
            "trades": self._trades,
            "volume": self._volume,
            "vwap": round(self._foreign / self._home, 4) if self._home else None,
            "lastSize": self._last_size,
            "turnover": self._turnover,
            "homeNotional": self._home,
            "foreignNotional": self._foreign,
        }

    def _start(self) -> None:
        self._open = self._high = self._low = self._close or 0.0
        self._trades = self._volume = self._turnover = 0
        self._home = self._foreign = 0.0
        self._last_size = None


def trade_bins(
    trades: Iterable[TradeEvent], listing: Listing, bin_s: int, now_s: float
) -> tuple[list[Row], TradeBins]:
    """The ended bins of *trades*, oldest first, and the running one."""
    bins = TradeBins(listing, bin_s)
    found: list[Row] = []
    for trade in trades:
        found += bins.until(trade.time_s)
        bins.add(trade)
    found += bins.until(now_s)
    return found, bins


def quote_bins(
    quotes: Iterable[QuoteEvent], listing: Listing, bin_s: int, now_s: float, partial: bool
) -> list[Row]:
    """The last quote of each bin, oldest first; a bin without one repeats the one before."""
    found: list[Row] = []
    end_s, latest = 0, None
    for quote in quotes:
        found += _quote_bins(latest, listing, bin_s, end_s, quote.time_s)
        end_s, latest = bin_end(quote.time_s, bin_s), quote
    found += _quote_bins(latest, listing, bin_s, end_s, now_s)
    if partial and latest is not None:
        found.append(quote_bin(latest, listing, bin_end(now_s, bin_s)))
    return found


def _quote_bins(
    quote: QuoteEvent | None, listing: Listing, bin_s: int, end_s: int, now_s: float
) -> Iterator[Row]:
    if quote is not None:
        for stamp_s in range(end_s, min(int(now_s), end_s + MAX_EMPTY * bin_s) + 1, bin_s):
            yield quote_bin(quote, listing, stamp_s)


def quote_bin(quote: QuoteEvent, listing: Listing, end_s: int) -> Row:
    """The bin that ends at *end_s* with *quote* as its last."""
    return {**quote_row(quote, listing), "timestamp": iso(end_s)}
