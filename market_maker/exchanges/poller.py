"""Asks a venue without a stream what has happened, and tells it as a stream would.

The market is read every `poll_s`, and its book with it once somebody follows that. Between full
checks one read is made each `check_s`: the next resting order in turn where the venue can be asked
for an order, else the fills since the cursor. A full check comes after `idle_s` without an order
event, and when something is in doubt: open orders first, then fills, then a look-up of every order
that has disappeared, then the account. Every read is paid from the rate budget, the book with the
market.
"""

import logging
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from market_maker.clock import Clock
from market_maker.exchanges.base import ODD, ExchangeError, Sink
from market_maker.exchanges.differ import Differ, Table
from market_maker.exchanges.reads import PACE, Pace, Reads
from market_maker.exchanges.throttle import RateBudget
from market_maker.model.rows import Row
from market_maker.model.wire import BackOff, Connected, Disconnected, Message, Ready, StreamEvent
from market_maker.utils.errors import AuthenticationError

logger = logging.getLogger("root")

OVERLAP_S = 60.0  # a fill may come into the history so much later than its time says
_PATIENCE = 3  # failed reads in a row after which the venue counts as lost
_LONGEST_DELAY_S = 4.0  # no more often than it is asked while all is well
_SOON_S = 0.25  # until the next look at an order that has disappeared


class Cursor(Protocol):
    """Where the time of the newest fill is kept: a journal."""

    def get(self, name: str) -> str: ...

    def put(self, name: str, value: str) -> None: ...


