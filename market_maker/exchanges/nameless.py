"""Whose order is whose where a venue takes no client order ids.

One create is in flight per side. A create without an answer is found again by side, price, size
and time among the open orders and the fills of orders that nobody has named; found twice over,
it is ambiguous, and everything on that side is cancelled.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from market_maker.exchanges.poller import time_of
from market_maker.model.rows import Row

SKEW_S = 2.0  # how far the venue's times may lie before the moment of sending


class Names(Protocol):
    """Where it is written down which clOrdID an orderID goes by: a journal."""

    def client_id_of(self, order_id: str) -> str:
        """The clOrdID of the order, or an empty text."""

    def name_order(self, cl_ord_id: str, order_id: str) -> None: ...

    def created(self, cl_ord_id: str) -> tuple[Row, float] | None:
        """What was sent under that id, and when (Unix seconds)."""


class Ambiguous(Exception):
    """More than one order may be the one that was sent. `side` is theirs."""

    def __init__(self, side: str) -> None:
        super().__init__(f"more than one order may be ours on side {side}")
        self.side = side


class Pending(NamedTuple):
    """A create that may have reached the venue."""

    cl_ord_id: str
    side: str
    price: float | None
    qty: float
    sent_s: float  # Unix seconds by the venue's clock


class Nameless:
    """Gives the venue's orders our names. *now* is the venue's time in Unix seconds; a request
    that is older than *expiry_s* can no longer arrive."""

    def __init__(self, now: Callable[[], float], expiry_s: float) -> None:
        self.names: Names = _Notebook()
        self._now, self._expiry_s = now, expiry_s
        self._missed: set[str] = set()  # clOrdIDs not found once since they expired
        self._pending: dict[str, Pending] = {}  # side -> the create in flight or unanswered

    def begin(self, order: Row, side: str) -> str:
        """Claim *side* for a create; a text says why it must wait."""
        if side in self._pending:
            return "an order of this side without an answer comes first"
        qty = abs(float(order["orderQty"]))
        sent_s = self._now()
        self._pending[side] = Pending(str(order["clOrdID"]), side, order.get("price"), qty, sent_s)
        return ""

    def settle(self, side: str, order_id: str = "") -> None:
        """The create of *side* is answered: refused, or taken under *order_id*."""
        pending = self._pending.pop(side, None)
        if pending is not None and order_id:
            self.names.name_order(pending.cl_ord_id, order_id)

    def is_early(self, fill: Row) -> bool:
        """Whether a fill may belong to a create that is not answered yet."""
        return fill.get("side") in self._pending and not self.named(str(fill["orderID"]))

    def named(self, order_id: str) -> str:
        return self.names.client_id_of(order_id)

    def name(self, rows: Iterable[Row]) -> list[Row]:
        """*rows* with the clOrdID of each order that we know."""
        return [{**row, "clOrdID": self.named(str(row["orderID"]))} for row in rows]

    def sent_s(self, cl_ord_id: str) -> float:
        """When the create was sent, at the latest; now where nothing is known of it."""
        pending = self._recall(cl_ord_id)
        return min(pending.sent_s, self._now()) if pending else self._now()

    def find(self, cl_ord_id: str, orders: Sequence[Row], fills: Sequence[Row]) -> str:
        """The orderID that *cl_ord_id* must have, or an empty text; raises Ambiguous.

        *fills* were read after *orders*. What is found is named; where nothing is, the side
        stays claimed until the venue was seen without the order twice after its expiry.
        """
        pending = self._recall(cl_ord_id)
        if pending is None:
            return ""
        found = {row["orderID"] for row in orders if self._may_be(pending, row)}
        found |= self._filled_matches(pending, orders, fills)
        if len(found) > 1:
            raise Ambiguous(pending.side)
        order_id = str(next(iter(found), ""))
        if order_id:
            self.names.name_order(cl_ord_id, order_id)
            self.forget(cl_ord_id)
        elif self._now() >= pending.sent_s + self._expiry_s:
            if cl_ord_id in self._missed:
                self.forget(cl_ord_id)
            else:
                self._missed.add(cl_ord_id)
        return order_id

    def forget(self, cl_ord_id: str) -> None:
        """The create is no longer in doubt: its side is free."""
        self._missed.discard(cl_ord_id)
        self._pending = {s: p for s, p in self._pending.items() if p.cl_ord_id != cl_ord_id}

    def _recall(self, cl_ord_id: str) -> Pending | None:
        for pending in self._pending.values():
            if pending.cl_ord_id == cl_ord_id:
                return pending
        written = self.names.created(cl_ord_id)  # by a run before this one
        if written is None:
            return None
        order, sent_s = written
        side = str(order.get("side") or ("Sell" if order["orderQty"] < 0 else "Buy"))
        qty = abs(float(order["orderQty"]))
        pending = Pending(cl_ord_id, side, order.get("price"), qty, sent_s)
        return self._pending.setdefault(side, pending) if side not in self._pending else pending

    def _may_be(self, pending: Pending, row: Row) -> bool:
        return (
            row.get("side") == pending.side
            and row.get("price") == pending.price
            and row.get("orderQty") == pending.qty
            and time_of(row) >= pending.sent_s - SKEW_S
            and not self.named(str(row["orderID"]))
        )

    def _filled_matches(
        self, pending: Pending, orders: Sequence[Row], fills: Sequence[Row]
    ) -> set[str]:
        """Orders that are open no more whose fills could be those of *pending*."""
        listed = {row["orderID"] for row in orders}
        filled: dict[str, float] = {}
        for fill in fills:
            order_id = str(fill["orderID"])
            if order_id in listed or fill.get("side") != pending.side or self.named(order_id):
                continue
            if time_of(fill) < pending.sent_s - SKEW_S:
                continue
            is_worse = pending.price is not None and (
                fill["lastPx"] > pending.price
                if pending.side == "Buy"
                else fill["lastPx"] < pending.price
            )
            if not is_worse:
                filled[order_id] = filled.get(order_id, 0) + fill["lastQty"]
        return {order_id for order_id, qty in filled.items() if qty <= pending.qty}


class _Notebook:
    """Names that last as long as the process."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def client_id_of(self, order_id: str) -> str:
        return self._names.get(order_id, "")

    def name_order(self, cl_ord_id: str, order_id: str) -> None:
        self._names[order_id] = cl_ord_id

    def created(self, cl_ord_id: str) -> tuple[Row, float] | None:
        del cl_ord_id
        return None
