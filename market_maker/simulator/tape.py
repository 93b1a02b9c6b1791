"""What happened, in order: stamps events, keeps each account's recent past, tells the listeners."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from market_maker.clock import Clock
from market_maker.simulator.events import (
    Event,
    Fill,
    LiquidationEvent,
    MarginEvent,
    Order,
    OrderEvent,
    PositionEvent,
)

DAY_S = 86_400
_FINISHED_KEPT = 1_000
_EXECUTIONS_KEPT = 5_000
_QUOTE_DAYS_KEPT = 30


@dataclass(slots=True)
class QuoteCount:
    """One account's quotes of one UTC day: new orders and amends, and the orders that traded."""

    day_s: float  # Unix seconds at its start
    submitted: int = 0
    dealt: int = 0


@dataclass(slots=True)
class Shelf:
    """One account's orders and executions; the past is bounded, the present is not."""

    orders: dict[str, Order] = field(default_factory=dict)  # orderID -> order, oldest first
    open: dict[str, Order] = field(default_factory=dict)  # the open ones among them
    clients: dict[str, Order] = field(default_factory=dict)  # clOrdID -> its latest order
    reducing: dict[str, Order] = field(default_factory=dict)  # resting reduce-only orders
    finished: deque[Order] = field(default_factory=deque)
    executions: deque[OrderEvent] = field(default_factory=lambda: deque(maxlen=_EXECUTIONS_KEPT))
    quotes: deque[QuoteCount] = field(default_factory=lambda: deque(maxlen=_QUOTE_DAYS_KEPT))

    def add(self, order: Order) -> None:
        self.orders[order.order_id] = self.open[order.order_id] = order
        if order.cl_ord_id:
            self.clients[order.cl_ord_id] = order

    def rename(self, order: Order, cl_ord_id: str) -> None:
        if self.clients.get(order.cl_ord_id) is order:
            del self.clients[order.cl_ord_id]
        order.cl_ord_id = cl_ord_id
        self.clients[cl_ord_id] = order

    def finish(self, order: Order) -> None:
        """The order is done; the oldest done ones are forgotten."""
        if self.open.pop(order.order_id, None) is None:
            return
        self.reducing.pop(order.order_id, None)
        self.finished.append(order)
        if len(self.finished) > _FINISHED_KEPT:
            oldest = self.finished.popleft()
            del self.orders[oldest.order_id]
            if self.clients.get(oldest.cl_ord_id) is oldest:
                del self.clients[oldest.cl_ord_id]

    def revive(self, order: Order) -> None:
        """A finished order is open again."""
        self.finished.remove(order)
        self.add(order)

    def by_client_id(self, cl_ord_id: str) -> Order | None:
        return self.clients.get(cl_ord_id) if cl_ord_id else None

    def open_orders(self) -> list[Order]:
        return list(self.open.values())