class Poller:
    """One symbol of one account, asked in turns of the clock."""

    def __init__(
        self,
        reads: Reads,
        differ: Differ,
        symbol: str,
        *,
        clock: Clock,
        budget: RateBudget,
        pace: Pace = PACE,
        has_account: bool = True,
    ) -> None:
        self.cursor: Cursor = _Notes()
        self._reads = reads
        self._differ = differ
        self._symbol = symbol
        self._clock = clock
        self.budget = budget
        self._pace = pace
        self._has_account = has_account
        self._sink: Sink = lambda _: None
        self._has_begun = self._is_live = self._is_closed = False
        self._follows_book = False
        self._failures = 0
        # when each is due (monotonic)
        self._market_s = self._trades_s = self._check_s = self._full_s = 0.0
        self._checked = ""  # the order that was asked for last
        self._gone: dict[str, float] = {}  # orderID -> since when it is listed no more

    def start(self, sink: Sink) -> None:
        """Read the images at the clock's next turn, and go on until `close`."""
        self._sink = sink
        self._clock.repeat(self._turn, f"poll-{self._symbol}")

    def close(self) -> None:
        self._is_closed = True

    def follow_book(self) -> None:
        """Tell the book with the market from now on, and read the trades as often as orders."""
        self._follows_book = True
        self._market_s = self._clock.monotonic()

    def reconnect(self) -> None:
        """Begin anew with images."""
        with self._differ.lock:
            self._lose("asked to begin anew")

    def doubt(self, order_ids: Sequence[str]) -> None:
        """These orders have ended, or may have: find out soon how."""
        with self._differ.lock:
            now_s = self._clock.monotonic()
            for order_id in order_ids:
                self._gone.setdefault(order_id, now_s)
            self._full_s = min(self._full_s, now_s + _SOON_S)

    def gone_since(self, order_id: str) -> float:
        """Since when (monotonic) the order is known to be listed no more; now at the latest."""
        return self._gone.setdefault(order_id, self._clock.monotonic())

    def tell(self, data: Table) -> None:
        """Say it as the stream."""
        event: StreamEvent = Message(self._now_ns(), data)
        self._sink(event)

    # -- turns ---------------------------------------------------------------------------------

    def _turn(self) -> float | None:
        """Do what is due; seconds until more is."""
        if self._is_closed:
            return None
        try:
            self._act() if self._is_live else self._begin()
            self._failures = 0
        except AuthenticationError as error:
            text = str(error).removeprefix("the exchange refuses the key: ")
            self.tell({"status": 401, "error": text})
            return None
        except (ExchangeError, *ODD) as error:
            return self._fail(error)
        due_s = min(self._market_s, self._check_s, self._full_s) - self._clock.monotonic()
        return max(due_s, self.budget.wait_s(1), 0.01)

    def _act(self) -> None:
        now_s = self._clock.monotonic()
        if now_s >= self._market_s and self.budget.take(1):
            self._market_s = now_s + self._pace.poll_s
            self._read_market(now_s)
        if not self._has_account:
            self._check_s = self._full_s = now_s + self._pace.idle_s
        elif now_s >= self._full_s:
            if self.budget.take(5):
                self._check_all()
        elif now_s >= self._check_s and self.budget.take(1):
            self._check_s = now_s + self._pace.check_s
            self._check_one()

    def _read_market(self, now_s: float) -> None:
        """Read all before anything is told, so that no round sees two moments of the market: the
        quote, which wakes it, comes last, the trades before the levels that they took from."""
        market, told = self._reads.market(), list[Table]()
        if self._follows_book:
            book = self._reads.book()
            if now_s >= self._trades_s and self.budget.take(1):
                self._trades_s = now_s + self._pace.check_s
                told += self._differ.trades(self._reads.trades())
            told += self._differ.book(book)
        self._say([*told, *self._differ.market(market)])

    def _begin(self) -> None:
        """Connect, in a manner: read everything, and hand it over as images."""
        reads, account = self._reads, None
        self.budget.take(6, urgent=True)
        market, trades = reads.market(), reads.trades()
        if self._has_account:
            # The position comes last: what is filled meanwhile may count twice, never not at all.
            orders, fills = reads.open_orders(), self._read_fills()
            account = (orders, fills, reads.position(), reads.margin())
        with self._differ.lock:
            self._sink(Connected(self._now_ns()))
            self._sink(Ready(self._now_ns()))
            self._gone = {}
            self._say(self._differ.images(market, trades, account))
            self._has_begun = self._is_live = True
        self._market_s = self._clock.monotonic() + self._pace.poll_s
        self._check_s = self._clock.monotonic() + self._pace.check_s
        self._full_s = self._clock.monotonic() + self._pace.idle_s

    def _check_one(self) -> None:
        """The next resting order in turn, or the fills."""
        resting = self._differ.resting()
        if not resting:
            return
        if not self._reads.caps.order_lookup:
            self.refresh_fills()
            return
        ids = [str(row["orderID"]) for row in resting]
        after = ids.index(self._checked) + 1 if self._checked in ids else 0
        self._checked = ids[after % len(ids)]
        mark = self._differ.actions.mark()
        row = self._reads.order(self._checked)
        if row is None:
            self.doubt([self._checked])
        elif self._say(self._differ.order(row, mark)):
            self.budget.take(1, urgent=True)
            self.refresh_fills()

    def _check_all(self) -> None:
        """Open orders before fills: what is filled in between shows in the fills."""
        now_s = self._clock.monotonic()
        self._full_s = now_s + self._pace.idle_s
        self._check_s = now_s + self._pace.check_s
        mark = self._differ.actions.mark()
        listed = self._reads.open_orders()
        with self._differ.lock:
            tables, gone = self._differ.orders(listed, mark)
            self._say(tables)
            since = {order_id: self._gone.get(order_id, now_s) for order_id in gone}
            acted = self._differ.actions.is_newer
            pending = {i: s for i, s in self._gone.items() if acted(i, mark)}
            self._gone = pending | since
        if not self.refresh_fills():
            self._read_account()
        self._say(self._differ.trades(self._reads.trades()))
        for order_id, since_s in since.items():
            self._settle(order_id, since_s)
        if self._gone:
            self._full_s = now_s + max(_SOON_S, self._reads.caps.fill_lag_s)

    def _settle(self, order_id: str, since_s: float) -> None:
        """Find out how an order that is listed no more has ended."""
        mark = self._differ.actions.mark()
        row = self.look_up(order_id, since_s)
        with self._differ.lock:
            if row is None or self._differ.actions.is_newer(order_id, mark):
                return
            self._gone.pop(order_id, None)
            self._say(self._differ.ended(order_id, row))

    def look_up(self, order_id: str, since_s: float) -> Row | None:
        """How an order stands that was listed no more from *since_s* (monotonic) on.

        None while it is undecided: where the venue tells no status, a fill may still come into
        its history, so that an order is called cancelled only when that time is over.
        """
        caps = self._reads.caps
        if caps.order_lookup:
            self.budget.take(1, urgent=True)
            row = self._reads.order(order_id)
            if row is not None:
                return row
        known = self._differ.known(order_id)
        if known is None:
            return None
        verdict = self._differ.verdict(known)
        is_due = self._clock.monotonic() - since_s > 2 * caps.fill_lag_s + _SOON_S
        return verdict if verdict["ordStatus"] == "Filled" or is_due else None

    # -- fills ---------------------------------------------------------------------------------

    def _read_fills(self) -> list[Row]:
        """Fills from the cursor on, less the overlap; the cursor goes on to the newest, or to the
        first that is to be told later."""
        name = f"fills:{self._symbol}"
        kept = self.cursor.get(name)
        since_s = float(kept) if kept else self._clock.now()
        fills = self._reads.fills(since_s - OVERLAP_S)
        if self._has_begun:
            self._name(fills)
        early_s = min((time_of(f) for f in fills if self._differ.is_early(f)), default=math.inf)
        newest_s = min(early_s, max((time_of(fill) for fill in fills), default=0.0))
        if newest_s > since_s or not kept:
            self.cursor.put(name, repr(max(newest_s, since_s)))
        return fills

    def _name(self, fills: Sequence[Row]) -> None:
        """Find out whose the fills are whose order we have not heard of: that of a create whose
        answer was lost, or overtaken."""
        if self._reads.caps.order_lookup:
            with self._differ.lock:
                unknown = self._differ.unknown(fills)
            for order_id in unknown:
                self.budget.take(1, urgent=True)
                row = self._reads.order(order_id)
                with self._differ.lock:
                    self._differ.remember(order_id, row or {})

    def refresh_fills(self) -> bool:
        """Read the fills, and where there are new ones what they made of the account."""
        fills = self._read_fills()
        with self._differ.lock:
            is_news = self._say(self._differ.fills(fills))
        if is_news:
            if not self._gone:  # else the next full check is for those, and must not wait
                self._full_s = self._clock.monotonic() + self._pace.idle_s
            self.budget.take(2, urgent=True)
            self._read_account()
        return is_news

    def read_account(self) -> None:
        """Ask for position and balance now; they stay as they are where no answer comes."""
        self.budget.take(2, urgent=True)
        try:
            self._read_account()
        except (AuthenticationError, ExchangeError, *ODD) as error:
            logger.debug("The account cannot be read: %s", error)

    def _read_account(self) -> None:
        self._say(self._differ.account(self._reads.position(), self._reads.margin()))

    # -- within --------------------------------------------------------------------------------

    def _fail(self, error: Exception) -> float:
        self._failures += 1
        delay_s = min(_LONGEST_DELAY_S, self._pace.poll_s * 2.0 ** min(self._failures - 1, 6))
        reason = getattr(error, "message", error)
        if self._failures == 1:
            logger.warning("A read of the exchange failed: %s", reason)
        if self._is_live and self._failures >= _PATIENCE:
            self._lose(f"{self._failures} reads failed: {reason}")
        if not self._is_live:
            self._sink(BackOff(self._now_ns(), delay_s))
        return delay_s

    def _lose(self, reason: str) -> None:
        if self._is_live:
            self._is_live = False
            self._sink(Disconnected(self._now_ns(), reason))

    def _say(self, tables: Sequence[Table]) -> bool:
        for table in tables:
            self.tell(table)
        return bool(tables)

    def _now_ns(self) -> int:
        return int(self._clock.monotonic() * 1e9)


class _Notes:
    """A cursor that lasts as long as the process."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}

    def get(self, name: str) -> str:
        return self._notes.get(name, "")

    def put(self, name: str, value: str) -> None:
        self._notes[name] = value


def time_of(row: Row) -> float:
    """When a row's event happened, in Unix seconds; raises ValueError."""
    return datetime.fromisoformat(str(row.get("transactTime") or row["timestamp"])).timestamp()
