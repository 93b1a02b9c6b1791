"""A connector to a venue that can only be asked: REST for everything, one order at a time."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from market_maker.clock import Clock
from market_maker.exchanges.base import Capabilities, ExchangeError, Result, Sink, Status, no_start
from market_maker.exchanges.differ import Differ, LocalActions
from market_maker.exchanges.nameless import Ambiguous, Nameless
from market_maker.exchanges.poller import OVERLAP_S, Poller
from market_maker.exchanges.public_reads import Bar, PublicReads
from market_maker.exchanges.reads import PACE, Pace, Reads
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal
from market_maker.model.rows import POST_ONLY, TERMINAL, Row, is_live
from market_maker.model.wire import Answer
from market_maker.utils.errors import NotSupported, SettingsError

logger = logging.getLogger("root")

_SHORT_LIVED = ("ImmediateOrCancel", "FillOrKill")

_PATIENCE_S = 4.0  # with a venue that does not answer at the start


class Venue(Reads, Protocol):
    """What a polled venue does for us, in BitMEX's rows."""

    name: str
    on_answer: Callable[[Answer], None]  # hears every answer, for the rate budget

    def bars(self, size: str, count: int) -> list[Bar]:
        """The latest *count* of a BitMEX `binSize`; raises NotSupported where there are none."""

    def place(self, order: Row) -> Result:
        """Create one order; an OK row has at least `orderID`."""

    def cancel(self, order_id: str) -> Result:
        """Cancel one order. OK: it is open no more, and its row may tell how it ended."""

    def cancel_side(self, side: str) -> Result:
        """Cancel every order of one side, whoever placed it."""

    def server_offset_s(self) -> float: ...

    def close(self) -> None: ...


@runtime_checkable
class SharesDesk(Protocol):
    """A connector that asks by itself, and must remember more than its venue does."""

    def share(self, journal: Journal, budget: RateBudget) -> None:
        """Remember in *journal* from now on, and pay from *budget*."""

    def read_account(self) -> None:
        """Ask for position and balance now, and tell of them as a stream would."""


