"""The touch of the others: the book with our own orders taken out.

Whoever joins the touch, or reckons a fair price from it, would else follow and outbid himself.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from market_maker.model.order_book import Level
from market_maker.model.rows import Row


class Touch(NamedTuple):
    """The best price and its size (contracts) on each side; None and 0 where there is none."""

    bid: float | None
    bid_size: float
    ask: float | None
    ask_size: float

    @property
    def mid(self) -> float | None:
        """Between bid and ask."""
        if self.bid is None or self.ask is None:
            return None
        return (self.bid + self.ask) / 2


def touch_of_others(levels: Iterable[Row], own: Iterable[Row]) -> Touch:
    """The touch of *levels* (`side, price, size`) without *own* orders.

    Several rows of one price count together. For the moment in which the book does not show an
    order of ours yet, the others at its price seem to be fewer than they are.
    """
    sizes = _sizes_of_others(levels, own)
    bids = [(price, size) for (side, price), size in sizes.items() if side == "Buy" and size > 0]
    asks = [(price, size) for (side, price), size in sizes.items() if side == "Sell" and size > 0]
    bid, bid_size = max(bids, default=(None, 0.0))
    ask, ask_size = min(asks, default=(None, 0.0))
    return Touch(bid, bid_size, ask, ask_size)


def _sizes_of_others(levels: Iterable[Row], own: Iterable[Row]) -> dict[tuple[str, float], float]:
    """What others show at each side and price of *levels*."""
    sizes: dict[tuple[str, float], float] = {}
    for level in levels:
        key = (str(level.get("side")), float(level.get("price") or 0))
        sizes[key] = sizes.get(key, 0.0) + float(level.get("size") or 0)
    for order in own:
        key = (str(order.get("side")), float(order.get("price") or 0))
        if key in sizes:
            sizes[key] -= _shown(order)
    return sizes


def best_prices(orders: Iterable[Row]) -> tuple[float | None, float | None]:
    """The highest price of the buys among *orders* and the lowest of the sells, or None."""
    priced = [order for order in orders if order.get("price")]
    bids = [order["price"] for order in priced if order.get("side") == "Buy"]
    asks = [order["price"] for order in priced if order.get("side") == "Sell"]
    return max(bids, default=None), min(asks, default=None)


def best_of_others(levels: Iterable[Level], own: Mapping[int, float]) -> int | None:
    """The first of *levels*, from the touch outward, that is not only ours; in ticks.

    *own*: contracts of ours by their price.
    """
    return next((ticks for ticks, size in levels if size > own.get(ticks, 0)), None)


def _shown(order: Row) -> float:
    """Contracts of *order* that the book shows."""
    leaves = float(order.get("leavesQty") or 0)
    displayed = order.get("displayQty")
    return leaves if displayed is None else min(leaves, float(displayed))
