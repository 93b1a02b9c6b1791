"""A recorded market: real books and trades, with our own orders standing in their queues.

The model, which decides every fill of a resting order:
- An order joins its level behind all that the recording shows there. Where the recording did
  not show the level at that time, all that it shows later is taken to have been there first.
- A recorded trade takes from the front of the queue, and from better priced customers first.
- What a level loses beyond its trades went from behind first; what it gains joins at the end.
- A recorded quote at or through a customer's price fills it, up to the size it shows.
- What customers took out of the recording stays gone until the recording itself shows less.
So a trade no larger than what stands ahead of an order can never fill it.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from math import isfinite
from pathlib import Path

from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.market.items import (
    BOOK,
    UNKNOWN_SIZE,
    Change,
    Index,
    Item,
    Print,
    Snapshot,
    fault,
)
from market_maker.simulator.market.listing import instrument_of
from market_maker.simulator.market.recorded_side import RecordedSide
from market_maker.simulator.market.recordings import read_recording
from market_maker.utils.errors import SettingsError

logger = logging.getLogger("root")

_INDEX_EVERY_S = 1.0
_INDEX_WEIGHT = 0.2  # of the newest mid in the index: a mean over about five seconds
_OPENING = 300  # items that show which ticks and lots a recording has


class RecordedMarket:
    """A market source that replays one symbol. Give the engine its `instrument`."""

    def __init__(
        self, data: str | Path | Sequence[str | Path], symbol: str = "XBTUSD", *, speed: float = 1.0
    ) -> None:
        """*data* is a folder or files; *speed* 2.0 plays twice as fast as recorded."""
        if not (isfinite(speed) and speed > 0):
            raise SettingsError([f"speed must be a number above 0, was {speed}"])
        self._speed = speed
        recording = read_recording(data, symbol)
        first = _first_book(recording.items)
        if first is None:
            raise fault(data, f"holds no row of {symbol}")
        self._first = first
        opening = list(islice(recording.items, _OPENING))
        self._items: Iterator[Item] = chain(opening, recording.items)
        mid = (max(first.bids) + min(first.asks)) / 2
        spec = instrument_of(symbol, recording.row, [first, *opening], mid)
        rates = (rate for time_s, rate in recording.funding if time_s >= first.time_s)
        spec = replace(spec, funding_rate=next(rates, spec.funding_rate))
        self.instrument: Instrument = spec
        shown = (*first.bids.values(), *first.asks.values())
        # Prices without sizes: an order is filled when the opposite touch reaches it.
        self.is_touch_fill = all(size == UNKNOWN_SIZE for size in shown)
        self._next: Item | None = None
        self._has_index = any(isinstance(item, Index) for item in opening)

    def bind(self, engine: Engine) -> None:
        """Show the first book now; all else follows at its distance from it."""
        market = engine.liquidity(self.instrument.symbol)
        self._bids, self._asks = RecordedSide(market, "Buy"), RecordedSide(market, "Sell")
        self._market = market
        self._index = self.instrument.start_price
        self._start_s = self._index_due_s = engine.now()
        self._zero_s = self._first.time_s
        self._conditions = market.grid, market.is_open
        self._show(self._first)
        self._read_next()

    def next_time(self) -> float | None:
        return None if self._next is None else self._clock_time(self._next)

    def step(self) -> None:
        """Play everything that was recorded at one moment."""
        if self._conditions != (self._market.grid, self._market.is_open):
            self._begin_anew()
        due_s = self.next_time()
        whole: Snapshot | None = None
        while self._next is not None and self._clock_time(self._next) == due_s:
            item = self._next
            if isinstance(item, Print):
                self._trade(item)
            elif isinstance(item, Snapshot):
                whole = item  # in between books of one moment nobody could act: the last counts
            elif isinstance(item, Index):
                self._market.set_index(item.price)
            else:
                self._show(whole)
                whole = None
                self._change(item)
            self._read_next()
        self._show(whole)
        if due_s is not None and not self._has_index:
            self._move_index(due_s)

    def _read_next(self) -> None:
        self._next = None  # a file that turns out broken ends the market, it repeats nothing
        try:
            self._next = next(self._items, None)
        except SettingsError as error:
            logger.error("%s. The recording ends here, and the market stands still.", error)

    def _clock_time(self, item: Item) -> float:
        return self._start_s + (item.time_s - self._zero_s) / self._speed

    def _trade(self, trade: Print) -> None:
        hit = self._asks if trade.side == "Buy" else self._bids
        hit.trade(trade.side, self._market.grid.nearest(trade.price), trade.qty)

    def _show(self, book: Snapshot | None) -> None:
        if book is not None:
            self._apply(self._bids.compare(book.bids), self._asks.compare(book.asks))

    def _change(self, change: Change) -> None:
        self._apply(self._bids.convert(change.bids), self._asks.convert(change.asks))

    def _apply(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        # what goes goes first, so that the new book meets customers' orders only
        more_bids = self._bids.shrink(bids)
        more_asks = self._asks.shrink(asks)
        self._bids.grow(more_bids)
        self._asks.grow(more_asks)

    def _begin_anew(self) -> None:
        """The tick size changed, or trading stopped or went on: show the recorded book again."""
        market = self._market
        self._conditions = market.grid, market.is_open
        if market.is_open:
            book = Snapshot(0.0, BOOK, self._bids.levels(), self._asks.levels())
            self._bids.clear()
            self._asks.clear()
            self._bids, self._asks = RecordedSide(market, "Buy"), RecordedSide(market, "Sell")
            self._show(book)

    def _move_index(self, now_s: float) -> None:
        if now_s < self._index_due_s:
            return
        bid, ask = self._bids.best(), self._asks.best()
        if bid is None or ask is None:
            return
        self._index_due_s = now_s + _INDEX_EVERY_S
        self._index += _INDEX_WEIGHT * ((bid + ask) / 2 - self._index)
        self._market.set_index(self._index)


def _first_book(items: Iterator[Item]) -> Snapshot | None:
    """The book that opens the recording; what comes before it is of no use."""
    books = (item for item in items if isinstance(item, Snapshot))
    return next((book for book in books if book.bids and book.asks), None)
