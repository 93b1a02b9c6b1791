"""The door of the built-in exchange: reads the fields of a new order, refuses with BitMEX's texts.

Nothing here changes anything. The texts are BitMEX's own.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from market_maker.model.rows import POST_ONLY, opposite
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.events import Order
from market_maker.simulator.instruments import Instrument

LIMIT_TYPES = frozenset({"Limit", "StopLimit", "LimitIfTouched"})
PRICED_TYPES = LIMIT_TYPES | {"Pegged"}  # those that can rest in the book
STOP_TYPES = frozenset({"Stop", "StopLimit", "MarketIfTouched", "LimitIfTouched"})
RESTING_LIFETIMES = frozenset({"GoodTillCancel", "Day"})
TRIGGERS = frozenset({"MarkPrice", "LastPrice", "IndexPrice"})
ONE_CANCELS_OTHER, ONE_TRIGGERS_OTHER = "OneCancelsTheOther", "OneTriggersTheOther"
HELD = "held"  # in `extra`: the order waits until the one that triggers it has filled

_SUBMITTED = "Submitted via API."
_LIFETIMES = RESTING_LIFETIMES | {"ImmediateOrCancel", "FillOrKill"}
_REDUCING = frozenset({"ReduceOnly", "Close"})
_INSTRUCTIONS = TRIGGERS | _REDUCING | {POST_ONLY, "LastWithinMark", "Fixed"}
_PEGS = frozenset({"PrimaryPeg", "MarketPeg", "TrailingStopPeg"})
_CLIENT_ID_MAX = 36


class Refused(Exception):
    """The exchange will not do it. `message` is its text, `status` the HTTP status."""

    def __init__(self, message: str, status: int = 400, name: str = "HTTPError") -> None:
        super().__init__(message)
        self.message, self.status, self.name = message, status, name


def is_post_only(order: Order) -> bool:
    return POST_ONLY in order.exec_inst


def is_reducing(order: Order) -> bool:
    """Whether the order may only make the position smaller."""
    inst = order.exec_inst
    return bool(inst) and ("ReduceOnly" in inst or "Close" in inst)


def is_waiting(order: Order) -> bool:
    """Whether the order waits for its trigger price or for another order to fill."""
    if order.stop_ticks is not None and not order.triggered:
        return True
    return bool(order.extra) and HELD in order.extra


def read_order(
    fields: Mapping[str, Any], spec: Instrument, grid: PriceGrid, account_no: int, position_qty: int
) -> Order:
    """An order from the fields of POST /order, not yet entered anywhere."""
    order_type = _order_type(fields)
    extra = _read_peg(fields, order_type)
    stop_ticks = None
    if not extra or order_type == "Pegged":  # a trailing stop gets its stopPx from the market
        stop_ticks = _stop_price(fields.get("stopPx"), order_type, spec, grid)
    lifetime = fields.get("timeInForce")
    if not lifetime:
        lifetime = "ImmediateOrCancel" if order_type == "Market" else "GoodTillCancel"
    if lifetime not in _LIFETIMES:
        raise Refused("Unsupported timeInForce")
    instructions = _read_instructions(str(fields.get("execInst") or ""))
    if instructions or order_type == "Pegged":
        _check_instructions(instructions, order_type, lifetime)
    side, qty, is_whole = _side_and_qty(fields, spec, instructions, position_qty, order_type)
    if is_whole:
        extra["closes_all"] = True
    if fields.get("clOrdLinkID") or fields.get("contingencyType"):
        _read_link(fields, extra)
    is_limit = order_type in LIMIT_TYPES
    return Order(
        "", account_no, spec.symbol, side, qty,
        read_price(fields.get("price"), spec, grid) if is_limit else None,
        read_client_id(fields.get("clOrdID")), order_type, lifetime, ",".join(instructions),
        stop_ticks, _display_qty(fields.get("displayQty"), spec, order_type),
        leaves_qty=qty, text=str(fields.get("text") or _SUBMITTED), extra=extra,
    )  # fmt: skip


def _order_type(fields: Mapping[str, Any]) -> str:
    """The named type or, without one, what price and stopPx make of it."""
    named = fields.get("ordType")
    if named:
        if named == "Limit":
            return "Limit"
        if named != "Market" and named not in PRICED_TYPES and named not in STOP_TYPES:
            raise Refused("Unsupported ordType")
        return str(named)
    if fields.get("pegPriceType"):
        return "Pegged"
    if fields.get("stopPx") is None:
        return "Market" if fields.get("price") is None else "Limit"
    return "Stop" if fields.get("price") is None else "StopLimit"


def _read_peg(fields: Mapping[str, Any], order_type: str) -> dict[str, object]:
    """pegPriceType and pegOffsetValue, where the type of the order goes with them."""
    name, offset = fields.get("pegPriceType"), fields.get("pegOffsetValue")
    if not name:
        if order_type == "Pegged":
            raise Refused("Invalid pegPriceType for ordType")
        if offset is not None:
            raise Refused("Invalid pegOffsetValue for pegPriceType")
        return {}
    if name not in _PEGS:
        raise Refused("Unsupported pegPriceType")
    if order_type not in (STOP_TYPES if name == "TrailingStopPeg" else ("Pegged",)):
        raise Refused("Invalid pegPriceType for ordType")
    return {"pegPriceType": name, "pegOffsetValue": offset}


def _read_link(fields: Mapping[str, Any], extra: dict[str, object]) -> None:
    link, contingency = fields.get("clOrdLinkID"), fields.get("contingencyType")
    if contingency and contingency not in (ONE_CANCELS_OTHER, ONE_TRIGGERS_OTHER):
        raise Refused("Unsupported contingencyType")
    if not link:
        raise Refused("Invalid clOrdLinkID for contingencyType")
    extra["clOrdLinkID"] = str(link)
    if contingency:
        extra["contingencyType"] = contingency


def _stop_price(given: Any, order_type: str, spec: Instrument, grid: PriceGrid) -> int | None:
    if order_type not in STOP_TYPES:
        if given is not None:
            raise Refused("Invalid stopPx for ordType")
        return None
    return read_stop_price(given, spec, grid)


def read_stop_price(given: Any, spec: Instrument, grid: PriceGrid) -> int:
    """A trigger price in ticks."""
    price = read_number(given, "Invalid stopPx for ordType")
    if not 0 < price <= spec.max_price:
        raise Refused("Invalid stopPx for ordType")
    ticks = grid.exact(price)
    if not ticks:  # 0: a price far below the smallest
        raise Refused("Invalid stopPx tickSize")
    return ticks


@lru_cache(maxsize=256)
def _read_instructions(text: str) -> tuple[str, ...]:
    names = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    if not _INSTRUCTIONS.issuperset(names):
        raise Refused("Unsupported execInst")
    if len(TRIGGERS.intersection(names)) > 1 or len(set(names)) < len(names):
        raise Refused("Invalid execInst")
    if "LastWithinMark" in names and "LastPrice" not in names:
        raise Refused("Invalid execInst")
    return names


def _check_instructions(names: tuple[str, ...], order_type: str, lifetime: str) -> None:
    """What goes with which type of order, as POST /order documents it."""
    if POST_ONLY in names and (order_type not in PRICED_TYPES or lifetime not in RESTING_LIFETIMES):
        raise Refused("Invalid ordType or timeInForce for execInst")
    if order_type not in STOP_TYPES and not TRIGGERS.isdisjoint(names):
        raise Refused("Invalid ordType for execInst")
    if "LastWithinMark" in names and order_type not in ("Stop", "StopLimit"):
        raise Refused("Invalid ordType for execInst")
    if "Fixed" in names and order_type != "Pegged":
        raise Refused("Invalid ordType for execInst")
    if order_type == "Pegged" and "Fixed" not in names:
        raise Refused("Invalid execInst")


def _side_and_qty(
    fields: Mapping[str, Any],
    spec: Instrument,
    instructions: tuple[str, ...],
    position_qty: int,
    order_type: str,
) -> tuple[str, int, bool]:
    """Side, quantity, and whether it closes whatever the position will be then."""
    side = fields.get("side")
    if side not in (None, "", "Buy", "Sell"):
        raise Refused("Invalid side")
    given = fields.get("orderQty")
    if given is None and "Close" in instructions:
        if not side and order_type in STOP_TYPES:  # it says from where the price must come
            raise Refused("Invalid side")
        closing = "Sell" if position_qty > 0 else "Buy"
        if not position_qty or side == opposite(closing):
            raise Refused(
                f"Order had execInst of Close and side of {side or closing}"
                f" but current position is {position_qty}"
            )
        return closing, abs(position_qty), True
    if given is None and fields.get("simpleOrderQty") is not None:
        raise Refused("Invalid orderQty or simpleOrderQty")
    qty = read_integer(given, "Invalid orderQty")
    if not side:
        side = "Sell" if qty < 0 else "Buy"
    qty = abs(qty)
    if not qty or qty % spec.lot_size or qty > spec.max_order_qty:
        raise Refused("Invalid orderQty")
    return str(side), qty, False


def _display_qty(given: Any, spec: Instrument, order_type: str) -> int | None:
    if given is None:
        return None
    qty = read_integer(given, "Invalid displayQty")
    if qty < 0 or qty % spec.lot_size or order_type not in PRICED_TYPES:
        raise Refused("Invalid displayQty")
    return qty


def read_price(given: Any, spec: Instrument, grid: PriceGrid) -> int:
    """A limit price in ticks."""
    price = given if type(given) is float else read_number(given, "Invalid price")
    if not 0 < price <= spec.max_price:
        raise Refused("Invalid price")
    ticks = grid.exact(price)
    if not ticks:  # 0: a price far below the smallest
        raise Refused("Invalid price tickSize")
    return ticks


def read_integer(given: Any, message: str) -> int:
    """A whole number; refused with *message* if it is none."""
    if type(given) is int:
        return given
    number = read_number(given, message)
    if not number.is_integer():
        raise Refused(message)
    return int(number)


def read_client_id(given: Any) -> str:
    """A clOrdID, "" without one."""
    text = "" if given is None else str(given)
    if len(text) > _CLIENT_ID_MAX:
        raise Refused("Invalid clOrdID")
    return text


def read_number(given: Any, message: str) -> float:
    """A number; refused with *message* if it is none."""
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        raise Refused(message) from None