class PolledConnector:
    """One account and one symbol at a venue without a stream."""

    def __init__(
        self,
        venue: Venue,
        symbol: str,
        *,
        clock: Clock,
        pace: Pace = PACE,
        account_key: str = "public",
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = venue.name
        self.symbol = symbol
        self.account_key = account_key
        self.on_answer: Callable[[Answer], None] = lambda _: None
        venue.on_answer = lambda answer: self.on_answer(answer)
        self._venue = venue
        self._clock = clock
        self._budget = RateBudget(clock, *venue.caps.budget)
        self._on_stop = on_stop
        self._actions = LocalActions()
        self._differ = Differ(symbol, self._actions)
        self._nameless: Nameless | None = None
        reads: Reads = venue
        if not venue.caps.client_ids:
            self._nameless = Nameless(
                lambda: clock.now() + venue.server_offset_s(), venue.caps.request_expiry_s or 0.0
            )
            self._differ.is_early = self._nameless.is_early
            reads = _Named(venue, self._nameless)
        self._reads = reads
        self._public = PublicReads(
            venue.name,
            symbol,
            lambda: clock.now() + venue.server_offset_s(),
            self.fetch_rows,
            self._bars,
        )
        self._poller = Poller(
            reads,
            self._differ,
            symbol,
            clock=clock,
            budget=self._budget,
            pace=pace,
            has_account=account_key != "public",
        )

    @property
    def caps(self) -> Capabilities:
        return self._venue.caps

    def share(self, journal: Journal, budget: RateBudget) -> None:
        self._poller.cursor, self._poller.budget, self._budget = journal, budget, budget
        if self._nameless is not None:
            self._nameless.names = journal

    def read_account(self) -> None:
        self._poller.read_account()

    # -- the stream ----------------------------------------------------------------------------

    def start(self, sink: Sink) -> None:
        self._check_symbol()
        logger.info("Asking %s about %s in turns: it has no stream.", self.name, self.symbol)
        self._poller.start(sink)

    def _check_symbol(self) -> None:
        """Raise StopTrading where the venue does not list the symbol, or does not answer; what may
        pass by itself is tried again for a moment."""
        end_s = self._clock.monotonic() + _PATIENCE_S
        while True:
            try:
                self._reads.market()
                return
            except ExchangeError as error:
                reason = no_start(error)
                if isinstance(reason, SettingsError) or self._clock.monotonic() >= end_s:
                    raise reason from None
            self._clock.sleep(_PATIENCE_S / 4)

    def stop_stream(self) -> None:
        self._poller.close()

    def stop(self) -> None:
        self._poller.close()
        self._venue.close()
        self._on_stop()

    def reconnect(self) -> None:
        self._poller.reconnect()

    def follow(self, topic: str) -> None:
        if topic == f"orderBookL2:{self.symbol}":
            self._poller.follow_book()

    def server_offset_s(self) -> float:
        return self._venue.server_offset_s()

    # -- orders --------------------------------------------------------------------------------

    def place(self, orders: Sequence[Row]) -> list[Result]:
        return [self._place(order) for order in orders]

    def _place(self, order: Row) -> Result:
        qty = order["orderQty"]
        side = str(order.get("side") or ("Sell" if qty < 0 else "Buy"))
        if self._nameless is not None:
            waits = self._nameless.begin(order, side)
            if waits:
                return Result(Status.NOT_SENT, {}, waits)
        result = self._venue.place({**order, "side": side, "orderQty": abs(qty)})
        order_id = str(result.row.get("orderID") or "")
        if self._nameless is not None and result.status is not Status.UNKNOWN:
            self._nameless.settle(side, order_id if result.status is Status.OK else "")
        if result.status is Status.REJECTED and POST_ONLY in result.text:
            ended = {"ordStatus": "Canceled", "leavesQty": 0, "text": result.text}
            return result._replace(row={**_placed(order, side), **ended})
        if result.status is not Status.OK:
            return result
        row = {**_placed(order, side), **result.row}
        self._take(row)
        if order.get("timeInForce") in _SHORT_LIVED:
            self._poller.doubt([order_id])
        return result._replace(row=row)

    def _take(self, row: Row) -> None:
        """An order is on the venue of which no read has told yet."""
        with self._differ.lock:
            for table in self._differ.placed(row):
                self._poller.tell(table)

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        del changes
        raise NotSupported(f"{self.name} changes no orders")  # the gateway replaces them

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        if len(order_ids) > 1:
            self._budget.take(len(order_ids) - 1, urgent=True)  # the gateway has paid for one
        return [self._cancel(order_id) for order_id in order_ids]

    def _cancel(self, order_id: str) -> Result:
        with self._actions.on([order_id]):
            result = self._venue.cancel(order_id)
            if result.status is not Status.OK or result.row.get("ordStatus") in TERMINAL:
                return result
            # It is gone; what of it was filled before is for a query to tell.
            shown = self._ended(order_id) if self.caps.order_lookup else None
        if shown is not None:
            with self._differ.lock:
                for table in self._differ.ended(order_id, shown):
                    self._poller.tell(table)
            return result._replace(row=shown)
        self._poller.doubt([order_id])
        return result._replace(status=Status.ACCEPTED, row={"orderID": order_id})

    def _ended(self, order_id: str) -> Row | None:
        self._budget.take(1, urgent=True)
        try:
            row = self._reads.order(order_id)
        except ExchangeError:
            return None
        return row if row is not None and not is_live(row) else None

    def account_label(self) -> str:
        """Such a venue may tell no name of an account: the key stands for it."""
        return f"the key with the fingerprint {self.account_key}"

    def dead_man(self, timeout_s: float | None) -> bool:
        del timeout_s
        return False

    # -- queries -------------------------------------------------------------------------------

    def fetch_open_orders(self) -> list[Row]:
        self._budget.take(1, urgent=True)
        return self._reads.open_orders()

    def fetch_order(self, *, order_id: str = "", cl_ord_id: str = "") -> Row | None:
        if self.caps.order_lookup:
            self._budget.take(1, urgent=True)
            return self._reads.order(order_id, cl_ord_id)
        mark = self._actions.mark()
        orders = self.fetch_open_orders()
        if not order_id:
            order_id = self._find(cl_ord_id, orders)
            assert self._nameless is not None
            orders = self._nameless.name(orders)  # it has just got its name
        found = next((row for row in orders if row["orderID"] == order_id), None)
        if found is not None or not order_id:
            return found
        with self._differ.lock:
            known = self._differ.known(order_id)
        if known is None or self._actions.is_newer(order_id, mark):
            return known
        self._budget.take(1, urgent=True)
        self._poller.refresh_fills()
        verdict = self._poller.look_up(order_id, self._poller.gone_since(order_id))
        return verdict or known

    def _find(self, cl_ord_id: str, orders: Sequence[Row]) -> str:
        """The order that a create without an answer has become, if any."""
        assert self._nameless is not None
        self._budget.take(1, urgent=True)
        fills = self._reads.fills(self._nameless.sent_s(cl_ord_id) - OVERLAP_S)
        try:
            order_id = self._nameless.find(cl_ord_id, orders, fills)
        except Ambiguous as ambiguous:
            logger.warning("%s: cancelling that side.", str(ambiguous).capitalize())
            self._budget.take(1, urgent=True)
            self._venue.cancel_side(ambiguous.side)
            self._poller.doubt([str(r["orderID"]) for r in orders if r["side"] == ambiguous.side])
            self._nameless.forget(cl_ord_id)
            return ""
        if order_id:
            listed = next((row for row in orders if row["orderID"] == order_id), None)
            sent = self._nameless.names.created(cl_ord_id)
            if listed is not None:
                self._take({**listed, "clOrdID": cl_ord_id})
            elif sent is not None:
                order, side = sent[0], str(sent[0].get("side"))
                self._take({**_placed(order, side), "orderID": order_id})
        return order_id

    def fetch_rows(self, table: str, **params: Any) -> list[Row]:
        """Rows of a BitMEX table, as far as such a venue has them."""
        self._budget.take(1, urgent=True)
        match table:
            case "instrument" | "quote":
                return [self._reads.market()]
            case "trade":
                return self._reads.trades()[-int(params.get("count") or 100) :]
            case "orderBook/L2" if params.get("symbol") in (None, self.symbol):
                return self._reads.book()
            case "margin":
                return [self._reads.margin()]
            case "position":
                return [self._reads.position()]
            case "execution" | "execution/tradeHistory":
                return self._reads.fills(self._clock.now() - 86_400)
        raise NotSupported(f"{self.name} has no {table} for this bot")

    def _bars(self, size: str, count: int) -> list[Bar]:
        self._budget.take(1, urgent=True)
        return self._venue.bars(size, count)

    def call(
        self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        """BitMEX's public GETs that have a like here; everything else raises NotSupported."""
        return self._public.answer(verb, path, query, body)


def _placed(order: Row, side: str) -> Row:
    """What we know of an order that was only acknowledged."""
    qty = abs(order["orderQty"])
    return {
        **order, "side": side, "orderQty": qty, "leavesQty": qty, "cumQty": 0,
        "ordStatus": "New", "ordType": "Limit" if order.get("price") else "Market",
    }  # fmt: skip


class _Named:
    """A venue's reads with our names on its orders."""

    def __init__(self, venue: Venue, nameless: Nameless) -> None:
        self.caps = venue.caps
        self.market, self.trades, self.book = venue.market, venue.trades, venue.book
        self.position, self.margin = venue.position, venue.margin
        self._venue, self._nameless = venue, nameless

    def open_orders(self) -> list[Row]:
        return self._nameless.name(self._venue.open_orders())

    def order(self, order_id: str, cl_ord_id: str = "") -> Row | None:
        del cl_ord_id
        row = self._venue.order(order_id)
        return None if row is None else self._nameless.name([row])[0]

    def fills(self, since_s: float) -> list[Row]:
        return self._nameless.name(self._venue.fills(since_s))
