"""Places in the queue: which resting orders stay though their price is not the wanted one.

What a place is worth comes from Moallemi and Yuan, "A Model for Queue Position Valuation in a
Limit Order Book" (2016): an order in front is filled by everybody who trades, one behind by those
mostly who know more; between the two the worth falls with what is ahead.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid


class Place(NamedTuple):
    """Where a resting order stands."""

    rested_s: float  # since it came to this price
    ahead: float  # contracts of others before it, at most
    others: float  # contracts of others at its price


def is_worth_keeping(place: Place, gain_ticks: float, worth_ticks: float, rest_s: float) -> bool:
    """Whether the order stays: too young to move, or moving it gains less than its place is worth.

    *worth_ticks* is what the very front is worth over the very back.
    """
    if place.rested_s < rest_s:
        return True
    front = 1 - place.ahead / place.others if place.others > 0 else 1.0
    return worth_ticks > 0 and gain_ticks < worth_ticks * front


@dataclass(slots=True)
class _Standing:
    price_ticks: int
    since_s: float
    ahead: float


class Places:
    """Since when our orders rest where they are, and how much is ahead of them at most."""

    def __init__(self) -> None:
        self._standing: dict[str, _Standing] = {}  # orderID -> where it was seen

    def look(
        self,
        working: Iterable[Row],
        others_at: Callable[[str, int], float],
        grid: PriceGrid,
        now_s: float,
    ) -> dict[str, Place]:
        """The places of *working*. *others_at* tells what others show at a side's price in ticks.

        Who joins a price stands behind all that is there; what is ahead never grows, and is never
        more than what is left there.
        """
        seen: dict[str, _Standing] = {}
        found: dict[str, Place] = {}
        for row in working:
            order_id, price = row.get("orderID"), row.get("price")
            if not order_id or not price:
                continue
            ticks = grid.nearest(price)
            others = others_at(str(row["side"]), ticks)
            known = self._standing.get(order_id)
            if known is None or known.price_ticks != ticks:
                known = _Standing(ticks, now_s, others)
            known.ahead = min(known.ahead, others)
            seen[order_id] = known
            found[order_id] = Place(now_s - known.since_s, known.ahead, others)
        self._standing = seen
        return found


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
