"""The bin tables of the stream: a bin of a followed symbol is inserted when its time is over."""

from collections.abc import Mapping, Sequence

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_bins import TradeBins, bin_end, quote_bin, trade_bins
from market_maker.simulator.dialects.bitmex_messages import Scope, Scoped, table_message
from market_maker.simulator.dialects.bitmex_rows import Listings
from market_maker.simulator.dialects.bitmex_tables import BIN_SECONDS, without_nulls
from market_maker.simulator.events import QuoteEvent, TradeEvent
from market_maker.simulator.exchange import Engine

TABLES = {
    f"{kind}Bin{size}": (kind, bin_s)
    for kind in ("trade", "quote")
    for size, bin_s in BIN_SECONDS.items()
}


class BinFeed:
    """The running bins of what is followed."""

    def __init__(
        self, engine: Engine, listings: Listings, quotes: Mapping[str, Sequence[QuoteEvent]]
    ) -> None:
        self.due_s = float("inf")  # when the first running bin ends (Unix seconds)
        self._engine, self._listings, self._recent = engine, listings, quotes
        self._trades: dict[tuple[str, str], TradeBins] = {}  # (table, symbol) -> running bin
        self._quotes: dict[tuple[str, str], int] = {}  # (table, symbol) -> end of its bin

    def image(self, table: str, symbol: str) -> list[Row]:
        """The last bin that ended, if one has; from now on bins are inserted."""
        kind, bin_s = TABLES[table]
        now_s, listing = self._engine.now(), self._listings[symbol]
        self._wake(bin_end(now_s, bin_s))
        if kind == "trade":
            trades = self._engine.trades(symbol)
            found, self._trades[table, symbol] = trade_bins(trades, listing, bin_s, now_s)
            return found[-1:]
        self._quotes[table, symbol] = bin_end(now_s, bin_s)
        return []

    def trade(self, event: TradeEvent) -> None:
        """Take in a print; `close` has been called for its time."""
        for (_, symbol), bins in self._trades.items():
            if symbol == event.symbol:
                bins.add(event)

    def relist(self, symbol: str) -> None:
        """The symbol has another price grid."""
        for (_, followed), bins in self._trades.items():
            if followed == symbol:
                bins.use(self._listings[symbol])

    def close(self, now_s: float) -> list[Scoped]:
        """Insert the bins that have ended by *now_s*."""
        self.due_s = float("inf")
        messages: list[Scoped] = []
        for (table, symbol), bins in self._trades.items():
            for row in bins.until(now_s):
                messages.append(self._insert(table, symbol, row))
            self._wake(bins.end_s or bin_end(now_s, TABLES[table][1]))
        for (table, symbol), end_s in self._quotes.items():
            bin_s = TABLES[table][1]
            while end_s <= now_s:
                quote = self._last_quote(symbol, end_s)
                if quote is not None:
                    row = quote_bin(quote, self._listings[symbol], end_s)
                    messages.append(self._insert(table, symbol, row))
                self._quotes[table, symbol] = end_s = end_s + bin_s
            self._wake(end_s)
        return messages

    def _last_quote(self, symbol: str, before_s: float) -> QuoteEvent | None:
        recent = reversed(self._recent.get(symbol, ()))
        return next((quote for quote in recent if quote.time_s < before_s), None)

    def _wake(self, end_s: float) -> None:
        self.due_s = min(self.due_s, end_s)

    def _insert(self, table: str, symbol: str, row: Row) -> Scoped:
        row = row if self._listings.is_classic else without_nulls(row)
        return table_message(Scope(table, symbol), "insert", row)
