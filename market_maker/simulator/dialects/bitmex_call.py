"""One request on its way through an endpoint, and what its symbol means."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_feed import Feed
from market_maker.simulator.dialects.bitmex_select import select
from market_maker.simulator.exchange import Account, Engine, Refused

PERPETUAL = "FFWCSX"
_TIMEFRAMES = frozenset(["daily", "weekly", "monthly", "quarterly", "biquarterly", "nearest"])


class Call(NamedTuple):
    """Parameters of body and query together, and whose key signed them."""

    feed: Feed
    params: Mapping[str, Any]
    account: Account | None

    @property
    def engine(self) -> Engine:
        return self.feed.engine

    @property
    def owner(self) -> int:
        """The number of the account; only asked for behind authentication."""
        if self.account is None:
            raise Refused("Authorization Required", 401)
        return self.account.number

    def symbol(self) -> str:
        """The symbol that a call cannot do without; raises Refused."""
        asked = self.params.get("symbol")
        if not asked:
            raise Refused("'symbol' is a required arg.", name="ValidationError")
        found = find_symbol(self.feed, asked)
        if found is None:
            raise Refused("Invalid symbol", name="ValidationError")
        return found

    def symbols(self, *, with_indices: bool = False) -> list[str]:
        """The asked symbol or, without one, all of them. An unknown one selects nothing."""
        asked = self.params.get("symbol")
        if not asked:
            return self.feed.symbols(with_indices=with_indices)
        found = find_symbol(self.feed, asked)
        return [found] if found and (with_indices or found[0] != ".") else []

    def of_symbol(self, rows: Iterable[Row]) -> list[Row]:
        """*rows*, of the asked symbol only if one was asked for; it may have expired."""
        asked = self.params.get("symbol")
        if not asked:
            return list(rows)
        wanted = find_symbol(self.feed, asked) or str(asked).strip().upper()
        return [row for row in rows if row["symbol"] == wanted]

    def rows(
        self, table: Iterable[Row], keys: Iterable[str] = (), max_count: int = 500
    ) -> list[Row]:
        return select(table, self.params, keys, max_count=max_count)

    def table(self, name: str, rows: Iterable[Row], max_count: int = 500) -> list[Row]:
        """Rows of a table as the call selects them; its key columns always stay."""
        return self.rows(rows, self.feed.tables[name].keys, max_count)

    def series(self, rows: Iterable[Row], max_count: int = 500) -> list[Row]:
        """Rows of several symbols by time, as the call selects them."""
        ordered = sorted(rows, key=_timestamp)
        return self.rows(ordered, ("timestamp", "symbol"), max_count)


def _timestamp(row: Row) -> str:
    return str(row["timestamp"])


def find_symbol(feed: Feed, asked: Any) -> str | None:
    """Our symbol for *asked*: any case, or a root such as XBT, XBT:perpetual, XBT:quarterly."""
    name = str(asked).strip().upper()
    symbols = feed.symbols(with_indices=True)
    if name in symbols:
        return name
    root, _, timeframe = name.lower().partition(":")
    if timeframe and timeframe != "perpetual" and timeframe not in _TIMEFRAMES:
        return None
    found = [
        symbol
        for symbol in feed.engine.symbols()
        if feed.listings[symbol].spec.root_symbol.lower() == root
        and (not timeframe or _is_perpetual(feed, symbol) is (timeframe == "perpetual"))
    ]
    return found[0] if found else None


def _is_perpetual(feed: Feed, symbol: str) -> bool:
    return bool(feed.engine.instrument_row(symbol)["typ"] == PERPETUAL)
