"""What one account did on the exchange, and whether it was allowed to.

The judge listens to the engine and knows nothing of the program that trades: neither what that
believes nor what it logs. It is told the rules, and which sizes the strategy asked for.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from market_maker.simulator.events import BY_API, Event, MarginEvent, Order, OrderEvent
from market_maker.simulator.exchange import Engine

_REMEMBERED = 10_000  # client ids
_STACKED_S = 3.0  # an order that moves past another may stand on its price so long
_REACTION_S = 10.0  # what another hand did to the position may stay so long


class Rules(NamedTuple):
    """What the account may do. Positions are contracts; None is no bound."""

    min_position: float | None = None
    max_position: float | None = None
    is_switched: bool = True  # every order needs an armed dead man's switch
    has_ids: bool = True  # every order of the program bears a client id


class Violation(NamedTuple):
    """Something that must not happen. `time_s` is the exchange's clock."""

    time_s: float
    text: str


class Count(NamedTuple):
    """How many orders rest from this moment on."""

    time_s: float
    buys: int
    sells: int


class Judge:
    """Watches one symbol of one account from now on."""

    def __init__(
        self,
        engine: Engine,
        account_no: int,
        symbol: str,
        rules: Rules,
        wanted: Callable[[str], int],
        stacked: Callable[[str], int] = lambda _: 1,
        *,
        position: Callable[[], float] | None = None,
        is_armed: Callable[[], bool] | None = None,
    ) -> None:
        """*wanted* tells how many orders of a side may rest now, *stacked* how many of them at
        one price; *position* what the account holds (contracts) and *is_armed* whether its dead
        man's switch is, where a venue counts them in a way of its own."""
        self.violations: list[Violation] = []
        self.counts: deque[Count] = deque(maxlen=100_000)  # oldest first
        self.traded: deque[tuple[float, int]] = deque(maxlen=100_000)  # when, signed contracts
        self.deeds: Counter[str] = Counter()  # exec_type -> how often, of the account's orders
        self.is_filled = False  # the order that left the book last was filled in full
        self.excused_until_s = 0.0  # till then the account cannot be expected to react
        self._engine = engine
        self._account_no = account_no
        self._symbol = symbol
        self._rules = rules
        self._wanted = wanted
        self._stacked = stacked
        self._position = position or self._engine_position
        self._is_armed = is_armed or (lambda: engine.timer(account_no) is not None)
        self._live: dict[str, Order] = {}
        self._ids: dict[str, str] = {}  # clOrdID, or orderID without one -> orderID, the latest
        self._match_id = ""
        self._foreign: deque[tuple[float, int]] = deque(maxlen=100)  # when, contracts
        self._stacked_since_s: dict[tuple[str, int | None], float] = {}
        engine.listeners.append(self._hear)

    @property
    def now_s(self) -> float:
        return self._engine.now()

    def live(self, side: str = "") -> list[Order]:
        """What rests now."""
        return [order for order in self._live.values() if side in ("", order.side)]

    def complain(self, text: str) -> None:
        """Note a violation; one that repeats is noted once."""
        if all(known.text != text for known in self.violations):
            self.violations.append(Violation(self.now_s, text))

    def seconds_without_quotes(self, from_s: float, to_s: float) -> float:
        """How long nothing at all rested within this time."""
        bare_s, since_s, is_bare = 0.0, from_s, True
        for count in self.counts:
            if count.time_s > to_s:
                break
            if is_bare and count.time_s > since_s:
                bare_s += count.time_s - since_s
            since_s, is_bare = max(from_s, count.time_s), not (count.buys or count.sells)
        return bare_s + (max(0.0, to_s - since_s) if is_bare else 0.0)

    def check_gone(self) -> None:
        """Nothing may rest any more, by the engine's own list as well as by its events."""
        left = [o for o in self._engine.orders(self._account_no) if o.leaves_qty]
        if left or self._live:
            self.complain(f"{max(len(left), len(self._live))} orders are left after the end")

    # -- within -------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        if isinstance(event, OrderEvent):
            if event.order.account == self._account_no and event.order.symbol == self._symbol:
                self._hear_order(event)
        elif isinstance(event, MarginEvent) and event.account == self._account_no:
            self._weigh()

    def _hear_order(self, event: OrderEvent) -> None:
        order = event.order
        self.deeds[event.exec_type] += 1
        if self._is_foreign(order):
            if event.fill is not None and event.exec_type != "Funding":
                self._foreign.append((event.time_s, event.fill.qty))
            return
        if event.fill is not None:
            if event.fill.match_id == self._match_id:
                self.complain("two orders of the account traded with each other")
            self._match_id = event.fill.match_id
            qty = event.fill.qty
            self.traded.append((event.time_s, qty if order.side == "Buy" else -qty))
        if event.exec_type == "New":
            self._judge_new(order)
        is_live = order.leaves_qty > 0 and order.ord_status not in ("Canceled", "Rejected")
        if is_live:
            self._live[order.order_id] = order
        elif self._live.pop(order.order_id, None) is not None:
            self.is_filled = order.ord_status == "Filled"
        self._count()
        if event.exec_type == "New" and is_live:
            self._judge_number(order.side)

    def _is_foreign(self, order: Order) -> bool:
        """Whether it is of another hand, or of the exchange itself."""
        if order.cl_ord_id or order.order_id in self._ids:
            return False
        return self._rules.has_ids or order.text != BY_API

    def _judge_new(self, order: Order) -> None:
        name = order.cl_ord_id or order.order_id
        if self._ids.setdefault(name, order.order_id) != order.order_id:
            self.complain(f"the client id {order.cl_ord_id} came twice")
        if len(self._ids) > _REMEMBERED:
            del self._ids[next(iter(self._ids))]
        if self._rules.is_switched and not self._is_armed():
            self.complain("an order was placed while the dead man's switch was not armed")

    def _judge_number(self, side: str) -> None:
        number, most = len(self.live(side)), self._wanted(side)
        if number > most:
            self.complain(f"{number} orders on the {side} side where {most} are wanted")

    def _count(self) -> None:
        now = Count(self.now_s, len(self.live("Buy")), len(self.live("Sell")))
        if not self.counts or self.counts[-1][1:] != now[1:]:
            self.counts.append(now)

    def _weigh(self) -> None:
        """An operation is over: how its orders stand to each other and to the limits."""
        bids = [o.price_ticks for o in self.live("Buy") if o.price_ticks is not None]
        asks = [o.price_ticks for o in self.live("Sell") if o.price_ticks is not None]
        if bids and asks and max(bids) >= min(asks):
            self.complain("the account's own quotes cross")
        self._judge_worst_case()
        self._judge_stacks()

    def _engine_position(self) -> float:
        qty: int = self._engine.position_row(self._account_no, self._symbol)["currentQty"] or 0
        return qty

    def _judge_worst_case(self) -> None:
        qty = self._position()
        is_excused = self.now_s < self.excused_until_s
        moved = sum(
            n for time_s, n in self._foreign if is_excused or self.now_s < time_s + _REACTION_S
        )
        for side, bound, sign in (
            ("Buy", self._rules.max_position, 1),
            ("Sell", self._rules.min_position, -1),
        ):
            if bound is None:
                continue
            open_qty = sum(o.leaves_qty for o in self.live(side) if not _is_reducing(o))
            room = max(0, sign * (bound - qty)) + moved
            if open_qty > room:
                self.complain(
                    f"{open_qty} contracts rest on the {side} side at a position of {qty:g}: "
                    f"the worst case is beyond {bound:g}"
                )

    def _judge_stacks(self) -> None:
        stacks = Counter((order.side, order.price_ticks) for order in self._live.values())
        now_s = self.now_s
        since_s = self._stacked_since_s
        self._stacked_since_s = {
            place: since_s.get(place, now_s)
            for place, number in stacks.items()
            if number > self._stacked(place[0])
        }
        for place, begun_s in self._stacked_since_s.items():
            if now_s > max(begun_s, self.excused_until_s) + _STACKED_S:
                self.complain(f"{stacks[place]} orders stay at one {place[0]} price")


def _is_reducing(order: Order) -> bool:
    return "ReduceOnly" in order.exec_inst or "Close" in order.exec_inst
