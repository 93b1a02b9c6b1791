"""Pegged orders: a price or a trigger price given by its distance from the market.

`PrimaryPeg` and `MarketPeg` set the limit price once, from the near or the far touch. A
`TrailingStopPeg` sets the stopPx from the price that triggers the order and follows it while the
market moves away: at most once a second, and only after a move of more than 0.1 %.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from market_maker.model.ticks import PriceGrid
from market_maker.simulator.entry import Refused, read_number
from market_maker.simulator.events import Order
from market_maker.simulator.triggers import is_set_off_by_a_rise

TRAILING = "TrailingStopPeg"
_PAUSE_S = 1.0
_MOVE = 0.001
_FAR = 1e9  # beyond all prices


def peg_limit(order: Order, bid_ticks: int | None, ask_ticks: int | None, grid: PriceGrid) -> None:
    """Set the limit price of a pegged order from the touch."""
    is_near = order.extra["pegPriceType"] == "PrimaryPeg"
    touch = bid_ticks if (order.side == "Buy") == is_near else ask_ticks
    ticks = 0 if touch is None else touch + read_offset(order.extra["pegOffsetValue"] or 0, grid)
    if ticks <= 0:
        raise Refused("Invalid price")  # nothing to peg it to, or an offset beyond all prices
    order.price_ticks = ticks


def peg_stop(order: Order, offset: Any, reference: float, grid: PriceGrid) -> int:
    """The stopPx in ticks of a trailing stop, with the market at *reference*."""
    distance = read_offset(offset, grid)
    rises = is_set_off_by_a_rise(order)
    if not distance or (distance > 0) != rises:
        raise Refused("Invalid pegOffsetValue for pegPriceType")
    ticks = _away(reference, distance, grid)
    if ticks <= 0:
        raise Refused("Invalid pegOffsetValue for pegPriceType")
    return ticks


def _away(reference: float, distance: int, grid: PriceGrid) -> int:
    """The tick *distance* away from *reference*, rounded towards it."""
    return (grid.bid_ticks(reference) if distance > 0 else grid.ask_ticks(reference)) + distance


def read_offset(given: Any, grid: PriceGrid) -> int:
    """A pegOffsetValue in ticks."""
    offset = read_number(given, "Invalid pegOffsetValue for pegPriceType")
    if not abs(offset) <= _FAR:
        raise Refused("Invalid pegOffsetValue for pegPriceType")
    ticks = grid.exact(offset)
    if ticks is None:
        raise Refused("Invalid pegOffsetValue tickSize")
    return ticks


def is_trailing(order: Order) -> bool:
    return order.extra.get("pegPriceType") == TRAILING


@dataclass(slots=True)
class _Trail:
    order: Order
    reference: float  # the market when the stopPx was last set
    set_s: float


class Trails:
    """The trailing stops of one instrument that still wait."""

    def __init__(self) -> None:
        self._trails: dict[str, _Trail] = {}  # orderID -> what it follows

    def __bool__(self) -> bool:
        return bool(self._trails)

    def add(self, order: Order, reference: float, now_s: float) -> None:
        self._trails[order.order_id] = _Trail(order, reference, now_s)

    def discard(self, order: Order) -> None:
        self._trails.pop(order.order_id, None)

    def moved(
        self, market: Callable[[Order], float], now_s: float, grid: PriceGrid
    ) -> Iterable[tuple[Order, int]]:
        """The orders whose stopPx follows the *market* now, and where to (in ticks)."""
        for trail in list(self._trails.values()):
            order, reference = trail.order, market(trail.order)
            if now_s - trail.set_s < _PAUSE_S:
                continue
            if abs(reference / trail.reference - 1) <= _MOVE:
                continue
            distance = read_offset(order.extra["pegOffsetValue"], grid)
            ticks = _away(reference, distance, grid)
            assert order.stop_ticks is not None
            if ticks < order.stop_ticks if distance > 0 else ticks > order.stop_ticks:
                trail.reference, trail.set_s = reference, now_s
                yield order, ticks
