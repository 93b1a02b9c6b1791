"""Legacy rounding helper; our own code uses `market_maker.model.ticks`."""

from decimal import Decimal


def toNearest(num: float, tickSize: float) -> float:
    """Round *num* to the nearest multiple of *tickSize*, without float tails.

    >>> toNearest(7290.34, 0.1)
    7290.3
    """
    tick = Decimal(str(tickSize))
    return float(Decimal(round(num / tickSize, 0)) * tick)
