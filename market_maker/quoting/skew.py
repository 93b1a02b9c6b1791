"""How quotes lean: against the inventory, and before a funding payment.

The band is that of Hummingbot's inventory skew, in contracts: target +/- the smaller of a range
and half of what the account is worth. Bids are twice as large at its low edge, as set at the
target, nothing at its high edge; asks the other way round.
"""


def place_in_band(position_qty: float, target: float, half_range: float, worth: float) -> float:
    """-1 at the low edge of the band and beyond, 0 at the target, 1 at the high edge.

    *worth* is what the account would buy without leverage, in contracts; infinite if unknown.
    """
    half = min(half_range, worth / 2)
    if half <= 0:
        return float((position_qty > target) - (position_qty < target))
    return max(-1.0, min(1.0, (position_qty - target) / half))


def size_factor(side: str, place: float) -> float:
    """What the sizes of *side* are multiplied by, 0 to 2."""
    return 1 - place if side == "Buy" else 1 + place


def price_lean(place: float, ratio: float, mid: float) -> float:
    """How far both sides move, in price: down when long, by *ratio* of the mid at the edge."""
    return -place * ratio * mid


def funding_lean(rate: float, left_s: float, window_s: float, share: float, mid: float) -> float:
    """How far both sides move before funding, in price: away from the side that will pay.

    Longs pay *rate* of the value to shorts where it is above 0. Who holds a contract over that
    moment has it for rate times its price less, so that its worth just before is
    mid (1 - rate). *share* of that, growing evenly over the last *window_s* seconds.
    """
    if not 0 <= left_s < window_s:
        return 0.0
    return -share * rate * mid * (1 - left_s / window_s)
