"""Where one instrument trades: its book, what rests in it, and the fills on the accounts."""

from market_maker.simulator.accounts import MARKET, Ledger
from market_maker.simulator.display import Display
from market_maker.simulator.entry import ONE_TRIGGERS_OTHER, RESTING_LIFETIMES, is_reducing
from market_maker.simulator.events import Fill, Order
from market_maker.simulator.indices import Index
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.matching import Book, Place, Queue
from market_maker.simulator.positions import Position
from market_maker.simulator.quirks import Quirks
from market_maker.simulator.spot import SpotPosition
from market_maker.simulator.tape import Tape

_MARKET_ORDER_BAND = 0.05  # a market order goes at most this far through the touch or the mark


class Pit:
    """One instrument's book, and trading in it."""

    def __init__(
        self, spec: Instrument, ledger: Ledger, tape: Tape, id_base: int, index: Index
    ) -> None:
        self.spec, self.grid, self.contract = spec, spec.grid(), spec.contract()
        self.book = Book(id_base)
        self.display = Display(spec, self.book, ledger, tape)
        self.quirks = Quirks()
        self.linked: list[Order] = []  # whose trade or end means something to other orders
        self._ledger, self._tape, self.index = ledger, tape, index
        index.follow(self.display, spec.index_symbol)

    @property
    def is_open(self) -> bool:
        return self.display.state == "Open"

    def respec(self, spec: Instrument) -> None:
        """Go on with another tick and lot; nothing may rest meanwhile."""
        self.spec, self.grid, self.contract = spec, spec.grid(), spec.contract()
        self.display.respec(spec)

    def clear_market(self) -> None:
        """Take all anonymous liquidity out of the book."""
        for side in (self.book.bids, self.book.asks):
            for price_ticks in list(side.prices()):
                size = self.book.market_size(side.side, price_ticks)
                self.book.shrink_market(side.side, price_ticks, size)

    def trade(
        self, taker_side: str, queue: Queue, place: Place, qty: int, taker: Order | None
    ) -> None:
        """Trade *qty* with who stands at *place*; no taker order means that the market takes."""
        maker = place.order
        self.book.take(taker_side, queue, place, qty)
        if maker is not None:
            self._open(maker, -qty)
        self._settle(taker_side, qty, queue.price_ticks, maker, taker, place.is_hidden)

    def part(self, place: Place, qty: int) -> int:
        """How much of *qty* the market may trade at a time with who stands at *place*."""
        most = place.qty if place.order is None else min(place.qty, self.quirks.fill_qty)
        return min(qty, most)

    def print_market(self, taker_side: str, qty: int, price_ticks: int) -> None:
        """Show a trade of the market with itself; nothing is to be booked."""
        self.display.print_trade(taker_side, qty, price_ticks, self._tape.new_exec_id())

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

    def _work(self, order: Order) -> None:
        """Trade what crosses; rest or end what is left."""
        limit = self._limit(order)
        while order.leaves_qty and (first := self.book.first(order.side, limit)):
            queue, place = first
            part = min(order.leaves_qty, place.qty, self.quirks.fill_qty)
            self.trade(order.side, queue, place, part, order)
        if not order.leaves_qty:
            return
        if order.price_ticks is None:
            self._end(order, "Order had timeInForce of ImmediateOrCancel")
        elif order.time_in_force not in RESTING_LIFETIMES:
            self._end(order, f"Order had timeInForce of {order.time_in_force}")
        else:
            self.book.rest(order)
            self._open(order, order.leaves_qty)
            if is_reducing(order):
                self._tape.shelf(order.account).reducing[order.order_id] = order

    def _limit(self, order: Order) -> int:
        """The worst price at which the order trades."""
        if order.price_ticks is not None:
            return order.price_ticks
        touch, _ = (self.book.asks if order.side == "Buy" else self.book.bids).touch()
        mark = self.display.mark_price
        best = mark if touch is None else self.grid.price(touch)
        if order.side == "Buy":
            return self.grid.bid_ticks(max(best, mark) * (1 + _MARKET_ORDER_BAND))
        return self.grid.ask_ticks(min(best, mark) * (1 - _MARKET_ORDER_BAND))

    def _position(self, account_no: int) -> Position:
        return self._ledger.position(account_no, self.spec)

    def _end(
        self, order: Order, reason: str, *, is_first: bool = False, status: str = "Canceled"
    ) -> None:
        if order.extra.get("contingencyType") == ONE_TRIGGERS_OTHER:
            self.linked.append(order)
        order.leaves_qty, order.working, order.ord_status = 0, False, status
        if status == "Rejected":
            order.rej_reason = reason
        order.text = f"{status}: {reason}\n{note(order)}"
        self._tape.order_event(order, status, is_first=is_first)
        self._tape.shelf(order.account).finish(order)

    def _open(self, order: Order, qty: int) -> None:
        """Count *qty* of a resting order (negative: no more) as open."""
        assert order.price_ticks is not None
        position = self._position(order.account)
        position.rest(order.side, qty, self.grid.price(order.price_ticks))

    def _unrest(self, order: Order, qty: int) -> None:
        if qty:
            self.book.shrink(order, qty)
            self._open(order, -qty)

    # -- fills --------------------------------------------------------------------------------

    def _settle(
        self,
        taker_side: str,
        qty: int,
        price_ticks: int,
        maker: Order | None,
        taker: Order | None,
        is_hidden: bool = False,
    ) -> None:
        """Book a trade on both sides and print it."""
        match_id = self._tape.new_exec_id()
        if maker is not None:
            # who shows nothing adds nothing to the book and pays as a taker (BitMEX's fee rules)
            self._fill(maker, qty, price_ticks, match_id, is_maker=True, is_hidden=is_hidden)
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

    def _fill(
        self,
        order: Order,
        qty: int,
        price_ticks: int,
        match_id: str,
        *,
        is_maker: bool,
        is_hidden: bool = False,
    ) -> None:
        price = self.grid.price(price_ticks)
        position = self._position(order.account)
        cost, realised = position.trade(qty if order.side == "Buy" else -qty, price)
        rate = position.fees.maker if is_maker and not is_hidden else position.fees.taker
        if isinstance(position, SpotPosition) and self._pays_in_base(order):
            fee = self._ledger.charge_in_base(position, rate, qty)
        else:
            fee = self._ledger.charge(position, rate, cost)
        if order.extra and "contingencyType" in order.extra:
            self.linked.append(order)
        if not order.cum_qty:
            self._tape.count_dealt(order.account)
        order.leaves_qty -= qty
        order.cum_qty += qty
        is_inverse = self.contract.is_inverse
        order.cum_cost += qty / price if is_inverse else qty * price
        average = order.cum_qty / order.cum_cost if is_inverse else order.cum_cost / order.cum_qty
        order.avg_px = round(average, max(4, self.grid.decimals))
        order.ord_status = "PartiallyFilled" if order.leaves_qty else "Filled"
        order.working = order.leaves_qty > 0
        fill = Fill(
            self._tape.new_exec_id(), match_id, qty, price_ticks, is_maker, rate, cost, fee,
            realised,
        )  # fmt: skip
        self._tape.order_event(order, "Trade", fill=fill)
        self._tape.touch(order.account, self.spec.symbol)
        if not order.leaves_qty:
            self._tape.shelf(order.account).finish(order)

    def _pays_in_base(self, order: Order) -> bool:
        return self.spec.pays_in_base and order.side == "Buy"

    def _trim_reducing(self, account_no: int, taker: Order | None) -> None:
        """Keep reduce-only orders within what is left of the position."""
        resting = self._tape.shelf(account_no).reducing
        if not resting and (taker is None or not is_reducing(taker)):
            return
        held = self._position(account_no).qty
        ours = [o for o in resting.values() if o.symbol == self.spec.symbol]
        ours.sort(key=_aggression)  # the least aggressive gives way first
        for order in ours:
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
            self._end(order, not_reducible(held))
            return
        order.leaves_qty -= surplus
        order.order_qty -= surplus
        self._tape.order_event(order, "Replaced")


def note(order: Order) -> str:
    """What the caller wrote on the order; it stays the last line of its text."""
    return order.text.rsplit("\n", 1)[-1]


def not_reducible(held: int) -> str:
    """Why an order that may only reduce cannot do so with a position of *held*."""
    return f"Order had execInst of Close or ReduceOnly but current position is {held}"


def _aggression(order: Order) -> int:
    assert order.price_ticks is not None
    return order.price_ticks if order.side == "Buy" else -order.price_ticks
