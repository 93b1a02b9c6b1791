"""Exact maps between float prices and integer ticks, and between sizes and integer lots.

Inside the bot a price is an integer number of ticks. `ticks * units / scale` is exact to the
last bit of a float, because both integers are exact and one division rounds correctly.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Self

_NOISE = 1e-6  # how far, in steps, a float may lie from a multiple and still mean it
_EPSILON = 2.0**-51
SIZE_DECIMALS = 10  # sums of sizes are rounded to so many, so that 0.1 + 0.2 is 0.3


def plain(size: float) -> str:
    """A size without exponent or idle zeros."""
    text = f"{size:.{SIZE_DECIMALS}f}" if isinstance(size, float) else str(size)
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class _Grid:
    """Multiples of `units / scale`."""

    units: int  # the step in units of 1 / scale
    scale: int  # 10 ** decimals
    decimals: int

    @classmethod
    @lru_cache(maxsize=1024)  # asked for in every round, by several
    def of(cls, step: float) -> Self:
        """The grid of *step*, such as 0.5 or 1e-8; raises ValueError unless above 0."""
        exact = Decimal(str(step))
        if not exact.is_finite() or exact <= 0:
            raise ValueError(f"a tick or lot size must be above 0, was {step}")
        decimals = max(0, -int(exact.normalize().as_tuple().exponent))
        return cls(int(exact.scaleb(decimals)), 10**decimals, decimals)

    def contains(self, value: float) -> bool:
        """Whether *value* is a multiple of the step, but for float noise."""
        raw = value * self.scale / self.units  # as in `_snap`: asked of every order, twice
        return abs(raw - round(raw)) < _NOISE + abs(raw) * _EPSILON

    def _snap(self, value: float) -> float:
        raw = value * self.scale / self.units
        nearest = round(raw)
        return nearest if abs(raw - nearest) < _NOISE + abs(raw) * _EPSILON else raw


class PriceGrid(_Grid):
    """The prices an instrument allows: multiples of its tick size."""

    __slots__ = ()

    def price(self, ticks: int) -> float:
        return ticks * self.units / self.scale

    def exact(self, price: float) -> int | None:
        """The ticks of *price*, or None if it lies between two."""
        ticks = self._snap(price)
        return ticks if isinstance(ticks, int) else None

    def nearest(self, price: float) -> int:
        """The tick closest to *price*."""
        return round(price * self.scale / self.units)

    def bid_ticks(self, price: float) -> int:
        """The tick at or below *price*: a bid never pays more than asked."""
        return math.floor(self._snap(price))

    def ask_ticks(self, price: float) -> int:
        """The tick at or above *price*: an ask never takes less than asked."""
        return math.ceil(self._snap(price))

    def format(self, price: float) -> str:
        """*price* with the decimals of the tick size, as the logs show it."""
        return f"{price:.{self.decimals}f}"


class LotGrid(_Grid):
    """The sizes an instrument allows: multiples of its lot size."""

    __slots__ = ()

    def qty(self, lots: int) -> float:
        """The size of *lots*; an int where the lot size is whole."""
        return lots * self.units if self.scale == 1 else lots * self.units / self.scale

    def nearest(self, qty: float) -> float:
        """The multiple of the lot closest to *qty*; halves go up."""
        return self.qty(math.floor(qty * self.scale / self.units + 0.5))

    def down(self, qty: float) -> float:
        """The multiple of the lot at or below *qty*."""
        return self.qty(math.floor(self._snap(qty)))
