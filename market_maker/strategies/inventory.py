"""A ladder at the touch that steps back from too much inventory.

The decisions are in `market_maker/quoting/inventory.py`. Orders are sent by a thread of their own;
everything else, what is believed and what is decided, belongs to the thread of the rounds.
"""

import math
import os
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from market_maker import status
from market_maker.exchanges.flatten import flatten
from market_maker.market_maker import OrderManager, logger
from market_maker.model.rows import Row
from market_maker.model.ticks import plain
from market_maker.quoting import inventory, ladder
from market_maker.quoting.converge import Plan, Rules
from market_maker.quoting.inventory import State
from market_maker.quoting.queue_estimate import QueueEstimate
from market_maker.quoting.touch import best_of_others
from market_maker.sender import Sender
from market_maker.utils.errors import MarketEmptyError

_SIDES = ("Buy", "Sell")
KILLED = "MARKETMAKER_KILLED"  # in the environment of the process that goes on as this one
_A_LITTLE_S = 0.01  # more than the grace
_SPARE = 20  # requests of the rate budget that are kept for those rounds that matter most
_HEAR_EVERY_S = 0.1  # while orders are on their way


class Seen(NamedTuple):
    """What a round decides on."""

    touch: dict[str, int]  # of the others, in ticks
    inventory: float
    orders: list[Row]
    buyers: float | None  # part of the last takers


class Lean(NamedTuple):
    """Why the quotes of a side stand where they stand."""

    skew: int | None  # ticks; None: no quotes
    burnt: int | None  # the price it stays away from, in ticks
    steps_aside: bool


