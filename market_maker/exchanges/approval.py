"""The first step of the gateway: which orders may go out, judged by what we believe now."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from market_maker.exchanges.base import Capabilities
from market_maker.exchanges.order_store import Phase
from market_maker.exchanges.state import LiveState
from market_maker.model.rows import LATE_AMEND, Row, opposite
from market_maker.model.ticks import LotGrid, PriceGrid
from market_maker.quoting.filters import breach, special
from market_maker.quoting.limits import (
    Approved,
    Exposure,
    OrderLimits,
    PositionLimits,
    Refused,
    check_order,
    check_position,
    increase,
    is_reducing,
    sellable,
)

Verdict = Approved | Refused

# Columns that the exchange reports and nobody asks for; a row that came back may be sent again.
_REPORTED = frozenset(
    ("orderID", "leavesQty", "cumQty", "avgPx", "ordStatus", "ordRejReason", "workingIndicator")
)


_NOISE = 1e-9  # of sums of floats


class Limits(NamedTuple):
    """All that bounds orders, as the settings have it now."""

    position: PositionLimits = PositionLimits()
    order: OrderLimits = OrderLimits()


def approve_creates(
    orders: Sequence[Row], state: LiveState, limits: Limits, halt: str, caps: Capabilities
) -> list[Verdict]:
    """Judge new orders, each on top of those approved before it."""
    judge = _Judge(state, limits, halt)
    with state.lock:
        held, ours = state.orders.unproven(), state.orders.resting()
    verdicts: list[Verdict] = []
    for order in orders:
        side = side_of(order)
        wire = {name: value for name, value in order.items() if name not in _REPORTED}
        with state.lock:
            is_known = state.orders.get(str(order.get("clOrdID"))) is not None
        reason = _kind_objection(order, caps) or judge.object_to_any(order)
        reason = reason or judge.object_to_one_more(order)
        reason = reason or _size_objection(order) or ("Duplicate clOrdID" if is_known else "")
        reason = reason or _level_objection(order, side, held, ours)
        qty = abs(order.get("orderQty") or 0)
        reason = reason or _meets(side, order.get("price"), judge.approved)
        reason = reason or judge.object_to(order, qty)
        added = 0.0 if reason else increase(order, qty)
        verdicts.append(judge.rule(wire, side, added, reason))
        if isinstance(verdicts[-1], Approved):
            judge.open_orders += 1
            judge.approved.append({"side": side, "price": order.get("price")})
    return verdicts


def approve_amends(
    changes: Sequence[Row], state: LiveState, limits: Limits, halt: str
) -> list[Verdict]:
    """Judge changes of our orders; one that is gone reads `Invalid ordStatus` on every venue."""
    judge = _Judge(state, limits, halt)
    verdicts: list[Verdict] = []
    with state.lock:
        known = [state.orders.get(str(change.get("orderID"))) for change in changes]
    for change, tracked in zip(changes, known, strict=True):
        if tracked is None:
            verdicts.append(Refused(change, LATE_AMEND))
            continue
        if tracked.phase is not Phase.WORKING:
            verdicts.append(Refused(change, "another action on it is in flight"))
            continue
        row, wire = tracked.row, dict(change)
        filled: float = row.get("cumQty") or 0
        if "leavesQty" in wire:  # the remainder; said as the total, a repeated amend is harmless
            wire.setdefault("orderQty", filled + wire.pop("leavesQty"))
            wire.pop("leavesQty", None)
        total: float = wire.get("orderQty", row.get("orderQty")) or 0
        becomes = {name: wire.get(name, row.get(name)) for name in ("price", "stopPx")}
        reason = judge.object_to_any({**becomes, "orderQty": total, "side": row.get("side")})
        changed = {**wire, "execInst": row.get("execInst")}
        reason = reason or judge.object_to(changed, total - filled)
        added = 0.0 if reason else increase(row, total - filled, tracked.exposed_qty)
        verdicts.append(judge.rule(wire, str(row.get("side")), added, reason))
    return verdicts


class _Judge:
    """Rules on one order after the other, each on top of those approved before it; the market
    and our orders are read once."""

    def __init__(self, state: LiveState, limits: Limits, halt: str) -> None:
        self._limits = limits
        with state.lock:
            state.drain()
            low, high = state.position_range()
            buys, sells = state.orders.exposed("Buy"), state.orders.exposed("Sell")
            self.open_orders = len(state.orders)
            instrument = state.instrument() or {}
            self._sellable = sellable(instrument, state.position() or {}, low)
            self._halt = halt or ("" if state.ready else "the market data is not complete")
        self.approved: list[Row] = []  # new orders of this batch
        self._exposure = Exposure(high, low, buys, sells)
        self._instrument, self._mark_price = instrument, instrument.get("markPrice")
        tick_size, lot_size = instrument.get("tickSize"), instrument.get("lotSize")
        self._grid = PriceGrid.of(tick_size) if tick_size else None
        self._lots = LotGrid.of(lot_size) if lot_size else None

    def object_to_any(self, order: Row) -> str:
        """What speaks against any order: no sane price or size, or a market we cannot see."""
        if self._halt:
            return self._halt
        for name in ("price", "stopPx"):
            price = order.get(name)
            if price is not None and not _is_on_grid(price, self._grid):
                return f"{name} {price} is no multiple of the tick size"
        qty = order.get("orderQty")
        if qty is not None and not _is_on_lot(qty, self._lots):
            return f"orderQty {qty} is no multiple of the lot size"
        return breach(order, self._instrument)

    def object_to(self, order: Row, open_qty: float) -> str:
        """What speaks against the size or the price of *order*."""
        return check_order(order, open_qty, self._mark_price, self._limits.order)

    def object_to_one_more(self, order: Row) -> str:
        """Whether there are too many orders already; one that reduces may come on top."""
        most = self._limits.order.max_open
        is_full = most is not None and self.open_orders >= most and not is_reducing(order)
        return f"there are {most} open orders, as many as MAX_OPEN_ORDERS" if is_full else ""

    def rule(self, order: Row, side: str, added: float, objection: str) -> Verdict:
        if objection:
            return Refused(order, objection)
        least, offered = self._sellable, self._exposure.sells + added
        if added > 0 and side == "Sell" and least is not None and offered > least + _NOISE:
            return Refused(order, f"would offer {offered:.8g} where there is only {least:.8g}")
        verdict = check_position(order, side, added, self._exposure, self._limits.position)
        if added and isinstance(verdict, Approved):
            name = "buys" if side == "Buy" else "sells"
            grown = getattr(self._exposure, name) + added
            self._exposure = self._exposure._replace(**{name: grown})
        return verdict


def side_of(order: Row) -> str:
    """BitMEX's rule: the side given, else the sign of the size."""
    return str(order.get("side") or ("Sell" if (order.get("orderQty") or 0) < 0 else "Buy"))


