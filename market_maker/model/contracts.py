"""What a contract is worth: inverse, linear and quanto, in whole minor units (satoshi).

Formulas and rounding: BitMEX's contract guides; values are rounded to the nearest minor unit
per lot and then multiplied, as its captured executions show (400 XBTUSD at 43772 cost 913828).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from market_maker.utils.constants import XBt_TO_XBT


@dataclass(frozen=True, slots=True)
class Contract:
    """One instrument's arithmetic. `multiplier` is in minor units, negative when inverse."""

    symbol: str
    multiplier: int
    is_inverse: bool
    is_quanto: bool = False
    lot_size: float = 1  # whole, but where sizes are units of a currency
    settle_currency: str = "XBt"

    @classmethod
    def from_instrument(cls, row: Mapping[str, Any]) -> "Contract":
        """Read an instrument row; what it lacks reads as a linear contract of 1 lot."""
        return cls(
            symbol=str(row.get("symbol", "")),
            multiplier=int(row.get("multiplier") or 1),
            is_inverse=bool(row.get("isInverse")),
            is_quanto=bool(row.get("isQuanto")),
            lot_size=row.get("lotSize") or 1,
            settle_currency=str(row.get("settlCurrency") or "XBt"),
        )

    def value(self, qty: float, price: float) -> int:
        """Unsigned value of *qty* contracts at *price*, in minor units."""
        qty = int(qty) if qty == int(qty) else qty
        if not (isinstance(qty, int) and isinstance(self.lot_size, int)):
            return _value_of_part(self.multiplier, self.is_inverse, abs(qty), price)
        per_lot = _value_per_lot(self.multiplier, self.is_inverse, self.lot_size, price)
        lots, rest = divmod(abs(qty), self.lot_size)
        if not rest:
            return per_lot * lots
        return per_lot * lots + _value_per_lot(self.multiplier, self.is_inverse, rest, price)

    def cost(self, qty: float, price: float) -> int:
        """Signed cost of trading *qty* (negative sells): a buy is negative when inverse."""
        value = self.value(qty, price)
        return -value if (qty > 0) == self.is_inverse else value


@lru_cache(maxsize=4_096)  # some hours of prices, and no more memory than that
def _value_per_lot(multiplier: int, is_inverse: bool, lot_size: int, price: float) -> int:
    return _value_of_part(multiplier, is_inverse, lot_size, price)


def _value_of_part(multiplier: int, is_inverse: bool, qty: float, price: float) -> int:
    """The value of *qty* contracts, which need not be whole, as they are written."""
    size, parts = Decimal(repr(qty)).as_integer_ratio()
    above, below = Decimal(repr(price)).as_integer_ratio()
    if is_inverse:
        above, below = below, above
    return _half_up(abs(multiplier) * size * above, parts * below)


def _half_up(above: int, below: int) -> int:
    """*above* / *below* to the nearest integer; halves away from zero."""
    nearest = (2 * abs(above) + abs(below)) // (2 * abs(below))
    return -nearest if (above < 0) != (below < 0) else nearest


# -- by the names of sample-market-maker ----------------------------------------------------


def XBt_to_XBT(XBt: float) -> float:
    return float(XBt) / XBt_TO_XBT


def cost(instrument: Mapping[str, Any], quantity: float, price: float) -> float:
    """Signed value of *quantity* contracts at *price*, in satoshi."""
    mult: float = instrument["multiplier"]
    return quantity * (mult * price if mult >= 0 else mult / price)


def margin(instrument: Mapping[str, Any], quantity: float, price: float) -> float:
    """Initial margin for *quantity* contracts at *price*, in satoshi."""
    return cost(instrument, quantity, price) * float(instrument["initMargin"])
