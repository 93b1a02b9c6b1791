"""Fills that no message told of: asked for after a lost connection, and when the sums differ.

What an order has filled shows in its own row, in an answer or in a query as well; so position and
levels are right without them. Losses, counters and strategies need each fill itself.
"""

import logging
import math
from collections.abc import Callable

from market_maker.clock import Clock
from market_maker.exchanges.base import Connector, ExchangeError
from market_maker.exchanges.state import LiveState
from market_maker.exchanges.throttle import RateBudget
from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS
from market_maker.utils.errors import NotSupported

logger = logging.getLogger("root")

_ODD_FOR_S = 2.0  # the row of an order and that of its fill may be so far apart
_ROWS, _PAGES = 100, 10  # of the history
_LAST_S = 0.5  # an answer may overtake the stream by so much
_TRIES = 3  # the history may lag; then the difference is taken for what it is
_DOUBLINGS = 5  # of the second between two questions that are not answered


class MissedFills:
    """Asks the history of executions when it is due, within the rate budget."""

    def __init__(
        self,
        connector: Connector,
        state: LiveState,
        budget: RateBudget,
        clock: Clock,
        is_booked: Callable[[Row], bool],
    ) -> None:
        self._connector, self._state, self._is_booked = connector, state, is_booked
        self._budget, self._clock = budget, clock
        self._known_gap = 0.0  # a difference that the history does not explain
        self._odd_since_s = math.inf
        self._tries = 0
        self._connections = -1
        self._failures = 0  # in a row: the history did not come
        self._due_s = -math.inf  # before that it is not asked for again
        self._owed: Callable[[list[Row]], None] | None = None  # who waits for the look back

    def look_back(self, book: Callable[[list[Row]], None]) -> None:
        """Ask for what was filled while no bot ran, oldest first, and hand it to *book*: now, or
        in the first round in which the rate budget and the exchange allow it.

        The position shows it already: it is to be booked at its own price, and is no news.
        """
        self._owed = book
        self._pay_debt()

    def _pay_debt(self) -> None:
        is_due = self._owed is not None and self._clock.monotonic() >= self._due_s
        if self._owed is not None and is_due and self._budget.take(1):
            rows = self._history()
            if rows is not None:
                self._owed(rows)
                self._owed = None

    def end(self) -> None:
        """At the end of the run: wait a moment for what the stream has not told yet, else ask."""
        state, end_s = self._state, self._clock.monotonic() + _LAST_S
        while self._gap() != self._known_gap and self._clock.monotonic() < end_s:
            self._clock.wait(state.wake, _LAST_S / 10)
            state.drain()
        # What the budget keeps for cancels is free now: no order is left to cancel.
        is_odd = self._gap() != self._known_gap or self._connections not in (-1, state.connections)
        if is_odd and self._budget.take(1, urgent=True):
            self._ask(self._clock.monotonic())

    def step(self) -> None:
        """Called in every round, with the state ready."""
        self._pay_debt()
        if self._connections < 0:
            self._connections = self._state.connections
        is_back = self._connections != self._state.connections
        now_s = self._clock.monotonic()
        if self._gap() == self._known_gap and not is_back:
            self._odd_since_s, self._tries = math.inf, 0
            return
        self._odd_since_s = min(self._odd_since_s, now_s)
        is_due = (now_s - self._odd_since_s >= _ODD_FOR_S or is_back) and now_s >= self._due_s
        if is_due and self._budget.take(1):
            self._ask(now_s)

    def _ask(self, now_s: float) -> None:
        orders, connections = self._state.orders, self._state.connections
        rows, self._odd_since_s = self._history(), now_s
        if rows is None:
            return
        self._connections, self._tries = connections, self._tries + 1
        fills = [row for row in rows if orders.has_seen(str(row.get("orderID")))]
        if fills:
            self._state.take_fills(fills, self._is_ours)
        if self._tries >= _TRIES:
            self._known_gap = self._gap()

    def _is_ours(self, fill: Row) -> bool:
        """Whether it is of an order of ours; one that is only asked may not say whose it is."""
        cl_ord_id = str(fill.get("clOrdID") or "")
        is_unnamed = not cl_ord_id and self._connector.caps.events == "poll"
        return is_unnamed or self._state.orders.is_ours(cl_ord_id)

    def _history(self) -> list[Row] | None:
        """The fills of the account in our symbol back to one that is booked, oldest first.

        None where not all of them came: what is booked of a part would end the next search.
        """
        found: dict[str, Row] = {}
        for page in range(_PAGES):
            rows = self._page(page) if page == 0 or self._budget.take(1) else None
            if rows is None:
                self._failures += 1
                self._due_s = self._clock.monotonic() + 2.0 ** min(self._failures, _DOUBLINGS)
                return None
            fills = {
                str(row["execID"]): row
                for row in rows
                if row.get("execType") == "Trade" and row.get("symbol") == self._state.symbol
                if row.get("execID")
            }  # fmt: skip
            is_news = not fills.keys() <= found.keys()
            found |= fills
            if len(rows) < _ROWS or not is_news or self._is_booked(rows[-1]):
                break
        self._failures = 0
        oldest_first = list(found.values())[::-1]
        return sorted(oldest_first, key=_time)  # not every venue tells the newest first

    def _page(self, page: int) -> list[Row] | None:
        """Executions of the account, newest first; None where they do not come."""
        where = {"start": page * _ROWS} if page else {}
        try:
            return self._connector.fetch_rows(
                "execution/tradeHistory", count=_ROWS, reverse="true", **where
            )
        except NotSupported:
            return []
        except ExchangeError as error:
            logger.debug("The history of executions did not come: %s", error)
            return None

    def _gap(self) -> float:
        state = self._state
        return round(state.orders.traded_qty - state.booked_qty, SIZE_DECIMALS)


def _time(row: Row) -> str:
    """ISO-8601 UTC; equal formats compare as text."""
    return str(row.get("transactTime") or row.get("timestamp") or "")
