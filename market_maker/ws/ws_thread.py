"""The original's WebSocket object: tables as lists of rows, over any exchange.

The thread, the socket and the tables live in `market_maker.exchanges`; this is the face that
strategies and scripts know as `exchange.bitmex.ws`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from market_maker.exchanges.desk import Desk
from market_maker.exchanges.dial import open_desk
from market_maker.exchanges.tables import MAX_ROWS
from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid


class BitMEXWebsocket:
    """Live rows of one symbol. Every read folds in what has arrived, and answers with copies."""

    MAX_TABLE_LEN = MAX_ROWS

    def __init__(
        self, desk: Desk | None = None, apiKey: str | None = None, apiSecret: str | None = None
    ) -> None:
        self._desk = desk
        self._key = (apiKey or "", apiSecret or "")
        self._error: object = None

    def connect(self, endpoint: str = "", symbol: str = "XBTUSD", shouldAuth: bool = True) -> None:
        """Open a connection of its own to *endpoint*, a REST base address."""
        key, secret = self._key if shouldAuth else ("", "")
        self._desk = open_desk(endpoint, symbol, key, secret)

    @property
    def desk(self) -> Desk:
        if self._desk is None:
            raise RuntimeError("call connect() first")
        return self._desk

    @property
    def exited(self) -> bool:
        """Whether the connection has ended for good; a reconnect goes on by itself."""
        desk = self._desk
        return desk is None or not desk.is_open or desk.has_ended or bool(desk.state.fatal)

    @property
    def data(self) -> dict[str, list[Row]]:
        """All tables, as they are now."""
        state = self._fresh()
        with state.lock:
            return {table: [dict(row) for row in state.tables.rows(table)] for table in self.keys}

    @property
    def keys(self) -> Mapping[str, list[str]]:
        """The key columns each table announced."""
        keys: Mapping[str, list[str]] = self._fresh().tables.keys
        return keys

    def get_instrument(self, symbol: str) -> Row:
        """The instrument row, with `tickLog`: the decimals of its tick size."""
        state = self._fresh()
        row = state.instrument(symbol)
        if row is None:
            # Not the one we trade: ask once, and let the stream keep it from now on.
            found = self.desk.connector.fetch_rows("instrument", symbol=symbol)
            if not found:
                raise KeyError(f"Unable to find instrument or index with symbol: {symbol}")
            self.desk.follow(f"instrument:{symbol}")
            row = found[0]
        return with_tick_log(row)

    def get_ticker(self, symbol: str) -> dict[str, float]:
        """Best prices rounded to the tick; a side that is empty reads as the last price."""
        instrument = self.get_instrument(symbol)
        touch = self.desk.state.touch if symbol == self.desk.state.symbol else instrument
        grid = PriceGrid.of(instrument.get("tickSize") or 0.01)
        if symbol.startswith("."):  # an index has no orders
            bid = ask = last = instrument.get("markPrice")
        else:
            last = instrument.get("lastPrice")
            bid, ask = touch.get("bidPrice") or last, touch.get("askPrice") or last
        last, bid, ask = last or bid or ask or 0.0, bid or ask or 0.0, ask or bid or 0.0
        prices = {"last": last, "buy": bid, "sell": ask, "mid": (bid + ask) / 2}
        return {name: grid.price(grid.nearest(price)) for name, price in prices.items()}

    def funds(self) -> Row:
        """The margin row of the currency that our instrument settles in, else the first."""
        state = self._fresh()
        rows = state.tables.rows("margin")
        currency = (state.instrument(state.symbol) or {}).get("settlCurrency")
        ours = [row for row in rows if row.get("currency") == currency] or rows
        return dict(ours[0]) if ours else {}

    def market_depth(self, symbol: str) -> list[Row]:
        """Live rows of the order book: `symbol, id, side, size, price`."""
        state = self._fresh()
        rows = self.desk.levels(symbol)
        if not rows:
            # The first reader pays for one query; from then on the stream keeps the book.
            self.desk.follow(f"orderBookL2:{symbol}")
            if symbol != state.symbol:
                return self.desk.connector.fetch_rows("orderBook/L2", symbol=symbol, depth=0)
            rows = self.desk.ask_levels(symbol) or self.desk.await_levels()
        return [dict(row) for row in rows]

    def open_orders(self, clOrdIDPrefix: str = "") -> list[Row]:
        """Our open orders whose clOrdID begins with the prefix."""
        orders = self._fresh().orders.open_orders()
        return [row for row in orders if str(row.get("clOrdID") or "").startswith(clOrdIDPrefix)]

    def position(self, symbol: str) -> Row:
        """The position row; without one a flat position."""
        row = self._fresh().position(symbol)
        flat = {"avgCostPrice": 0, "avgEntryPrice": 0, "currentQty": 0, "symbol": symbol}
        if row is None:
            return flat
        prices = {name: row.get(name) or 0 for name in ("avgCostPrice", "avgEntryPrice")}
        return {**row, **prices}

    def recent_trades(self) -> list[Row]:
        """The latest public trades, oldest first."""
        return [dict(row) for row in self._fresh().tables.rows("trade")]

    def error(self, err: object) -> None:
        """Note *err* and end the connection."""
        self._error = err
        self.exit()

    def exit(self) -> None:
        """Close the connection. Orders stay as they are, and can still be cancelled."""
        if self._desk is not None and not self._desk.has_ended:
            self._desk.end_stream()

    def _fresh(self) -> Any:
        state = self.desk.state
        state.drain()
        return state


def with_tick_log(row: Row) -> Row:
    """A copy of an instrument row with `tickLog`."""
    return {**row, "tickLog": PriceGrid.of(row.get("tickSize") or 0.01).decimals}


def findItemByKeys(
    keys: Sequence[str], table: Iterable[Row], matchData: Mapping[str, Any]
) -> Row | None:
    """The first row of *table* that has the same values in *keys* as *matchData*."""
    for row in table:
        if all(row.get(key) == matchData.get(key) for key in keys):
            return row
    return None
