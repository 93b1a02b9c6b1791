"""Which orders may go out: the worst case of every approved order stays within the limits."""

from collections.abc import Callable
from typing import NamedTuple

from market_maker.model.contracts import Contract
from market_maker.model.rows import SPOT, Row
from market_maker.model.ticks import SIZE_DECIMALS


class Approved(NamedTuple):
    """An order that may be sent."""

    order: Row


class Refused(NamedTuple):
    """An order that must not be sent, and why."""

    order: Row
    reason: str


class PositionLimits(NamedTuple):
    """Bounds of the position in contracts; None is no bound."""

    min_position: float | None = None
    max_position: float | None = None


class OrderLimits(NamedTuple):
    """Bounds of each order and of their number; None is no bound."""

    max_size: float | None = None  # contracts that one order may have open
    max_open: int | None = None  # orders of ours, those of unknown outcome included
    price_band: float | None = None  # ratio around the mark price


class Exposure(NamedTuple):
    """What may still be added to the position if everything we have out fills.

    `longest` and `shortest` are the position as pessimistically known in either direction;
    `buys` and `sells` all that may still trade: resting, in flight and of unknown outcome.
    """

    longest: float
    shortest: float
    buys: float
    sells: float


def increase(order: Row, wanted_qty: float, resting_qty: float = 0.0) -> float:
    """By how many contracts *order* of *wanted_qty* adds to what may trade.

    An amend frees nothing yet: while it is in flight either size may be the real one.
    """
    return 0.0 if is_reducing(order) else max(0.0, wanted_qty - resting_qty)


def is_reducing(order: Row) -> bool:
    """Whether the exchange itself lets this order only shrink the position."""
    told = order.get("execInst")
    flags = str(told).split(",") if told else ()
    return "ReduceOnly" in flags or "Close" in flags


def check_order(order: Row, open_qty: float, mark_price: float | None, limits: OrderLimits) -> str:
    """Why *order*, with *open_qty* contracts that may trade, breaks its limits; or nothing."""
    if limits.max_size is not None and open_qty > limits.max_size and not is_reducing(order):
        return f"{open_qty:g} contracts are above MAX_ORDER_SIZE"
    price = order.get("price")
    if limits.price_band is not None and price and mark_price:
        away = price / mark_price - 1
        if abs(away) > limits.price_band:
            return f"{price:g} is {away:+.1%} from the mark price, outside PRICE_BAND"
    return ""


def check_position(
    order: Row, side: str, added: float, exposure: Exposure, limits: PositionLimits
) -> Approved | Refused:
    """Approve *order*, which adds *added* contracts on *side* to the worst case."""
    if added <= 0:
        return Approved(order)
    if side == "Buy" and limits.max_position is not None:
        worst = exposure.longest + exposure.buys + added
        if worst > limits.max_position:
            return Refused(order, f"could take the position to {worst:g}, above MAX_POSITION")
    if side == "Sell" and limits.min_position is not None:
        worst = exposure.shortest - exposure.sells - added
        if worst < limits.min_position:
            return Refused(order, f"could take the position to {worst:g}, below MIN_POSITION")
    return Approved(order)


def order_margin(order: Row, instrument: Row) -> float:
    """Satoshi that an order ties up: initial margin, the fees of getting in and out, premium.

    On spot an ask ties up what it sells, in units of the base currency; a bid what it costs.
    The way out is reckoned at the bankruptcy price; the premium is what a trade at the order's
    price would lose at once against the mark (captured margin rows of 2018-08-16).
    """
    return margin_of(instrument)(order)


def margin_of(instrument: Row) -> Callable[[Row], float]:
    """`order_margin` for many orders of one instrument."""
    initial, fee = instrument.get("initMargin") or 0, instrument.get("takerFee") or 0
    contract, mark = Contract.from_instrument(instrument), instrument.get("markPrice")
    has_no_margin = is_spot(instrument)

    def needed(order: Row) -> float:
        qty, price, side = order["orderQty"], order["price"], order.get("side")
        if has_no_margin:
            return float(qty) if side == "Sell" else contract.value(qty, price) * (1 + fee)
        value = contract.value(qty, price)
        margin = (initial + fee + fee * (1 + initial)) * value
        if mark and side in ("Buy", "Sell") and (price > mark) == (side == "Buy"):
            margin += abs(value - contract.value(qty, mark))
        return float(margin)

    return needed


def is_spot(instrument: Row) -> bool:
    """Whether what is bought is owned, and nothing is sold that is not there."""
    return instrument.get("typ") == SPOT


def sellable(instrument: Row, position: Row, lowest_qty: float) -> float | None:
    """What there is of the base currency on spot, free or offered already, or None where nothing
    bounds it. What our fills have sold, by the *lowest_qty* of the position, is gone before the
    exchange's row of it shows that."""
    free = position.get("freeQty")
    if free is None or not is_spot(instrument):
        return None
    held = free + (position.get("lockedQty") or 0)
    return float(round(held - (position.get("currentQty") or 0) + lowest_qty, SIZE_DECIMALS))


def margin_room(side: str, margin: Row, position: Row, instrument: Row) -> float | None:
    """Satoshi that the orders of *side* may tie up, or None where the account does not say.

    Free margin, with what our present orders tie up; an order that reduces the position is free.
    Asks on spot may tie up what there is of the base currency, free or offered already.
    """
    if is_spot(instrument) and side == "Sell":
        free = position.get("freeQty")
        return None if free is None else float(free + (position.get("lockedQty") or 0))
    position_qty = 0 if is_spot(instrument) else position.get("currentQty") or 0
    price, available = instrument.get("markPrice"), margin.get("availableMargin")
    currency, settles_in = margin.get("currency"), instrument.get("settlCurrency")
    if available is None or not price or (currency and settles_in and currency != settles_in):
        return None
    room = available + (margin.get("initMargin") or 0)
    if position_qty * (1 if side == "Buy" else -1) < 0:
        room += order_margin({"orderQty": abs(position_qty), "price": price}, instrument)
    return float(room)
