"""Carries out orders on one instrument: matches them and books the fills on the accounts."""

from collections.abc import Mapping, Sequence
from typing import Any

from market_maker.simulator.accounts import MARKET, Ledger, Position
from market_maker.simulator.display import Display
from market_maker.simulator.entry import (
    Change,
    Refused,
    check_unique,
    is_post_only,
    is_reducing,
    read_change,
    read_order,
)
from market_maker.simulator.events import Fill, Order
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.matching import Book, Place, Queue
from market_maker.simulator.tape import Tape

_MARKET_ORDER_BAND = 0.05  # a market order goes at most this far through the touch or the mark

_CLOSED = {
    "Unlisted": "Instrument not listed for trading yet",
    "Settled": "Instrument expired",
    "Expired": "Instrument expired",
}


class Desk:
    """One instrument's book and everything that is done to it."""

    def __init__(self, spec: Instrument, ledger: Ledger, tape: Tape, id_base: int) -> None:
        self.spec, self.grid, self.contract = spec, spec.grid(), spec.contract()
        self.book = Book(id_base)
        self.display = Display(spec, self.book, ledger, tape)
        self._ledger, self._tape = ledger, tape

    @property
    def is_open(self) -> bool:
        return self.display.state == "Open"

    # -- a customer's orders ------------------------------------------------------------------

    def check_new(self, account_no: int, rows: Sequence[Mapping[str, Any]]) -> list[Order]:
        """Orders ready to submit; raises Refused if any of them may not be entered."""
        self._check_open()
        position = self._ledger.look(account_no, self.spec)
        shelf = self._tape.shelf(account_no)
        orders: list[Order] = []
        for fields in rows:
            order = read_order(fields, self.spec, self.grid, account_no, position.qty)
            if order.cl_ord_id:
                check_unique(order.cl_ord_id, shelf)
                if any(order.cl_ord_id == other.cl_ord_id for other in orders):
                    raise Refused("Duplicate clOrdID")
            orders.append(order)
        extra = [
            (order.side, order.order_qty, self._order_cost(order.order_qty, order.price_ticks))
            for order in orders
            if not is_reducing(order)
        ]
        self._check_funds(account_no, position, extra)
        return orders

    def check_amends(
        self, account_no: int, asked: Sequence[tuple[Order, Mapping[str, Any]]]
    ) -> list[Change]:
        """Changes ready to apply; raises Refused if any of them may not be made."""
        self._check_open()
        shelf = self._tape.shelf(account_no)
        changes = [read_change(o, fields, self.spec, self.grid, shelf) for o, fields in asked]
        extra = []
        for change in changes:
            order = change.order
            leaves = change.order_qty - order.cum_qty
            cost = self._order_cost(leaves, change.price_ticks)
            was = self._order_cost(order.leaves_qty, order.price_ticks)
            extra.append((order.side, leaves - order.leaves_qty, cost - was))
        self._check_funds(account_no, self._position(account_no), extra)
        return changes

    def submit(self, order: Order) -> None:
        """Enter a checked order: match it, rest what is left."""
        order.order_id = self._tape.new_id()
        position = self._position(order.account)
        self._tape.shelf(order.account).add(order)
        self._tape.touch(order.account, self.spec.symbol)
        reason = self._stillborn(order, position)
        if reason:
            self._tape.order_event(order, "New")
            self._end(order, reason, is_first=True)
            return
        if is_reducing(order):
            order.order_qty = order.leaves_qty = min(order.order_qty, abs(position.qty))
        order.working = True
        self._tape.order_event(order, "New", is_first=True)
        self._work(order)

    def apply(self, change: Change) -> None:
        """Carry out a checked amend, unless the order finished in the meantime."""
        order = change.order
        leaves = change.order_qty - order.cum_qty
        if is_reducing(order):
            leaves = min(leaves, abs(self._position(order.account).qty))
        if order.leaves_qty <= 0 or leaves <= 0:
            return
        keeps_place = change.price_ticks == order.price_ticks and leaves <= order.leaves_qty
        self._unrest(order, order.leaves_qty - leaves if keeps_place else order.leaves_qty)
        order.order_qty, order.leaves_qty = order.cum_qty + leaves, leaves
        order.text = change.text
        order.price_ticks = change.price_ticks
        if change.cl_ord_id != order.cl_ord_id:
            self._tape.shelf(order.account).rename(order, change.cl_ord_id)
        self._tape.touch(order.account, self.spec.symbol)
        reason = "" if keeps_place else self._stillborn(order, self._position(order.account))
        if reason:
            self._end(order, reason)
            return
        self._tape.order_event(order, "Replaced")
        if not keeps_place:
            self._work(order)

    def cancel(self, order: Order, reason: str) -> None:
        """Take a resting order out of the book."""
        self._unrest(order, order.leaves_qty)
        self._tape.touch(order.account, self.spec.symbol)
        self._end(order, reason)

    def _check_open(self) -> None:
        if not self.is_open:
            raise Refused(_CLOSED.get(self.display.state, "Market is not open"))

    def _check_funds(
        self, account_no: int, position: Position, extra: Sequence[tuple[str, int, int]]
    ) -> None:
        needed = self._ledger.missing(account_no, position, extra)
        if needed:
            raise Refused(f"Account has insufficient Available Balance, {needed} XBt required")

    def _order_cost(self, qty: int, price_ticks: int | None) -> int:
        mark = self.display.mark_price
        price = mark if price_ticks is None else self.grid.price(price_ticks)
        return self.contract.value(qty, price)

    def _stillborn(self, order: Order, position: Position) -> str:
        """Why the order cannot even start, or nothing."""
        if is_post_only(order) and self.book.first(order.side, order.price_ticks):
            return "Order had execInst of ParticipateDoNotInitiate"
        if is_reducing(order) and (not position.qty or (position.qty > 0) == (order.side == "Buy")):
            return (
                f"Order had execInst of Close or ReduceOnly but current position is {position.qty}"
            )
        if order.time_in_force == "FillOrKill":
            available = self.book.available(order.side, self._limit(order))
            return "" if available >= order.leaves_qty else "Order had timeInForce of FillOrKill"
        return ""

    def _work(self, order: Order) -> None:
        """Trade what crosses; rest or end what is left."""
        limit = self._limit(order)
        while order.leaves_qty and (first := self.book.first(order.side, limit)):
            queue, place = first
            self.trade(order.side, queue, place, min(order.leaves_qty, place.qty), order)
        if not order.leaves_qty:
            return
        if order.ord_type == "Market" or order.time_in_force != "GoodTillCancel":
            self._end(order, f"Order had timeInForce of {order.time_in_force}")
            return
        self.book.rest(order)
        self._open(order, order.leaves_qty)
        if is_reducing(order):
            self._tape.shelf(order.account).reducing[order.order_id] = order

    def _limit(self, order: Order) -> int | None:
        if order.price_ticks is not None:
            return order.price_ticks
        touch = self.book.asks.best() if order.side == "Buy" else self.book.bids.best()
        mark = self.display.mark_price
        best = mark if touch is None else self.grid.price(touch)
        if order.side == "Buy":
            return self.grid.bid_ticks(max(best, mark) * (1 + _MARKET_ORDER_BAND))
        return self.grid.ask_ticks(min(best, mark) * (1 - _MARKET_ORDER_BAND))

    def _position(self, account_no: int) -> Position:
        return self._ledger.position(account_no, self.spec)

    def _end(self, order: Order, reason: str, *, is_first: bool = False) -> None:
        order.leaves_qty, order.working, order.ord_status = 0, False, "Canceled"
        order.text = f"Canceled: {reason}\n{order.text.rsplit(chr(10), 1)[-1]}"
        self._tape.order_event(order, "Canceled", is_first=is_first)
        self._tape.shelf(order.account).finish(order)

    def _open(self, order: Order, qty: int) -> None:
        """Count *qty* of a resting order (negative: no more) as open."""
        position = self._position(order.account)
        assert order.price_ticks is not None
        cost = self.contract.value(qty, self.grid.price(order.price_ticks))
        position.open_qty[order.side] += qty
        position.open_cost[order.side] += cost if qty > 0 else -cost

    def _unrest(self, order: Order, qty: int) -> None:
        if qty:
            self.book.shrink(order, qty)
            self._open(order, -qty)

    def respec(self, spec: Instrument) -> None:
        """Go on with another tick and lot; nothing may rest meanwhile."""
        self.spec, self.grid, self.contract = spec, spec.grid(), spec.contract()
        self.display.respec(spec)

    def trade_by_hand(self, account_no: int, qty: int) -> Order:
        """A trade of the account with the market at the mark, outside the book."""
        ticks = self.grid.nearest(self.display.mark_price)
        order = Order(
            self._tape.new_id(), account_no, self.spec.symbol, "Buy" if qty > 0 else "Sell",
            abs(qty), None, ord_type="Market", time_in_force="ImmediateOrCancel", working=True,
            leaves_qty=abs(qty), text="Submitted from www.bitmex.com",
        )  # fmt: skip
        self._tape.shelf(account_no).add(order)
        self._tape.order_event(order, "New", is_first=True)
        self._settle(order.side, abs(qty), ticks, None, order)
        return order

    # -- trades -------------------------------------------------------------------------------

    def trade(
        self, taker_side: str, queue: Queue, place: Place, qty: int, taker: Order | None
    ) -> None:
        """Trade *qty* with who stands at *place*; no taker order means that the market takes."""
        maker = place.order
        self.book.take(taker_side, queue, place, qty)
        if maker is not None:
            self._open(maker, -qty)
        self._settle(taker_side, qty, queue.price_ticks, maker, taker)

    def _settle(
        self, taker_side: str, qty: int, price_ticks: int, maker: Order | None, taker: Order | None
    ) -> None:
        """Book a trade on both sides and print it."""
        match_id = self._tape.new_id()
        if maker is not None:
            self._fill(maker, qty, price_ticks, match_id, is_maker=True)
        if taker is not None:
            self._fill(taker, qty, price_ticks, match_id, is_maker=False)
        if (maker is None) != (taker is None):
            bought = (taker_side == "Buy") == (taker is None)
            position = self._position(MARKET)
            position.trade(qty if bought else -qty, self.grid.price(price_ticks))
        self.display.print_trade(taker_side, qty, price_ticks, match_id)
        for order in (maker, taker):
            if order is not None:
                self._trim_reducing(order.account, taker)

    def print_market(self, taker_side: str, qty: int, price_ticks: int) -> None:
        """Show a trade of the market with itself; nothing is to be booked."""
        self.display.print_trade(taker_side, qty, price_ticks, self._tape.new_id())

    def _fill(
        self, order: Order, qty: int, price_ticks: int, match_id: str, *, is_maker: bool
    ) -> None:
        price = self.grid.price(price_ticks)
        position = self._position(order.account)
        cost, realised = position.trade(qty if order.side == "Buy" else -qty, price)
        rate = self.spec.maker_fee if is_maker else self.spec.taker_fee
        fee = self._ledger.charge(position, rate, cost)
        order.leaves_qty -= qty
        order.cum_qty += qty
        order.cum_cost += qty / price if self.contract.is_inverse else qty * price
        average = (
            order.cum_qty / order.cum_cost
            if self.contract.is_inverse
            else order.cum_cost / order.cum_qty
        )
        order.avg_px = round(average, max(4, self.grid.decimals))
        order.ord_status = "PartiallyFilled" if order.leaves_qty else "Filled"
        order.working = order.leaves_qty > 0
        fill = Fill(
            self._tape.new_id(), match_id, qty, price_ticks, is_maker, rate, cost, fee, realised
        )
        self._tape.order_event(order, "Trade", fill=fill)
        self._tape.touch(order.account, self.spec.symbol)
        if not order.leaves_qty:
            self._tape.shelf(order.account).finish(order)

    def _trim_reducing(self, account_no: int, taker: Order | None) -> None:
        """Keep reduce-only orders within what is left of the position."""
        resting = self._tape.shelf(account_no).reducing
        held = self._position(account_no).qty
        for order in [o for o in resting.values() if o.symbol == self.spec.symbol]:
            reducible = max(0, -held if order.side == "Buy" else held)
            surplus = order.leaves_qty - reducible
            if surplus > 0 and order.leaves_qty:
                self._unrest(order, surplus)
                self._trim(order, surplus, held)
        if taker is not None and taker.account == account_no and is_reducing(taker):
            surplus = taker.leaves_qty - max(0, -held if taker.side == "Buy" else held)
            if surplus > 0:
                self._trim(taker, surplus, held)

    def _trim(self, order: Order, surplus: int, held: int) -> None:
        if surplus == order.leaves_qty:
            self._end(
                order, f"Order had execInst of Close or ReduceOnly but current position is {held}"
            )
            return
        order.leaves_qty -= surplus
        order.order_qty -= surplus
        self._tape.order_event(order, "Replaced")