def _level_objection(order: Row, side: str, held: Sequence[Row], resting: Sequence[Row]) -> str:
    """What speaks against a new order where it would stand."""
    price = order.get("price")
    if any(row.get("side") == side and row.get("price") == price for row in held):
        return "an order at this price may be live already"
    return _meets(side, price, resting)


def _meets(side: str, price: float | None, others: Sequence[Row]) -> str:
    """Whether an order would trade with one of *others*: exchanges do not prevent it."""
    facing = [o["price"] for o in others if o.get("price") and o.get("side") == opposite(side)]
    if not price or not facing:
        return ""
    nearest = min(facing) if side == "Buy" else max(facing)
    would = price >= nearest if side == "Buy" else price <= nearest
    return f"it would trade with our own order at {nearest}" if would else ""


def _kind_objection(order: Row, caps: Capabilities) -> str:
    """What speaks against a kind of order that the venue, or our connector to it, does not have."""
    found = "" if caps.every_kind else special(order, caps.reduce_only)
    return f"the bot has no {found} at this exchange" if found else ""


def _size_objection(order: Row) -> str:
    """What speaks against the size of a new order as it is written."""
    qty = order.get("orderQty")
    if qty is None and not is_reducing(order):
        return "an order without orderQty"
    if qty is not None and qty < 0 and order.get("side"):
        return f"orderQty {qty} has a sign although a side is given"
    return ""


def _is_on_grid(price: object, grid: PriceGrid | None) -> bool:
    if not isinstance(price, int | float) or not math.isfinite(price) or price <= 0:
        return False
    return grid is None or grid.contains(price)


def _is_on_lot(qty: object, lots: LotGrid | None) -> bool:
    if not isinstance(qty, int | float) or not math.isfinite(qty) or qty == 0:
        return False
    return lots is None or lots.contains(abs(qty))
