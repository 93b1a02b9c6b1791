"""One instrument's order book: price-time priority in integer ticks.

Customers' orders and the market's anonymous liquidity stand in the same queues. The book knows
queues only; money and order states are the desk's.

An order with a displayQty stands there with no more than that; the reserve behind it steps in at
the end of the queue when the displayed part has traded. An order that displays nothing stands
behind all that is displayed at its price, and the public sees nothing of it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from market_maker.model.rows import opposite
from market_maker.simulator.events import Order


class Level(NamedTuple):
    """A price level as the public sees it."""

    price_ticks: int
    size: int
    level_id: int


@dataclass(slots=True, eq=False)
class Place:
    """A place in a queue: a customer's order, or anonymous liquidity where `order` is None."""

    qty: int
    order: Order | None = None
    reserve: int = 0  # what follows when qty has traded
    is_hidden: bool = False


@dataclass(slots=True, eq=False)
class Queue:
    """All that rests at one price, first in line first; what is hidden stands last."""

    price_ticks: int
    level_id: int
    size: int = 0  # what the public sees
    hidden_size: int = 0  # what it does not see
    hidden_places: int = 0
    market_size: int = 0
    places: list[Place] = field(default_factory=list)

    def join(self, place: Place) -> None:
        """Stand at the end of the line."""
        if place.is_hidden:
            self.hidden_places += 1
        elif self.hidden_places:
            self.places.insert(len(self.places) - self.hidden_places, place)
            return
        self.places.append(place)


class BookSide:
    """The bids or the asks."""

    def __init__(self, side: str, id_base: int) -> None:
        self.side = side
        self.queues: dict[int, Queue] = {}
        self.changed: dict[int, int] = {}  # price -> size before the first unreported change
        self._sign = 1 if side == "Buy" else -1
        self._ranks: list[int] = []  # price x sign, ascending: the best is the last
        self._id_base = id_base

    def best(self) -> int | None:
        """The best price at which anything can trade."""
        return self._ranks[-1] * self._sign if self._ranks else None

    def touch(self) -> tuple[int | None, int]:
        """The best price the public sees, and the size there."""
        for rank in reversed(self._ranks):
            size = self.queues[rank * self._sign].size
            if size:
                return rank * self._sign, size
        return None, 0

    def prices(self) -> Iterator[int]:
        """Prices in ticks, best first."""
        return (rank * self._sign for rank in reversed(self._ranks))

    def is_within(self, price_ticks: int, limit_ticks: int) -> bool:
        """Whether a price of this side is as good as *limit_ticks* for who takes it."""
        return price_ticks * self._sign >= limit_ticks * self._sign

    def level_id(self, price_ticks: int) -> int:
        return self._id_base - price_ticks

    def open_queue(self, price_ticks: int) -> Queue:
        """The queue at a price, made if there is none."""
        queue = self.queues.get(price_ticks)
        if queue is None:
            queue = self.queues[price_ticks] = Queue(price_ticks, self.level_id(price_ticks))
            insort(self._ranks, price_ticks * self._sign)
        return queue

    def resize(self, queue: Queue, place: Place, delta: int) -> None:
        """Change what stands at *place*; an empty place and an empty queue go."""
        place.qty += delta
        if place.is_hidden:
            queue.hidden_size += delta
        else:
            if queue.price_ticks not in self.changed:
                self.changed[queue.price_ticks] = queue.size
            queue.size += delta
            if place.order is None:
                queue.market_size += delta
        if not place.qty:
            self._leave(queue, place)

    def _leave(self, queue: Queue, place: Place) -> None:
        """Give up an empty place, or start again at the end of the line from the reserve."""
        places = queue.places
        if places[0] is place:
            del places[0]
        else:
            places.remove(place)
        if place.is_hidden:
            queue.hidden_places -= 1
        if place.reserve and place.order is not None:
            part = min(place.order.display_qty or 0, place.reserve)
            place.reserve -= part
            queue.hidden_size -= part
            queue.join(place)
            self.resize(queue, place, part)
        elif not places:
            del self.queues[queue.price_ticks]
            del self._ranks[bisect_left(self._ranks, queue.price_ticks * self._sign)]

    def drain_changes(self) -> list[tuple[int, int, int]]:
        """(price, size before, size now) of what changed since the last call."""
        if not self.changed:
            return []
        changed, self.changed = self.changed, {}
        out = []
        for price_ticks, was in changed.items():
            queue = self.queues.get(price_ticks)
            now = queue.size if queue else 0
            if now != was:
                out.append((price_ticks, was, now))
        return out


