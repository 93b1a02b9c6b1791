"""Reads the fields of an amend: which order is meant, and what becomes of it.

Nothing here changes anything. The texts are BitMEX's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from market_maker.model.ticks import PriceGrid
from market_maker.simulator.entry import (
    Refused,
    is_waiting,
    read_client_id,
    read_integer,
    read_price,
    read_stop_price,
)
from market_maker.simulator.events import Order
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.pegs import is_trailing
from market_maker.simulator.tape import Shelf

REVIVAL_S = 60.0  # a filled order can be amended to live again for so long


@dataclass(slots=True)
class Change:
    """An amend that passed the checks."""

    order: Order
    order_qty: int
    price_ticks: int | None
    stop_ticks: int | None
    cl_ord_id: str
    text: str
    revives: bool = False
    peg_offset: float | None = None  # of a trailing stop, where it changes


def find_order(shelf: Shelf, fields: Mapping[str, Any]) -> Order:
    """The order that the fields of PUT /order mean."""
    if fields.get("orderID"):
        order = shelf.orders.get(str(fields["orderID"]))
        if order is None:
            raise Refused("Invalid orderID")
        return order
    order = shelf.by_client_id(str(fields.get("origClOrdID") or ""))
    if order is None:
        raise Refused("Invalid origClOrdID" if fields.get("origClOrdID") else "Invalid orderID")
    return order


def check_unique(cl_ord_id: str, shelf: Shelf) -> None:
    """Refuse a clOrdID that an open order bears."""
    same = shelf.by_client_id(cl_ord_id)
    if same is not None and same.leaves_qty > 0:
        raise Refused("Duplicate clOrdID")


def read_change(
    order: Order,
    fields: Mapping[str, Any],
    spec: Instrument,
    grid: PriceGrid,
    shelf: Shelf,
    now_s: float,
) -> Change:
    """What the fields of PUT /order make of *order*."""
    revives = order.leaves_qty <= 0
    if revives and not _can_revive(order, fields, now_s):
        raise Refused(f"Invalid ordStatus: {order.ord_status}")
    if revives:
        check_unique(order.cl_ord_id, shelf)
    qty, named = _read_qty(order, fields, spec)
    price_ticks, stop_ticks = order.price_ticks, order.stop_ticks
    if fields.get("stopPx") is not None:
        if not is_waiting(order):
            raise Refused("Invalid stopPx for ordType")
        stop_ticks = read_stop_price(fields["stopPx"], spec, grid)
    if fields.get("price") is not None:
        if price_ticks is None:
            raise Refused("Invalid price")  # a market order has none
        price_ticks = read_price(fields["price"], spec, grid)
    peg_offset = fields.get("pegOffsetValue")
    if peg_offset is not None:
        if not is_waiting(order) or not is_trailing(order):
            raise Refused("Invalid pegOffsetValue for pegPriceType")
        named.append("pegOffsetValue")
    if price_ticks != order.price_ticks:
        named.append("price")
    if stop_ticks != order.stop_ticks:
        named.append("stopPx")
    cl_ord_id = order.cl_ord_id
    if fields.get("origClOrdID") and fields.get("clOrdID"):
        cl_ord_id = read_client_id(fields["clOrdID"])
        if cl_ord_id != order.cl_ord_id:
            check_unique(cl_ord_id, shelf)
            named.append("clOrdID")
    if not named:
        raise Refused("Invalid amend: orderQty, leavesQty, price, stopPx unchanged")
    note = str(fields.get("text") or order.text.rsplit("\n", 1)[-1])
    text = f"Amended {' '.join(named)}\n{note}"
    return Change(order, qty, price_ticks, stop_ticks, cl_ord_id, text, revives, peg_offset)


def _can_revive(order: Order, fields: Mapping[str, Any], now_s: float) -> bool:
    """A leavesQty makes a filled order live again within 60 seconds of the fill."""
    return (
        order.ord_status == "Filled"
        and order.price_ticks is not None
        and fields.get("leavesQty") is not None
        and now_s - order.transact_time <= REVIVAL_S
    )


def _read_qty(order: Order, fields: Mapping[str, Any], spec: Instrument) -> tuple[int, list[str]]:
    """The new total quantity, and the field that changes it."""
    given = [name for name in ("orderQty", "leavesQty") if fields.get(name) is not None]
    if not given:
        return order.order_qty, []
    name = given[-1]
    if len(given) > 1:  # only one of them can be used
        raise Refused("Invalid leavesQty")
    qty = abs(read_integer(fields[name], f"Invalid {name}"))
    if name == "leavesQty":
        qty += order.cum_qty
    if qty <= order.cum_qty or qty % spec.lot_size or qty > spec.max_order_qty:
        raise Refused(f"Invalid {name}")
    return qty, [name] if qty != order.order_qty else []
