"""BitMEX's order endpoints over the engine."""

from collections.abc import Mapping
from typing import Any

from market_maker import jsonx
from market_maker.model.rows import TERMINAL, Row
from market_maker.simulator.dialects.bitmex_call import Call, find_symbol
from market_maker.simulator.dialects.bitmex_feed import Feed
from market_maker.simulator.dialects.bitmex_select import parse_filter, select
from market_maker.simulator.events import Order
from market_maker.simulator.exchange import CancelRow, Refused
from market_maker.simulator.instruments import iso_time

MAX_BULK = 100
MAX_CANCELS = 1000  # of one call; our bound, an account has fewer open orders on all symbols
MAX_TIMEOUT_MS = 2**31 - 1  # of cancelAllAfter; our bound, BitMEX named none
WHOLE = ("orderQty", "leavesQty", "displayQty")  # order parameters that are whole numbers
DECIMAL = ("price", "stopPx", "pegOffsetValue")


def get_orders(call: Call) -> list[Row]:
    orders = [_row(call, order) for order in call.engine.orders(call.owner)]
    return call.table("order", call.of_symbol(orders))


def place_order(call: Call) -> Row:
    return _row(call, call.engine.place(call.owner, order_fields(call.feed, call.params)))


def amend_order(call: Call) -> Row:
    return _row(call, call.engine.amend(call.owner, order_fields(call.feed, call.params)))


def place_bulk(call: Call) -> list[Row]:
    orders = call.engine.place_many(call.owner, _bulk(call))
    return [_row(call, order) for order in orders]


def amend_bulk(call: Call) -> list[Row]:
    orders = call.engine.amend_many(call.owner, _bulk(call))
    return [_row(call, order) for order in orders]


def _bulk(call: Call) -> list[dict[str, Any]]:
    orders = _parsed(call.params.get("orders"))
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise Refused("Invalid orders: must be an array of orders", name="ValidationError")
    if len(orders) > MAX_BULK:
        raise Refused(
            f"Too many orders provided. The maximum count allowed is {MAX_BULK}.",
            name="ValidationError",
        )
    return [order_fields(call.feed, order) for order in orders]


def order_fields(feed: Feed, params: Mapping[str, Any]) -> dict[str, Any]:
    """Order parameters with their types, whichever form they were sent in."""
    fields = {name: value for name, value in params.items() if value is not None and value != ""}
    for name, value in fields.items():
        if isinstance(value, list | dict):
            raise Refused(f"Invalid {name}", name="ValidationError")
    for name in WHOLE:
        if name in fields:
            fields[name] = whole(fields[name], name)
    for name in DECIMAL:
        if name in fields:
            fields[name] = number(fields[name], name)
    if "symbol" in fields:
        fields["symbol"] = find_symbol(feed, fields["symbol"]) or str(fields["symbol"])
    return fields


def number(value: Any, name: str) -> float:
    """A parameter that must be a number; raises Refused."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"Invalid {name}", name="ValidationError") from None


def whole(value: Any, name: str) -> int:
    """A parameter that must be a whole number; raises Refused."""
    found = number(value, name)
    if not found.is_integer():
        raise Refused(f"Invalid {name}", name="ValidationError")
    return int(found)


def close_position(call: Call) -> Row:
    """Close what is held, at *price* or at the market."""
    asked = call.params.get("price")
    price = None if asked in (None, "") else number(asked, "price")
    return _row(call, call.engine.close_position(call.owner, call.symbol(), price))


def _row(call: Call, order: Order) -> Row:
    return call.feed.private.order_row(order)


def cancel_orders(call: Call) -> list[Row]:
    order_ids, cl_ord_ids = _ids(call.params.get("orderID")), _ids(call.params.get("clOrdID"))
    if not order_ids and not cl_ord_ids:
        raise Refused("Invalid orderID", name="ValidationError")
    if len(order_ids) + len(cl_ord_ids) > MAX_CANCELS:
        raise Refused(
            f"Too many orders provided. The maximum count allowed is {MAX_CANCELS}.",
            name="ValidationError",
        )
    text = call.params.get("text")
    found = call.engine.cancel(call.owner, order_ids, cl_ord_ids, str(text) if text else None)
    if call.feed.is_classic and all(row.order is None for row in found):
        raise Refused("Not Found", 404)
    return [_cancel_row(call, row) for row in found]


def _cancel_row(call: Call, cancelled: CancelRow) -> Row:
    if cancelled.order is not None:
        row = _row(call, cancelled.order)
    else:
        now = iso_time(call.engine.now())
        row = {
            "clOrdID" if cancelled.is_client_id else "orderID": cancelled.id,
            "account": call.owner,
            "workingIndicator": False,
            "transactTime": now,
            "timestamp": now,
        }
    if cancelled.error:
        row["error"] = cancelled.error
    return row


def cancel_all(call: Call) -> list[Row]:
    symbols = call.symbols() if call.params.get("symbol") else None
    wanted = parse_filter(call.params.get("filter"))
    text = str(call.params.get("text") or "") or None
    if symbols is None and not wanted:
        return [_row(call, order) for order in call.engine.cancel_all(call.owner, None, text)]
    resting = [
        _row(call, order)
        for order in call.engine.orders(call.owner)
        if order.ord_status not in TERMINAL and (symbols is None or order.symbol in symbols)
    ]
    chosen = [row["orderID"] for row in select(resting, {"filter": wanted, "count": len(resting)})]
    cancelled = call.engine.cancel(call.owner, chosen, (), text)
    return [_cancel_row(call, row) for row in cancelled]


def cancel_all_after(call: Call) -> Row:
    """Arm the dead man's switch; a timeout of 0 disarms it."""
    timeout_ms = whole(call.params.get("timeout"), "timeout")
    if not 0 <= timeout_ms <= MAX_TIMEOUT_MS:
        raise Refused("Invalid timeout", name="ValidationError")
    cancel_s = call.engine.cancel_all_after(call.owner, timeout_ms)
    return {
        "now": iso_time(call.engine.now()),
        "cancelTime": 0 if cancel_s is None else iso_time(cancel_s),
    }


def _ids(value: Any) -> list[str]:
    parsed = _parsed(value)
    if parsed in (None, ""):
        return []
    return [str(item) for item in parsed] if isinstance(parsed, list) else [str(parsed)]


def _parsed(value: Any) -> Any:
    """A list that came as JSON text, as form bodies carry it; anything else as it is."""
    if isinstance(value, str) and value[:1] == "[":
        try:
            return jsonx.loads(value)
        except ValueError:
            return value
    return value