class Book:
    """Both sides of one instrument."""

    def __init__(self, id_base: int = 8_800_000_000) -> None:
        self.sides = {"Buy": BookSide("Buy", id_base), "Sell": BookSide("Sell", id_base)}
        self.bids, self.asks = self.sides["Buy"], self.sides["Sell"]
        self._places: dict[str, Place] = {}  # orderID -> its place

    def rest(self, order: Order) -> None:
        """Put a customer's order at the end of its queue; it must not cross."""
        assert order.price_ticks is not None
        side = self.sides[order.side]
        queue = side.open_queue(order.price_ticks)
        place = self._places[order.order_id] = Place(0, order)
        shown = order.leaves_qty
        if order.display_qty is not None and order.display_qty < shown:
            place.is_hidden = not order.display_qty
            if order.display_qty:
                place.reserve, shown = shown - order.display_qty, order.display_qty
                queue.hidden_size += place.reserve
        queue.join(place)
        side.resize(queue, place, shown)

    def shrink(self, order: Order, qty: int) -> None:
        """Take *qty* out of a resting order; it keeps its place while anything is left."""
        assert order.price_ticks is not None
        side = self.sides[order.side]
        queue = side.queues[order.price_ticks]
        place = self._places[order.order_id]
        if place.reserve:
            part = min(qty, place.reserve)
            place.reserve -= part
            queue.hidden_size -= part
            qty -= part
            if not qty:
                return
        if place.qty == qty:
            del self._places[order.order_id]
        side.resize(queue, place, -qty)

    def rest_market(
        self, side_name: str, price_ticks: int, qty: int, *, in_front: bool = False
    ) -> None:
        """Add anonymous liquidity behind everyone, or ahead of everyone with *in_front*."""
        side = self.sides[side_name]
        queue = side.open_queue(price_ticks)
        seen = len(queue.places) - queue.hidden_places
        if seen and queue.places[0 if in_front else seen - 1].order is None:
            place = queue.places[0 if in_front else seen - 1]
        else:
            place = Place(0)
            queue.places.insert(0 if in_front else seen, place)
        side.resize(queue, place, qty)

    def shrink_market(self, side_name: str, price_ticks: int, qty: int) -> None:
        """Take anonymous liquidity away; what stands furthest back goes first."""
        side = self.sides[side_name]
        queue = side.queues.get(price_ticks)
        while queue is not None and qty > 0 and queue.market_size:
            place = next(p for p in reversed(queue.places) if p.order is None)
            part = min(qty, place.qty)
            side.resize(queue, place, -part)
            qty -= part

    def market_size(self, side_name: str, price_ticks: int) -> int:
        """Anonymous liquidity at a price."""
        queue = self.sides[side_name].queues.get(price_ticks)
        return queue.market_size if queue else 0

    def first(self, taker_side: str, limit_ticks: int | None) -> tuple[Queue, Place] | None:
        """Who is first to trade with a taker of *taker_side*, at *limit_ticks* or better."""
        side = self.sides[opposite(taker_side)]
        best = side.best()
        if best is None or (limit_ticks is not None and not side.is_within(best, limit_ticks)):
            return None
        queue = side.queues[best]
        return queue, queue.places[0]

    def take(self, taker_side: str, queue: Queue, place: Place, qty: int) -> None:
        """Remove *qty* that traded from a place."""
        if place.order is not None and place.qty == qty and not place.reserve:
            del self._places[place.order.order_id]
        self.sides[opposite(taker_side)].resize(queue, place, -qty)

    def available(self, taker_side: str, limit_ticks: int | None) -> int:
        """All that a taker could trade at *limit_ticks* or better, seen or not."""
        side = self.sides[opposite(taker_side)]
        total = 0
        for price_ticks in side.prices():
            if limit_ticks is not None and not side.is_within(price_ticks, limit_ticks):
                break
            queue = side.queues[price_ticks]
            total += queue.size + queue.hidden_size
        return total

    def levels(self, side_name: str, depth: int) -> list[Level]:
        """The best *depth* levels that the public sees, best first; 0 is all."""
        side = self.sides[side_name]
        out = []
        for price_ticks in side.prices():
            queue = side.queues[price_ticks]
            if not queue.size:
                continue
            out.append(Level(price_ticks, queue.size, queue.level_id))
            if len(out) == depth:
                break
        return out
