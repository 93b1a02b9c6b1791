"""The last steps of every order action: record, send, believe."""

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from market_maker.clock import Clock
from market_maker.exchanges.approval import side_of
from market_maker.exchanges.base import Connector, Result, Status
from market_maker.exchanges.state import LiveState
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal, State
from market_maker.model.latency import Latency
from market_maker.model.rows import TERMINAL, Row
from market_maker.utils.errors import AuthenticationError, StopTrading

logger = logging.getLogger("root")

_CLOCK_SKEW_S = 1.0
_DEFAULT_EXPIRY_S = 5.0
_JOURNAL_STATES: dict[Status, State] = {
    Status.OK: "ACKED",
    Status.ACCEPTED: "ACKED",
    Status.REJECTED: "REJECTED",
    Status.UNKNOWN: "UNKNOWN",
    Status.NOT_SENT: "CLOSED",
}


class Outbox:
    """Writes an action down, sends it, and folds the answers into what we know, at once."""

    def __init__(
        self,
        connector: Connector,
        state: LiveState,
        journal: Journal,
        budget: RateBudget,
        clock: Clock,
    ) -> None:
        self.fatal = ""  # why the exchange will take no more orders from us
        self.fatal_code = StopTrading.exit_code
        # The thread that awaits an answer: the wrong moment to interrupt that thread.
        self.busy_thread: int | None = None
        self.after_action: Callable[[], None] = lambda: None
        self._connector = connector
        self._latency: Latency | None = None
        self._held: list[tuple[list[int], Sequence[Result]]] | None = None  # to be noted later
        self._state = state
        self._journal = journal
        self._budget = budget
        self._clock = clock

    def measure(self, latency: Latency) -> None:
        """Time how long orders are under way."""
        self._latency = latency

    def create(self, orders: Sequence[Row]) -> list[Result]:
        entries = self._record("create", orders)
        with self._state.lock:
            for order in orders:
                self._state.orders.intend_create({**order, "side": side_of(order)})
        keys = [order["clOrdID"] for order in orders]
        return self._act(entries, keys, lambda: self._connector.place(orders), looks_up=False)

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        entries = self._record("amend", changes)
        with self._state.lock:
            for change in changes:
                self._state.orders.intend_amend(change["orderID"], change)
        keys = [change["orderID"] for change in changes]
        return self._act(entries, keys, lambda: self._connector.amend(changes))

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        entries = self._record("cancel", [{"orderID": order_id} for order_id in order_ids])
        with self._state.lock:
            for order_id in order_ids:
                self._state.orders.intend_cancel(order_id)
        return self._act(entries, order_ids, lambda: self._connector.cancel(order_ids))

    def recover(self) -> None:
        """Take over what an earlier run had in flight when it died, by its journal."""
        for entry in self._journal.unsettled():
            left_s = entry.expires_at + _CLOCK_SKEW_S - self._clock.now()
            settle_after_s = self._clock.monotonic() + left_s
            with self._state.lock:
                orders = self._state.orders
                # Where no id of ours tells, an order that arrived must still be found.
                if left_s < 0 and (self._connector.caps.client_ids or entry.action != "create"):
                    self._journal.settle([entry.id], ["CLOSED"], [""])  # it can arrive no more
                elif entry.action == "create":
                    orders.intend_create({**entry.wire, "side": side_of(entry.wire)})
                    orders.doubt_in_flight(settle_after_s)
                elif entry.action == "amend":
                    orders.doubt_amend(entry.order_id, entry.wire, settle_after_s)

    def close_unsettled(self) -> None:
        """The exchange lists nothing of ours, and nothing can arrive there any more."""
        try:
            self._journal.close_unsettled()
        except StopTrading as error:
            self.stop_for(error)

    def stop_for(self, error: StopTrading) -> None:
        """Nothing new goes out from now on; the first reason is the one that is told."""
        if not self.fatal:
            self.fatal, self.fatal_code = str(error), error.exit_code

    def provable_from_s(self) -> float:
        """Monotonic time from which a request sent now can no longer be acted on."""
        return self._clock.monotonic() + self._validity_s() + _CLOCK_SKEW_S

    def _act(
        self,
        entries: list[int],
        keys: Sequence[str],
        send: Callable[[], list[Result]],
        *,
        looks_up: bool = True,
    ) -> list[Result]:
        self.busy_thread = threading.get_ident()
        latency = self._latency
        try:
            if latency is not None:
                latency.sending()
            results = send()
        except Exception:
            # Nobody can say what has left: it is as if no answer had come.
            for key in keys:
                self._believe(key, Result(Status.UNKNOWN, {}), looks_up=looks_up)
            raise
        finally:
            self.busy_thread = None
        if latency is not None:
            latency.answered()
        for key, result in zip(keys, results, strict=True):
            self._believe(key, result, looks_up=looks_up)
        self._note(entries, results)
        self.after_action()
        return results

    def _record(self, action: str, rows: Sequence[Row]) -> list[int]:
        try:
            return self._journal.record(action, rows, self._expires_s())
        except StopTrading as error:
            if action != "cancel":
                raise
            logger.error("Cancelling all the same: %s", error)
            return []

    @contextmanager
    def noted_at_the_end(self) -> Iterator[None]:
        """Batches that wait for each other: what became of them is written down after the last,
        since the market does not wait. Whoever dies meanwhile leaves them as unsettled."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self._note([i for ids, _ in held for i in ids], [r for _, rs in held for r in rs])

    def _note(self, entries: list[int], results: Sequence[Result]) -> None:
        if not entries:
            return
        if self._held is not None:
            self._held.append((entries, results))
            return
        try:
            self._journal.settle(
                entries,
                [_JOURNAL_STATES[result.status] for result in results],
                [str(result.row.get("orderID") or "") for result in results],
            )
        except StopTrading as error:
            self.stop_for(error)  # what was sent is sent

    def _believe(self, key: str, result: Result, *, looks_up: bool) -> None:
        """Fold an answer in. A refused cancel or amend says that the order may not be as we
        thought: it `looks_up` at once."""
        settle_after_s = self.provable_from_s()
        if result.status is Status.OK and not _is_about(result.row, key):
            result = result._replace(status=Status.UNKNOWN)  # it tells nothing of this order
        if looks_up and result.row.get("ordStatus") in TERMINAL:
            result = result._replace(status=Status.OK)  # the refusal shows how it ended
        elif looks_up and _is_refused(result):
            result, settle_after_s = result._replace(status=Status.UNKNOWN), -math.inf
        with self._state.lock:
            self._state.orders.settle(key, result, settle_after_s)
        if result.answer is not None and result.answer.refuses_key:
            self.stop_for(AuthenticationError(f"the exchange refuses our orders: {result.text}"))
        if result.retry_after_s is not None:
            self._budget.block_until(self._clock.now() + result.retry_after_s)

    def _expires_s(self) -> float:
        """Unix time, for the journal, which the next run may read."""
        return self._clock.now() + self._validity_s()

    def _validity_s(self) -> float:
        return self._connector.caps.request_expiry_s or _DEFAULT_EXPIRY_S


def _is_about(row: Row, key: str) -> bool:
    """Whether a row of the exchange is of the order *key* (an orderID or clOrdID)."""
    return bool(row.get("orderID")) and key in (row["orderID"], row.get("clOrdID"))


def _is_refused(result: Result) -> bool:
    """Whether the exchange refused this action on this order, rather than all of ours."""
    status = result.answer.status if result.answer is not None else 0
    return result.status is Status.REJECTED and (status < 401 or status == 404)