class Tape:
    """Time, identifiers and the way out for everything that happens."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self.listeners: list[Callable[[Event], None]] = []
        self._clock = clock
        self._rng = rng
        self._fixed_s: float | None = None
        self._latest_s = 0.0
        self._execution_no = rng.getrandbits(40)
        self._shelves: dict[int, Shelf] = {}
        self._today: dict[int, QuoteCount] = {}  # account -> its quotes of this UTC day
        self._day_ends_s = 0.0
        self._touched: dict[tuple[int, str], None] = {}  # positions to report, in order
        self._margins: dict[tuple[int, str], None] = {}  # (account, currency) beside those
        self.currency_of: dict[str, str] = {}  # symbol -> settlement currency

    def now(self) -> float:
        """Unix seconds; never earlier than what was stamped before."""
        now_s = self._clock.now() if self._fixed_s is None else self._fixed_s
        if now_s > self._latest_s:
            self._latest_s = now_s
        return self._latest_s

    @contextmanager
    def at(self, time_s: float) -> Iterator[None]:
        """Let everything inside happen at *time_s*."""
        self._fixed_s = time_s
        try:
            yield
        finally:
            self._fixed_s = None

    def new_exec_id(self) -> str:
        """A fresh execID or trdMatchID: a counter, as on BitMEX's last engine."""
        self._execution_no += 1
        return f"00000000-006d-1000-0000-{self._execution_no:012x}"

    def new_id(self) -> str:
        """A fresh identifier in the shape of a random UUID."""
        text = f"{self._rng.getrandbits(120):030x}"
        return f"{text[:8]}-{text[8:12]}-4{text[12:15]}-a{text[15:18]}-{text[18:]}"

    def shelf(self, account_no: int) -> Shelf:
        shelf = self._shelves.get(account_no)
        if shelf is None:
            shelf = self._shelves[account_no] = Shelf()
        return shelf

    def shelves(self) -> list[Shelf]:
        return list(self._shelves.values())

    def count_quote(self, account_no: int) -> None:
        """The account submitted or amended an order."""
        self._quotes_today(account_no).submitted += 1

    def count_dealt(self, account_no: int) -> None:
        """An order of the account traded for the first time."""
        self._quotes_today(account_no).dealt += 1

    def _quotes_today(self, account_no: int) -> QuoteCount:
        now_s = self.now()
        if now_s >= self._day_ends_s:
            self._day_ends_s = (now_s // DAY_S + 1) * DAY_S
            self._today.clear()
        counted = self._today.get(account_no)
        if counted is None:
            days, day_s = self.shelf(account_no).quotes, self._day_ends_s - DAY_S
            if not days or days[-1].day_s != day_s:  # it may come from a saved state
                days.append(QuoteCount(day_s))
            counted = self._today[account_no] = days[-1]
        return counted

    def emit(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    def order_event(
        self, order: Order, exec_type: str, *, is_first: bool = False, fill: Fill | None = None
    ) -> None:
        """Report a change of *order*, which keeps changing: a copy goes out."""
        now_s = order.transact_time = order.timestamp = self.now()
        exec_id = fill.exec_id if fill else self.new_exec_id()
        event = OrderEvent(now_s, copy_order(order), exec_type, exec_id, is_first, fill)
        self.shelf(order.account).executions.append(event)
        if order.account < 0:
            self._liquidation_event(order, is_first)
            return
        for listener in self.listeners:
            listener(event)

    def reject_cancel(self, account_no: int, order_id: str) -> None:
        """Report that an account asked to cancel an order there is not; nothing of it is kept."""
        now_s = self.now()
        order = Order(
            order_id, account_no, "", "", 0, None, ord_status="Rejected",
            text="Invalid orderID", rej_reason="Invalid orderID",
        )  # fmt: skip
        exec_id = self.new_exec_id()
        self.emit(OrderEvent(now_s, order, "CancelReject", exec_id, is_first=False))

    def _liquidation_event(self, order: Order, is_first: bool) -> None:
        """Tell of the liquidation engine's order what the public may know."""
        if order.price_ticks is None:
            return
        action = "insert" if is_first else "update" if order.leaves_qty else "delete"
        self.emit(
            LiquidationEvent(
                self.now(), order.order_id, order.symbol, order.side, order.price_ticks,
                order.leaves_qty, action,
            )
        )  # fmt: skip

    def touch(self, account_no: int, symbol: str) -> None:
        """The position of an account changed; it is told at the next flush."""
        self._touched[account_no, symbol] = None

    def touch_money(self, account_no: int, currency: str) -> None:
        """The money of an account changed beside its positions; told at the next flush."""
        self._margins[account_no, currency] = None

    def touched(self) -> list[tuple[int, str]]:
        """(account, symbol) of the positions to be told at the next flush."""
        return list(self._touched)

    def flush_accounts(self) -> None:
        """Tell positions and margins that changed, each once."""
        if not self._touched and not self._margins:
            return
        touched, self._touched = self._touched, {}
        margins, self._margins = self._margins, {}
        now_s = self.now()
        for account_no, symbol in touched:
            self.emit(PositionEvent(now_s, account_no, symbol))
            margins[account_no, self.currency_of[symbol]] = None
        for account_no, currency in margins:
            self.emit(MarginEvent(now_s, account_no, currency))


def copy_order(order: Order) -> Order:
    """A copy; written out because this is the hottest line of the exchange."""
    return Order(
        order.order_id, order.account, order.symbol, order.side, order.order_qty,
        order.price_ticks, order.cl_ord_id, order.ord_type, order.time_in_force, order.exec_inst,
        order.stop_ticks, order.display_qty, order.ord_status, order.triggered, order.working,
        order.leaves_qty, order.cum_qty, order.cum_cost, order.avg_px, order.text,
        order.rej_reason, order.transact_time, order.timestamp, order.extra,
    )  # fmt: skip
