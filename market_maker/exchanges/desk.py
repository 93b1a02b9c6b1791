"""One symbol on one account: the connection, what we believe, and the one door."""

import logging
import random
from collections.abc import Callable
from typing import NamedTuple

from market_maker.clock import Clock
from market_maker.exchanges.audit import OrderAudit
from market_maker.exchanges.base import Connector, ExchangeError, first_answers, no_stream
from market_maker.exchanges.gateway import Gateway, GatewayRules
from market_maker.exchanges.losses import LossWatch
from market_maker.exchanges.missed_fills import MissedFills
from market_maker.exchanges.polled import SharesDesk
from market_maker.exchanges.state import LiveState
from market_maker.exchanges.symbols import unknown_symbol
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal
from market_maker.model.latency import Latency, measure_all
from market_maker.model.order_book import OrderBook
from market_maker.model.rows import Row, is_live
from market_maker.quoting.loss import LossLimits
from market_maker.quoting.queue_estimate import QueueEstimate
from market_maker.run_log import RunLog
from market_maker.utils.errors import (
    AuthenticationError,
    LossLimitReached,
    NotSupported,
    SettingsError,
    StaleData,
    StopTrading,
)

logger = logging.getLogger("root")

_CONNECT_TIMEOUT_S = 5.0
_IMAGES_TIMEOUT_S = 30.0
_BOOK_TIMEOUT_S = 3.0
_RECONNECT_EVERY_S = 3.0  # with images and a round, quotes are back 5 s after any trouble


class Fate(NamedTuple):
    """What has become of an order: its latest row if there is one, and how much is filled."""

    row: Row
    cum_qty: float
    has_ended: bool


