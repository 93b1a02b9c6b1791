"""Closing the position: orders that can only reduce it, take from the book and never rest."""

import logging
import math

from market_maker.exchanges.base import ExchangeError, Status
from market_maker.exchanges.desk import Desk
from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS, LotGrid, PriceGrid, plain

logger = logging.getLogger("root")

_CAP = 0.01  # ratio beyond the touch that an order may pay
_PAUSE_S = 0.25
_REFUSALS = 3  # in a row: it will not be taken later either
_OTHERS_S = 5.0  # until a position is believed that no fill of ours explains
_LAG_S = 15.0  # and one that does not show all of our fills


def flatten(desk: Desk, timeout_s: float = 30.0) -> float:
    """Close the position of the desk's symbol; what is left of it after *timeout_s* at most.

    Asks the exchange itself at every step, so that it works without a stream. One order is in
    flight at a time: the next one waits until its fills are in the position. What is less than a
    lot, as fees leave it on spot, cannot be closed and counts as nothing. Raises ExchangeError
    when the exchange cannot be asked.
    """
    deadline_s = desk.clock.monotonic() + timeout_s
    qty, refusals = _position(desk), 0
    while _in_lots(desk, qty) and refusals < _REFUSALS:
        if desk.clock.monotonic() >= deadline_s or desk.gateway.hurry.is_set():
            break
        order = _order(desk, qty)
        if order is None:  # nobody to trade with
            desk.clock.wait(desk.gateway.hurry, 1.0)
            continue
        logger.info("Closing the position: %(side)s %(orderQty)s @ %(price)s", order)
        filled, refusal = _send(desk, order, deadline_s)
        refusals = refusals + 1 if refusal else 0
        if refusals == _REFUSALS:
            logger.error("The exchange refuses it: %s", refusal)
        signed = -filled if order["side"] == "Sell" else filled
        qty = _agreed(desk, qty, signed)
    if _in_lots(desk, qty):
        return qty
    if qty:
        logger.info("Less than a lot is left of the position: %s.", plain(qty))
    return 0.0


def _in_lots(desk: Desk, qty: float) -> float:
    """The size of a position of *qty* as far as it can be traded."""
    lot_size = (desk.state.instrument() or {}).get("lotSize")
    return LotGrid.of(lot_size).down(abs(qty)) if lot_size else abs(qty)


def _order(desk: Desk, qty: float) -> Row | None:
    rows = desk.connector.fetch_rows("quote", count=1, reverse="true")
    side, column = ("Sell", "bidPrice") if qty > 0 else ("Buy", "askPrice")
    touch = rows[0].get(column) if rows else None
    instrument = desk.state.instrument()
    if not touch or not instrument:
        return None
    grid = PriceGrid.of(instrument.get("tickSize") or 0.01)
    low, high = instrument.get("limitDownPrice") or 0, instrument.get("limitUpPrice") or math.inf
    # A limit that the touch has passed is an old one: the stream that tells it is gone.
    if qty > 0:
        ticks = grid.ask_ticks(max(touch * (1 - _CAP), low if low <= touch else 0))
    else:
        ticks = grid.bid_ticks(min(touch * (1 + _CAP), high if high >= touch else math.inf))
    return {
        "side": side,
        "orderQty": _in_lots(desk, qty),
        "price": grid.price(ticks),
        "ordType": "Limit",
        "timeInForce": "ImmediateOrCancel",
        "execInst": "ReduceOnly",
    }


def _send(desk: Desk, order: Row, deadline_s: float) -> tuple[float, str]:
    """The contracts that were filled, once the exchange has shown what became of the order, and
    why it was refused, if it was."""
    result = desk.gateway.reduce(order)
    filled: float = result.row.get("cumQty") or 0
    while desk.state.orders.get(order["clOrdID"]) is not None:
        if desk.clock.monotonic() > deadline_s:
            raise ExchangeError(0, "an order that closes the position is in doubt")
        desk.clock.sleep(_PAUSE_S)
        with desk.state.lock:
            desk.state.drain()  # where the stream alone tells how it ended
        desk.gateway.settle_unknown()
    if not result.row.get("orderID") or result.row.get("leavesQty"):  # the answer tells no end
        shown = desk.connector.fetch_order(cl_ord_id=order["clOrdID"]) or {}
        filled = shown.get("cumQty") or 0
    if not filled:
        desk.clock.wait(desk.gateway.hurry, 1.0)  # refused, or nothing to trade with
    return filled, result.text if result.status is Status.REJECTED else ""


def _agreed(desk: Desk, before: float, filled: float) -> float:
    """The position once it includes what was *filled*.

    One that seems to lack a part of that is given time: an order for that part would be one too
    many. Any other difference is another hand's doing.
    """
    expected = round(before + filled, SIZE_DECIMALS)
    start_s = desk.clock.monotonic()
    while True:
        qty = _position(desk)
        lags = min(before, expected) <= qty <= max(before, expected)
        patience_s = _LAG_S if lags and not desk.gateway.hurry.is_set() else _OTHERS_S
        if qty == expected or desk.clock.monotonic() > start_s + patience_s:
            return qty
        desk.clock.sleep(_PAUSE_S)


def _position(desk: Desk) -> float:
    rows = desk.connector.fetch_rows("position")
    held = (float(r.get("currentQty") or 0) for r in rows if r["symbol"] == desk.state.symbol)
    return round(sum(held), SIZE_DECIMALS)
