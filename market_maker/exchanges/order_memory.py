"""What is known of orders by their id, without end only where an order has none."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

from market_maker.model.rows import TERMINAL, Row

V = TypeVar("V")

_MOST = 2_000


class OrderMemory(Generic[V]):
    """One value for each order. Of those that have ended the last *most* are kept, for what is
    told late; an order that rests is never forgotten, however old it is."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._resting: dict[str, V] = {}
        self._ended: OrderedDict[str, V] = OrderedDict()

    def get(self, key: str) -> V | None:
        known = self._resting.get(key)
        return self._ended.get(key) if known is None else known

    def __contains__(self, key: str) -> bool:
        return key in self._resting or key in self._ended

    def __len__(self) -> int:
        return len(self._resting) + len(self._ended)

    def put(self, key: str, value: V, *, rests: bool) -> None:
        self._resting.pop(key, None)
        self._ended.pop(key, None)
        if rests:
            self._resting[key] = value
            return
        self._ended[key] = value
        if len(self._ended) > self._most:
            self._ended.popitem(last=False)


class Shown:
    """Which orders have a row above already; *rows* are the first."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._orders: OrderMemory[None] = OrderMemory()
        for row in rows:
            self.action(row)

    def action(self, row: Row) -> str:
        """How the order's row goes into the table: by "insert" the first time, then "update"."""
        is_known = row["orderID"] in self._orders
        self._orders.put(row["orderID"], None, rests=row["ordStatus"] not in TERMINAL)
        return "update" if is_known else "insert"
