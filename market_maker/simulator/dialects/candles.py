"""Bars as exchanges other than BitMEX tell them, stamped with their start; the running one last."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_bins import trade_bins
from market_maker.simulator.dialects.bitmex_rows import Listing
from market_maker.simulator.dialects.numbers import page
from market_maker.simulator.exchange import Engine


class Candle(NamedTuple):
    """A bin of BitMEX and when it began (Unix milliseconds)."""

    start_ms: int
    has_ended: bool
    row: Row


def candles(engine: Engine, symbol: str, bin_s: int, params: Mapping[str, Any]) -> list[Candle]:
    """The latest `limit` candles of *symbol*, oldest first."""
    listing = Listing.of(engine.instrument(symbol), is_classic=False)
    ended, running = trade_bins(engine.trades(symbol), listing, bin_s, engine.now())
    rows = [(row, True) for row in ended] + [(running.row(), False)] * bool(running.end_s)
    return [
        Candle(round((_end_s(row) - bin_s) * 1000), has_ended, row)
        for row, has_ended in rows[-page(params, 100) :]
    ]


def _end_s(row: Row) -> float:
    return datetime.fromisoformat(str(row["timestamp"])).timestamp()
