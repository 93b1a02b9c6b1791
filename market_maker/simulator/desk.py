"""Carries out orders on one instrument: enters, amends, triggers and cancels them."""

from collections.abc import Mapping, Sequence
from typing import Any

from market_maker.simulator.accounts import Ledger
from market_maker.simulator.amends import Change, check_unique, read_change
from market_maker.simulator.entry import (
    Refused,
    is_post_only,
    is_reducing,
    is_waiting,
    read_order,
)
from market_maker.simulator.events import Order
from market_maker.simulator.indices import Index
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.pegs import Trails, is_trailing, peg_limit, peg_stop
from market_maker.simulator.pit import Pit, not_reducible, note
from market_maker.simulator.positions import Claim, Position
from market_maker.simulator.statements import liquidation_price
from market_maker.simulator.tape import Shelf, Tape
from market_maker.simulator.triggers import Triggers, price_of

MAX_OPEN_ORDERS = 200  # of one account on one symbol
MAX_STOP_ORDERS = 10

_CLOSED = {
    "Unlisted": "Instrument not listed for trading yet",
    "Settled": "Instrument expired",
    "Expired": "Instrument expired",
}


class Desk(Pit):
    """One instrument, and everything that is done with orders on it."""

    def __init__(
        self, spec: Instrument, ledger: Ledger, tape: Tape, id_base: int, index: Index
    ) -> None:
        super().__init__(spec, ledger, tape, id_base, index)
        self.triggers = Triggers()
        self._trails = Trails()

    # -- checks -------------------------------------------------------------------------------

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
            if order.cl_ord_id:
                check_unique(order.cl_ord_id, shelf)
                if any(order.cl_ord_id == other.cl_ord_id for other in orders):
                    raise Refused("Duplicate clOrdID")
            orders.append(order)
        self._check_caps(shelf, orders)
        if position.qty:
            for order in orders:
                self._check_exit(position, account_no, order.side, order.price_ticks)
        # stops take no margin before they trigger
        extra = [
            self._claim(position, order.side, order.order_qty, order.price_ticks)
            for order in orders
            if order.stop_ticks is None and not is_reducing(order)
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
        position, extra = self._position(account_no), []
        for change in changes:
            order = change.order
            if is_waiting(order):
                if change.peg_offset is not None:
                    market = self._market_of(order)
                    change.stop_ticks = peg_stop(order, change.peg_offset, market, self.grid)
                continue
            if position.qty:
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

    # -- a customer's orders ------------------------------------------------------------------

    def submit(self, order: Order) -> None:
        """Enter a checked order: match it, rest what is left, or let it wait for its trigger."""
        order.order_id = self._tape.new_id()
        position = self._position(order.account)
        self._tape.shelf(order.account).add(order)
        self._tape.touch(order.account, self.spec.symbol)
        self._tape.count_quote(order.account)
        if order.stop_ticks is not None:
            self._tape.order_event(order, "New", is_first=True)
            self._wait(order)
            return
        reason = self._stillborn(order, position)
        if reason:
            self._tape.order_event(order, "New")
            self._end(order, reason, is_first=True)
            return
        if is_reducing(order):
            order.order_qty = order.leaves_qty = min(order.order_qty, abs(position.qty))
        order.working = True
        self._tape.order_event(order, "New", is_first=True)
        self._make_way(order, position)
        self._work(order)

    def apply(self, change: Change) -> None:
        """Carry out a checked amend, unless the order finished in the meantime."""
        order = change.order
        leaves = change.order_qty - order.cum_qty
        waits = is_waiting(order)
        if is_reducing(order) and not waits:
            leaves = min(leaves, abs(self._position(order.account).qty))
        if (order.leaves_qty <= 0 and not change.revives) or leaves <= 0:
            return
        self._tape.count_quote(order.account)
        keeps_place = change.price_ticks == order.price_ticks and leaves <= order.leaves_qty
        if change.revives:
            keeps_place = False
            self._tape.shelf(order.account).revive(order)
            order.ord_status, order.working = "PartiallyFilled", True
        elif waits:
            self._stop_waiting(order)
        else:
            self._unrest(order, order.leaves_qty - leaves if keeps_place else order.leaves_qty)
        if change.order_qty != order.order_qty:
            order.extra.pop("closes_all", None)  # from now on it closes what was asked
        order.order_qty, order.leaves_qty = order.cum_qty + leaves, leaves
        order.price_ticks, order.stop_ticks = change.price_ticks, change.stop_ticks
        order.text = change.text
        if change.cl_ord_id != order.cl_ord_id:
            self._tape.shelf(order.account).rename(order, change.cl_ord_id)
        self._tape.touch(order.account, self.spec.symbol)
        if waits:
            if change.peg_offset is not None:
                order.extra = {**order.extra, "pegOffsetValue": change.peg_offset}
            self._wait(order)
            self._tape.order_event(order, "Replaced")
            return
        reason = "" if keeps_place else self._stillborn(order, self._position(order.account))
        if reason:
            self._end(order, reason)
            return
        self._tape.order_event(order, "Replaced")
        if not keeps_place:
            self._work(order)

    def cancel(self, order: Order, reason: str) -> None:
        """Take an open order out, wherever it stands."""
        if is_waiting(order):
            self._stop_waiting(order)
        else:
            self._unrest(order, order.leaves_qty)
        self._tape.touch(order.account, self.spec.symbol)
        self._end(order, reason)

    def expire(self, order: Order) -> None:
        """End a Day order with its day, if it is still open."""
        if order.leaves_qty > 0:
            self.cancel(order, "Order had timeInForce of Day")

    def wake(self) -> None:
        """Fire what the prices of now set off; each may move the last price for the next."""
        if not self.triggers or not self.is_open:
            return
        while order := self._due():
            self._fire(order)
        if self._trails:
            self._trail()

    def _trail(self) -> None:
        """Let trailing stops follow the market."""
        for order, ticks in self._trails.moved(self._market_of, self._tape.now(), self.grid):
            self.triggers.remove(order)
            order.stop_ticks = ticks
            self.triggers.add(order)
            self._tape.order_event(order, "Replaced")

    def _wait(self, order: Order) -> None:
        """Let the order wait for its trigger price."""
        self.triggers.add(order)
        if is_trailing(order):
            self._trails.add(order, self._market_of(order), self._tape.now())

    def _stop_waiting(self, order: Order) -> None:
        self.triggers.remove(order)
        self._trails.discard(order)

    def _due(self) -> Order | None:
        display = self.display
        return self.triggers.due(display.trigger_prices(), display.last_price, display.mark_price)

    def _fire(self, order: Order) -> None:
        """A waiting order becomes a market or limit order, if the account can carry it."""
        self._stop_waiting(order)
        position = self._position(order.account)
        order.triggered = "StopOrderTriggered"
        order.text = f"Triggered: Order stopPx reached\n{note(order)}"
        if order.extra.get("closes_all"):
            order.order_qty = order.leaves_qty = abs(position.qty) or order.leaves_qty
        reason = self._stillborn(order, position)
        if not reason and is_reducing(order):
            order.order_qty = order.leaves_qty = min(order.leaves_qty, abs(position.qty))
        order.working = not reason
        self._tape.touch(order.account, self.spec.symbol)
        self._tape.order_event(order, "TriggeredOrActivatedBySystem")
        if reason:
            self._end(order, reason)
            return
        self._make_way(order, position)
        if not is_reducing(order):
            claim = self._claim(position, order.side, order.leaves_qty, order.price_ticks)
            refusal = self._ledger.refusal(order.account, position, [claim])
            if refusal:
                self._end(order, refusal, status="Rejected")
                return
        self._work(order)

    def _stillborn(self, order: Order, position: Position) -> str:
        """Why the order cannot even start, or nothing."""
        if is_post_only(order) and (
            self.quirks.bounces_post_only or self.book.first(order.side, order.price_ticks)
        ):
            return "Order had execInst of ParticipateDoNotInitiate"
        if is_reducing(order) and (not position.qty or (position.qty > 0) == (order.side == "Buy")):
            return not_reducible(position.qty)
        if order.time_in_force == "FillOrKill":
            available = self.book.available(order.side, self._limit(order))
            return "" if available >= order.leaves_qty else "Order had timeInForce of FillOrKill"
        return ""

    def _make_way(self, order: Order, position: Position) -> None:
        """An order to close cancels what else rests on its side, where both exceed the position."""
        if "Close" not in order.exec_inst:
            return
        rivals = [
            other
            for other in self._tape.shelf(order.account).open.values()
            if other is not order
            and (other.symbol, other.side) == (order.symbol, order.side)
            and not is_waiting(other)
        ]
        if sum(other.leaves_qty for other in [order, *rivals]) > abs(position.qty):
            for other in rivals:
                self.cancel(other, "Canceled by an order with execInst of Close")
