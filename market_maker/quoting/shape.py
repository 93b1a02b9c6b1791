"""Move and resize wanted quotes, and keep them on the passive side and apart."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid, PriceGrid


class Shift(NamedTuple):
    """How far the quotes of each side move, in price; above 0 is upwards."""

    bids: float = 0.0
    asks: float = 0.0


def is_quote(order: Row, bid: float, ask: float) -> bool:
    """Whether it is a plain order that rests: no stop, none that closes, none meant to take."""
    price = order.get("price")
    if price is None or order.get("stopPx") is not None:
        return False
    if order.get("ordType") not in (None, "Limit"):
        return False
    if any(word in str(order.get("execInst") or "") for word in ("ReduceOnly", "Close")):
        return False
    return bool(price < ask if order.get("side") == "Buy" else price > bid)


def move_quotes(
    orders: Sequence[Row], shift: Shift, bid: float, ask: float, grid: PriceGrid
) -> list[Row]:
    """The quotes moved: bids rounded down and below *ask*, asks rounded up and above *bid*.

    Where the touch stops a side, levels further out stay a tick behind each other. What would
    have no price above 0 is left out.
    """
    result = list(orders)
    for side, sign, by, touch in (
        ("Buy", 1, shift.bids, ask),
        ("Sell", -1, shift.asks, bid),
    ):  # signed ticks grow towards the market
        round_away = grid.bid_ticks if side == "Buy" else grid.ask_ticks
        limit = sign * grid.nearest(touch) - 1
        before = None
        quotes = [
            (sign * grid.nearest(order["price"]), i)
            for i, order in enumerate(orders)
            if order["side"] == side
        ]
        for old, i in sorted(quotes, reverse=True):
            if before is not None and old < before:
                limit -= 1
            before = old
            limit = min(limit, sign * round_away(orders[i]["price"] + by))
            result[i] = {**orders[i], "price": grid.price(sign * limit)}
    return [order for order in result if order["price"] > 0]


def resize_quotes(
    orders: Sequence[Row], factor: Callable[[str], float], lots: LotGrid, most: float | None
) -> list[Row]:
    """The quotes, *factor* of their side times as large, rounded to the lot and none above *most*;
    what comes to nothing is left out."""
    result = []
    for order in orders:
        qty = order["orderQty"] * factor(order["side"])
        qty = lots.nearest(qty if most is None else min(qty, most))
        if qty > 0:
            result.append({**order, "orderQty": qty})
    return result
