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

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import DEFAULT_INSTRUMENTS, Instrument
from market_maker.simulator.liquidity import Liquidity
from market_maker.simulator.market.recordings import Item, Print, Snapshot, fault, read_recording
from market_maker.utils.errors import SettingsError

_INDEX_EVERY_S = 1.0
_INDEX_WEIGHT = 0.2  # of the newest mid in the index: a mean over about five seconds


class RecordedMarket:
    """A market source that replays one symbol. Give the engine its `instrument`."""

    def __init__(
        self, data: str | Path | Sequence[str | Path], symbol: str = "XBTUSD", *, speed: float = 1.0
    ) -> None:
        """*data* is a folder or files; *speed* 2.0 plays twice as fast as recorded."""
        if not (isfinite(speed) and speed > 0):
            raise SettingsError([f"speed must be a number above 0, was {speed}"])
        known = {spec.symbol: spec for spec in DEFAULT_INSTRUMENTS}
        if symbol not in known:
            raise SettingsError([f"symbol {symbol}: recordings can be played of {list(known)}"])
        self._speed = speed
        self._items = read_recording(data, symbol)
        self._first = _first_snapshot(self._items)
        if self._first is None:
            raise fault(data, f"holds no row of {symbol}")
        mid = (next(iter(self._first.bids)) + next(iter(self._first.asks))) / 2
        # in those days one contract was a lot
        self.instrument: Instrument = replace(known[symbol], lot_size=1, start_price=mid)
        self._next: Item | None = None

    def bind(self, engine: Engine) -> None:
        """Show the first book now; all else follows at its distance from it."""
        assert self._first is not None
        market = engine.liquidity(self.instrument.symbol)
        self._bids, self._asks = _Side(market, "Buy"), _Side(market, "Sell")
        self._market = market
        self._index = self.instrument.start_price
        self._start_s = self._index_due_s = engine.now()
        self._zero_s = self._first.time_s
        self._show(self._first)
        self._read_next()

    def next_time(self) -> float | None:
        return None if self._next is None else self._clock_time(self._next)

    def step(self) -> None:
        """Play everything that was recorded at one moment."""
        due_s = self.next_time()
        latest = None
        while self._next is not None and self._clock_time(self._next) == due_s:
            if isinstance(self._next, Print):
                self._trade(self._next)
            else:
                # in between books of one moment nobody could act: the last one counts
                latest = self._next
            self._read_next()
        if latest is not None:
            self._show(latest)
            self._move_index(self._clock_time(latest))

    def _read_next(self) -> None:
        self._next = None  # a file that turns out broken ends the market, it repeats nothing
        self._next = next(self._items, None)

    def _clock_time(self, item: Item) -> float:
        return self._start_s + (item.time_s - self._zero_s) / self._speed

    def _trade(self, trade: Print) -> None:
        hit = self._asks if trade.side == "Buy" else self._bids
        hit.trade(trade.side, self._market.grid.nearest(trade.price), trade.qty)

    def _show(self, book: Snapshot) -> None:
        # what goes goes first, so that the new book meets customers' orders only
        bids = self._bids.shrink(book.bids)
        asks = self._asks.shrink(book.asks)
        self._bids.grow(bids)
        self._asks.grow(asks)

    def _move_index(self, now_s: float) -> None:
        if now_s < self._index_due_s:
            return
        bid, ask = self._bids.best(), self._asks.best()
        if bid is None or ask is None:
            return
        self._index_due_s = now_s + _INDEX_EVERY_S
        self._index += _INDEX_WEIGHT * ((bid + ask) / 2 - self._index)
        self._market.set_index(self._index)


class _Side:
    """One side of the recorded book, as last seen and as it now stands in ours."""

    def __init__(self, market: Liquidity, side: str) -> None:
        self._market, self._side = market, side
        self._sign = 1 if side == "Buy" else -1
        self._latest: dict[float, int] = {}  # price -> size as last recorded
        self._recorded: dict[int, int] = {}  # the same by price in ticks
        self._standing: dict[int, int] = {}  # ticks -> what we left in the book
        self._eaten: dict[int, int] = {}  # ticks -> what customers took of it
        self._traded: set[float] = set()  # recorded prices to compare again after a trade
        self._ticks: dict[float, int] = {}  # price -> ticks

    def best(self) -> float | None:
        """The best recorded price."""
        return next(iter(self._latest), None)

    def trade(self, taker_side: str, price_ticks: int, qty: int) -> None:
        """Play a recorded trade that hit this side."""
        self._notice(price_ticks)
        self._market.replay(taker_side, qty, price_ticks)
        for price in self._latest:
            ticks = self._to_ticks(price)
            if (ticks - price_ticks) * self._sign >= 0:
                self._standing[ticks] = self._market.size(self._side, ticks)
                self._traded.add(price)

    def shrink(self, levels: dict[float, int]) -> list[tuple[int, int, bool]]:
        """Take away what the new book lacks; what it adds: (ticks, size, goes in front)."""
        before, traded = self._latest, self._traded
        if levels is before and not traded:
            return []
        changed = {price for price, _ in levels.items() - before.items()}
        if traded:
            changed |= traded & levels.keys()
            self._traded = set()
        for price in sorted(before.keys() - levels.keys()):
            ticks = self._to_ticks(price)
            self._market.resize(self._side, ticks, 0)
            for known in (self._recorded, self._standing, self._eaten):
                known.pop(ticks, None)
        self._latest = levels
        more = []
        for price in sorted(changed):
            ticks = self._to_ticks(price)
            self._recorded[ticks] = levels[price]
            self._notice(ticks)
            target = levels[price] - self._eaten.get(ticks, 0)
            if target < self._market.size(self._side, ticks):
                self._resize(ticks, target, in_front=False)
            else:
                more.append((ticks, target, self._was_out_of_sight(price, before)))
        return more

    def _was_out_of_sight(self, price: float, before: dict[float, int]) -> bool:
        """Whether a price lay beyond the last book, so that others may have been there."""
        if not before or price in before:
            return False
        return price < min(before) if self._side == "Buy" else price > max(before)

    def grow(self, more: list[tuple[int, int, bool]]) -> None:
        """Add what the new book has on top."""
        for price, target, in_front in more:
            self._resize(price, target, in_front=in_front)

    def _resize(self, price: int, target: int, *, in_front: bool) -> None:
        taken = self._market.resize(self._side, price, target, in_front=in_front)
        if taken:
            self._eaten[price] = self._eaten.get(price, 0) + taken
        self._standing[price] = self._market.size(self._side, price)

    def _notice(self, price: int) -> None:
        """Find out what customers took at a price since we last set it."""
        standing = self._standing.get(price, 0)
        gone = standing - self._market.size(self._side, price)
        eaten = min(self._eaten.get(price, 0) + gone, self._recorded.get(price, 0))
        if eaten > 0:
            self._eaten[price] = eaten
        else:
            self._eaten.pop(price, None)
        self._standing[price] = standing - gone

    def _to_ticks(self, price: float) -> int:
        ticks = self._ticks.get(price)
        if ticks is None:
            ticks = self._ticks[price] = self._market.grid.nearest(price)
        return ticks


def _first_snapshot(items: Iterator[Item]) -> Snapshot | None:
    """The book that opens the recording; trades before it are of no use."""
    return next((item for item in items if isinstance(item, Snapshot)), None)