class Desk:
    """Puts connector, state and gateway together, and opens and closes them as one."""

    def __init__(
        self,
        connector: Connector,
        *,
        clock: Clock,
        journal: Journal,
        budget: RateBudget,
        rng: random.Random,
        rules: Callable[[], GatewayRules],
        prefix: str = "mm_bitmex_",
        has_account: bool = True,
        dry_run: bool = False,
        burst: RateBudget | None = None,
        before_exec: Callable[[], None] = lambda: None,
    ) -> None:
        self.connector = connector
        self.clock = clock
        self.journal = journal
        self.has_account = has_account
        self.before_exec = before_exec  # hands what must survive to the process that follows
        self.state = LiveState(
            connector.symbol, self._is_ours, clock, has_account, self._book_fills
        )
        journal.may_rest = lambda cl_ord_id: self.state.orders.get(cl_ord_id) is not None
        self.run_log = RunLog(journal, clock)
        self.losses = LossWatch(self.state, journal, clock)
        if has_account and not dry_run:
            journal.after_fills = self.losses.note
        self.gateway = Gateway(
            connector,
            self.state,
            clock=clock,
            journal=journal,
            budget=budget,
            rng=rng,
            prefix=prefix,
            rules=rules,
            dry_run=dry_run,
            burst=burst,
        )
        self.gateway.stale_reason = self._stale_reason
        self.audit = OrderAudit(self.state, self.gateway, clock)
        self.missed_fills = MissedFills(connector, self.state, budget, clock, journal.has_fill)
        if isinstance(connector, SharesDesk):
            connector.share(journal, budget)
        connector.on_answer = lambda answer: budget.learn(answer.headers)
        self.latency: Latency | None = None
        self.is_open = False
        self.has_ended = False  # the stream was ended by us
        self._opened_s = 0.0  # Unix seconds
        self._followed: set[str] = set()
        self._reconnect_due_s = float("-inf")

    def _book_fills(self, rows: list[Row]) -> list[Row]:
        try:
            return self.journal.book_fills(rows)
        except StopTrading as error:
            self.gateway.outbox.stop_for(error)
            return rows

    def _is_ours(self, cl_ord_id: str) -> bool:
        return self.gateway.is_ours(cl_ord_id)

    def fate_of(self, cl_ord_id: str, order_id: str) -> Fate:
        """What has become of an order of ours, also of one that an earlier run has placed.

        Asks the exchange only about an order that nothing is known of; raises ExchangeError.
        """
        orders = self.state.orders
        with self.state.lock:
            tracked = orders.get(cl_ord_id)
            if tracked is not None:
                return Fate(dict(tracked.row), tracked.row.get("cumQty") or 0, False)
            cum = orders.filled_in_the_end(order_id)
        if cum is not None or not self.connector.caps.client_ids:
            # Where no id of ours tells, all that may rest is tracked, and asking for what was
            # refused would hold its side for an order that never comes.
            return Fate({}, cum or 0, True)
        row = self.connector.fetch_order(cl_ord_id=cl_ord_id) or {}
        with self.state.lock:
            if row:
                orders.apply(row)
        return Fate(row, row.get("cumQty") or 0, not (row and is_live(row)))

    def measure(self, latency: Latency) -> None:
        """Time every stage from now on; called before `open`."""
        self.latency = latency
        measure_all(latency, self.connector, self.state, self.gateway.outbox)

    def open(self) -> None:
        """Connect and wait for the first image of every table; raises StopTrading."""
        self._opened_s = self.clock.now()
        with first_answers():
            self.connector.start(self.state.put)
        self.is_open = True
        self._wait(lambda: self.state.connected, _CONNECT_TIMEOUT_S, "Couldn't connect to WS!")
        logger.info("Connected to WS. Waiting for data images, this may take a moment...")
        self._wait(lambda: self.state.ready, _IMAGES_TIMEOUT_S, "The exchange sent no image of")
        state = (self.state.instrument() or {}).get("state") or "Open"
        if state != "Open" and not self.gateway.dry_run:
            raise SettingsError([f"{self.connector.symbol} is closed at the exchange: {state}"])
        self.gateway.outbox.recover()
        if self._has_a_past:
            self.missed_fills.look_back(self._book_earlier)
        logger.info("Got all market data. Starting.")

    @property
    def _has_a_past(self) -> bool:
        """Whether orders of an earlier run may have been filled that nobody has booked.

        Where fills are asked for in turns, the cursor goes back to that run by itself.
        """
        is_told = not isinstance(self.connector, SharesDesk)
        trades = self.has_account and not self.gateway.dry_run
        return is_told and trades and self.journal.knows_orders()

    def _book_earlier(self, fills: list[Row]) -> None:
        self._book_fills([fill for fill in fills if self._is_of_earlier_run(fill)])

    def _is_of_earlier_run(self, fill: Row) -> bool:
        order_id, cl_ord_id = str(fill.get("orderID") or ""), str(fill.get("clOrdID") or "")
        try:
            created = self.journal.created(self.journal.client_id_of(order_id) or cl_ord_id)
        except StopTrading as error:
            self.gateway.outbox.stop_for(error)
            return False
        return created is not None and created[1] < self._opened_s

    def follow(self, topic: str) -> None:
        """Stream one more topic from now on."""
        if topic not in self._followed:
            self._followed.add(topic)
            self.connector.follow(topic)

    def follow_book(self) -> OrderBook:
        """The order book, live from its first image on."""
        with self.state.lock:
            book = self.state.depth.keep_book()
        self.follow(f"orderBookL2:{self.state.symbol}")
        return book

    def levels(self, symbol: str) -> list[Row]:
        """The live rows of the order book; none until its image has come."""
        return [r for r in self.state.tables.rows("orderBookL2") if r.get("symbol") == symbol]

    def ask_levels(self, symbol: str) -> list[Row]:
        """The same by a query; none where the venue tells the book by its stream alone."""
        try:
            return self.connector.fetch_rows("orderBook/L2", symbol=symbol, depth=0)
        except NotSupported:
            return []

    def await_levels(self) -> list[Row]:
        """The same of our symbol, awaiting the image for a moment."""
        self.follow_book()
        end_s = self.clock.monotonic() + _BOOK_TIMEOUT_S
        while not (rows := self.levels(self.state.symbol)) and self.clock.monotonic() < end_s:
            self.clock.wait(self.state.wake, end_s - self.clock.monotonic())
            self.state.drain()
        return rows

    def follow_queue(self, model: str, shown_within_s: float) -> QueueEstimate:
        """An estimate of where our orders stand, live."""
        self.follow_book()
        with self.state.lock:
            return self.state.depth.keep_queue(model, shown_within_s)

    def is_market_quiet(self) -> bool:
        """Ask for one quote: True when the silence means that nothing has happened."""
        try:
            rows = self.connector.fetch_rows("quote", count=1, reverse="true")
        except ExchangeError:
            return False
        if not rows or any(rows[0].get(n) != price for n, price in self.state.touch.items()):
            return False
        self.state.last_recv_s = self.clock.monotonic()
        return True

    def check_data(self, stale_after_s: float) -> None:
        """Raise StaleData unless what we know is whole and fresh; asks for what is needed."""
        self._check_stream(stale_after_s)
        if self.has_account and not self.gateway.dry_run:
            self.audit.step()
            self.missed_fills.step()

    def _stale_reason(self, stale_after_s: float) -> str:
        self.state.drain()  # a strategy that has slept has news to hear
        try:
            self._check_stream(stale_after_s)
        except StaleData as reason:
            return str(reason)
        return ""

    def _check_stream(self, stale_after_s: float) -> None:
        state, now_s = self.state, self.clock.monotonic()
        if state.overflowed:
            self._reconnect("more data came than could be read")
        if state.tables.torn or state.depth.is_torn():
            self._reconnect("the order book has missed a change")
        if not state.ready:
            is_stuck = state.connected and now_s - state.connected_s > _IMAGES_TIMEOUT_S
            if state.connected and (is_stuck or state.refused):
                self._reconnect(f"no image of {', '.join(state.missing_images())}")
            raise StaleData("the data connection is down")
        silence_s = now_s - state.last_recv_s
        if silence_s > stale_after_s:
            reason = f"no data for {silence_s:.0f} s while the market has moved"
            # A stream that did not tell is not asked about again before it can be made anew.
            if now_s < self._reconnect_due_s:
                raise StaleData(reason)
            if not self.is_market_quiet():
                self._reconnect(reason)

    def check_losses(self, limits: LossLimits) -> None:
        """Raise LossLimitReached, with the quotes pulled, where a limit is reached."""
        if self.has_account and not self.gateway.dry_run:
            reason = self.losses.check(limits)
            if reason:
                self.gateway.pull(reason)
                raise LossLimitReached(reason)

    def _reconnect(self, reason: str) -> None:
        if self.clock.monotonic() >= self._reconnect_due_s:
            self._reconnect_due_s = self.clock.monotonic() + _RECONNECT_EVERY_S
            self.connector.reconnect()
        raise StaleData(reason)

    def hear_last_news(self) -> None:
        """At the end: fills that no message has told of, and what they made of the account."""
        self.missed_fills.end()
        if isinstance(self.connector, SharesDesk) and not self.gateway.hurry.is_set():
            self.connector.read_account()
            self.state.drain()

    def end_stream(self) -> None:
        """Stop listening for good; orders can still be cancelled until `close`."""
        self.has_ended = True
        self.connector.stop_stream()

    def close(self) -> None:
        """Stop the stream and close what is open. Orders are left as they are."""
        if self.is_open:
            self.is_open = False
            self.gateway.switch.abandon()
            self.connector.stop()
            self.journal.close()

    def why_ended(self) -> StopTrading:
        """Why there is no going on: a refused key, a failed journal, a stream that has ended."""
        outbox = self.gateway.outbox
        if outbox.fatal:
            reason = StopTrading(outbox.fatal)
            reason.exit_code = outbox.fatal_code
            return reason
        fatal = self.state.fatal
        return AuthenticationError(fatal) if fatal else StopTrading("the stream has ended")

    def _wait(self, is_done: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        deadline_s = self.clock.monotonic() + timeout_s
        while not is_done():
            self.state.drain()
            if self.state.fatal:
                raise AuthenticationError(f"the exchange refuses the key: {self.state.fatal}")
            if self.state.refused:
                raise SettingsError([unknown_symbol(self.connector)])
            left_s = deadline_s - self.clock.monotonic()
            if is_done():
                return
            if left_s <= 0 and not self.state.connections and self.state.unmade:
                raise no_stream(self.state.unmade)
            if left_s <= 0:
                missing = ", ".join(self.state.missing_images()) if self.state.connected else ""
                raise StopTrading(f"{complaint} {missing}".strip() + " Exiting.")
            self.clock.wait(self.state.wake, left_s)
