"""Stop and if-touched orders that wait for a price.

A stop to buy and a sale if touched fire when the price rises to their stopPx, the other two when
it falls to it. An order whose price is already there when it arrives fires at once. They stand
sorted by what fires them first, so that a price move looks at no more of them than it sets off.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import NamedTuple

from market_maker.simulator.events import Order

_NEAR = 0.05  # LastWithinMark: how far the last price may be from the mark


class Price(NamedTuple):
    """One of the prices that can trigger, as the ticks it has reached from either side."""

    rising: int  # all stops to buy up to here have been reached
    falling: int  # all stops to sell down to here have been reached


class _Entry(NamedTuple):
    rank: int  # ticks with the sign that puts what fires first in front
    number: int
    order: Order


class Triggers:
    """The waiting orders of one instrument."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, bool], list[_Entry]] = {}  # (price, on a rise) -> in order
        self._entries: dict[str, tuple[list[_Entry], _Entry]] = {}  # orderID -> where it stands
        self._number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, order: Order) -> None:
        assert order.stop_ticks is not None
        rises = is_set_off_by_a_rise(order)
        self._number += 1
        entry = _Entry(order.stop_ticks if rises else -order.stop_ticks, self._number, order)
        line = self._lines.setdefault((price_of(order), rises), [])
        insort(line, entry)
        self._entries[order.order_id] = line, entry

    def remove(self, order: Order) -> None:
        line, entry = self._entries.pop(order.order_id)
        del line[bisect_left(line, entry)]

    def resort(self) -> None:
        """Stand in line anew: every stopPx is on another grid."""
        waiting = [entry.order for _, entry in self._entries.values()]
        self._lines.clear()
        self._entries.clear()
        for order in waiting:
            self.add(order)

    def due(
        self, prices: Mapping[str, Price], last_price: float, mark_price: float
    ) -> Order | None:
        """The order that fires next at these prices, or None. It stays until it is removed."""
        for (name, rises), line in self._lines.items():
            reached = prices[name].rising if rises else -prices[name].falling
            for entry in line:
                if entry.rank > reached:
                    break
                order = entry.order
                if "LastWithinMark" not in order.exec_inst or _is_near(
                    order.side, last_price, mark_price
                ):
                    return order
        return None


def is_set_off_by_a_rise(order: Order) -> bool:
    return (order.side == "Buy") == order.ord_type.startswith("Stop")


def price_of(order: Order) -> str:
    """The price that triggers an order, by its execInst; the mark unless it says otherwise."""
    for name in ("LastPrice", "IndexPrice"):
        if name in order.exec_inst:
            return name
    return "MarkPrice"


def _is_near(side: str, last_price: float, mark_price: float) -> bool:
    if side == "Sell":
        return last_price >= mark_price * (1 - _NEAR)
    return last_price < mark_price * (1 + _NEAR)
