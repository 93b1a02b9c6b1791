"""The door of the built-in exchange: reads order fields, refuses with BitMEX's texts.

Nothing here changes anything. The texts are BitMEX's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from market_maker.model.rows import POST_ONLY, opposite
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.events import Order
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.tape import Shelf

_SUBMITTED = "Submitted via API."
_LIFETIMES = ("GoodTillCancel", "ImmediateOrCancel", "FillOrKill")
_REDUCING = frozenset({"ReduceOnly", "Close"})
_TRIGGERS = frozenset({"MarkPrice", "LastPrice", "IndexPrice", "Fixed", "LastWithinMark"})
_CLIENT_ID_MAX = 36


class Refused(Exception):
    """The exchange will not do it. `message` is its text, `status` the HTTP status."""

    def __init__(self, message: str, status: int = 400, name: str = "HTTPError") -> None:
        super().__init__(message)
        self.message, self.status, self.name = message, status, name


@dataclass(slots=True)
class Change:
    """An amend that passed the checks."""

    order: Order
    order_qty: int
    price_ticks: int | None
    cl_ord_id: str
    text: str


def is_post_only(order: Order) -> bool:
    return POST_ONLY in order.exec_inst


def is_reducing(order: Order) -> bool:
    """Whether the order may only make the position smaller."""
    return "ReduceOnly" in order.exec_inst or "Close" in order.exec_inst


def read_order(
    fields: Mapping[str, Any], spec: Instrument, grid: PriceGrid, account_no: int, position_qty: int
) -> Order:
    """An order from the fields of POST /order, not yet entered anywhere."""
    order_type = _order_type(fields)
    exec_inst = _exec_inst(fields)
    lifetime = str(fields.get("timeInForce") or "")
    if order_type == "Market":
        lifetime = lifetime or "ImmediateOrCancel"
    lifetime = lifetime or "GoodTillCancel"
    if lifetime not in _LIFETIMES:
        raise Refused("Unsupported timeInForce")
    if POST_ONLY in exec_inst and (order_type == "Market" or lifetime != "GoodTillCancel"):
        raise Refused("Invalid ordType or timeInForce for execInst")
    if fields.get("contingencyType"):
        raise Refused("Unsupported contingencyType")
    side, qty = _side_and_qty(fields, spec, exec_inst, position_qty)
    display = fields.get("displayQty")
    display_qty = None if display is None else _integer(display, "Invalid displayQty")
    if display_qty is not None and (display_qty < 0 or display_qty % spec.lot_size):
        raise Refused("Invalid displayQty")
    link = fields.get("clOrdLinkID")
    return Order(
        order_id="",
        account=account_no,
        symbol=spec.symbol,
        side=side,
        order_qty=qty,
        price_ticks=_price(fields.get("price"), spec, grid) if order_type == "Limit" else None,
        cl_ord_id=_client_id(fields.get("clOrdID")),
        ord_type=order_type,
        time_in_force=lifetime,
        exec_inst=",".join(exec_inst),
        display_qty=display_qty,
        leaves_qty=qty,
        text=str(fields.get("text") or _SUBMITTED),
        extra={"clOrdLinkID": str(link)} if link else {},
    )


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


def read_change(
    order: Order, fields: Mapping[str, Any], spec: Instrument, grid: PriceGrid, shelf: Shelf
) -> Change:
    """What the fields of PUT /order make of *order*."""
    if order.leaves_qty <= 0:
        raise Refused(f"Invalid ordStatus: {order.ord_status}")
    if fields.get("stopPx") is not None:
        raise Refused("Invalid stopPx for ordType")
    qty, price_ticks, named = order.order_qty, order.price_ticks, []
    for name, filled in (("orderQty", 0), ("leavesQty", order.cum_qty)):
        if fields.get(name) is not None:
            qty = filled + abs(_integer(fields[name], f"Invalid {name}"))
            if qty <= order.cum_qty or qty % spec.lot_size or qty > spec.max_order_qty:
                raise Refused(f"Invalid {name}")
            if qty != order.order_qty:
                named.append(name)
    if fields.get("price") is not None:
        price_ticks = _price(fields["price"], spec, grid)
        if price_ticks != order.price_ticks:
            named.append("price")
    cl_ord_id = order.cl_ord_id
    if fields.get("origClOrdID") and fields.get("clOrdID"):
        cl_ord_id = _client_id(fields["clOrdID"])
        if cl_ord_id != order.cl_ord_id:
            check_unique(cl_ord_id, shelf)
            named.append("clOrdID")
    if not named:
        raise Refused("Invalid amend: orderQty, leavesQty, price, stopPx unchanged")
    note = str(fields.get("text") or order.text.rsplit("\n", 1)[-1])
    return Change(order, qty, price_ticks, cl_ord_id, f"Amended {' '.join(named)}\n{note}")


def check_unique(cl_ord_id: str, shelf: Shelf) -> None:
    """Refuse a clOrdID that an open order bears."""
    same = shelf.by_client_id(cl_ord_id)
    if same is not None and same.leaves_qty > 0:
        raise Refused("Duplicate clOrdID")


def _order_type(fields: Mapping[str, Any]) -> str:
    named = fields.get("ordType")
    if not named:
        named = "Market" if fields.get("price") is None else "Limit"
    unsupported = any(fields.get(name) is not None for name in ("stopPx", "pegOffsetValue"))
    if named not in ("Limit", "Market") or unsupported or fields.get("pegPriceType"):
        raise Refused("Unsupported ordType")
    return str(named)


def _exec_inst(fields: Mapping[str, Any]) -> list[str]:
    names = [name.strip() for name in str(fields.get("execInst") or "").split(",")]
    names = [name for name in names if name]
    for name in names:
        if name in _TRIGGERS:
            raise Refused("Invalid execInst")
        if name != POST_ONLY and name not in _REDUCING:
            raise Refused("Unsupported execInst")
    return names


def _side_and_qty(
    fields: Mapping[str, Any], spec: Instrument, exec_inst: list[str], position_qty: int
) -> tuple[str, int]:
    side = fields.get("side")
    if side not in (None, "", "Buy", "Sell"):
        raise Refused("Invalid side")
    given = fields.get("orderQty")
    if given is None and "Close" in exec_inst:
        closing = "Sell" if position_qty > 0 else "Buy"
        if not position_qty or side == opposite(closing):
            raise Refused(
                f"Order had execInst of Close and side of {side or closing}"
                f" but current position is {position_qty}"
            )
        return closing, abs(position_qty)
    qty = _integer(given, "Invalid orderQty")
    if not side:
        side = "Sell" if qty < 0 else "Buy"
    qty = abs(qty)
    if not qty or qty % spec.lot_size or qty > spec.max_order_qty:
        raise Refused("Invalid orderQty")
    return str(side), qty


def _price(given: Any, spec: Instrument, grid: PriceGrid) -> int:
    try:
        price = float(given)
    except (TypeError, ValueError):
        raise Refused("Invalid price") from None
    if not 0 < price <= spec.max_price:
        raise Refused("Invalid price")
    if not grid.contains(price):
        raise Refused("Invalid price tickSize")
    return grid.nearest(price)


def _integer(given: Any, message: str) -> int:
    try:
        number = float(given)
        if number != int(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise Refused(message) from None
    return int(number)


def _client_id(given: Any) -> str:
    text = "" if given is None else str(given)
    if len(text) > _CLIENT_ID_MAX:
        raise Refused("Invalid clOrdID")
    return text
