"""Places in the queue: which resting orders stay though their price is not the wanted one.

What a place is worth comes from Moallemi and Yuan, "A Model for Queue Position Valuation in a
Limit Order Book" (2016): an order in front is filled by everybody who trades, one behind by those
mostly who know more; between the two the worth falls with what is ahead.
"""

from collections.abc import Callable, Iterable, Sequence

from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid


def is_worth_keeping(ratio: float, gain_ticks: float, worth_ticks: float) -> bool:
    """Whether moving an order gains less than its place is worth.

    *ratio* is the part of its level that stands before it (0 is the front, 1 the back or unknown),
    *worth_ticks* what the very front is worth over the very back.
    """
    return gain_ticks < worth_ticks * (1 - ratio)


class Rests:
    """Since when our orders rest at their prices."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, float]] = {}  # orderID -> price, time

    def look(self, working: Iterable[Row], now_s: float) -> dict[str, float]:
        """Seconds that each of *working* has been seen at its price."""
        seen = {}
        for row in working:
            order_id, price = row.get("orderID"), row.get("price")
            if order_id and price:
                known = self._since.get(order_id)
                seen[order_id] = known if known and known[0] == price else (price, now_s)
        self._since = seen
        return {order_id: now_s - since_s for order_id, (_, since_s) in seen.items()}


def keep_places(
    wanted: Sequence[Row],
    working: Sequence[Row],
    stays: Callable[[Row, float], bool],
    grid: PriceGrid,
) -> list[Row]:
    """The wanted orders, each at the price of the resting one in its place if that stays.

    *stays* tells of a resting order and the ticks to its wanted price. Cancels are not held up,
    and nothing stays where own quotes would meet.
    """
    result = list(wanted)
    for side, sign in (("Buy", 1), ("Sell", -1)):
        want = [(sign * grid.nearest(o["price"]), i) for i, o in enumerate(wanted)
                if o["side"] == side and o.get("price") and o.get("stopPx") is None]  # fmt: skip
        have = [(sign * grid.nearest(o["price"]), o) for o in working
                if o.get("side") == side and o.get("price") and o.get("orderID")]  # fmt: skip
        prices = {ticks for ticks, _ in want}
        standing = {ticks for ticks, _ in have}
        moves = sorted((w for w in want if w[0] not in standing), reverse=True)
        movers = [h for h in have if h[0] not in prices]
        movers.sort(key=lambda h: h[0], reverse=True)
        for (to, i), (at, order) in zip(moves, movers, strict=False):
            if stays(order, abs(to - at)):
                result[i] = {**wanted[i], "price": order["price"]}
    bids = [order["price"] for order in result if order["side"] == "Buy" and order.get("price")]
    asks = [order["price"] for order in result if order["side"] == "Sell" and order.get("price")]
    if bids and asks and max(bids) >= min(asks):
        return list(wanted)
    return result
