"""How much stands before each of our orders at its price, from the public book and trades.

An exchange with price-time priority shows the size of a level, not who stands where in it. But
what was there before us stays before us, and leaves in two ways: it trades, from the front; or it
is cancelled, anywhere. A trade and the decrease of the level that it causes are two messages, in
either order: they are matched, so that nothing leaves twice. Only the rest of a decrease is a
cancellation; "pessimistic" takes all of it from behind us as long as there is any, so that the
estimate is never better than the truth; "proportional" shares it out.

Where the book shows our order, as an increase of just its size, what was there before it is before
us. Until then the whole level is, and after a while without that, all of the level but our order.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from market_maker.model.order_book import LevelChange, OrderBook
from market_maker.model.rows import Row, opposite
from market_maker.model.ticks import SIZE_DECIMALS

MODELS = ("pessimistic", "proportional")
_MATCH_S = 2.0  # a trade and the change of the book that it causes are never so far apart


class QueuePlace(NamedTuple):
    """Contracts before, of and behind an order; `before` and `behind` are None while unknown."""

    before: float | None
    own: float
    behind: float | None
    age_s: float  # since the exchange confirmed the order as it is now

    @property
    def ratio(self) -> float:
        """The part of the level that stands before the order: 0 is the front; 1 when unknown."""
        if self.before is None or self.behind is None:
            return 1.0
        return round(self.before / (self.before + self.own + self.behind), 3)


class QueueEstimate:
    """The places of our orders, told of orders, changes of the book and trades as they come.

    Times are monotonic seconds, prices ticks. An amended order starts anew. Orders that show a
    part of their size only are not followed.
    """

    def __init__(
        self, book: OrderBook, model: str = MODELS[0], shown_within_s: float = 0.5
    ) -> None:
        """*shown_within_s*: how long after its acknowledgement the book shows an order."""
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, was {model!r}")
        self._book = book
        self._rules = _Rules(model == "proportional", shown_within_s)
        self._queued: dict[str, _Queued] = {}
        self._at: defaultdict[tuple[str, int], list[_Queued]] = defaultdict(list)

    def on_orders(self, orders: Iterable[Row], now_s: float) -> None:
        """All our orders as they are now, those included that are not acknowledged yet."""
        before, self._queued = self._queued, {}
        self._at.clear()
        for row in orders:
            price = row.get("price")
            if not price or row.get("displayQty") is not None or row.get("stopPx") is not None:
                continue
            ticks = self._book.grid.nearest(price)
            queued = before.get(_name(row))
            if queued is None or not queued.is_still(ticks, row):
                size = self._book.size(row["side"], ticks)
                queued = _Queued(row["side"], ticks, row.get("orderQty") or 0, size)
            queued.on_order(row, now_s)
            self._queued[_name(row)] = queued
            self._at[queued.side, ticks].append(queued)

    def on_changes(self, changes: Iterable[LevelChange], now_s: float) -> None:
        """What a message did to the book."""
        for change in changes:
            for queued in self._at.get((change.side, change.ticks), ()):
                queued.on_change(change, now_s, self._rules)

    def on_image(self, now_s: float) -> None:
        """The book was read anew; what happened meanwhile is not known one by one."""
        for queued in self._queued.values():
            size = self._book.size(queued.side, queued.ticks)
            change = LevelChange(queued.side, queued.ticks, queued.size, size)
            queued.on_change(change, now_s, self._rules)

    def on_trade(self, trade: Row, now_s: float) -> None:
        """A public trade: `side` is the taker's."""
        if trade.get("side") and trade.get("price"):
            key = (opposite(trade["side"]), self._book.grid.nearest(trade["price"]))
            for queued in self._at.get(key, ()):
                queued.on_trade(trade.get("size") or 0, trade.get("timestamp") or "", now_s)

    def place(self, order: Row, now_s: float) -> QueuePlace:
        """Where *order*, a row of ours, stands."""
        queued, price = self._queued.get(_name(order)), order.get("price") or 0
        if queued is None or not queued.is_still(self._book.grid.nearest(price), order):
            return QueuePlace(None, order.get("leavesQty") or 0, None, 0.0)
        return queued.place(now_s, self._rules)


class _Rules(NamedTuple):
    is_proportional: bool
    shown_within_s: float


@dataclass(slots=True)
class _Decrease:
    """A part of a decrease that no trade has explained yet, and how much of it came off before."""

    qty: float
    from_before: float
    time_s: float


