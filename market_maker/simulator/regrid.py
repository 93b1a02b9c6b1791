"""Moves a market to another tick and lot size while it has orders and a past."""

from collections import deque
from dataclasses import replace
from typing import NamedTuple

from market_maker.simulator.accounts import Ledger
from market_maker.simulator.desk import Desk
from market_maker.simulator.entry import read_number
from market_maker.simulator.events import Order
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.pegs import is_trailing
from market_maker.simulator.tape import Shelf, Tape

_REASON = "Instrument tick or lot size changed"


class _Rested(NamedTuple):
    """What stood in the book: an order, or the market's size at a price of one side."""

    order: Order | None
    side: str
    price: float
    qty: int


def move_to_grid(desk: Desk, ledger: Ledger, tape: Tape, spec: Instrument) -> list[Order]:
    """Trade *spec*, the same instrument on another grid; the orders cancelled for not fitting it.

    To the public the book empties and fills again. What rests keeps its price and its place;
    the market's liquidity gives way to the next tick, bids down and asks up. Prices of the past
    go to the nearest new tick.
    """
    shelves = tape.shelves()
    cancelled = [o for shelf in shelves for o in shelf.open_orders() if not _fits(o, desk, spec)]
    for order in cancelled:
        desk.cancel(order, _REASON)
    rested = list(_clear(desk))
    desk.display.flush()
    for shelf in shelves:
        _rescale_past(shelf, desk, spec)
    desk.respec(spec)
    ledger.respec(spec)
    desk.display.flush()  # the grid is told before anything on it
    for resting, side, price, qty in rested:
        if resting is not None:
            desk.book.rest(resting)
            continue
        qty -= qty % spec.lot_size
        ticks = desk.grid.bid_ticks(price) if side == "Buy" else desk.grid.ask_ticks(price)
        if qty and ticks > 0:
            desk.book.rest_market(side, ticks, qty)
    return cancelled


def _fits(order: Order, desk: Desk, spec: Instrument) -> bool:
    if order.symbol != spec.symbol:
        return True
    prices = [desk.grid.price(t) for t in (order.price_ticks, order.stop_ticks) if t is not None]
    if is_trailing(order):
        prices.append(read_number(order.extra["pegOffsetValue"], ""))
    return order.leaves_qty % spec.lot_size == 0 and all(map(spec.grid().contains, prices))


def _clear(desk: Desk) -> list[_Rested]:
    """Take everything out of the book, in the order in which it stood."""
    book, rested = desk.book, []
    for side in (book.bids, book.asks):
        for queue in [side.queues[price] for price in side.prices()]:
            price = desk.grid.price(queue.price_ticks)
            for place in list(queue.places):
                rested.append(_Rested(place.order, side.side, price, place.qty))
                if place.order is not None:
                    book.shrink(place.order, place.order.leaves_qty)
                else:
                    side.resize(queue, place, -place.qty)
    return rested


def _rescale_past(shelf: Shelf, desk: Desk, spec: Instrument) -> None:
    """Keep the prices of an account's orders and executions."""
    before, after = desk.grid, spec.grid()

    def moved(ticks: int | None) -> int | None:
        return None if ticks is None else after.nearest(before.price(ticks))

    for order in [o for o in shelf.orders.values() if o.symbol == spec.symbol]:
        order.price_ticks, order.stop_ticks = moved(order.price_ticks), moved(order.stop_ticks)
    executions = deque(shelf.executions)
    shelf.executions.clear()
    for event in executions:
        if event.order.symbol == spec.symbol:
            event.order.price_ticks = moved(event.order.price_ticks)
            event.order.stop_ticks = moved(event.order.stop_ticks)
            if event.fill is not None:
                ticks = after.nearest(before.price(event.fill.price_ticks))
                event = event._replace(fill=replace(event.fill, price_ticks=ticks))
        shelf.executions.append(event)
