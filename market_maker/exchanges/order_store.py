"""The one truth about our orders, merged from answers, stream rows and queries.

Rules of the merge: the highest `cumQty` wins; at equal `cumQty` the later exchange time; a
terminal state is final; a late or repeated message changes nothing; one action is in flight per
order. What was sent without a usable answer is *unknown*: it counts as live, and keeps its
level taken, until it is settled.

The life of an order::

    intend_create ──▶ CREATING ──answer/row──▶ WORKING ◀──answer/row── AMENDING | CANCELLING
                         │  └─no answer─▶ UNKNOWN ──found──▶ WORKING       └─no answer─▶ UNKNOWN
                         └─refused─▶ gone        └─proven absent─▶ gone
    any ──terminal row──▶ DONE (remembered, so that late rows cannot revive it)
    any ──row with nothing left, neither filled nor ended──▶ UNKNOWN ──looked up──▶ WORKING | DONE
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from market_maker.exchanges.base import Result, Status
from market_maker.model.rows import TERMINAL, Row, is_live
from market_maker.model.ticks import SIZE_DECIMALS

_REMEMBERED = 5_000
_OUTCOMES = frozenset({"Replaced", "AmendReject"})  # what becomes of an amend only accepted


class Phase(Enum):
    """Where an order of ours stands, as far as we know."""

    CREATING = "creating"
    WORKING = "working"
    AMENDING = "amending"
    CANCELLING = "cancelling"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Tracked:
    """One order of ours. `worst_leaves` is the larger size while an amend is unproven."""

    row: Row
    phase: Phase
    worst_leaves: float = 0.0
    settle_after_s: float = 0.0  # monotonic: an unknown outcome is provable only after it
    misses: int = 0  # how often the exchange did not know it
    is_in_doubt: bool = False  # it was unknown before the cancel that is in flight

    @property
    def exposed_qty(self) -> float:
        leaves: float = self.row.get("leavesQty") or 0
        return max(leaves, self.worst_leaves)


class OrderStore:
    """Our orders of one symbol. `is_ours` tells ours from others' by client order id.

    Written under the lock of `LiveState`; reads copy first, so they need none.
    """

    def __init__(self, symbol: str, is_ours: Callable[[str], bool]) -> None:
        self.symbol = symbol
        self.is_ours = is_ours
        self.filled_qty = 0.0  # signed contracts filled by any order we saw; never reset
        self.traded_qty = 0.0  # ... and of both sides together
        self.image_time = ""  # the exchange's time of the last image of the position
        self.changes = 0  # grows whenever an order of ours may look different
        self.filled_orders = 0  # orders of ours that were filled, in part at least
        self.cancelled_unasked = 0  # resting orders that the exchange took out of its own accord
        self._resting: tuple[int, dict[str, list[Row]]] = (-1, {})  # as of that many changes
        self._live: dict[str, Tracked] = {}  # orderID -> order; clOrdID while that is unknown
        self._order_ids: dict[str, str] = {}  # clOrdID -> orderID, of live orders
        self._done: OrderedDict[str, float] = OrderedDict()  # orderIDs of finished orders
        self._seen_cum: OrderedDict[str, float] = OrderedDict()  # orderID -> cumQty counted

    # -- what we mean to do -------------------------------------------------------------

    def intend_create(self, row: Row) -> None:
        """Count *row* as live before its bytes go out, unless its order is here already."""
        if self.get(row["clOrdID"]) is not None:
            return
        qty = abs(row.get("orderQty") or 0)
        born = {
            **row,
            "orderQty": qty,
            "orderID": "",
            "ordStatus": "PendingNew",
            "leavesQty": qty,
            "cumQty": 0,
        }
        self._live[row["clOrdID"]] = Tracked(born, Phase.CREATING, qty)
        self.changes += 1

    def intend_amend(self, order_id: str, change: Row) -> bool:
        """Claim the order for an amend; False if it is gone or something is in flight."""
        tracked = self.get(order_id)
        if tracked is None or tracked.phase is not Phase.WORKING:
            return False
        filled: float = tracked.row.get("cumQty") or 0
        wanted: float = change.get("orderQty", tracked.row.get("orderQty")) or 0
        tracked.phase, tracked.worst_leaves = Phase.AMENDING, max(0, wanted - filled)
        return True

    def intend_cancel(self, order_id: str) -> bool:
        """Claim the order for a cancel; False if it is not ours to cancel any more."""
        tracked = self.get(order_id)
        if tracked is None or tracked.phase is Phase.CANCELLING:
            return False
        tracked.is_in_doubt = tracked.phase is Phase.UNKNOWN
        tracked.phase = Phase.CANCELLING
        return True

    # -- what came of it ----------------------------------------------------------------

    def settle(self, key: str, result: Result, settle_after_s: float) -> None:
        """Believe the answer to the action on order *key* (an orderID or clOrdID)."""
        tracked = self.get(key)
        if result.status is Status.OK:
            self.apply(result.row)
        if tracked is None or (result.status is Status.OK and tracked.phase is Phase.UNKNOWN):
            return  # gone, or in doubt by what its own row says
        was, tracked.phase = tracked.phase, Phase.WORKING
        if result.status is Status.UNKNOWN or (
            result.status is Status.ACCEPTED and was is not Phase.WORKING
        ):
            self._doubt(tracked, settle_after_s)
        elif not tracked.row.get("orderID") and result.status is not Status.OK:
            self._live.pop(key, None)
            self.changes += 1
        elif was is Phase.CANCELLING and tracked.is_in_doubt and result.status is not Status.OK:
            tracked.phase = Phase.UNKNOWN  # nothing has happened: it is as unknown as before
        else:
            tracked.worst_leaves = 0.0

    def apply(self, row: Row, *, is_latest: bool = False) -> bool:
        """Merge a row of the exchange, whether answer, stream or query; True if it was news.

        One that is known to be the latest may bear an earlier time: a clock may be set back."""
        self.count_fill(row)
        order_id, cl_ord_id = str(row.get("orderID") or ""), str(row.get("clOrdID") or "")
        if not order_id or order_id in self._done:
            return False
        tracked = self._live.get(order_id)
        if tracked is None:
            return self._adopt(order_id, cl_ord_id, row)
        if _is_stale(tracked.row, row, is_latest):
            return False
        changed = any(tracked.row.get(name) != value for name, value in row.items())
        if row.get("execType") in _OUTCOMES:
            tracked.phase, tracked.worst_leaves = Phase.WORKING, 0.0
        self._take(order_id, tracked, row)
        return changed

    def resolve(self, key: str, row: Row) -> None:
        """A query made after the request had expired shows *row*: nothing is unknown any more."""
        tracked = self.get(key)
        if self.image_time and _time(row) <= self.image_time:
            self.take_as_counted([row])  # what it filled before the image is in the position
        self.apply(row, is_latest=True)
        if tracked is not None:
            tracked.phase, tracked.worst_leaves = Phase.WORKING, 0.0
            order_id = str(tracked.row.get("orderID"))
            if row.get("leavesQty") == 0 and order_id in self._live:
                self._forget(order_id, tracked)  # asked for, it has nothing left: that is its end

    def prove_absent(self, key: str, look_again_s: float = -math.inf) -> bool:
        """The exchange did not know an unknown order. True once that is proof: the second time,
        which is not before *look_again_s* (monotonic)."""
        tracked = self.get(key)
        if tracked is None:
            return True
        tracked.misses += 1
        if tracked.misses < 2:
            tracked.settle_after_s = look_again_s
            return False
        self._forget(key, tracked)
        return True

    def doubt_amend(self, order_id: str, change: Row, settle_after_s: float) -> None:
        """An amend that an earlier run sent may still arrive."""
        if self.intend_amend(order_id, change):
            self._doubt(self._live[order_id], settle_after_s)

    def doubt_in_flight(self, settle_after_s: float) -> None:
        """Nobody waits for answers any more: what is still in flight has an unknown outcome."""
        for tracked in list(self._live.values()):
            if tracked.phase is Phase.CREATING:
                self._doubt(tracked, settle_after_s)

    def resync(self, open_rows: list[Row]) -> None:
        """Compare with a list of all open orders.

        What it does not show may have ended, or may be newer than the list: it is looked up.
        """
        listed = {str(row.get("orderID")) for row in open_rows}
        for order_id, tracked in list(self._live.items()):
            is_settled = tracked.phase in (Phase.WORKING, Phase.CANCELLING)
            if is_settled and order_id not in listed:
                self._doubt(tracked, -math.inf)
        for row in open_rows:
            self.apply(row)

    def take_as_counted(self, rows: Iterable[Row]) -> None:
        """The fills these rows show are in the position already, as in a data image."""
        for row in rows:
            order_id, cum = str(row.get("orderID") or ""), row.get("cumQty") or 0
            if order_id and cum > self._seen_cum.get(order_id, 0):
                self._seen_cum[order_id] = cum
        self._trim(self._seen_cum)

    def count_fill(self, row: Row) -> None:
        """A fill counts from the first message that shows it, whichever that is."""
        order_id, cum = str(row.get("orderID") or ""), row.get("cumQty")
        if not order_id or not cum or row.get("symbol") not in (None, self.symbol):
            return
        more = cum - self._seen_cum.get(order_id, 0)
        if more > 0:
            if not self._seen_cum.get(order_id) and self.is_ours(str(row.get("clOrdID") or "")):
                self.filled_orders += 1
            self._seen_cum[order_id] = cum
            signed = more if row.get("side") == "Buy" else -more
            self.filled_qty = round(self.filled_qty + signed, SIZE_DECIMALS)
            self.traded_qty = round(self.traded_qty + more, SIZE_DECIMALS)
            self._trim(self._seen_cum)

    # -- what we know -------------------------------------------------------------------

    def get(self, key: str) -> Tracked | None:
        """The live order with this orderID or clOrdID."""
        return self._live.get(self._order_ids.get(key, key))

    def has_seen(self, order_id: str) -> bool:
        """Whether an order of this id is live, has ended or was filled since we look."""
        return order_id in self._live or order_id in self._done or order_id in self._seen_cum

    def filled_in_the_end(self, order_id: str) -> float | None:
        """The `cumQty` of an order that has ended, or None if we do not know that it has."""
        return self._seen_cum.get(order_id, 0.0) if order_id in self._done else None

    def open_orders(self, side: str = "") -> list[Row]:
        """Orders the exchange is known to hold, as copies, in order of their arrival."""
        return [dict(row) for row in self.resting(side)]

    def resting(self, side: str = "") -> list[Row]:
        """The same rows themselves: they are replaced when something happens, never edited."""
        known, rows = self._resting
        if known != self.changes:
            known, live = self.changes, [tracked.row for tracked in list(self._live.values())]
            every = [row for row in live if row.get("orderID") and is_live(row)]
            rows = {s: [row for row in every if row.get("side") == s] for s in ("Buy", "Sell")}
            rows[""] = every
            self._resting = known, rows
        return list(rows[side])

    def unproven(self) -> list[Row]:
        """Orders sent of which the exchange has shown nothing yet; they hold their level."""
        return [dict(t.row) for t in list(self._live.values()) if not t.row.get("orderID")]

    def unknown(self) -> Iterator[tuple[str, Tracked]]:
        """Orders with an action of unknown outcome."""
        for key, tracked in list(self._live.items()):
            if tracked.phase is Phase.UNKNOWN:
                yield key, tracked

    def exposed(self, side: str) -> float:
        """Contracts on *side* that may still trade, at their larger size while in doubt."""
        return sum(t.exposed_qty for t in list(self._live.values()) if t.row.get("side") == side)

    def __len__(self) -> int:
        return len(self._live)

    # -- within -------------------------------------------------------------------------

    def _adopt(self, order_id: str, cl_ord_id: str, row: Row) -> bool:
        """The first row that shows this orderID."""
        tracked = self._live.pop(cl_ord_id, None)
        if tracked is None:
            if not self.is_ours(cl_ord_id):
                return False
            tracked = Tracked(dict(row), Phase.WORKING)
        # Any row proves that an order was created; an amend of unknown outcome needs `resolve`.
        tracked.phase, tracked.worst_leaves = Phase.WORKING, 0.0
        self._live[order_id] = tracked
        if cl_ord_id:
            self._order_ids[cl_ord_id] = order_id
        self._take(order_id, tracked, row)
        return order_id in self._live

    def _take(self, order_id: str, tracked: Tracked, row: Row) -> None:
        was_resting = bool(tracked.row.get("orderID")) and tracked.phase is not Phase.CANCELLING
        tracked.row = {**tracked.row, **row}
        self.cancelled_unasked += was_resting and tracked.row.get("ordStatus") == "Canceled"
        is_empty, unfilled = tracked.row.get("leavesQty") == 0, _unfilled(tracked.row)
        if tracked.row.get("ordStatus") in TERMINAL or (is_empty and unfilled <= 0):
            self._forget(order_id, tracked)  # a late row must not bring it to life
        elif is_empty:
            # Neither filled nor ended: that cannot be. It counts as live until it is looked up.
            tracked.row["leavesQty"] = unfilled
            self._doubt(tracked, -math.inf)
        self.changes += 1  # last: whoever reads by it must not miss what it stands for

    def _doubt(self, tracked: Tracked, settle_after_s: float) -> None:
        tracked.phase = Phase.UNKNOWN
        tracked.settle_after_s, tracked.misses = settle_after_s, 0

    def _forget(self, key: str, tracked: Tracked) -> None:
        self._live.pop(key, None)
        self.changes += 1
        self._order_ids.pop(str(tracked.row.get("clOrdID") or ""), None)
        if tracked.row.get("orderID"):
            self._done[key] = 0.0
            self._trim(self._done)

    def _trim(self, memory: OrderedDict[str, float]) -> None:
        """Forget the oldest, but never what concerns a live order."""
        while len(memory) > _REMEMBERED + len(self._live):
            order_id, value = memory.popitem(last=False)
            if order_id in self._live:
                memory[order_id] = value


def _unfilled(row: Row) -> float:
    """What is left of the order's size by its fills alone."""
    size, filled = row.get("orderQty") or 0, row.get("cumQty") or 0
    return round(size - filled, SIZE_DECIMALS)


def _is_stale(known: Row, row: Row, is_latest: bool) -> bool:
    """Whether *row* tells of an earlier moment than *known*."""
    old_cum, new_cum = known.get("cumQty") or 0, row.get("cumQty")
    if new_cum is not None and new_cum != old_cum:
        return bool(new_cum < old_cum)
    if known.get("ordStatus") in TERMINAL:
        return True
    if is_latest or row.get("ordStatus") in TERMINAL:
        return False  # nothing comes after it, even where the exchange's clock was turned back
    old_time, new_time = _time(known), _time(row)
    return bool(old_time and new_time and new_time < old_time)


def _time(row: Row) -> str:
    """ISO-8601 UTC of the engine; equal formats compare as text."""
    return str(row.get("timestamp") or row.get("transactTime") or "")
