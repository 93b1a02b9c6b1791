"""An order book in integer ticks, kept current row by row.

Changing the size of a level costs the same in a book of ten thousand levels as in one of ten.
Levels are sorted with the touch last, so that what comes and goes near the touch moves hardly
anything.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS, PriceGrid


class Level(NamedTuple):
    """A price level: its price in ticks, and the contracts that rest there."""

    ticks: int
    size: float


class LevelChange(NamedTuple):
    """What a row did to a level: contracts that rested there before it, and after it."""

    side: str
    ticks: int
    before: float
    after: float


class _Side:
    """The bids or the asks."""

    def __init__(self, sign: int) -> None:
        self.sizes: dict[int, float] = {}  # ticks -> contracts
        self.sign = sign
        self.ranks: list[int] = []  # ticks * sign, ascending: the best is the last

    def best(self) -> int | None:
        return self.ranks[-1] * self.sign if self.ranks else None

    def set(self, ticks: int, size: float) -> None:
        """Let *size* contracts rest at a price; a level that is empty goes."""
        is_known = ticks in self.sizes
        if size > 0:
            self.sizes[ticks] = size
            if not is_known:
                insort(self.ranks, ticks * self.sign)
        elif is_known:
            del self.sizes[ticks]
            del self.ranks[bisect_left(self.ranks, ticks * self.sign)]


@dataclass(slots=True, eq=False)
class _Place:
    """Where a row stands, by the price as it was written, and its size."""

    side: str
    price: float
    ticks: int
    size: float


class OrderBook:
    """Both sides of one symbol's book.

    Rows are those of BitMEX's orderBookL2: `id, side, price, size`. A row is known by its `id`, or
    by side and price where the venue gives none; an update or delete may leave the price out. Rows
    that cannot be placed are passed over. Sizes are contracts. One thread writes; another that
    reads meanwhile sees a book in between two rows.
    """

    def __init__(self, grid: PriceGrid) -> None:
        self.grid = grid
        self.has_image = False  # whether a whole book has come
        self._sides = {"Buy": _Side(1), "Sell": _Side(-1)}
        self._places: dict[Any, _Place] = {}

    # -- writing ------------------------------------------------------------------------

    def apply(self, action: str, rows: Iterable[Row]) -> list[LevelChange]:
        """Fold rows of a "partial", "insert", "update" or "delete" in.

        The changes of levels in order; a partial is a new book and no change of the old one.
        """
        changes: list[LevelChange] = []
        if action == "partial":
            self._begin(rows)
        elif action == "delete":
            for row in rows:
                self._drop(_key(row), changes)
        else:
            for row in rows:
                place = self._places.get(_key(row))
                if place is None:
                    self._insert(row, changes)
                else:
                    self._update(place, row, changes)
        return changes

    def load(self, bids: Iterable[Iterable[float]], asks: Iterable[Iterable[float]]) -> None:
        """Begin anew with a snapshot: pairs of price and size, as in orderBook10."""
        sides = (("Buy", bids), ("Sell", asks))
        self._begin(
            {"side": side, "price": price, "size": size}
            for side, pairs in sides
            for price, size in pairs
        )

    def clear(self) -> None:
        """Forget everything: the connection is gone."""
        self._begin(())
        self.has_image = False

    def _begin(self, rows: Iterable[Row]) -> None:
        self._places = {}
        for side in self._sides.values():
            side.sizes = {}
        for row in rows:
            place = self._place(row)
            if place is not None:
                sizes = self._sides[place.side].sizes
                sizes[place.ticks] = sizes.get(place.ticks, 0) + place.size
        for side in self._sides.values():
            side.ranks = sorted(ticks * side.sign for ticks in side.sizes)
        self.has_image = True

    def _place(self, row: Row) -> _Place | None:
        """Note a row that is new."""
        side, price, size = row.get("side"), row.get("price"), row.get("size")
        if side not in self._sides or not price or not size or size <= 0:
            return None
        place = self._places[_key(row)] = _Place(side, price, self.grid.nearest(price), size)
        return place

    def _update(self, place: _Place, row: Row, changes: list[LevelChange]) -> None:
        size, price = row.get("size"), row.get("price")
        size = place.size if size is None else size
        if size > 0 and price in (None, place.price):
            self._move(place, size, changes)
            return
        self._drop(_key(row), changes)
        known = {"side": place.side, "price": price or place.price, "size": size}
        self._insert({**row, **known}, changes)

    def _insert(self, row: Row, changes: list[LevelChange]) -> None:
        new = self._place(row)
        if new is not None:
            size, new.size = new.size, 0
            self._move(new, size, changes)

    def _drop(self, key: Any, changes: list[LevelChange]) -> None:
        place = self._places.pop(key, None)
        if place is not None:
            self._move(place, 0, changes)

    def _move(self, place: _Place, size: float, changes: list[LevelChange]) -> None:
        """Let *size* rest at *place*; several rows may share a level."""
        side, ticks, was = self._sides[place.side], place.ticks, place.size
        before = side.sizes.get(ticks, 0)
        after = size if before == was else round(before - was + size, SIZE_DECIMALS)
        place.size = size
        if after != before:
            if before and after > 0:
                side.sizes[ticks] = after
            else:
                side.set(ticks, after)
            changes.append(LevelChange(place.side, ticks, before, after))

    # -- reading ------------------------------------------------------------------------

    @property
    def best_bid(self) -> int | None:
        """The highest bid in ticks, or None where nobody bids."""
        return self._sides["Buy"].best()

    @property
    def best_ask(self) -> int | None:
        """The lowest ask in ticks, or None where nobody offers."""
        return self._sides["Sell"].best()

    def best(self, side: str) -> int | None:
        """The best price of *side* ("Buy" for bids) in ticks."""
        return self._sides[side].best()

    def size(self, side: str, ticks: int) -> float:
        """Contracts at a price, 0 where there are none."""
        return self._sides[side].sizes.get(ticks, 0)

    def levels(self, side: str, depth: int | None = None) -> Iterator[Level]:
        """The best *depth* levels of *side*, or all of them, from the touch outward."""
        book = self._sides[side]
        first = len(book.ranks) - depth if depth is not None else 0
        for rank in reversed(book.ranks[max(0, first) :]):
            yield Level(rank * book.sign, book.sizes.get(rank * book.sign, 0))

    def rows(self, depth: int | None = None) -> list[Row]:
        """Rows as `market_depth` has them, `side, price, size`: asks, then bids, each from high
        to low."""
        price = self.grid.price
        asks = reversed(list(self.levels("Sell", depth)))
        sides = (("Sell", asks), ("Buy", self.levels("Buy", depth)))
        return [
            {"side": side, "price": price(level.ticks), "size": level.size}
            for side, levels in sides
            for level in levels
        ]

    def __len__(self) -> int:
        """How many levels there are."""
        return sum(len(side.ranks) for side in self._sides.values())


def _key(row: Row) -> Any:
    key = row.get("id")
    return (row.get("side"), row.get("price")) if key is None else key
