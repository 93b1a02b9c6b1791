"""Carries out orders on one instrument: enters, amends, triggers and cancels them."""

from market_maker.simulator.accounts import Ledger
from market_maker.simulator.amends import Change
from market_maker.simulator.door import Door, contingency, is_linked
from market_maker.simulator.entry import (
    HELD,
    ONE_CANCELS_OTHER,
    is_post_only,
    is_reducing,
    is_waiting,
)
from market_maker.simulator.events import Order
from market_maker.simulator.indices import Index
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.pegs import Trails, is_trailing
from market_maker.simulator.pit import not_reducible, note
from market_maker.simulator.positions import Position
from market_maker.simulator.tape import Tape
from market_maker.simulator.triggers import Triggers


class Desk(Door):
    """One instrument, and everything that is done with orders on it."""

    def __init__(
        self, spec: Instrument, ledger: Ledger, tape: Tape, id_base: int, index: Index
    ) -> None:
        super().__init__(spec, ledger, tape, id_base, index)
        self.triggers = Triggers()
        self._trails = Trails()

    def respec(self, spec: Instrument) -> None:
        """Go on with another tick and lot; the orders that wait have their stopPx on it already."""
        super().respec(spec)
        self.triggers.resort()

    # -- a customer's orders ------------------------------------------------------------------

    def submit(self, order: Order) -> None:
        """Enter a checked order: match it, rest what is left, or let it wait for its trigger."""
        order.order_id = self._tape.new_id()
        position = self._position(order.account)
        self._tape.shelf(order.account).add(order)
        self._tape.touch(order.account, self.spec.symbol)
        self._tape.count_quote(order.account)
        if is_waiting(order):
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
        while True:
            if self.linked:
                self._follow(self.linked.pop(0))
            elif self.triggers and self.is_open and (order := self._due()):
                self._fire(order)
            else:
                break
        if self._trails and self.is_open:
            self._trail()

    def _follow(self, order: Order) -> None:
        """Do to linked orders what the trade or the end of *order* means to them."""
        for other in self._tape.shelf(order.account).open_orders():
            if not is_linked(order, other) or other.leaves_qty <= 0:
                continue
            if contingency(order) == ONE_CANCELS_OTHER == contingency(other):
                self.cancel(other, "Canceled by a linked order")
            elif HELD in other.extra and order.ord_status == "Filled":
                self._release(other)
            elif HELD in other.extra and order.leaves_qty <= 0:
                self.cancel(other, "Canceled by a linked order")

    def _release(self, order: Order) -> None:
        """An order that was held back comes to life."""
        self._stop_waiting(order)
        order.extra = {name: value for name, value in order.extra.items() if name != HELD}
        if is_waiting(order):
            self._wait(order)
        else:
            self._activate(order)

    def _trail(self) -> None:
        """Let trailing stops follow the market."""
        for order, ticks in self._trails.moved(self._market_of, self._tape.now(), self.grid):
            self.triggers.remove(order)
            order.stop_ticks = ticks
            self.triggers.add(order)
            self._tape.order_event(order, "Replaced")

    def _wait(self, order: Order) -> None:
        """Let the order wait for its trigger price."""
        if HELD in order.extra:
            return
        self.triggers.add(order)
        if is_trailing(order):
            self._trails.add(order, self._market_of(order), self._tape.now())

    def _stop_waiting(self, order: Order) -> None:
        if HELD in order.extra:
            return
        self.triggers.remove(order)
        self._trails.discard(order)

    def _due(self) -> Order | None:
        display = self.display
        return self.triggers.due(display.trigger_prices(), display.last_price, display.mark_price)

    def _fire(self, order: Order) -> None:
        """A waiting order has met its price."""
        self._stop_waiting(order)
        order.triggered = "StopOrderTriggered"
        order.text = f"Triggered: Order stopPx reached\n{note(order)}"
        if contingency(order) == ONE_CANCELS_OTHER:
            self.linked.append(order)
        self._activate(order)

    def _activate(self, order: Order) -> None:
        """A waiting order becomes a market or limit order, if the account can carry it."""
        position = self._position(order.account)
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
