"""The first step of the gateway: which orders may go out, judged by what we believe now."""

import math
from collections.abc import Sequence

from market_maker.exchanges.order_store import Phase
from market_maker.exchanges.state import LiveState
from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid, PriceGrid
from market_maker.quoting.limits import (
    Approved,
    Exposure,
    PositionLimits,
    Refused,
    check_position,
    increase,
)

Verdict = Approved | Refused


def approve_creates(
    orders: Sequence[Row], state: LiveState, limits: PositionLimits, halt: str
) -> list[Verdict]:
    """Judge new orders, each on top of those approved before it."""
    verdicts: list[Verdict] = []
    exposure = _exposure(state)
    for order in orders:
        side, added = side_of(order), increase(order, 0)
        reason = _objection(order, state, halt) or _level_objection(order, side, state)
        verdict = (
            Refused(order, reason)
            if reason
            else check_position(order, side, added, exposure, limits)
        )
        if isinstance(verdict, Approved):
            exposure = _grown(exposure, side, added)
        verdicts.append(verdict)
    return verdicts


def approve_amends(
    changes: Sequence[Row], state: LiveState, limits: PositionLimits, halt: str
) -> list[Verdict]:
    """Judge changes of our orders; one that is gone reads `Invalid ordStatus` on every venue."""
    verdicts: list[Verdict] = []
    exposure = _exposure(state)
    for change in changes:
        with state.lock:
            tracked = state.orders.get(str(change.get("orderID")))
        if tracked is None:
            verdicts.append(Refused(change, "Invalid ordStatus"))
            continue
        if tracked.phase is not Phase.WORKING:
            verdicts.append(Refused(change, "another action on it is in flight"))
            continue
        side, row = tracked.row["side"], tracked.row
        total: float = change.get("orderQty") or row.get("orderQty") or 0
        wanted = {**row, **change, "orderQty": total, "leavesQty": total - (row["cumQty"] or 0)}
        added = increase(wanted, tracked.exposed_qty)
        reason = _objection(wanted, state, halt)
        verdict = (
            Refused(change, reason)
            if reason
            else check_position(change, side, added, exposure, limits)
        )
        if isinstance(verdict, Approved):
            exposure = _grown(exposure, side, added)
        verdicts.append(verdict)
    return verdicts


def side_of(order: Row) -> str:
    """BitMEX's rule: the side given, else the sign of the size."""
    return str(order.get("side") or ("Sell" if (order.get("orderQty") or 0) < 0 else "Buy"))


def _objection(order: Row, state: LiveState, halt: str) -> str:
    """What speaks against any order: no sane price or size, or a market we cannot see."""
    if halt:
        return halt
    if not state.ready:
        return "the market data is not complete"
    instrument = state.instrument() or {}
    for name in ("price", "stopPx"):
        price = order.get(name)
        if price is not None and not _is_on_grid(price, instrument.get("tickSize")):
            return f"{name} {price} is no multiple of the tick size"
    qty = order.get("orderQty")
    if qty is not None and not _is_on_lot(qty, instrument.get("lotSize")):
        return f"orderQty {qty} is no multiple of the lot size"
    return ""


def _level_objection(order: Row, side: str, state: LiveState) -> str:
    """A level held by an order of unknown outcome is taken."""
    with state.lock:
        held = state.orders.unproven()
    for row in held:
        is_same_level = row["side"] == side and row.get("price") == order.get("price")
        if row["clOrdID"] == order["clOrdID"] or is_same_level:
            return "an order at this price may be live already"
    return ""


def _exposure(state: LiveState) -> Exposure:
    with state.lock:
        state.drain()
        low, high = state.position_range()
        return Exposure(high, low, state.orders.exposed("Buy"), state.orders.exposed("Sell"))


def _grown(exposure: Exposure, side: str, added: float) -> Exposure:
    if side == "Buy":
        return exposure._replace(buys=exposure.buys + added)
    return exposure._replace(sells=exposure.sells + added)


def _is_on_grid(price: object, tick_size: float | None) -> bool:
    if not isinstance(price, int | float) or not math.isfinite(price) or price <= 0:
        return False
    return tick_size is None or PriceGrid.of(tick_size).contains(price)


def _is_on_lot(qty: object, lot_size: float | None) -> bool:
    if not isinstance(qty, int | float) or not math.isfinite(qty) or qty == 0:
        return False
    return lot_size is None or LotGrid.of(lot_size).contains(abs(qty))
