"""What a market source may do to one instrument: anonymous liquidity, trades, the index."""

from itertools import takewhile

from market_maker.model.ticks import PriceGrid
from market_maker.simulator.desk import Desk
from market_maker.simulator.instruments import Instrument


class Liquidity:
    """The market's hand on one book. It trades with customers, never with itself by resting."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._book = desk, desk.book

    @property
    def spec(self) -> Instrument:
        """The instrument as it is now: its tick and lot can change."""
        return self._desk.spec

    @property
    def is_open(self) -> bool:
        """Whether anybody may trade here now."""
        return self._desk.is_open

    @property
    def grid(self) -> PriceGrid:
        return self._desk.grid

    def size(self, side: str, price_ticks: int) -> int:
        """Anonymous liquidity at a price; customers' orders do not count."""
        return self._book.market_size(side, price_ticks)

    def prices(self, side: str, limit_ticks: int) -> list[int]:
        """The prices at which anything rests, from the best to *limit_ticks*."""
        book_side = self._book.sides[side]
        return list(takewhile(lambda p: book_side.is_within(p, limit_ticks), book_side.prices()))

    def resize(self, side: str, price_ticks: int, size: int, *, in_front: bool = False) -> int:
        """Make the anonymous liquidity at a price *size*; what of it customers took at once.

        More joins behind everyone (or ahead, with *in_front*); less goes from the back first.
        New liquidity that meets customers' orders trades with them; anonymous liquidity in its
        way is out of date and goes.
        """
        more = size - self._book.market_size(side, price_ticks)
        if more <= 0:
            if more:
                self._book.shrink_market(side, price_ticks, -more)
            return 0
        if not self._desk.is_open:  # it could meet customers, and nobody may trade
            return 0
        left = self._meet_customers(side, price_ticks, more)
        if left:
            self._book.rest_market(side, price_ticks, left, in_front=in_front)
        return more - left

    def take(self, side: str, qty: int, limit_ticks: int) -> int:
        """Buy or sell up to *qty* at *limit_ticks* or better; what traded."""
        if not self._desk.is_open:
            return 0
        left = qty
        while left and (first := self._book.first(side, limit_ticks)):
            queue, place = first
            part = self._desk.part(place, left)
            self._desk.trade(side, queue, place, part, None)
            left -= part
        return qty - left

    def replay(self, side: str, qty: int, price_ticks: int) -> int:
        """A recorded print: *qty* at *price_ticks*; the anonymous contracts it took there.

        A taker who traded here has met all better prices: customers there trade first, from
        the same quantity. Then the queue trades from its front. What neither can give still
        shows on the public tape, since it was traded when it was recorded.
        """
        if not self._desk.is_open:
            return 0
        better = price_ticks - 1 if side == "Buy" else price_ticks + 1
        left = self._meet_customers(side, better, qty)
        anonymous = 0
        while left > anonymous and (first := self._book.first(side, price_ticks)):
            queue, place = first
            part = self._desk.part(place, left - anonymous)
            if place.order is None:
                self._book.take(side, queue, place, part)
                anonymous += part
            else:
                self._desk.trade(side, queue, place, part, None)
                left -= part
        if left:
            self._desk.print_market(side, left, price_ticks)
        return anonymous

    def set_index(self, index_price: float) -> None:
        """Move the index price of the underlying, from which all its mark prices follow.

        Where several instruments share an underlying, the first one listed leads; what the
        others say does not count, so that two markets cannot pull the index to and fro.
        """
        self._desk.index.move(index_price, self._desk.display)

    def _meet_customers(self, side: str, limit_ticks: int, qty: int) -> int:
        """Trade with customers at *limit_ticks* or better; what is left of *qty*."""
        while qty and (first := self._book.first(side, limit_ticks)):
            queue, place = first
            if place.order is None:
                self._book.take(side, queue, place, place.qty)
                continue
            part = self._desk.part(place, qty)
            self._desk.trade(side, queue, place, part, None)
            qty -= part
        return qty
