"""Says before anything happens whether orders and amends on one instrument may be made."""

from collections.abc import Mapping, Sequence
from typing import Any

from market_maker.simulator.amends import Change, check_unique, read_change
from market_maker.simulator.entry import (
    HELD,
    ONE_TRIGGERS_OTHER,
    Refused,
    is_reducing,
    is_waiting,
    read_order,
)
from market_maker.simulator.events import Order
from market_maker.simulator.pegs import is_trailing, peg_limit, peg_stop
from market_maker.simulator.pit import Pit
from market_maker.simulator.positions import Claim, Position
from market_maker.simulator.statements import liquidation_price
from market_maker.simulator.tape import Shelf
from market_maker.simulator.triggers import price_of

MAX_OPEN_ORDERS = 200  # of one account on one symbol
MAX_STOP_ORDERS = 10

_CLOSED = {
    "Unlisted": "Instrument not listed for trading yet",
    "Settled": "Instrument expired",
    "Expired": "Instrument expired",
}


class Door(Pit):
    """One instrument, and what may be done on it."""

    def check_new(self, account_no: int, rows: Sequence[Mapping[str, Any]]) -> list[Order]:
        """Orders ready to submit; raises Refused if any of them may not be entered."""
        self._check_open()
        position = self._ledger.look(account_no, self.spec)
        shelf = self._tape.shelf(account_no)
        orders: list[Order] = []
        for fields in rows:
            order = read_order(fields, self.spec, self.grid, account_no, position.qty)
            if "pegPriceType" in order.extra:
                self._peg(order)
            if "clOrdLinkID" in order.extra:
                self._hold(order, [*shelf.open.values(), *orders])
            if order.cl_ord_id:
                check_unique(order.cl_ord_id, shelf)
                if any(order.cl_ord_id == other.cl_ord_id for other in orders):
                    raise Refused("Duplicate clOrdID")
            orders.append(order)
        self._check_caps(shelf, orders)
        if position.qty and not self.spec.is_spot:
            for order in orders:
                self._check_exit(position, account_no, order.side, order.price_ticks)
        # what waits takes no margin yet
        extra = [
            self._claim(position, order.side, order.order_qty, order.price_ticks)
            for order in orders
            if not is_waiting(order) and not is_reducing(order)
        ]
        self._check_funds(account_no, position, extra)
        return orders

    def check_amends(
        self, account_no: int, asked: Sequence[tuple[Order, Mapping[str, Any]]]
    ) -> list[Change]:
        """Changes ready to apply; raises Refused if any of them may not be made."""
        self._check_open()
        shelf, now_s = self._tape.shelf(account_no), self._tape.now()
        changes = [
            read_change(order, fields, self.spec, self.grid, shelf, now_s)
            for order, fields in asked
        ]
        _check_distinct(changes)
        position, extra = self._position(account_no), []
        for change in changes:
            order = change.order
            if is_waiting(order):
                if change.peg_offset is not None:
                    market = self._market_of(order)
                    change.stop_ticks = peg_stop(order, change.peg_offset, market, self.grid)
                continue
            if position.qty and not self.spec.is_spot:
                self._check_exit(position, account_no, order.side, change.price_ticks)
            leaves = change.order_qty - order.cum_qty
            now = self._claim(position, order.side, leaves, change.price_ticks)
            was = self._claim(position, order.side, order.leaves_qty, order.price_ticks)
            extra.append(now.less(was))
        self._check_funds(account_no, position, extra)
        return changes

    def _peg(self, order: Order) -> None:
        """Set the price or stopPx that an order gives by its distance from the market."""
        if is_trailing(order):
            offset, market = order.extra["pegOffsetValue"], self._market_of(order)
            order.stop_ticks = peg_stop(order, offset, market, self.grid)
        else:
            quote = self.display.quote()
            peg_limit(order, quote.bid_ticks, quote.ask_ticks, self.grid)

    def _hold(self, order: Order, others: Sequence[Order]) -> None:
        """Hold an order back if one of those before it is to trigger it."""
        for other in others:
            if is_linked(order, other) and contingency(other) == ONE_TRIGGERS_OTHER:
                order.extra[HELD] = True

    def _market_of(self, order: Order) -> float:
        """The price that triggers the order, as it is now."""
        return self.display.price_named(price_of(order))

    def _check_open(self) -> None:
        if not self.is_open:
            raise Refused(_CLOSED.get(self.display.state, "Market is not open"))

    def _check_caps(self, shelf: Shelf, orders: list[Order]) -> None:
        stops = sum([order.stop_ticks is not None for order in orders])
        if len(shelf.open) + len(orders) <= MAX_OPEN_ORDERS and not stops:
            return
        ours = [order for order in shelf.open.values() if order.symbol == self.spec.symbol]
        if len(ours) + len(orders) > MAX_OPEN_ORDERS:
            raise Refused(f"Too many open orders. The maximum count allowed is {MAX_OPEN_ORDERS}.")
        if stops and stops + sum(map(is_waiting, ours)) > MAX_STOP_ORDERS:
            raise Refused(f"Too many stop orders. The maximum count allowed is {MAX_STOP_ORDERS}.")

    def _check_funds(self, account_no: int, position: Position, extra: Sequence[Claim]) -> None:
        reason = self._ledger.refusal(account_no, position, extra)
        if reason:
            raise Refused(reason)

    def _check_exit(
        self, position: Position, account_no: int, side: str, price_ticks: int | None
    ) -> None:
        """Refuse what a liquidation would forestall: an exit beyond the liquidation price."""
        if price_ticks is None or (position.qty > 0) == (side == "Buy"):
            return
        price, mark = self.grid.price(price_ticks), self.display.mark_price
        if (price > mark) == (side == "Sell"):
            return
        limit = liquidation_price(self._ledger, account_no, position)
        if side == "Sell" and price < limit:
            raise Refused("Order price is below the liquidation price of current long position")
        if side == "Buy" and price > limit:
            raise Refused("Order price is above the liquidation price of current short position")

    def _claim(self, position: Position, side: str, qty: int, price_ticks: int | None) -> Claim:
        mark = self.display.mark_price
        price = mark if price_ticks is None else self.grid.price(price_ticks)
        return position.claim(side, qty, price)


def _check_distinct(changes: Sequence[Change]) -> None:
    """Refuse two changes of one order, and one clOrdID for two orders."""
    if len({change.order.order_id for change in changes}) < len(changes):
        raise Refused("Duplicate orderID")
    names = [change.cl_ord_id for change in changes if change.cl_ord_id]
    if len(set(names)) < len(names):
        raise Refused("Duplicate clOrdID")


def contingency(order: Order) -> object:
    return order.extra.get("contingencyType")


def is_linked(order: Order, other: Order) -> bool:
    """Whether another order on the same instrument bears the same clOrdLinkID."""
    link = order.extra.get("clOrdLinkID")
    return (
        other is not order
        and other.symbol == order.symbol
        and link is not None
        and other.extra.get("clOrdLinkID") == link
    )
