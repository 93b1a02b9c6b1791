"""Whether what a strategy asks for can be meant, as a whole and before anything is compared."""

import math
from collections.abc import Sequence

from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid, PriceGrid


def find_nonsense(
    orders: Sequence[Row], grid: PriceGrid, lots: LotGrid, most: int | None
) -> str | None:
    """What is wrong with the wanted *orders* of both sides, in words for the user; or None.

    *most* is how many orders there may be at a time, or None.
    """
    if most is not None and len(orders) > most:
        return f"{len(orders)} orders at a time, MAX_OPEN_ORDERS is {most}"
    for order in orders:
        reason = _objection(order, grid, lots)
        if reason:
            size, price = order.get("orderQty"), order.get("price", order.get("stopPx"))
            return f"{order.get('side')} {size} @ {price}, {reason}"
    limits = [order for order in orders if order.get("price") and order.get("stopPx") is None]
    buys = [float(order["price"]) for order in limits if order["side"] == "Buy"]
    sells = [float(order["price"]) for order in limits if order["side"] == "Sell"]
    if buys and sells and max(buys) >= min(sells):
        return f"Buy @ {max(buys):g} and Sell @ {min(sells):g}, which would trade with each other"
    return None


def _objection(order: Row, grid: PriceGrid, lots: LotGrid) -> str:
    if order.get("side") not in ("Buy", "Sell"):
        return "which has no side"
    size = order.get("orderQty")
    if not _is_positive(size) or not lots.contains(size):  # type: ignore[arg-type]
        return "a size that is no multiple of the lot size above 0"
    for name in ("price", "stopPx"):
        price = order.get(name)
        if price is not None and not (_is_positive(price) and grid.contains(price)):
            return "a price that is no multiple of the tick size above 0"
    return ""


def _is_positive(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0  # type: ignore[arg-type, operator]