@dataclass(slots=True)
class _Queued:
    """One order at one price."""

    side: str
    ticks: int
    order_qty: float
    size: float  # of the level, as the book shows it
    own: float = 0.0
    filled: float = 0.0
    before: float | None = None  # None until the book shows the order
    acked_s: float | None = None
    born: str = ""  # the exchange's time of the acknowledgement
    traded: float = 0.0  # printed, while the book does not show it yet
    traded_s: float = 0.0
    decreases: deque[_Decrease] = field(default_factory=deque)

    def is_still(self, ticks: int, row: Row) -> bool:
        """Whether *row* is the order as it was, not amended."""
        return self.ticks == ticks and self.order_qty == (row.get("orderQty") or 0)

    def on_order(self, row: Row, now_s: float) -> None:
        filled = row.get("cumQty") or 0
        if self.acked_s is None and row.get("orderID"):
            self.acked_s, self.filled = now_s, filled
            self.born = str(row.get("transactTime") or row.get("timestamp") or "")
        self.own = row.get("leavesQty") or 0
        if filled > self.filled:  # it is the first in line
            self.filled, self.before = filled, 0.0
            self.decreases.clear()

    def on_change(self, change: LevelChange, now_s: float, rules: _Rules) -> None:
        """The level has another size now."""
        was, self.size = change.before, change.after
        self._expire(now_s)
        if _rounded(self.size - was) == self.own and not self._is_late(now_s, rules):
            # Another order of our size may have come just before ours: the last one counts.
            self.before = max(0.0, was - self.traded)
            self.decreases.clear()
        elif self.before is not None:
            self._on_size(was, now_s, rules)
        elif self.size < was:  # it may be what a trade took from before us
            self.decreases.append(_Decrease(was - self.size, was - self.size, now_s))

    def on_trade(self, qty: float, stamp: str, now_s: float) -> None:
        """*qty* traded at our price: it was the front of the line."""
        if self.acked_s is None or (stamp and stamp <= self.born):
            return  # what traded before we came was never before us
        self._expire(now_s)
        freed, came_off_front = 0.0, qty
        for decrease in self.decreases:
            part = min(qty, decrease.qty)
            came_off = min(decrease.from_before, part)  # as a cancellation, which it was not
            decrease.qty -= part
            decrease.from_before -= came_off
            # What behind us has got back bears the cancellations that came after it.
            returned = min(freed, decrease.from_before)
            decrease.from_before -= returned
            came_off_front -= came_off + returned
            freed += part - came_off - returned
            qty -= part
        if self.before is not None:
            self.before = max(0.0, _rounded(self.before - came_off_front))
        self.traded, self.traded_s = self.traded + qty, now_s

    def place(self, now_s: float, rules: _Rules) -> QueuePlace:
        if self.before is None and self.size >= self.own and self._is_late(now_s, rules):
            # The book does not tell which increase was ours: all others may be before us.
            self.before = _rounded(self.size - self.own)
        age_s = 0.0 if self.acked_s is None else now_s - self.acked_s
        if self.before is None:
            return QueuePlace(None, self.own, None, age_s)
        behind = max(0.0, _rounded(self.size - self.traded - self.own - self.before))
        return QueuePlace(self.before, self.own, behind, age_s)

    def _is_late(self, now_s: float, rules: _Rules) -> bool:
        """Whether the book must show the order by now."""
        return self.acked_s is not None and now_s - self.acked_s > rules.shown_within_s

    def _on_size(self, was: float, now_s: float, rules: _Rules) -> None:
        if self.size < self.own:  # the venue shows this level no more, or we are being filled
            self.before = None
            return
        assert self.before is not None
        gone = max(0.0, was - self.size)
        explained = min(gone, self.traded)
        self.traded -= explained
        cancelled, old = gone - explained, self.before
        others = was - self.own
        if rules.is_proportional and cancelled and others > 0:
            self.before = max(0.0, old - cancelled * min(1.0, old / others))
        self.before = min(self.before, _rounded(self.size - self.own))
        if cancelled:
            self.decreases.append(_Decrease(cancelled, old - self.before, now_s))

    def _expire(self, now_s: float) -> None:
        while self.decreases and now_s - self.decreases[0].time_s > _MATCH_S:
            self.decreases.popleft()
        if now_s - self.traded_s > _MATCH_S:
            self.traded = 0.0


def _name(row: Row) -> str:
    return str(row.get("clOrdID") or row.get("orderID"))


def _rounded(size: float) -> float:
    return round(size, SIZE_DECIMALS)