class Inventory(OrderManager):
    """ORDER_PAIRS quotes of ORDER_START_SIZE on each side, from the touch outward."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sender = Sender(self.clock, self.exchange.desk.state.wake)

    def on_start(self) -> None:
        """Follow book and queues."""
        self.state = State.INIT
        self._job: Callable[[], None] | None = None  # what the sender is to do next
        self._takers: deque[str] = deque(maxlen=self.settings.INVENTORY_TRADES)
        self._paid: deque[Row] = deque(maxlen=1_000)  # fills of ours
        self._burnt: dict[str, int | None] = dict.fromkeys(_SIDES)
        self._best: dict[str, tuple[Row, bool]] = {}  # our best quotes, and whether they leave
        self._leans: dict[str, Lean] = {}
        self._start_balance: float | None = None
        self._is_cleared = False  # after a KILL: nothing of ours is open any more
        self._scratch_from_s = -math.inf
        self._seen: Seen | None = None
        self._own: dict[str, dict[int, float]] = {}
        self._own_as_of = -1  # the orders it tells of
        self._book, self._queue = self.exchange.get_order_book(), self._follow_queue()
        if os.environ.pop(KILLED, ""):
            self._enter(State.KILL)

    # -- what happens -------------------------------------------------------------------

    def on_trade(self, trade: Row) -> None:
        """Count the takers; where they turn, the quotes do."""
        before = self._asides()
        self._takers.append(str(trade.get("side")))
        if self._asides() != before and self._has_requests():
            self._want_round()

    def on_book(self, row: Row) -> None:
        """See whether the others' touch moved, or a quote has come to stand too deep in its queue.

        Behind a quote of ours that is the touch alone, the loop itself does not see them move.
        """
        del row
        is_deep = any(self._leaves(side, *best) for side, best in self._best.items())
        if self._has_moved() or (is_deep and self._has_requests()):
            self._want_round()

    def on_fill(self, fill: Row) -> None:
        """Remember what was paid, for exchanges that do not."""
        self._paid.append(fill)

    def on_stop(self) -> None:
        """Let the orders that are on their way arrive, and none follow."""
        self.exchange.desk.gateway.stop()
        if not self.sender.finish(self.settings.TIMEOUT):
            logger.warning("Orders are still on their way.")

    def restart(self) -> None:
        """Start anew, as a saved file asks for; a KILL stays one."""
        if self.state is State.KILL:
            os.environ[KILLED] = "yes"
        super().restart()
        os.environ.pop(KILLED, None)  # it goes on

    # -- the rounds ---------------------------------------------------------------------

    def run_once(self) -> None:
        """A round, and what it decided handed to the sender."""
        self._job = None
        super().run_once()
        self._send()

    def reset(self) -> None:
        """Cancel what is left from before, and send the first quotes."""
        super().reset()
        self._send()

    def wait_for_change(self) -> None:
        """The usual wait, or until a quote must leave; then until orders on their way are there.

        Meanwhile the market is heard and nothing is decided.
        """
        desk, state = self.exchange.desk, self.exchange.desk.state
        self._pace.wait(desk, self.settings, self._call_hooks, self._grace_left_s())
        while self.sender.is_busy:
            state.drain()
            self._call_hooks()
            self.clock.wait(state.wake, _HEAR_EVERY_S)

    def place_orders(self) -> None:
        """See, decide the state, and quote what it calls for."""
        self.sender.raise_error()
        if self.sender.is_busy:  # whoever runs rounds without waiting comes too early
            return
        seen = self._seen = self._look()
        self._enter(inventory.next_state(self.state, seen.inventory, *self._balances()))
        unproven = self.exchange.desk.state.orders.unproven()
        if self.state is State.KILL:
            if seen.orders or unproven or not self._is_cleared:
                self._job = self._clear
        elif self._must_scratch(seen):
            self._job = self._scratch
        else:
            self.converge_orders(*(self._quotes(side, seen) for side in _SIDES))

    # -- seeing -------------------------------------------------------------------------

    def _follow_queue(self) -> QueueEstimate:
        s = self.settings
        return self.exchange.get_queue_estimate(s.INVENTORY_QUEUE_MODEL, s.INVENTORY_SHOWN_WITHIN)

    def _look(self) -> Seen:
        self._queue, touch, grid = self._follow_queue(), self.exchange.get_touch(), self._grid()
        if touch.bid is None or touch.ask is None:
            raise MarketEmptyError("The order book has no orders of others, cannot quote")
        ticks = {"Buy": grid.nearest(touch.bid), "Sell": grid.nearest(touch.ask)}
        if self._takers.maxlen != self.settings.INVENTORY_TRADES:
            self._takers = deque(self._takers, self.settings.INVENTORY_TRADES)
        return Seen(ticks, self.exchange.get_delta(), self.exchange.get_orders(), self._buyers())

    def _has_moved(self) -> bool:
        """Whether the touch of the others is another one than the last round saw."""
        if self._seen is None or self.exchange.dry_run:
            return False
        book, own = self._book, self._own_sizes()
        return any(
            best_of_others(book.levels(side, len(own[side]) + 1), own[side]) != touch
            for side, touch in self._seen.touch.items()
        )

    def _own_sizes(self) -> dict[str, dict[int, float]]:
        """Contracts of ours by side and price."""
        orders, nearest = self.exchange.desk.state.orders, self._grid().nearest
        if self._own_as_of != orders.changes:
            self._own_as_of, self._own = orders.changes, {side: {} for side in _SIDES}
            for row in orders.open_orders():
                if row.get("price") and row.get("side") in self._own:
                    sizes, ticks = self._own[row["side"]], nearest(row["price"])
                    sizes[ticks] = sizes.get(ticks, 0) + (row.get("leavesQty") or 0)
        return self._own

    def _buyers(self) -> float | None:
        return inventory.buyers_ratio(list(self._takers), self.settings.INVENTORY_TRADES)

    def _balances(self) -> tuple[float | None, float | None, float | None]:
        """The balance now and at the start, in minor units, and the part that may be lost.

        What was won since the start is reckoned from the fills: on spot a purchase is no loss.
        """
        balance = self.exchange.get_margin().get("marginBalance")
        if self._start_balance is None:
            self._start_balance = balance
        won = self.exchange.desk.losses.result
        if won is not None and self._start_balance is not None:
            balance = self._start_balance + won
        return balance, self._start_balance, self.settings.INVENTORY_MAX_LOSS

    # -- deciding -----------------------------------------------------------------------

    def _constants(self) -> inventory.Shape:
        s = self.settings
        return inventory.Shape(
            *(s.ORDER_PAIRS, s.INVENTORY_STEP_TICKS, tuple(s.INVENTORY_SKEW), s.INVENTORY_MAX),
            *(s.INVENTORY_TRADE_RATIO, s.INVENTORY_QUEUE, s.INVENTORY_GRACE),
        )

    def _enter(self, state: State) -> None:
        if state is not self.state:
            logger.info("Inventory: %s, after %s.", state.value, self.state.value)
        if state is State.KILL and self.state is not state:
            logger.error("INVENTORY_MAX_LOSS is reached: no quotes until the bot is started anew.")
        self.state = state

    def _asides(self) -> list[bool]:
        buyers, threshold = self._buyers(), self.settings.INVENTORY_TRADE_RATIO
        return [inventory.runs_against(side, self.state, buyers, threshold) for side in _SIDES]

    def _quotes(self, side: str, seen: Seen) -> list[Row]:
        """The orders of one side, outermost first."""
        rules, grid = self._constants(), self._grid()
        lean = self._leans[side] = self._lean(side, seen, rules)
        if lean.skew is None or not inventory.quotes_anything(self.state):
            return []
        ticks = inventory.ladder(
            side,
            seen.touch[side],
            lean.skew,
            rules,
            burnt=lean.burnt,
            steps_aside=lean.steps_aside,
        )
        level = -1 if side == "Buy" else 1
        orders = [{**self.prepare_order(level), "price": grid.price(t)} for t in reversed(ticks)]
        low, high = self.exchange.desk.state.position_range()
        room = inventory.room(side, high if side == "Buy" else low, rules.max_inventory)
        return self._fit(side, ladder.fit(orders, room, lambda order: float(order["orderQty"])))

    def _lean(self, side: str, seen: Seen, rules: inventory.Shape) -> Lean:
        held, touch = seen.inventory, seen.touch[side]
        best = ladder.best_of(seen.orders, side)
        self._best.pop(side, None)
        leaves = best is not None and self._leaves(side, best)
        if best is not None:
            self._best[side] = best, leaves
        self._burnt[side] = inventory.burnt_touch(self._burnt[side], touch, leaves=leaves)
        skew = inventory.skew_ticks(side, self.state, held, rules.max_inventory, rules.skew)
        aside = inventory.runs_against(side, self.state, seen.buyers, rules.trade_ratio)
        return Lean(skew, self._burnt[side], aside)

    def _leaves(self, side: str, order: Row, was_told: bool = False) -> bool:
        """Whether our best quote leaves the touch, unless that *was_told* already."""
        if was_told:
            return False
        place = self._queue.place(order, self.clock.monotonic())
        return self._would_leave(side, order, place.ratio, place.age_s)

    def _would_leave(self, side: str, order: Row, ratio: float, age_s: float) -> bool:
        seen, own = self._seen, self._grid().nearest(order["price"])
        return seen is not None and inventory.leaves_touch(
            side, seen.inventory, own, seen.touch[side], (ratio, age_s), self._constants()
        )

    def _grace_left_s(self) -> float:
        """Seconds until one of our best quotes leaves the touch if nothing else happens."""
        left_s = math.inf
        if not self._has_requests():
            return left_s
        for side, (order, was_told) in self._best.items():
            place = self._queue.place(order, self.clock.monotonic())
            if not was_told and self._would_leave(side, order, place.ratio, math.inf):
                left_s = min(left_s, max(0.0, self.settings.INVENTORY_GRACE - place.age_s))
        return left_s + _A_LITTLE_S

    def _must_scratch(self, seen: Seen) -> bool:
        s, (low, high) = self.settings, self.exchange.desk.state.position_range()
        if self.exchange.dry_run or low != high or self.clock.monotonic() < self._scratch_from_s:
            return False  # position and fills do not agree yet, or it was done just now
        paid = self.exchange.get_position().get("avgEntryPrice")
        return inventory.must_scratch(
            seen.inventory,
            s.INVENTORY_MAX,
            self._ticker()["last"],
            paid or inventory.average_price(list(self._paid), seen.inventory),
            s.INVENTORY_SCRATCH,
            s.INVENTORY_SCRATCH_MOVE,
        )

    # -- sending ------------------------------------------------------------------------

    def _rules(self) -> Rules:
        """Only an order at just its price keeps its place in the queue."""
        return super()._rules()._replace(relist_interval=0.0)

    def _carry_out(self, plan: Plan, working: list[Row]) -> None:
        if any(plan):
            self._job = lambda: self._transmit(plan, working)

    def _send(self) -> None:
        job, self._job = self._job, None
        if job is not None and not self.sender.is_busy:
            self.sender.send(job)

    def _transmit(self, plan: Plan, working: list[Row]) -> None:
        """Amend, then cancel, then create, unless an amend would meet what is cancelled."""
        if inventory.may_amend_first(plan, working):
            super()._carry_out(Plan([], plan.amend, []), working)
            plan = Plan(plan.cancel, [], plan.create)
        super()._carry_out(plan, working)

    def _scratch(self) -> None:
        """Close the inventory at the market's price; one order is in flight at a time."""
        logger.warning("Inventory: the position is closed at the market's price.")
        try:
            self.exchange.desk.gateway.cancel_own()  # it must not meet our own quotes
            flatten(self.exchange.desk)
        finally:
            self._scratch_from_s = self.clock.monotonic() + self.settings.INVENTORY_SCRATCH_PAUSE

    def _clear(self) -> None:
        """Cancel everything, verify, and close the position if asked to."""
        desk = self.exchange.desk
        desk.gateway.cancel_own()
        left = flatten(desk) if self.settings.INVENTORY_FLATTEN else 0
        self._is_cleared = not left
        logger.info("Inventory: all orders are cancelled: the exchange lists none of ours.")

    def _has_requests(self) -> bool:
        """Whether the rate budget has some for more than to follow the touch and our fills."""
        return self.exchange.desk.gateway.budget.wait_s(_SPARE) <= 0

    def _want_round(self) -> None:
        state = self.exchange.desk.state
        state.want_round()
        state.wake.set()

    # -- status -------------------------------------------------------------------------

    def print_status(self) -> None:
        """The status block, and why each quote stands where it stands."""
        super().print_status()
        if self._seen is None:
            return
        grid, seen = self._grid(), self._seen
        held, most = plain(seen.inventory), plain(self.settings.INVENTORY_MAX)
        told = "not known" if seen.buyers is None else f"{seen.buyers:.2f}"
        logger.info("Inventory: %s at %s of %s, buyers %s", self.state.value, held, most, told)
        for side, lean in self._leans.items():
            skew = "no quotes" if lean.skew is None else f"skew {lean.skew}"
            aside = ", aside" if lean.steps_aside else ""
            left = "" if lean.burnt is None else f", left {grid.format(grid.price(lean.burnt))}"
            logger.info("Inventory %ss: %s%s%s", side.lower(), skew, aside, left)
            orders = ladder.from_touch(self.exchange.get_orders(), side)
            status.log_places(orders, self._queue, grid, self.clock.monotonic())
