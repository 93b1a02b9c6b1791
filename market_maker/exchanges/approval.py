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
    judge = _Judge(state, limits)
    verdicts: list[Verdict] = []
    for order in orders:
        side = side_of(order)
        reason = _objection(order, state, halt) or _level_objection(order, side, state)
        verdicts.append(judge.rule(order, side, increase(order, 0), reason))
    return verdicts


def approve_amends(
    changes: Sequence[Row], state: LiveState, limits: PositionLimits, halt: str
) -> list[Verdict]:
    """Judge changes of our orders; one that is gone reads `Invalid ordStatus` on every venue."""
    judge = _Judge(state, limits)
    verdicts: list[Verdict] = []
    for change in changes:
        with state.lock:
            tracked = state.orders.get(str(change.get("orderID")))
        if tracked is None:
            verdicts.append(Refused(change, "Invalid ordStatus"))
            continue
        if tracked.phase is not Phase.WORKING:
            verdicts.append(Refused(change, "another action on it is in flight"))
            continue
        row = tracked.row
        total: float = change.get("orderQty") or row.get("orderQty") or 0
        leaves = total - (row.get("cumQty") or 0)
        wanted = {**row, **change, "orderQty": total, "leavesQty": leaves}
        added = increase(wanted, tracked.exposed_qty)
        verdicts.append(judge.rule(change, row["side"], added, _objection(wanted, state, halt)))
    return verdicts


class _Judge:
    """Rules on one order after the other, each on top of those approved before it."""

    def __init__(self, state: LiveState, limits: PositionLimits) -> None:
        self._limits = limits
        with state.lock:
            state.drain()
            low, high = state.position_range()
            buys, sells = state.orders.exposed("Buy"), state.orders.exposed("Sell")
        self._exposure = Exposure(high, low, buys, sells)

    def rule(self, order: Row, side: str, added: float, objection: str) -> Verdict:
        if objection:
            return Refused(order, objection)
        verdict = check_position(order, side, added, self._exposure, self._limits)
        if isinstance(verdict, Approved):
            name = "buys" if side == "Buy" else "sells"
            grown = getattr(self._exposure, name) + added
            self._exposure = self._exposure._replace(**{name: grown})
        return verdict


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


def _is_on_grid(price: object, tick_size: float | None) -> bool:
    if not isinstance(price, int | float) or not math.isfinite(price) or price <= 0:
        return False
    return tick_size is None or PriceGrid.of(tick_size).contains(price)


def _is_on_lot(qty: object, lot_size: float | None) -> bool:
    if not isinstance(qty, int | float) or not math.isfinite(qty) or qty == 0:
        return False
    return lot_size is None or LotGrid.of(lot_size).contains(abs(qty))
