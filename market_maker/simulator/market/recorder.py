"""Writes what the public sees of a run, in a form that `--data` reads.

One message a line, `<unix time>: <message>`, with BitMEX's tables and columns: an image of each
instrument and of each book (orderBookL2), then its deltas, the trades, the touch (quote) and the
index. Sizes hold customers' orders too, as the public sees them.
"""

from pathlib import Path
from typing import Any, TextIO

from market_maker import jsonx
from market_maker.simulator.events import (
    BookEvent,
    Event,
    InstrumentEvent,
    QuoteEvent,
    TradeEvent,
)
from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import iso_time
from market_maker.utils.errors import SettingsError

_INDEX = "indicativeSettlePrice"


class Recorder:
    """A listener that writes a run to a file, until `close`.

    Every message is handed to the system as soon as it is whole, so a process that is killed
    loses none but the last, and at worst leaves one line cut off, which the reader leaves out.
    """

    def __init__(self, path: str | Path, engine: Engine) -> None:
        """Begin a new file at *path* with the market as it is; raises SettingsError."""
        self._engine = engine
        try:
            self._file: TextIO = Path(path).expanduser().open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise SettingsError([f"Cannot record to {path}: {error.strerror or error}"]) from None
        self._pending: tuple[float, str, str] | None = None  # time, table, action
        self._rows: list[dict[str, Any]] = []
        for symbol in engine.symbols():
            self._write_images(symbol)
        engine.listeners.append(self._hear)

    def close(self) -> None:
        """Write what is left and end the file."""
        if not self._file.closed:
            self._engine.listeners.remove(self._hear)
            self._flush()
            self._file.close()

    def _write_images(self, symbol: str) -> None:
        now_s = self._engine.now()
        self._add(now_s, "instrument", "partial", self._engine.instrument_row(symbol))
        self._flush()
        price = self._engine.grid(symbol).price
        self._pending = now_s, "orderBookL2", "partial"
        self._rows = [
            {
                "symbol": symbol,
                "id": level.level_id,
                "side": side,
                "size": level.size,
                "price": price(level.price_ticks),
            }
            for side, levels in zip(("Buy", "Sell"), self._engine.book(symbol), strict=True)
            for level in levels
        ]
        self._flush()

    def _hear(self, event: Event) -> None:
        if isinstance(event, BookEvent):
            self._book(event)
        elif isinstance(event, TradeEvent):
            self._add(event.time_s, "trade", "insert", self._trade_row(event))
        elif isinstance(event, QuoteEvent):
            self._add(event.time_s, "quote", "insert", self._quote_row(event))
        elif isinstance(event, InstrumentEvent) and _INDEX in event.changes:
            row = {"symbol": event.symbol, _INDEX: event.changes[_INDEX]}
            self._add(event.time_s, "instrument", "update", row)

    def _book(self, event: BookEvent) -> None:
        row: dict[str, Any] = {"symbol": event.symbol, "id": event.level_id, "side": event.side}
        action = "delete"
        if event.size:
            action = "update" if event.was else "insert"
            row["size"] = event.size
        row["price"] = self._engine.grid(event.symbol).price(event.price_ticks)
        self._add(event.time_s, "orderBookL2", action, row)

    def _trade_row(self, event: TradeEvent) -> dict[str, Any]:
        return {
            "timestamp": iso_time(event.time_s),
            "symbol": event.symbol,
            "side": event.side,
            "size": event.qty,
            "price": self._engine.grid(event.symbol).price(event.price_ticks),
            "tickDirection": event.tick_direction,
            "trdMatchID": event.match_id,
        }

    def _quote_row(self, event: QuoteEvent) -> dict[str, Any]:
        price = self._engine.grid(event.symbol).price
        bid, ask = event.bid_ticks, event.ask_ticks
        return {
            "timestamp": iso_time(event.time_s),
            "symbol": event.symbol,
            "bidSize": event.bid_size,
            "bidPrice": None if bid is None else price(bid),
            "askPrice": None if ask is None else price(ask),
            "askSize": event.ask_size,
        }

    def _add(self, time_s: float, table: str, action: str, row: dict[str, Any]) -> None:
        """Put a row into the message it belongs to; one that is whole is written."""
        kind = time_s, table, action
        if kind != self._pending:
            self._flush()
            self._pending = kind
        self._rows.append(row)

    def _flush(self) -> None:
        if self._pending is None or not self._rows:
            return
        time_s, table, action = self._pending
        message = {"table": table, "action": action, "data": self._rows}
        self._file.write(f"{time_s:.6f}: {jsonx.dumps_plain(message)}\n")
        self._rows = []
